import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.exporting import exported
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.models.kinds.transfer import TransferModel
from dogs_vs_cats.models.opened import OpenNetwork, open_backbone
from dogs_vs_cats.models.saved import load_predictor, predict, read_description, write_model
from dogs_vs_cats.serving.registered_models import compiled_by_version_0_1
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.training_settings import CnnSettings, HeadSettings, LossSettings, OptimizerSettings
from dogs_vs_cats.tracking.logged_models import save_model
from dogs_vs_cats.training.fitting import train
from tests.conftest import answers_elsewhere, no_file_larger_than

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore:.*Any type hint is inferred:UserWarning"
)

NETWORK = CnnSettings.model_validate(
    {
        "convolutions": [{"filters": 4, "kernel": 3}],
        "batch_normalization": True,
        "convolution_dropout": 0.2,
        "pooling_end": "flatten",
        "dense": [5],
        "dense_dropout": 0.5,
        "output": "softmax",
    }
)
DESCRIPTION = ScratchModel(size=32, classes=("cats", "dogs"), network=NETWORK)


def test_a_written_model_predicts_as_the_one_in_memory(
    tmp_path: Path, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    model = DESCRIPTION.build()
    write_model(model, DESCRIPTION, tmp_path / "scratch.weights.h5")
    loaded = load_predictor(tmp_path / "scratch.weights.h5")
    assert loaded.description == DESCRIPTION
    assert loaded.parameters == model.count_params()
    assert np.array_equal(loaded.predict(photos[0]), predict(model, photos[0]))
    assert {path.name for path in tmp_path.iterdir()} == {"scratch.weights.h5", "scratch.json"}


def test_equal_weights_are_written_as_equal_bytes(tmp_path: Path) -> None:
    model = DESCRIPTION.build()
    for name in ("a", "b"):
        write_model(model, DESCRIPTION, tmp_path / name / "scratch.weights.h5")
    assert digest_of(tmp_path / "a" / "scratch.weights.h5") == digest_of(tmp_path / "b" / "scratch.weights.h5")


@pytest.mark.parametrize("fault", ["no weights", "no description", "another description", "cut off"])
def test_a_model_that_cannot_be_loaded_names_its_file_and_the_stage_that_makes_it(tmp_path: Path, fault: str) -> None:
    weights, description = tmp_path / "scratch.weights.h5", tmp_path / "scratch.json"
    write_model(DESCRIPTION.build(), DESCRIPTION, weights)
    if fault == "no weights":
        weights.unlink()
    elif fault == "no description":
        description.unlink()
    elif fault == "another description":
        description.write_text('{"kind": "other"}', encoding="utf-8")
    else:
        weights.write_bytes(weights.read_bytes()[:3000])
    with pytest.raises(WorkflowError, match=r"scratch\.(json|weights\.h5): .*dvc repro train_scratch"):
        load_predictor(weights)


HEAD = TransferModel(
    size=32,
    classes=("cats", "dogs"),
    features=(1, 1, 512),
    scaling="imagenet",
    # Larger than what the optimizer leaves to Keras's own update.
    network=HeadSettings(pooling="flatten", dense=[160], dropout=[0.5], output="sigmoid"),
)


def _train(
    description: Description,
    settings: Settings,
    inputs: NDArray[Any],
    labels: NDArray[np.uint8],
    **changes: object,
) -> Any:
    """Train a network for an epoch, with the optimizer and the loss that only this project has."""
    section = type(description).training_settings(settings)
    changes |= {
        "epochs": 1,
        "optimizer": OptimizerSettings(name="rmsprop", learning_rate=0.001),
        "loss": LossSettings(name="hinge"),
        "early_stopping": None,
    }
    model = description.build()
    examples = Examples(inputs, labels)
    train(model, Parts(examples, examples), section.model_copy(update=changes))
    return model


def test_trained_models_that_were_logged_answer_where_this_project_is_not_installed(
    tmp_path: Path, settings: Settings, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    images, labels = photos[0][:32], photos[1][:32]
    learned: dict[str, tuple[Any, NDArray[Any]]] = {}
    for name, changes in {"plain": None, "augmented": settings.train_scratch.augmentation}.items():
        learned[name] = _train(DESCRIPTION, settings, images, labels, augmentation=changes), images
        save_model(exported(OpenNetwork(learned[name][0]), DESCRIPTION), tmp_path / name)
    backbone = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    features = backbone.predict(keras.applications.vgg16.preprocess_input(images.astype(np.float32)), verbose=0)
    learned["vgg16"] = _train(HEAD, settings, features, labels), features
    opened = open_backbone(backbone, learned["vgg16"][0], HEAD.scaling, "vgg16")
    save_model(exported(opened, HEAD), tmp_path / "vgg16")
    for name, answers in zip(learned, answers_elsewhere(tmp_path, images, *learned), strict=True):
        model, inputs = learned[name]
        assert np.allclose(answers, predict(model, inputs)[:, 1], atol=1e-5), name


def test_what_version_0_1_registered_is_opened_without_its_optimizer_and_loss(
    tmp_path: Path, settings: Settings, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    model = _train(DESCRIPTION, settings, photos[0][:32], photos[1][:32])
    images = keras.layers.Input((32, 32, 3), dtype="uint8")
    save_model(keras.Model(images, model(keras.ops.cast(images, "float32"))[:, -1]), tmp_path / "logged")
    import mlflow.keras

    loaded = mlflow.keras.load_model(str(tmp_path / "logged"), custom_objects=compiled_by_version_0_1())
    assert np.allclose(loaded.predict(photos[0][:32], verbose=0), predict(model, photos[0][:32])[:, 1], atol=1e-6)


def test_what_version_0_1_described_is_read(tmp_path: Path) -> None:
    scratch = {"kind": "scratch", "size": 32, "resampling": "lanczos", "classes": ["cats", "dogs"]}
    scratch |= {"features": None, "backbone": None, "scaling": None, "network": NETWORK.model_dump()}
    (tmp_path / "scratch.json").write_text(json.dumps(scratch), encoding="utf-8")
    assert read_description(tmp_path / "scratch.weights.h5") == DESCRIPTION
    # Before there were other backbones none was named.
    vgg16 = {"kind": "vgg16", "size": 32, "classes": ["cats", "dogs"], "features": [1, 1, 512], "scaling": "imagenet"}
    vgg16 |= {"network": HEAD.network.model_dump()}
    (tmp_path / "vgg16.json").write_text(json.dumps(vgg16), encoding="utf-8")
    assert read_description(tmp_path / "vgg16.weights.h5") == HEAD
    assert HEAD.name == "VGG16 transfer model"


def test_a_disk_that_is_full_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with no_file_larger_than(5000), pytest.raises(OSError, match=r"File too large.*scratch\.weights\.h5"):
        write_model(DESCRIPTION.build(), DESCRIPTION, tmp_path / "scratch.weights.h5")
    assert list(tmp_path.iterdir()) == []
