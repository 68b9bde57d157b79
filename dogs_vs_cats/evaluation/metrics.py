"""How good a model's probabilities are: scores, intervals, calibration. Arrays in, plain numbers out.

Everywhere ``labels`` is (n,) of 0 and 1, ``probabilities`` (n,) float P(second class), n at least 1.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Keras clips at the same distance from 0 and 1, so a logarithm stays finite and losses agree with the history's.
CLIP = 1e-7
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Scores:
    """What a model reaches on one split.

    Attributes:
        images: photos scored.
        correct: how many were classified correctly.
        accuracy: their share.
        interval: Wilson's interval of the accuracy.
        log_loss: mean negative logarithm of the probability given to the true class; 0 is perfect.
        brier: mean squared distance of the probability from 0 or 1; 0 is perfect.
        auc: chance that a photo of the second class gets the higher probability of two; None with one class only.
        ece: expected calibration error.
        confusion: counts, a row a true class, a column a predicted one.
    """

    images: int
    correct: int
    accuracy: float
    interval: tuple[float, float]
    log_loss: float
    brier: float
    auc: float | None
    ece: float
    confusion: list[list[int]]


@dataclass(frozen=True)
class ReliabilityBin:
    """Photos of like confidence: how sure the model was of them, and how often it was right.

    Attributes:
        lower: the bin's lower edge, not in it.
        upper: its upper edge, in it.
        count: photos in it.
        confidence: their mean confidence in the predicted class; None without photos.
        accuracy: the share of them classified correctly; None without photos.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


def _check(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != probabilities.shape or not labels.size:
        raise ValueError(
            f"labels {labels.shape} and probabilities {probabilities.shape} must be (n,) with n at least 1"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1; a NaN among them means that training diverged")
    return labels.astype(np.int64), probabilities


def predicted(probabilities: np.ndarray) -> np.ndarray:
    """The predicted class, (n,) 0 or 1; exactly one half counts as the first class, as in Keras's binary accuracy."""
    return (np.asarray(probabilities) > 0.5).astype(np.int64)  # noqa: PLR2004


def correct(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Whether each photo was classified correctly, (n,) bool."""
    labels, probabilities = _check(labels, probabilities)
    result: np.ndarray = predicted(probabilities) == labels
    return result


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Each photo's log-loss, (n,) float64 of at most 16.1, since probabilities are clipped at ``CLIP``."""
    labels, probabilities = _check(labels, probabilities)
    given = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), CLIP, 1 - CLIP)
    result: np.ndarray = -np.log(given)
    return result


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a proportion that holds near 0 and 1, where the normal one does not.

    Args:
        correct: images classified correctly, 0 to ``total``.
        total: images classified, at least 1.
        confidence: coverage, between 0 and 1.

    Returns:
        Lower and upper bound, each a fraction between 0 and 1.

    Raises:
        ValueError: if ``correct`` is not within 0 and ``total``, or ``total`` is less than 1.

    Source: Wilson, "Probable inference", JASA 22 (1927), as scipy computes it.
    """
    from scipy.stats import binomtest

    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"{correct} of {total} images cannot be right; an interval needs at least one image")
    interval = binomtest(correct, total).proportion_ci(confidence_level=confidence, method="wilson")
    # Rounding leaves the bound at 0 or 1 a last digit off.
    return max(float(interval.low), 0.0), min(float(interval.high), 1.0)


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> list[list[int]]:
    """Counts, a row a true class, a column a predicted one; two by two, whichever classes occur."""
    from sklearn.metrics import confusion_matrix as counted

    labels, probabilities = _check(labels, probabilities)
    counts: list[list[int]] = counted(labels, predicted(probabilities), labels=[0, 1]).tolist()
    return counts


def reliability_curve(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> list[ReliabilityBin]:
    """How often the model is right, by how sure it is.

    The bins are equally wide, over the confidence in the predicted class from 0 to 1, closed above. With two classes
    that confidence is at least one half, so the bins below are always empty; they are kept out of the result.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) P(second class).
        bins: how many bins lie between 0 and 1.

    Returns:
        The bins from one half upwards.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 2.
    """
    labels, probabilities = _check(labels, probabilities)
    confidences = np.maximum(probabilities, 1 - probabilities)
    right = correct(labels, probabilities)
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, confidences, side="left"), 1, bins)
    curve = []
    for place in range(1, bins + 1):
        inside = places == place
        count = int(inside.sum())
        if edges[place] < 0.5 or (edges[place] == 0.5 and not count):  # noqa: PLR2004
            continue
        confidence = float(confidences[inside].mean()) if count else None
        accuracy = float(right[inside].mean()) if count else None
        curve.append(ReliabilityBin(float(edges[place - 1]), float(edges[place]), count, confidence, accuracy))
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
    """All scores of one model on one split.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) P(second class), 0 to 1, both included.
        confidence: coverage of the accuracy's interval.
        bins: of the calibration error.

    Returns:
        The scores; the area under the curve is None when only one class occurs.

    Raises:
        ValueError: if shapes differ, there is no photo, or a probability is not between 0 and 1.
    """
    from sklearn import metrics

    labels, probabilities = _check(labels, probabilities)
    right = int(correct(labels, probabilities).sum())
    both = len(np.unique(labels)) > 1
    return Scores(
        images=len(labels),
        correct=right,
        accuracy=right / len(labels),
        interval=wilson_interval(right, len(labels), confidence),
        log_loss=float(metrics.log_loss(labels, np.clip(probabilities, CLIP, 1 - CLIP), labels=[0, 1])),
        brier=float(metrics.brier_score_loss(labels, probabilities, labels=[0, 1])),
        auc=float(metrics.roc_auc_score(labels, probabilities)) if both else None,
        ece=calibration_error(labels, probabilities, bins),
        confusion=confusion_matrix(labels, probabilities),
    )


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by the temperature: above 1 makes them less sure, classes stay.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
    """
    from scipy.special import expit, logit

    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), CLIP, 1 - CLIP)
    result: np.ndarray = expit(logit(clipped) / temperature)
    return result


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature with the least log-loss, to be fitted on photos that are not scored with it.

    Without a mistake the log-loss has no minimum, it falls as the temperature goes to 0: nothing is known of how
    often so sure a model errs, and the temperature stays 1.

    Args:
        labels: (n,) 0 or 1, of validation.
        probabilities: (n,) P(second class).

    Returns:
        The temperature, between 0.05 and 20.

    Source: Guo et al., ICML 2017, section 4.2; searched over its logarithm with Brent's bounded method.
    """
    from scipy.optimize import minimize_scalar

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
    confidences = np.maximum(probabilities, 1 - probabilities)[wrong]
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
