"""Probabilities of photos' classes, a column a class: from a network's outputs, calibrated, and what they predict."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

# Keras clips at the same distance from 0 and 1, so a logarithm stays finite and losses agree with the history's.
CLIP = 1e-7


def class_probabilities(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return a network's outputs as probabilities of every class.

    Args:
        outputs: (n, 1) sigmoid, P(second class); or (n, classes) softmax.

    Returns:
        (n, classes) float64. Of two classes the first column is one minus the second, whichever output gave them.
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    if outputs.shape[1] > 2:  # noqa: PLR2004 - more than two classes
        return outputs
    second = outputs[:, -1]
    return np.stack([1 - second, second], axis=1)


def average_log_odds(views: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """Average the log-odds of probabilities, each (n, classes), weighted or not; one alone stays as it is."""
    if len(views) == 1:
        return views[0]
    clipped = np.clip(np.asarray(views, dtype=np.float64), CLIP, 1 - CLIP)
    if clipped.shape[-1] > 2:  # noqa: PLR2004 - more than two classes
        whole: np.ndarray = softmax(np.average(np.log(clipped), axis=0, weights=weights), axis=1)
        return whole
    return class_probabilities(expit(np.average(logit(clipped[..., 1:]), axis=0, weights=weights)))


def predicted(probabilities: np.ndarray) -> np.ndarray:
    """Return the predicted classes, (n,); of equals the first, as in Keras's binary accuracy."""
    result: np.ndarray = np.argmax(probabilities, axis=1)
    return result


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the probabilities' logits by the temperature: above 1 makes them less sure, classes stay.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
    """
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), CLIP, 1 - CLIP)
    if clipped.shape[1] > 2:  # noqa: PLR2004 - more than two classes
        scaled: np.ndarray = softmax(np.log(clipped) / temperature, axis=1)
        return scaled
    return class_probabilities(expit(logit(clipped[:, 1:]) / temperature))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a proportion that holds near 0 and 1, where the normal one does not.

    Args:
        correct: photos classified correctly, 0 to ``total``.
        total: photos classified, at least 1.
        confidence: coverage, between 0 and 1.

    Returns:
        Lower and upper bound, each a fraction between 0 and 1.

    Raises:
        ValueError: if ``correct`` is not within 0 and ``total``, or ``total`` is less than 1.

    Source: Wilson, "Probable inference", JASA 22 (1927), as scipy computes it.
    """
    from scipy.stats import binomtest  # slow to import, and of no use to explain --help

    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"{correct} of {total} photos cannot be right; an interval needs at least one photo")
    interval = binomtest(correct, total).proportion_ci(confidence_level=confidence, method="wilson")
    # Rounding leaves the bound at 0 or 1 a last digit off.
    return max(float(interval.low), 0.0), min(float(interval.high), 1.0)
