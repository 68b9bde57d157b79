"""What trained models say of a split: in the arrays' order, from the models that fit the photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.data.arrays import Dataset, write_files
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.predicting import load_predictors
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.models.kinds.transfer import TransferModel
from dogs_vs_cats.models.saved import write_model
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.training_settings import CnnSettings, HeadSettings

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 32
DATASET = Dataset("zip", ["cats", "dogs"], [], SIZE, "0" * 64, {"test": 7})
CNN = CnnSettings.model_validate(
    {
        "convolutions": [{"filters": 2, "kernel": 3}],
        "batch_normalization": False,
        "convolution_dropout": 0.0,
        "pooling_end": "global_average",
        "dense": [],
        "dense_dropout": 0.0,
        "output": "softmax",
    }
)
HEAD = HeadSettings(pooling="flatten", dense=[], dropout=[], output="sigmoid")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arrays, features and both models, untrained."""
    root = tmp_path_factory.mktemp("project")
    (root / "arrays").mkdir()
    (root / "features").mkdir()
    random = np.random.default_rng(0)
    np.save(root / "arrays" / "test_images.npy", random.integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8))
    write_files(root / "arrays", "test", [f"test/{n}.jpg" for n in range(7)], [0, 1, 0, 1, 0, 1, 0])
    np.save(root / "features" / "test.npy", random.random((7, 1, 1, 512), dtype=np.float32))
    classes = ("cats", "dogs")
    for description in (
        ScratchModel(size=SIZE, classes=classes, network=CNN),
        TransferModel(size=SIZE, classes=classes, features=(1, 1, 512), scaling="imagenet", network=HEAD),
    ):
        write_model(description.build(), description, root / "models" / f"{description.kind}.weights.h5")
    return root


def test_both_models_predict_their_own_inputs_in_order(project: Path) -> None:
    predictors = load_predictors(project / "models", DATASET)
    assert list(predictors) == ["scratch", "vgg16"]
    inputs = {
        "scratch": np.load(project / "arrays" / "test_images.npy"),
        "vgg16": np.load(project / "features" / "test.npy"),
    }
    for kind, predictor in predictors.items():
        found = predictor.probabilities(Prepared(project / "arrays", project / "features"), "test")
        assert found.shape == (7, 2)
        assert found.dtype == np.float64
        assert found[::-1] == pytest.approx(predictor.predict(inputs[kind][::-1]), abs=1e-6)
        assert len(np.unique(found)) > 1


def test_models_of_other_classes_or_sizes_are_refused(project: Path) -> None:
    for other in (replace(DATASET, classes=["a", "b"]), replace(DATASET, size=64)):
        with pytest.raises(WorkflowError, match=r"scratch\.json: trained on cats and dogs at 32 pixels.*dvc repro"):
            load_predictors(project / "models", other)


def test_a_model_that_diverged_is_named(project: Path) -> None:
    predictor = load_predictors(project / "models", DATASET)["vgg16"]
    predictor.model.set_weights([np.full(weights.shape, np.nan) for weights in predictor.model.get_weights()])
    with pytest.raises(WorkflowError, match="vgg16 model's output is not a number"):
        predictor.probabilities(Prepared(project / "arrays", project / "features"), "test")
