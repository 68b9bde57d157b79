"""What the trained models say of a split's photos."""

from pathlib import Path

import numpy as np

from dogs_vs_cats.arrays import Dataset, open_split, release
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.features import open_features
from dogs_vs_cats.models import KINDS, Predictor, load_predictor


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
        described = predictors[kind].description
        if (list(described.classes), described.size) != (list(dataset.classes), dataset.size):
            raise WorkflowError(
                f"{models / kind}.json: trained on {' and '.join(described.classes)} at {described.size} pixels, the "
                f"arrays hold {' and '.join(dataset.classes)} at {dataset.size}; run dvc repro"
            )
    return predictors


def predict_split(predictor: Predictor, arrays: Path, features: Path, split: str) -> np.ndarray:
    """A model's probabilities on a split.

    Args:
        predictor: the model.
        arrays: the folder of decoded photos, which the CNN takes.
        features: the folder of VGG16's features, which the head takes.
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
