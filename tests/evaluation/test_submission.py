"""The clip that validation asks for, and a submission that Kaggle takes."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from dogs_vs_cats.data.arrays import Dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.metrics import losses
from dogs_vs_cats.evaluation.submission import (
    Calibration,
    Submission,
    calibrate,
    expected_log_loss,
    fit_clip,
    nothing_to_predict,
    submission_frame,
)
from tests.conftest import both_classes


@pytest.mark.parametrize(("photos", "wrong"), [(100, 0), (100, 3), (3200, 16), (1, 0)])
def test_clip_of_a_model_that_is_always_sure_is_the_rule_of_succession(photos: int, wrong: int) -> None:
    labels = np.arange(photos) % 2
    given = labels.astype(float)
    given[:wrong] = 1 - given[:wrong]
    assert fit_clip(labels, both_classes(given)) == pytest.approx((wrong + 1) / (photos + 2), rel=1e-4)


def test_clip_leaves_unsure_photos_alone() -> None:
    labels = np.array([0, 1] * 50 + [0, 1] * 10)
    given = both_classes([0.0, 1.0] * 50 + [0.3, 0.7] * 10)
    clip = fit_clip(labels, given)
    assert clip == pytest.approx(1 / 102, rel=1e-4)
    scaled = Calibration(1.0, clip).apply(given)
    assert scaled[100:] == pytest.approx(given[100:])


def test_clip_without_a_sure_photo_does_not_go_beyond_one_half() -> None:
    assert fit_clip(np.array([0, 1]), both_classes([0.5, 0.5])) <= 0.5
    assert fit_clip(np.array([0, 1]), both_classes([1.0, 0.0])) == pytest.approx(0.5, rel=1e-3)


def overconfident(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and probabilities three times too sure."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 4, n)
    return (random.random(n) < expit(logits)).astype(int), both_classes(expit(3 * logits))


def test_calibration_lowers_the_loss_on_photos_it_was_not_fitted_on() -> None:
    fitted = calibrate(*overconfident(2000, 1))
    labels, given = overconfident(2000, 2)
    assert fitted.temperature == pytest.approx(3, rel=0.2)
    assert losses(labels, fitted.apply(given)).mean() < 0.8 * losses(labels, given).mean()


def test_expected_loss_is_near_the_loss_on_other_photos() -> None:
    labels, given = overconfident(4000, 3)
    unseen, unseen_given = overconfident(4000, 4)
    actual = losses(unseen, calibrate(labels, given).apply(unseen_given)).mean()
    assert expected_log_loss(labels, {"one": given}) == pytest.approx(actual, rel=0.15)


@pytest.mark.parametrize("photos", [1, 2, 3, 6])
def test_expected_loss_of_few_photos_is_a_number(photos: int) -> None:
    labels = np.arange(photos) % 2
    assert 0 < expected_log_loss(labels, {"one": both_classes(labels)}) < 2


def test_every_id_occurs_once_ascending_as_numbers(tmp_path: Path) -> None:
    files = ["unlabelled/10.jpg", "unlabelled/2.jpg", "unlabelled/1.jpg"]
    frame = submission_frame(files, np.array([0.25, 0.5, 0.001]), ["3"], 0.5)
    Submission(frame, {}, "").write(tmp_path / "reports" / "submission.csv")
    text = (tmp_path / "reports" / "submission.csv").read_bytes()
    assert text == b"id,label\n1,0.00100000\n2,0.50000000\n3,0.50000000\n10,0.25000000\n"
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["submission.csv"]


def test_photos_that_could_not_be_read_get_the_second_classs_share() -> None:
    frame = submission_frame(["1.jpg"], np.array([0.9]), ["7", "5"], 0.52)
    assert frame["id"].tolist() == [1, 5, 7]
    assert frame["label"].tolist() == [0.9, 0.52, 0.52]


def test_without_a_test_set_only_the_header_is_written(tmp_path: Path) -> None:
    dataset = Dataset("zip", ["cats", "dogs"], [], 32, "0" * 64, {"train": 8})
    nothing_to_predict(dataset).write(tmp_path / "submission.csv")
    assert (tmp_path / "submission.csv").read_text() == "id,label\n"


def test_ids_that_are_no_numbers_are_kept_as_they_are() -> None:
    frame = submission_frame(["b.jpg", "007.jpg", "a.b.jpg"], np.array([0.1, 0.2, 0.3]), [], 0.5)
    assert frame["id"].tolist() == ["007", "a.b", "b"]


def test_an_id_that_occurs_twice_is_refused_by_name() -> None:
    with pytest.raises(WorkflowError, match="test photo 3: "):
        submission_frame(["1.jpg", "3.jpg"], np.array([0.1, 0.2]), ["3"], 0.5)
