import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.engines import open_onnx
from dogs_vs_cats.models.features import by_batch, compare, open_engine, open_features
from dogs_vs_cats.models.ncnn.engine import NcnnPool, count_workers
from dogs_vs_cats.models.ncnn.networks import Network, StackedNetwork, vgg16_for_many, vgg16_network
from dogs_vs_cats.models.ncnn.stacking import LARGEST_STACKED
from dogs_vs_cats.models.pretrained.backbones import Scaling, scale_layers, scaling_values
from dogs_vs_cats.models.pretrained.weights import LAYERS, Tensor, write_weights
from dogs_vs_cats.settings.catalogue import BackboneName
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from tests.photo_project import write_backbone
from tests.vgg16 import random_photos, random_tensors


@pytest.fixture(scope="module")
def tensors() -> list[Tensor]:
    return random_tensors()


@pytest.fixture(scope="module")
def weights(tensors: list[Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    write_weights(tensors, path)
    return path


def _compute(
    tensors: list[Tensor], photos: NDArray[np.uint8], workers: int = 2, scaling: Scaling = "imagenet"
) -> NDArray[np.float32]:
    return _in_order(vgg16_for_many(tensors, photos.shape[1]), photos, workers, scaling)


def _in_order(
    network: Network | StackedNetwork, photos: NDArray[np.uint8], workers: int, scaling: Scaling = "imagenet"
) -> NDArray[np.float32]:
    with NcnnPool(network, scaling_values(scaling), workers) as pool:
        return np.concatenate([found for _, found in sorted(pool.compute(photos), key=lambda item: item[0])])


def _gpus() -> list[object]:
    import tensorflow as tf

    return list(tf.config.list_physical_devices("GPU"))


def _workers() -> list[psutil.Process]:
    workers = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has ended since
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


def test_features_are_equal_to_the_byte_whatever_the_number_of_processes(tensors: list[Tensor]) -> None:
    photos = random_photos(21, 48)
    alone = _compute(tensors, photos, workers=1)
    assert alone.shape == (21, 1, 1, 512)
    assert alone.dtype == np.float32
    assert np.array_equal(_compute(tensors, photos, workers=3), alone)
    # In the photos' order, the last few included: each is what it is by itself.
    for position in (0, 7, 8, 20):
        assert np.array_equal(_compute(tensors, photos[position : position + 1], workers=1)[0], alone[position])


@pytest.mark.parametrize("size", [32, 75, 150, LARGEST_STACKED + 1])
def test_photos_that_are_stacked_see_nothing_of_each_other(size: int, tensors: list[Tensor]) -> None:
    photos = random_photos(9, size)
    photos[1:8:2] = 0  # beside each other what is very different
    found = _compute(tensors, photos, workers=1)
    alone = _in_order(vgg16_network(tensors), photos, workers=1)
    assert found.shape == alone.shape == (9, size // 32, size // 32, 512)
    # Elsewhere ncnn's tiles may be of another size, and the last bits differ.
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-5 * float(np.ptp(alone)))


def test_photos_of_a_killed_process_are_done_again(tensors: list[Tensor]) -> None:
    photos = random_photos(200, 32)
    found = np.full((200, 1, 1, 512), np.nan, np.float32)
    with NcnnPool(vgg16_for_many(tensors, 32), scaling_values("imagenet"), 2) as pool:
        for count, (start, features) in enumerate(pool.compute(photos)):
            if count == 3:
                _workers()[0].kill()
            found[start : start + len(features)] = features
    assert _workers() == []
    assert np.array_equal(found, _compute(tensors, photos))


def test_processes_that_die_again_and_again_are_an_error_and_no_hang(tensors: list[Tensor]) -> None:
    deaths = 0
    with (  # noqa: PT012 - each time the processes compute again they are killed again
        pytest.raises(WorkflowError, match=r"died 3 times.*bottleneck\.engine: tensorflow"),
        NcnnPool(vgg16_for_many(tensors, 32), scaling_values("imagenet"), 2) as pool,
    ):
        for _ in pool.compute(random_photos(2000, 32)):
            for worker in _workers():
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            deaths += 1
    assert deaths >= 3
    assert _workers() == []


def test_an_error_while_computing_ends_the_processes(tensors: list[Tensor]) -> None:
    with pytest.raises(KeyboardInterrupt), NcnnPool(vgg16_for_many(tensors, 32), scaling_values("imagenet"), 2) as pool:  # noqa: PT012
        for _ in pool.compute(random_photos(5000, 32)):
            raise KeyboardInterrupt
    assert _workers() == []


def extract_by(photos: NDArray[np.uint8], weights: Path, out: Path, **settings: Any) -> None:
    """Write features by the settings of ``bottleneck``."""
    with open_engine(BottleneckSettings.model_validate(settings), weights, photos) as extract:
        extract(photos, out)


def test_both_engines_write_the_same_features_and_auto_is_ncnn_on_a_cpu(
    tensors: list[Tensor], weights: Path, tmp_path: Path
) -> None:
    photos = random_photos(10, 70)
    # 10 photos by 4: the last batch is a partial one.
    extract_by(photos, weights, tmp_path / "tensorflow.npy", engine="tensorflow", batch=4)
    extract_by(photos, weights, tmp_path / "ncnn.npy", engine="ncnn" if _gpus() else "auto", batch=4)
    by_tensorflow, by_ncnn = open_features(tmp_path, "tensorflow", 10), open_features(tmp_path, "ncnn", 10)
    assert by_ncnn.shape == (10, 2, 2, 512)
    assert np.array_equal(by_ncnn, _compute(tensors, photos))
    compare(np.array(by_ncnn), np.array(by_tensorflow))
    # Different photos have different features, so an engine that mixed them up would not pass.
    distances = np.abs(by_ncnn[:, None] - by_tensorflow[None]).max(axis=(2, 3, 4))
    assert (distances.argmin(axis=0) == np.arange(10)).all()
    extract_by(photos, weights, tmp_path / "again.npy", engine="tensorflow", batch=4)
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "tensorflow.npy").read_bytes()


def test_without_ncnn_auto_is_tensorflow_and_asking_for_it_is_an_error(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)  # what Python does for a package that can't be imported
    photos = random_photos(3, 32)
    extract_by(photos, weights, tmp_path / "auto.npy", engine="auto", batch=2)
    extract_by(photos, weights, tmp_path / "tensorflow.npy", engine="tensorflow", batch=2)
    assert (tmp_path / "auto.npy").read_bytes() == (tmp_path / "tensorflow.npy").read_bytes()
    with pytest.raises(WorkflowError, match="ncnn is not installed"):
        extract_by(photos, weights, tmp_path / "ncnn.npy", engine="ncnn", batch=2)


@pytest.mark.parametrize("scaling", ["imagenet", "article"])
def test_scaling_is_what_its_name_says(scaling: Scaling) -> None:
    import keras

    photos = random_photos(2, 32).astype(np.float32)
    inputs = keras.Input((32, 32, 3))
    scaled = keras.Model(inputs, scale_layers(inputs, scaling)).predict_on_batch(photos)
    expected = keras.applications.vgg16.preprocess_input(photos.copy()) if scaling == "imagenet" else photos / 255
    np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-5)


def test_a_saved_model_loads_without_this_package(tmp_path: Path) -> None:
    import keras

    photos = random_photos(2, 32).astype(np.float32)
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, [scale_layers(inputs, "imagenet")])
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "photos.npy", photos)
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "np.save('scaled.npy', model.predict_on_batch(np.load('photos.npy')))\n"
        "assert not any(name.startswith('dogs_vs_cats') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert np.array_equal(np.load(tmp_path / "scaled.npy"), np.squeeze(model.predict_on_batch(photos)))


@pytest.mark.parametrize("error", [2e-4, np.nan])
def test_features_that_are_not_tensorflows_are_refused(error: float) -> None:
    reference = np.linspace(0, 100, 2048, dtype=np.float32).reshape(4, 1, 1, 512)
    found = reference.copy()
    compare(found + np.float32(5e-3), reference)
    found[2, 0, 0, 7] += error * 100
    with pytest.raises(WorkflowError, match=r"differ from TensorFlow's.*set bottleneck\.engine: tensorflow"):
        compare(found, reference)


def test_an_engine_that_disagrees_is_found_out_at_its_start(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What ncnn's processes are told; TensorFlow's own process imports the right one.
    factor, *others = scaling_values("imagenet")
    monkeypatch.setattr("dogs_vs_cats.models.features.scaling_values", lambda *_: (1.001 * np.asarray(factor), *others))
    with pytest.raises(WorkflowError, match=r"differ from TensorFlow's.*set bottleneck\.engine: tensorflow"):
        extract_by(random_photos(5, 32), weights, tmp_path / "out.npy", engine="ncnn", batch=4)
    assert list(tmp_path.iterdir()) == []
    assert _workers() == []


def test_where_the_fastest_engine_disagrees_tensorflow_computes(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = random_photos(5, 32)
    extract_by(photos, weights, tmp_path / "expected.npy", engine="tensorflow", batch=4)
    factor, *others = scaling_values("imagenet")
    monkeypatch.setattr("dogs_vs_cats.models.features.scaling_values", lambda *_: (1.001 * np.asarray(factor), *others))
    extract_by(photos, weights, tmp_path / "found.npy", engine="auto", batch=4)
    assert np.array_equal(np.load(tmp_path / "found.npy"), np.load(tmp_path / "expected.npy"))
    said = capsys.readouterr().out
    if not _gpus():
        assert said.startswith(
            "bottleneck.engine: auto: ncnn is faster than TensorFlow at VGG16, but its features differ"
        )
    assert _workers() == []


def test_nothing_is_left_when_the_photos_are_too_small_or_the_weights_missing(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"decode\.size is 24"):
        extract_by(random_photos(2, 24), weights, tmp_path / "out.npy", engine="auto", batch=32)
    with pytest.raises(WorkflowError, match=r"nowhere\.weights\.h5: no such file"):
        extract_by(random_photos(2, 32), tmp_path / "nowhere.weights.h5", tmp_path / "out.npy", engine="auto", batch=32)
    assert list(tmp_path.iterdir()) == []


def test_there_is_always_a_process_and_never_more_than_cores() -> None:
    assert count_workers(10**6) == 1
    assert 1 <= count_workers(32) <= (psutil.cpu_count() or 1)


def test_features_open_as_written_and_only_whole(tmp_path: Path) -> None:
    written = np.arange(3 * 512, dtype=np.float32).reshape(3, 1, 1, 512)
    np.save(tmp_path / "train.npy", written)
    opened = open_features(tmp_path, "train", 3)
    assert isinstance(opened, np.memmap)
    assert np.array_equal(opened, written)
    with pytest.raises(WorkflowError, match=r"train\.npy: features of 3 photos, where there are 4.*dvc repro"):
        open_features(tmp_path, "train", 4)
    with pytest.raises(WorkflowError, match=r"test\.npy: no such file; run: dvc repro bottleneck"):
        open_features(tmp_path, "test")


@pytest.mark.parametrize("damage", ["half", "empty", "text", "another array"])
def test_damaged_features_are_named(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "train.npy"
    np.save(file, np.ones((3, 1, 1, 512), np.float32))
    content = file.read_bytes()
    if damage == "another array":
        np.save(file, np.ones((3, 512), np.float64))
    else:
        file.write_bytes({"half": content[: len(content) // 2], "empty": b"", "text": b"not an array"}[damage])
    with pytest.raises(WorkflowError, match=r"train\.npy: .*run: dvc repro bottleneck"):
        open_features(tmp_path, "train")


def _first_blocks(blocks: int, tensors: list[Tensor], photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    network = Network()
    for layer, kernel, bias in zip(LAYERS, tensors[::2], tensors[1::2], strict=True):
        if layer <= f"block{blocks}_conv3":
            network.convolve(kernel, bias)
            if layer in ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3"):
                network.pool()
    return _in_order(network, photos, workers=1)


@pytest.mark.parametrize("engine", ["tensorflow", "ncnn"])
def test_pooled_features_are_means_and_maxima_of_the_maps(
    tensors: list[Tensor], weights: Path, tmp_path: Path, engine: str
) -> None:
    photos = random_photos(11, 70)
    extract_by(photos, weights, tmp_path / "few.npy", engine=engine, pooling=["average"])
    extract_by(photos, weights, tmp_path / "all.npy", engine=engine, pooling=["max", "average"], layers=["block4_pool"])
    fourth, fifth = _first_blocks(4, tensors, photos), _in_order(vgg16_network(tensors), photos, workers=1)
    expected = [values for maps in (fourth, fifth) for values in (maps.max(axis=(1, 2)), maps.mean(axis=(1, 2)))]
    pooled = open_features(tmp_path, "all", 11)
    assert pooled.shape == (11, 1, 1, 2048)
    compare(pooled[:, 0, 0], np.concatenate(expected, axis=1))
    compare(open_features(tmp_path, "few", 11)[:, 0, 0], expected[-1])


def test_large_photos_are_pooled_as_small_ones(tensors: list[Tensor], weights: Path, tmp_path: Path) -> None:
    photos = random_photos(2, LARGEST_STACKED + 1)
    extract_by(photos, weights, tmp_path / "large.npy", engine="ncnn", pooling=["average"])
    maps = _in_order(vgg16_network(tensors), photos, workers=1)
    compare(open_features(tmp_path, "large", 2)[:, 0, 0], maps.mean(axis=(1, 2)))


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lite") / "backbone.weights.h5"
    write_backbone("efficientnet_lite2", 64, path)
    return path


# Even and odd sides, at which padding is uneven or even; and a network that normalises its photos itself.
@pytest.mark.parametrize(
    ("backbone", "size", "settings"),
    [
        ("efficientnet_lite2", 75, {}),
        ("efficientnet_lite2", 94, {"pooling": ["max", "average"], "layers": ["_blocks.7._bn0_relu"]}),
        ("efficientnet_b0", 64, {"pooling": ["average"]}),
    ],
)
def test_onnx_runtime_computes_what_tensorflow_computes_and_is_what_auto_takes(
    lite: Path, tmp_path: Path, backbone: BackboneName, size: int, settings: dict[str, Any]
) -> None:
    photos, weights = random_photos(9, size), lite
    if backbone != "efficientnet_lite2":
        weights = tmp_path / "backbone.weights.h5"
        write_backbone(backbone, size, weights)
    for name, engine in (("tensorflow", "tensorflow"), ("onnx", "onnx" if _gpus() else "auto")):
        chosen = BottleneckSettings.model_validate(settings | {"backbone": backbone, "engine": engine, "batch": 4})
        with open_engine(chosen, weights, photos) as extract:
            extract(photos, tmp_path / f"{name}.npy")
        assert extract.engine == name
    found, expected = (open_features(tmp_path, engine, 9) for engine in ("onnx", "tensorflow"))
    assert found.shape[1:] == chosen.features(size)
    compare(found, expected, "onnx")
    distances = np.abs(found[:, None] - expected[None]).max(axis=(2, 3, 4))
    assert (distances.argmin(axis=0) == np.arange(9)).all()


def test_without_onnx_runtime_auto_is_tensorflow_and_says_so_and_asking_for_it_is_an_error(
    lite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("onnxruntime", "tf2onnx"):
        monkeypatch.setitem(sys.modules, package, None)
    told = "onnxruntime and tf2onnx are not installed; run pip install onnxruntime tf2onnx"
    photos, settings = random_photos(3, 32), {"backbone": "efficientnet_lite2"}
    with open_engine(BottleneckSettings.model_validate(settings), lite, photos) as extract:
        assert extract.engine == "tensorflow"
    title = "bottleneck.engine: auto: ONNX Runtime is faster than TensorFlow at EfficientNet-Lite2"
    assert capsys.readouterr().out == ("" if _gpus() else f"{title}, but {told}\n")
    with pytest.raises(WorkflowError, match=rf"bottleneck\.engine: onnx: {told}, or set it to tensorflow$"):
        extract_by(photos, lite, tmp_path / "out.npy", engine="onnx", **settings)


def test_onnx_runtime_is_not_asked_of_other_backends(
    lite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    told = r"onnx: Keras on JAX writes no ONNX; set KERAS_BACKEND=tensorflow, or set it to tensorflow$"
    with pytest.raises(WorkflowError, match=told):
        extract_by(random_photos(3, 32), lite, tmp_path / "out.npy", engine="onnx", backbone="efficientnet_lite2")


@pytest.mark.parametrize("fault", ["missing", "no HDF5", "another variant"])
def test_weights_that_are_not_the_backbones_are_refused(lite: Path, tmp_path: Path, fault: str) -> None:
    given, backbone = tmp_path / "backbone.weights.h5", "efficientnet_lite2"
    if fault == "no HDF5":
        given.write_text("no weights")
    elif fault == "another variant":
        given, backbone = lite, "efficientnet_lite0"
    told = r"backbone\.weights\.h5: (no such file; it should hold|not) EfficientNet-Lite\d's weights.*dvc repro weights"
    with pytest.raises(WorkflowError, match=told):
        extract_by(random_photos(2, 64), given, tmp_path / "out.npy", backbone=backbone, engine="onnx")
    assert not (tmp_path / "out.npy").exists()


def test_a_batch_too_large_for_onnx_runtime_names_the_setting(tmp_path: Path) -> None:
    shape = onnx.helper.make_node("Constant", [], ["shape"], value_ints=[2**44])
    nodes = [shape, onnx.helper.make_node("Expand", ["photos", "shape"], ["large"])]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("photos", "large")]
    graph = onnx.helper.make_graph(nodes, "large", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]), tmp_path / "large.onnx")
    run = open_onnx(tmp_path / "large.onnx")
    with pytest.raises(WorkflowError, match=r"bottleneck\.batch is 64: too much for the memory of .*; make it smaller"):
        list(by_batch(run, 64)(np.zeros((1, 1, 1, 1), np.uint8)))
