"""Networks that ncnn runs give what Keras gives, whatever their settings, and refuse weights of another network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.ncnn.engine import compute, compute_stacked
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.serving.registered_models import by_keras
from dogs_vs_cats.serving.trained_models import TrainedModel
from tests.photo_project import CNN, HEAD, description, small_tensors, write_trained
from tests.vgg16 import random_photos

# Keras 3.15 copies TensorFlow's variables in a way that NumPy 2 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    write_weights(small_tensors(), path)
    return path


def _trained(kind: str, network: dict[str, Any], project: Path, vgg16: Path, **changes: Any) -> TrainedModel:
    described = description(kind, network, **changes)
    write_trained(described, project)
    return TrainedModel(project / "models" / f"{kind}.weights.h5", vgg16, described, 1.0)


@pytest.mark.parametrize(
    ("kind", "network", "changes"),
    [
        ("scratch", CNN, {}),
        ("scratch", CNN | {"batch_normalization": True, "output": "sigmoid"}, {"size": 45}),
        ("scratch", CNN | {"pooling_end": "global_average", "dense": []}, {}),
        ("vgg16", HEAD, {"size": 70, "features": (2, 2, 512)}),
        (
            "vgg16",
            HEAD | {"pooling": "global_max", "output": "softmax", "dense": [], "dropout": []},
            {"scaling": "article"},
        ),
        ("vgg16", HEAD | {"pooling": "global_average"}, {"size": 70, "features": (2, 2, 512)}),
    ],
)
def test_ncnn_gives_what_keras_gives(
    kind: str, network: dict[str, Any], changes: dict[str, Any], tmp_path: Path, vgg16: Path
) -> None:
    trained = _trained(kind, network, tmp_path, vgg16, **changes)
    photos = random_photos(5, trained.description.size)
    (tmp_path / "network").mkdir()
    trained.network().write(tmp_path / "network")
    found = compute(str(tmp_path / "network"), trained.description.channel_scaling, photos)[:, -1]
    expected = by_keras(trained.keras_model())(photos)
    assert np.abs(found - expected).max() < 5e-6
    if kind == "vgg16":
        (tmp_path / "stacked").mkdir()
        trained.network(many=True).write(tmp_path / "stacked")
        stacked = compute_stacked(str(tmp_path / "stacked"), trained.description.channel_scaling, photos)[:, -1]
        assert np.abs(stacked - expected).max() < 5e-6
    assert np.ptp(expected) > 1e-4, "photos that all look alike would prove nothing"


@pytest.mark.parametrize(
    "change", [{"dense": [6]}, {"batch_normalization": True}, {"convolutions": [{"filters": 5, "kernel": 3}]}]
)
def test_weights_of_another_network_are_refused(change: dict[str, Any], tmp_path: Path, vgg16: Path) -> None:
    trained = _trained("scratch", CNN, tmp_path, vgg16)
    other = TrainedModel(trained.weights, vgg16, description("scratch", CNN | change), 1.0)
    with pytest.raises(WorkflowError, match=r"scratch\.weights\.h5: its weights do not fit .*dvc repro train_scratch"):
        other.network()


def test_weights_cut_off_are_named(tmp_path: Path, vgg16: Path) -> None:
    trained = _trained("scratch", CNN, tmp_path, vgg16)
    trained.weights.write_bytes(trained.weights.read_bytes()[:3000])
    with pytest.raises(WorkflowError, match=r"scratch\.weights\.h5: .*dvc repro train_scratch"):
        trained.network()
