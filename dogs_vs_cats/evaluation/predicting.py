"""What the trained models say of a split's photos."""

import json
from pathlib import Path

import numpy as np

from dogs_vs_cats.data.arrays import Dataset, open_split, release
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.comparison import Candidate
from dogs_vs_cats.evaluation.metrics import photos_per_second
from dogs_vs_cats.models.features import open_features
from dogs_vs_cats.models.saved import KINDS, Description, Predictor, exported, load_predictor, open_backbone
from dogs_vs_cats.settings.catalogue import BACKBONES

# Enough to time each model by; VGG16 takes 10 to 20 photos a second on two cores.
_TIMED_PHOTOS = {"scratch": 256, "vgg16": 64}


def load_predictors(models: Path, dataset: Dataset) -> dict[str, Predictor]:
    """Load both models.

    Args:
        models: the folder that the training stages left.
        dataset: what they are to be used on.

    Returns:
        The models by kind, scratch first.

    Raises:
        WorkflowError: if a model is missing, or was trained on other classes or another size.
    """
    predictors: dict[str, Predictor] = {}
    for kind in KINDS:
        predictors[kind] = load_predictor(models / f"{kind}.weights.h5")
        check_fit(models / f"{kind}.json", predictors[kind].description, dataset)
    return predictors


def check_fit(path: Path, description: Description, dataset: Dataset) -> None:
    """Refuse a model of other photos than those that there are.

    Args:
        path: of the model's description.
        description: what it was trained on.
        dataset: the decoded photos.

    Raises:
        WorkflowError: if it was trained on other classes, or another size.
    """
    if (list(description.classes), description.size) != (list(dataset.classes), dataset.size):
        raise WorkflowError(
            f"{path}: trained on {' and '.join(description.classes)} at {description.size} pixels, the "
            f"arrays hold {' and '.join(dataset.classes)} at {dataset.size}; run dvc repro"
        )


def predict_split(predictor: Predictor, arrays: Path, features: Path, split: str) -> np.ndarray:
    """A model's probabilities on a split.

    Args:
        predictor: the model.
        arrays: the folder of decoded photos, which the CNN takes.
        features: the folder of bottleneck features, which the head takes.
        split: train, validation, test or unlabelled.

    Returns:
        (n,) float64 P(second class), in the arrays' order.

    Raises:
        WorkflowError: if arrays or features are missing or damaged, or the model's output is no probability.
    """
    images = open_split(arrays, split).images
    inputs = images if predictor.description.kind == "scratch" else open_features(features, split, len(images))
    probabilities = predictor.predict(inputs)
    release(inputs)
    if not np.isfinite(probabilities).all():
        kind = predictor.description.kind
        raise WorkflowError(
            f"the {kind} model's output is not a number; its training diverged: lower its learning_rate"
        )
    return probabilities


def examine(
    predictor: Predictor, weights: str, split: str, arrays: Path, features: Path, vgg16: Path, training: Path
) -> Candidate:
    """What a comparison needs to know of one model: its probabilities, size and speed.

    Args:
        predictor: the model.
        weights: SHA-256 of its weights file.
        split: the split that is reported, test or validation.
        arrays: the folder of decoded photos.
        features: the folder of bottleneck features.
        vgg16: the backbone's ImageNet weights, for the model that takes photos, which is what is timed.
        training: the folder with the training's ``timing.json``.

    Returns:
        The candidate.

    Raises:
        WorkflowError: as ``predict_split``.
    """
    description = predictor.description
    whole = exported(predictor.model, description, open_backbone(description, vgg16))
    timed = open_split(arrays, split).images[: _TIMED_PHOTOS[description.kind]]
    timing = json.loads((training / "timing.json").read_text(encoding="utf-8"))
    return Candidate(
        probabilities=predict_split(predictor, arrays, features, split),
        validation=predict_split(predictor, arrays, features, "validation"),
        parameters=int(whole.count_params()),
        trained_parameters=predictor.parameters,
        training_seconds=float(timing["seconds"]),
        photos_per_second=photos_per_second(whole.predict_on_batch, timed),
        name=description.name,
        weights=weights,
        backbone=None if description.backbone is None else BACKBONES[description.backbone].title,
    )
