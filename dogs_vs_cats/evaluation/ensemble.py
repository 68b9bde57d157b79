"""Several models as one: the mean of their log-odds, weighted as the validation photos have it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from dogs_vs_cats.evaluation.metrics import correct
from dogs_vs_cats.models.probabilities import CLIP, average_log_odds

NAME = "ensemble"
"""What it is called where models are chosen by name."""
_LARGEST = 20.0  # of a weight before all are divided by their sum: the inverse of the lowest temperature


@dataclass(frozen=True)
class Ensemble:
    """How much each model has to say.

    Attributes:
        weights: by model; their sum is 1.
    """

    weights: Mapping[str, float]

    def apply(self, probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the weighted mean of the models' log-odds as probabilities, (n, classes)."""
        return average_log_odds([probabilities[name] for name in self.weights], list(self.weights.values()))


def fit_ensemble(labels: np.ndarray, validation: Mapping[str, np.ndarray]) -> Ensemble:
    """Find the weights with the least log-loss, none of them negative.

    The temperature of the mean is fitted with them and left out again: it is fitted for every model alike, on what
    ``Ensemble.apply`` gives. Where the plain mean makes no mistake, nothing speaks for other weights.

    Args:
        labels: (n,) class numbers, of validation.
        validation: by model, (n, classes).
    """
    equal = np.full(len(validation), 1 / len(validation))
    plain = Ensemble(dict(zip(validation, equal.tolist(), strict=True)))
    if len(validation) == 1 or correct(labels, plain.apply(validation)).all():
        return plain
    given = np.log(np.clip(np.stack(list(validation.values()), axis=-1), CLIP, 1 - CLIP))
    rows = np.arange(len(labels))

    def loss(weights: np.ndarray) -> float:
        return -float(log_softmax(given @ weights, axis=1)[rows, labels].mean())

    found = minimize(loss, equal, method="L-BFGS-B", bounds=[(0, _LARGEST)] * len(equal)).x
    if not found.sum() > 0:  # all of them are worse than a guess
        return plain
    return Ensemble(dict(zip(validation, (found / found.sum()).tolist(), strict=True)))
