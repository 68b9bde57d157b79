"""A project's folder with both models, untrained, of a size at which VGG16 takes no time, and photos for them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from dogs_vs_cats.evaluation.comparing import Reported, compare
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.models.pretrained.backbones import untrained_backbone
from dogs_vs_cats.models.pretrained.weights import Tensor, write_weights
from dogs_vs_cats.models.saved import write_model
from dogs_vs_cats.settings.catalogue import BackboneName
from dogs_vs_cats.settings.params import CompareSettings
from tests.conftest import candidate
from tests.vgg16 import random_tensors

SIZE = 48
TEMPERATURES = {"scratch": 2.0, "vgg16": 5.0}
CNN: dict[str, Any] = {
    "convolutions": [{"filters": 4, "kernel": 3}, {"filters": 6, "kernel": 4}],
    "batch_normalization": False,
    "convolution_dropout": 0.2,
    "pooling_end": "flatten",
    "dense": [5],
    "dense_dropout": 0.5,
    "output": "softmax",
}
HEAD: dict[str, Any] = {"pooling": "flatten", "dense": [4], "dropout": [0.5], "output": "sigmoid"}


def description(kind: str, network: dict[str, Any], **changes: Any) -> Description:
    """What a model's weights belong to."""
    values: dict[str, Any] = {"size": SIZE, "resampling": "bilinear", "classes": ("cats", "dogs"), "network": network}
    if kind == "vgg16":
        values |= {"features": (1, 1, 512), "scaling": "imagenet"}
    return KINDS[kind].model_validate(values | changes)


def write_trained(described: Description, project: Path) -> None:
    """Write a model with random weights, none of which is what Keras begins with."""
    # Of the weights that Keras begins with, some let all photos look alike: it may not be by chance which they are.
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(3)
    model = described.build()
    # So little that a batch normalisation's variances, 1 before, stay positive.
    model.set_weights([weights + random.normal(0, 0.05, weights.shape) for weights in model.get_weights()])
    write_model(model, described, project / "models" / f"{described.kind}.weights.h5")


def write_project(project: Path) -> None:
    """Write what the workflow leaves and predicting needs."""
    write_trained(description("scratch", CNN), project)
    write_trained(description("vgg16", HEAD), project)
    (project / "data/weights").mkdir(parents=True)
    write_weights(small_tensors(), project / "data/weights/backbone.weights.h5")
    (project / "reports").mkdir()
    write_comparison(project)


def write_backbone(name: BackboneName, size: int, file: Path) -> None:
    """Write a backbone with random weights whose features neither vanish nor explode."""
    backbone, random = untrained_backbone(name, size), np.random.default_rng(4)
    values = backbone.get_weights()
    for place, value in enumerate(values):
        if value.ndim == 4:
            seen = np.prod(value.shape[:2]) * (1 if value.shape[3] == 1 else value.shape[2])
            values[place] = random.normal(0, np.sqrt(2 / seen), value.shape)
    backbone.set_weights(values)
    backbone.save_weights(file, overwrite=True)


def small_tensors() -> list[Tensor]:
    """VGG16 with random weights and features so small that a head's output stays away from 0 and 1."""
    return [tensor * np.float32(0.7) for tensor in random_tensors()]


def write_comparison(project: Path, better: str = "vgg16", classes: tuple[str, str] = ("cats", "dogs")) -> None:
    """Write a comparison of the models on two photos."""
    labels, second = np.array([0, 1]), np.array([0.2, 0.8])
    facts = Reported("zip", "test", classes, comparable=True, files=["a", "b"], labels=labels, validation_labels=labels)
    candidates = {
        kind: candidate(kind, second, second, weights=digest_of(project / f"models/{kind}.weights.h5"))
        for kind in TEMPERATURES
    }
    rules = CompareSettings(confidence=0.95, bootstrap_resamples=100, calibration_bins=15, worst_mistakes=0, seed=1)
    comparison = compare(candidates, facts, rules)
    models = {
        kind: model.model_copy(update={"temperature": TEMPERATURES[kind]}) for kind, model in comparison.models.items()
    }
    comparison.model_copy(update={"better": better, "models": models}).write(project / "reports/comparison.json")


def photo(seed: int = 0, width: int = 90, height: int = 60) -> Image.Image:
    """Large patches, no two photos alike."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.NEAREST)
