"""Scores, intervals and calibration against published and hand-computed values."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from dogs_vs_cats.evaluation import metrics as evaluation
from dogs_vs_cats.models.probabilities import apply_temperature, predicted
from tests.conftest import both_classes


def test_scores_by_hand() -> None:
    labels, given = np.array([0, 0, 1, 1], dtype=np.uint8), both_classes([0.1, 0.6, 0.8, 0.4])
    scores = evaluation.score(labels, given, bins=10)
    assert (scores.images, scores.correct, scores.accuracy) == (4, 2, 0.5)
    assert scores.confusion == [[1, 1], [1, 1]]
    assert scores.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.4)) / 4)
    assert scores.brier == pytest.approx((0.01 + 0.36 + 0.04 + 0.36) / 4)
    assert scores.auc == pytest.approx(0.75)  # of four pairs one, 0.6 over 0.4, is the wrong way round
    # Confidences 0.9 (right), 0.6 twice (wrong), 0.8 (right).
    assert scores.ece == pytest.approx((0.1 + 2 * 0.6 + 0.2) / 4)


def test_one_half_is_the_first_class_as_in_keras() -> None:
    assert predicted(both_classes([0.5, np.nextafter(0.5, 1)])).tolist() == [0, 1]


def test_probabilities_of_exactly_0_and_1_give_a_finite_loss() -> None:
    labels, given = np.array([0, 1, 0, 1]), both_classes([0.0, 1.0, 1.0, 0.0])
    scores = evaluation.score(labels, given)
    assert scores.log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert evaluation.losses(labels, given) == pytest.approx([1e-7, 1e-7, 16.118096, 16.118096], rel=1e-3)
    assert scores.ece == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("labels", "given", "accuracy", "auc"),
    [
        ([0, 1], [0.0, 1.0], 1.0, 1.0),
        ([0, 1], [1.0, 0.0], 0.0, 0.0),
        ([1, 1], [0.9, 0.2], 0.5, None),
        ([0], [0.3], 1, None),
    ],
    ids=["all right", "all wrong", "one class", "one photo"],
)
def test_degenerate_splits_are_scored(labels: list[int], given: list[float], accuracy: float, auc: Any) -> None:
    scores = evaluation.score(np.array(labels), both_classes(given))
    assert (scores.accuracy, scores.auc) == (accuracy, auc)
    assert np.sum(scores.confusion) == len(labels)


@pytest.mark.parametrize("given", [[np.nan, 0.5], [1.1, 0.5], [-0.1, 0.5], [0.5], []])
def test_what_is_no_probability_is_refused(given: list[float]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        evaluation.score(np.array([0, 1]), both_classes(given))


def test_labels_other_than_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        evaluation.score(np.array([0, 2]), both_classes([0.5, 0.5]))


def test_reliability_bins_are_closed_above_and_hold_every_photo() -> None:
    given = both_classes([0.5, 0.6, 0.4, 0.61, 1.0, 0.0])
    curve = evaluation.reliability_curve(np.ones(6, dtype=int), given, bins=10)
    assert [(round(group.lower, 1), round(group.upper, 1), group.count) for group in curve] == [
        (0.4, 0.5, 1),
        (0.5, 0.6, 2),
        (0.6, 0.7, 1),
        (0.7, 0.8, 0),
        (0.8, 0.9, 0),
        (0.9, 1.0, 2),
    ]
    assert curve[3].confidence is None
    assert curve[5].accuracy == 0.5


def test_calibration_error_is_zero_for_a_calibrated_model() -> None:
    given = both_classes(np.full(10, 0.8))
    labels = np.array([1] * 8 + [0] * 2)
    assert evaluation.calibration_error(labels, given) == pytest.approx(0)
    assert evaluation.calibration_error(1 - labels, given) == pytest.approx(0.6)


def test_temperature_of_overconfident_logits_is_recovered() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, 40_000)
    labels = (random.random(40_000) < expit(logits)).astype(int)
    for factor in (3.0, 0.5):
        temperature = evaluation.fit_temperature(labels, both_classes(expit(logits * factor)))
        assert temperature == pytest.approx(factor, rel=0.05)
    sure = both_classes(expit(logits * 3))
    scaled = apply_temperature(sure, 3)
    assert scaled == pytest.approx(both_classes(expit(logits)), abs=1e-2)
    assert evaluation.calibration_error(labels, scaled) < 0.02 < evaluation.calibration_error(labels, sure)


def test_temperature_changes_no_class() -> None:
    given = both_classes([0.0, 1e-9, 0.2, 0.5, 0.500001, 0.9, 1.0])
    for temperature in (0.05, 1.0, 20.0):
        scaled = apply_temperature(given, temperature)
        assert predicted(scaled).tolist() == predicted(given).tolist()


def test_temperature_of_a_faultless_model_stays_1() -> None:
    assert evaluation.fit_temperature(np.array([0, 1]), both_classes([0.1, 0.7])) == 1.0


def test_temperature_of_a_model_that_is_always_wrong_goes_to_its_bound() -> None:
    assert evaluation.fit_temperature(np.array([0, 1]), both_classes([0.9, 0.1])) == pytest.approx(20, rel=1e-3)


def test_worst_mistakes_come_surest_first() -> None:
    labels = np.array([0, 1, 0, 1, 0, 0])
    given = both_classes([0.9, 0.05, 0.1, 0.9, 0.6, 0.9])
    assert evaluation.worst_mistakes(labels, given, 10) == [1, 0, 5, 4]
    assert evaluation.worst_mistakes(labels, given, 2) == [1, 0]
    assert evaluation.worst_mistakes(labels, both_classes(labels), 2) == []


def test_speed_counts_the_photos_that_were_timed() -> None:
    batches: list[int] = []
    speed = evaluation.photos_per_second(lambda batch: batches.append(len(batch)), np.zeros((70, 2, 2, 3), np.uint8))
    assert batches == [32, 32, 32]
    assert speed > 0
    assert evaluation.photos_per_second(len, np.zeros((3, 2, 2, 3), np.uint8)) > 0


def test_three_classes_are_scored_by_hand() -> None:
    labels = np.array([0, 1, 2])
    given = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.2, 0.7]])
    scores = evaluation.score(labels, given, bins=10)
    assert (scores.correct, scores.confusion) == (2, [[1, 0, 0], [0, 0, 1], [0, 0, 1]])
    assert scores.log_loss == pytest.approx(-(math.log(0.5) + math.log(0.2) + math.log(0.7)) / 3)
    assert scores.brier == pytest.approx((0.25 + 0.09 + 0.04 + 0.04 + 0.64 + 0.36 + 0.01 + 0.04 + 0.09) / 6)
    assert scores.ece == pytest.approx((0.5 + 0.6 + 0.3) / 3)
    scaled = apply_temperature(given, 2.0)
    assert scaled.sum(axis=1) == pytest.approx([1, 1, 1])
    assert scaled[0] == pytest.approx(np.sqrt(given[0]) / np.sqrt(given[0]).sum())
