"""Weights of an ensemble, and what it is worth."""

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from dogs_vs_cats.evaluation.ensemble import Ensemble, fit_ensemble
from dogs_vs_cats.evaluation.metrics import fit_temperature, losses
from dogs_vs_cats.evaluation.submission import expected_log_loss
from dogs_vs_cats.models.probabilities import apply_temperature
from tests.conftest import both_classes


def models(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Classes, and three models: two with errors of their own, the second's twice as large, and one of pure chance."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    signs = 2.0 * labels - 1
    # Log-odds of a normal score with mean +-1 and deviation s are 2 / s^2 times the score.
    log_odds = {name: 2 / s**2 * (signs + random.normal(0, s, n)) for name, s in (("good", 1.0), ("fair", 2.0))}
    log_odds["chance"] = random.normal(0, 1, n)
    return labels, {name: both_classes(expit(values)) for name, values in log_odds.items()}


def test_weights_are_those_of_the_classes_own_log_odds() -> None:
    # Independent scores' log-odds add up, and what pure chance says does not count.
    labels, given = models(40_000, 1)
    found = fit_ensemble(labels, given)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.weights == pytest.approx({"good": 0.5, "fair": 0.5, "chance": 0.0}, abs=0.03)


def test_the_temperature_of_the_mean_makes_it_a_sum_again_and_better_than_its_best_on_other_photos() -> None:
    labels, given = models(4000, 2)
    ensemble = fit_ensemble(labels, given)
    temperature = fit_temperature(labels, ensemble.apply(given))
    assert temperature == pytest.approx(0.5, abs=0.05)
    other_labels, others = models(4000, 3)
    loss = losses(other_labels, apply_temperature(ensemble.apply(others), temperature)).mean()
    assert loss < losses(other_labels, others["good"]).mean() - 0.02
    assert expected_log_loss(labels, given) == pytest.approx(loss, rel=0.05)
    assert expected_log_loss(labels, given) < expected_log_loss(labels, {"good": given["good"]}) - 0.02


def test_the_mean_is_of_log_odds_and_of_log_probabilities_where_classes_are_more() -> None:
    first, second = np.array([0.2, 0.9]), np.array([0.7, 0.6])
    mean = Ensemble({"a": 0.25, "b": 0.75}).apply({"b": both_classes(second), "a": both_classes(first)})
    assert mean[:, 1] == pytest.approx(expit(0.25 * logit(first) + 0.75 * logit(second)))
    a, b = softmax(np.random.default_rng(1).normal(size=(2, 5, 3)), axis=2)
    expected = softmax(0.25 * np.log(a) + 0.75 * np.log(b), axis=1)
    assert Ensemble({"a": 0.25, "b": 0.75}).apply({"a": a, "b": b}) == pytest.approx(expected)


def test_one_model_is_left_as_it_is_and_nothing_speaks_against_equal_weights_without_mistakes() -> None:
    labels, given = models(50, 4)
    alone = fit_ensemble(labels, {"good": given["good"]})
    assert np.array_equal(alone.apply(given), given["good"])
    sure = {"a": both_classes(0.1 + 0.8 * labels), "b": both_classes(0.4 + 0.2 * labels)}
    assert fit_ensemble(labels, sure).weights == {"a": 0.5, "b": 0.5}


def test_models_that_are_all_worse_than_a_guess_still_give_probabilities() -> None:
    labels = np.arange(40) % 2
    wrong = {name: both_classes(np.abs(labels - strength)) for name, strength in (("a", 0.8), ("b", 0.9))}
    found = fit_ensemble(labels, wrong)
    assert found.weights == {"a": 0.5, "b": 0.5}
    assert np.isfinite(found.apply(wrong)).all()
