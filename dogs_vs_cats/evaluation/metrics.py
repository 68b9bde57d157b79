"""How good a model's probabilities are: scores, intervals, calibration. Arrays in, plain numbers out.

Everywhere ``labels`` is (n,) of class numbers from 0, ``probabilities`` (n, classes) float, n at least 1.
"""

import math
import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn import metrics

from dogs_vs_cats.evaluation.comparison import ReliabilityBin, Scores
from dogs_vs_cats.models.probabilities import CLIP, apply_temperature, predicted, wilson_interval

_TEMPERATURES = (0.05, 20.0)


def _check(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if labels.ndim != 1 or probabilities.ndim != 2 or len(labels) != len(probabilities) or not labels.size:  # noqa: PLR2004
        raise ValueError(
            f"labels {labels.shape} and probabilities {probabilities.shape} must be (n,) and (n, classes), n at least 1"
        )
    if not np.isin(labels, np.arange(probabilities.shape[1])).all():
        raise ValueError(f"labels must be class numbers from 0 to {probabilities.shape[1] - 1}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1; a NaN among them means that training diverged")
    return labels.astype(np.int64), probabilities


def _as_scored(probabilities: np.ndarray) -> np.ndarray:
    """Return what scikit-learn takes: of two classes the second's column, else all."""
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities  # noqa: PLR2004


def correct(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return whether each photo was classified correctly, (n,) bool."""
    labels, probabilities = _check(labels, probabilities)
    result: np.ndarray = predicted(probabilities) == labels
    return result


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return each photo's log-loss, (n,) float64 of at most 16.1, since probabilities are clipped at ``CLIP``."""
    labels, probabilities = _check(labels, probabilities)
    result: np.ndarray = -np.log(np.clip(probabilities[np.arange(len(labels)), labels], CLIP, 1 - CLIP))
    return result


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> list[list[int]]:
    """Count photos, a row a true class, a column a predicted one, whichever classes occur."""
    labels, probabilities = _check(labels, probabilities)
    classes = list(range(probabilities.shape[1]))
    counts: list[list[int]] = metrics.confusion_matrix(labels, predicted(probabilities), labels=classes).tolist()
    return counts


def reliability_curve(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> list[ReliabilityBin]:
    """How often the model is right, by how sure it is.

    The ``bins`` are equally wide, over the confidence in the predicted class from 0 to 1, closed above. With k classes
    that confidence is at least 1/k, so the bins below are always empty; they are kept out of the result.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.
    """
    labels, probabilities = _check(labels, probabilities)
    confidences, least = probabilities.max(axis=1), 1 / probabilities.shape[1]
    right = correct(labels, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, confidences, side="left"), 1, bins)
    curve = []
    for place in range(1, bins + 1):
        inside = places == place
        count = int(inside.sum())
        if edges[place] < least or (edges[place] == least and not count):
            continue
        confidence = float(confidences[inside].mean()) if count else None
        accuracy = float(right[inside].mean()) if count else None
        lower, upper = float(edges[place - 1]), float(edges[place])
        curve.append(ReliabilityBin(lower=lower, upper=upper, count=count, confidence=confidence, accuracy=accuracy))
    return curve


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over the photos' bins, 0 to 1.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015, in the form of Guo et al., ICML 2017, equation 3.
    """
    total = 0.0
    for group in reliability_curve(labels, probabilities, bins):
        if group.confidence is not None and group.accuracy is not None:
            total += group.count * abs(group.accuracy - group.confidence)
    return total / len(labels)


def score(labels: np.ndarray, probabilities: np.ndarray, confidence: float = 0.95, bins: int = 15) -> Scores:
    """Score one model on one split.

    Args:
        labels: (n,) class numbers.
        probabilities: (n, classes), 0 to 1, both included.
        confidence: coverage of the accuracy's interval.
        bins: of the calibration error.

    Returns:
        The scores; the area under the curve is None unless every class occurs.

    Raises:
        ValueError: if shapes differ, there is no photo, or a probability is not between 0 and 1.
    """
    labels, probabilities = _check(labels, probabilities)
    right = int(correct(labels, probabilities).sum())
    classes, scored = list(range(probabilities.shape[1])), _as_scored(probabilities)
    every = len(np.unique(labels)) == len(classes)
    return Scores(
        images=len(labels),
        correct=right,
        accuracy=right / len(labels),
        interval=wilson_interval(right, len(labels), confidence),
        log_loss=float(losses(labels, probabilities).mean()),
        brier=float(metrics.brier_score_loss(labels, scored, labels=classes, scale_by_half=True)),
        auc=float(metrics.roc_auc_score(labels, scored, multi_class="ovr")) if every else None,
        ece=calibration_error(labels, probabilities, bins),
        confusion=confusion_matrix(labels, probabilities),
    )


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature with the least log-loss, to be fitted on photos that are not scored with it.

    Without a mistake the log-loss has no minimum, it falls as the temperature goes to 0: nothing is known of how
    often so sure a model errs, and the temperature stays 1.

    Args:
        labels: (n,) class numbers, of validation.
        probabilities: (n, classes).

    Returns:
        The temperature, between 0.05 and 20.

    Source: Guo et al., ICML 2017, section 4.2; searched over its logarithm with Brent's bounded method.
    """
    labels, probabilities = _check(labels, probabilities)
    if correct(labels, probabilities).all():
        return 1.0

    def loss(logarithm: float) -> float:
        return float(losses(labels, apply_temperature(probabilities, math.exp(logarithm))).mean())

    lowest, highest = (math.log(bound) for bound in _TEMPERATURES)
    found = minimize_scalar(loss, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def worst_mistakes(labels: np.ndarray, probabilities: np.ndarray, limit: int) -> list[int]:
    """Indices of the wrongly classified photos, the surest first, at most ``limit``; equals in their own order."""
    labels, probabilities = _check(labels, probabilities)
    wrong = np.flatnonzero(~correct(labels, probabilities))
    confidences = probabilities.max(axis=1)[wrong]
    return [int(index) for index in wrong[np.argsort(-confidences, kind="stable")][:limit]]


def photos_per_second(predict: Callable[[np.ndarray], object], images: np.ndarray, batch: int = 32) -> float:
    """How many photos a second a model takes, from decoded photo to probability.

    Args:
        predict: takes (batch, size, size, 3) uint8 photos.
        images: (n, size, size, 3) uint8; n at least 1.
        batch: photos at a time.

    Returns:
        Photos a second. The first batch runs once beforehand, since TensorFlow traces its graph then; a smaller last
        batch would be traced anew, and is left out where there are others.
    """
    predict(np.asarray(images[:batch]))
    timed = len(images) // batch * batch or len(images)
    started = time.perf_counter()
    for start in range(0, timed, batch):
        predict(np.asarray(images[start : start + batch]))
    return timed / (time.perf_counter() - started)
