"""How much the photos of each class count in a training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.reading import shortened
from dogs_vs_cats.settings.training_settings import TrainingSettings, TrainVgg16Settings


def class_weights(settings: TrainingSettings, parts: Parts) -> NDArray[np.float64] | None:
    """Return what the loss of a training photo is multiplied by, for each class; None: all photos count alike.

    Balanced weights are scikit-learn's: photos / (classes * photos of the class). They are 1 on average over the
    photos, and both classes have the same sum.

    Args:
        settings: ``class_weight``.
        parts: the labels to balance, and the names of the classes.

    Returns:
        ``(2,)``, the first class first.

    Raises:
        WorkflowError: if a weight is of a class that the photos do not have.
    """
    chosen = settings.class_weight
    if chosen is None:
        return None
    if chosen == "balanced":
        counts = np.bincount(parts.training.labels, minlength=2)
        balanced: NDArray[Any] = counts.sum() / (2 * np.maximum(counts, 1))
        return balanced
    if unknown := [name for name in chosen if name not in parts.classes]:
        section = "train_vgg16" if isinstance(settings, TrainVgg16Settings) else "train_scratch"
        raise WorkflowError(
            f"{section}.class_weight names {shortened(unknown[0])}, which is no class of the photos: "
            f"they are {' and '.join(parts.classes)}"
        )
    return np.array([chosen.get(name, 1.0) for name in parts.classes])
