"""``dogs-vs-cats export``: every format gives the answers that ``predict`` gives, and nothing is left half-written."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.commands import export
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.serving.formats import FORMATS
from dogs_vs_cats.serving.trained_models import find_model, open_trained
from tests.commands.calling import call
from tests.conftest import no_file_larger_than
from tests.photo_project import (
    CNN,
    HEAD,
    SIZE,
    description,
    write_backbone,
    write_comparison,
    write_project,
    write_trained,
)

PHOTOS = np.random.default_rng(5).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with both models."""
    project = tmp_path_factory.mktemp("project")
    write_project(project)
    return project


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the folder in which the command runs."""
    monkeypatch.chdir(trained)
    return trained


def _run(name: str, file: Path, photos: NDArray[np.uint8]) -> NDArray[Any]:
    """What another program makes of an exported model."""
    if name == "onnx":
        from onnx.reference import ReferenceEvaluator

        (answers,) = ReferenceEvaluator(str(file)).run(None, {"photos": photos})
    elif name == "litert":
        import tensorflow as tf

        with pytest.warns(UserWarning, match="deprecated"):
            runner = tf.lite.Interpreter(str(file)).get_signature_runner()
        (answers,) = runner(photos=photos).values()
    elif name == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(file))
        answers = loaded.serve(photos).numpy()
    else:
        openvino = pytest.importorskip("openvino")
        answers = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(photos)[0]
    found: NDArray[Any] = np.asarray(answers)
    return found


def _predicted(project: Path, kind: str) -> NDArray[Any]:
    """P(second class) of ``PHOTOS`` by a project's model."""
    with open_trained(find_model(project, kind), engine="tensorflow") as classifier:
        second = classifier.probabilities(PHOTOS)
    assert np.ptp(second) > 1e-4
    return second


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["scratch", "vgg16"])
def test_every_format_answers_as_predict_does(project: Path, tmp_path: Path, name: str, kind: str) -> None:
    if name == "openvino":
        pytest.importorskip("openvino")
    call(export.main, "--format", name, kind, str(tmp_path / "out"))
    second = _predicted(project, kind)
    for count in (3, 1):
        answers = _run(name, tmp_path / "out" / FORMATS[name].file, PHOTOS[:count])
        assert answers.shape == (count, 2)
        assert answers.dtype == np.float32
        np.testing.assert_allclose(answers[:, 1], second[:count], atol=1e-5)
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


@pytest.fixture(scope="module")
def looking_twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, NDArray[Any]]]:
    """A project with models that resize and look twice, and what ``predict`` makes of ``PHOTOS``, by kind."""
    project, views = tmp_path_factory.mktemp("project"), {"flip": True, "scales": [1.0, 1.5]}
    write_project(project)
    network = CNN | {"pooling_end": "global_average"}
    write_trained(description("scratch", network, sees=32, resampling="lanczos", views=views), project)
    write_trained(
        description("vgg16", HEAD, mirrored=True, backbone="efficientnet_lite0", features=(2, 2, 1280)), project
    )
    write_backbone("efficientnet_lite0", SIZE, project / "data/weights/backbone.weights.h5")
    write_comparison(project)
    return project, {kind: _predicted(project, kind) for kind in ("scratch", "vgg16")}


@pytest.mark.parametrize("name", FORMATS)
def test_models_that_resize_and_look_twice_are_written_too(
    looking_twice: tuple[Path, dict[str, NDArray[Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By Lanczos' filter, and with views of two scales; and on a backbone whose layers' names begin with a ``_``."""
    if name == "openvino":
        pytest.importorskip("openvino")
    project, predicted = looking_twice
    monkeypatch.chdir(project)
    for kind, second in predicted.items():
        call(export.main, "--format", name, kind, str(tmp_path / kind))
        answers = _run(name, tmp_path / kind / FORMATS[name].file, PHOTOS)
        np.testing.assert_allclose(answers[:, 1], second, atol=2e-4)  # a value between two levels is rounded either way


def test_a_missing_package_is_named_with_the_command_that_brings_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("tf2onnx", "openvino"):
        monkeypatch.setitem(sys.modules, package, None)
    for name, told in (
        ("onnx", "--format onnx: tf2onnx is not installed; run make setup, or pip install tf2onnx$"),
        ("openvino", r"--format openvino: openvino is not installed; run pip install '\.\[openvino\]'$"),
    ):
        with pytest.raises(WorkflowError, match=told):
            call(export.main, "--format", name, "scratch", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_what_is_there_already_is_left_as_it_is(project: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(WorkflowError, match="out: is there already; name a new folder"):
        call(export.main, "--format", "saved_model", "scratch", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("name", ["onnx", "litert", "saved_model"])
def test_a_full_disk_is_one_line_and_leaves_nothing(project: Path, tmp_path: Path, name: str) -> None:
    told = "(could not be written: |Errno 27] )File too large"
    with no_file_larger_than(20_000), pytest.raises((WorkflowError, OSError), match=told) as caught:
        call(export.main, "--format", name, "scratch", str(tmp_path / "out"))
    assert "\n" not in str(caught.value)
    assert ".partial" not in str(caught.value)
    assert not list(tmp_path.iterdir())
