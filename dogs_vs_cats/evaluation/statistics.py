"""Whether a difference between two models can be claimed: tests and intervals on the same photos."""

import numpy as np
from scipy.stats import binomtest, bootstrap

from dogs_vs_cats.evaluation.comparison import McNemar

_BOOTSTRAP_BYTES = 32_000_000


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Run McNemar's exact test, two-sided.

    Args:
        first: (n,) bool, whether the first model classified each photo correctly.
        second: the same of the second model.

    Returns:
        The four counts and the p value: 1 when the models are never right on different photos.

    Source: McNemar, Psychometrika 12 (1947); exact as a binomial test of the discordant pairs.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_second, discordant, 0.5).pvalue) if discordant else 1.0
    return McNemar(
        both_right=int((first & second).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~first & ~second).sum()),
        p_value=min(p_value, 1.0),
    )


def bootstrap_interval(differences: np.ndarray, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    """Find an interval for a mean of paired differences: photos are drawn again, with both models' results on them.

    Args:
        differences: (n,) one model's value minus the other's, a photo each.
        confidence: coverage, between 0 and 1.
        resamples: how often n photos are drawn.
        seed: of the drawing.

    Returns:
        Lower and upper bound; both the mean itself when all differences are equal.

    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13, percentile method.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    interval = bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        batch=max(_BOOTSTRAP_BYTES // (8 * len(differences)), 1),
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def is_claimed(interval: tuple[float, float], p_value: float, confidence: float) -> bool:
    """Return whether a difference in accuracy can be claimed: its interval must exclude zero, and the test chance."""
    # The exact test's p values are discrete; the tolerance only forgives 1 - 0.95 its last digit.
    return (interval[0] > 0 or interval[1] < 0) and p_value <= 1 - confidence + 1e-12
