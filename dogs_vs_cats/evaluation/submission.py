"""Kaggle's submission: an id and a probability a photo, made to lose little where the model is sure and wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from dogs_vs_cats.data.arrays import Dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation.ensemble import fit_ensemble
from dogs_vs_cats.evaluation.metrics import fit_temperature, losses
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.probabilities import CLIP, apply_temperature, class_probabilities


@dataclass(frozen=True)
class Calibration:
    """What makes a model's probabilities fit for log-loss.

    Attributes:
        temperature: divides the logits.
        clip: how near to 0 and 1 a probability may come.
    """

    temperature: float
    clip: float

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the probabilities (n, 2) scaled and clipped."""
        return clipped(apply_temperature(probabilities, self.temperature), self.clip)


def clipped(probabilities: np.ndarray, clip: float) -> np.ndarray:
    """Return the probabilities (n, 2) of two classes, none nearer to 0 and 1 than ``clip``."""
    return class_probabilities(np.clip(probabilities[:, 1:], clip, 1 - clip))


def fit_clip(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """How near to 0 and 1 probabilities should come, from photos with known classes.

    The distance with the least log-loss on these photos and two imagined ones, both as sure as the clip allows, one
    right and one wrong. If the clip reaches m photos, e of them classified wrongly, the best distance is then
    (e + 1) / (m + 2), Laplace's rule of succession for the chance that the next photo as sure is wrong, and no other
    constant has a lower expected log-loss. Without the imagined photos, a validation split without a sure mistake would
    say 0, and the first sure mistake among the test photos would cost without limit.

    Args:
        labels: (n,) 0 or 1, of validation.
        probabilities: (n, 2), scaled by temperature.

    Returns:
        The distance, above 0 and at most one half.
    """

    def loss(logarithm: float) -> float:
        clip = float(np.exp(logarithm))
        given = losses(labels, clipped(probabilities, clip)).sum()
        return float(given - np.log(clip) - np.log1p(-clip))

    # Each photo that leaves the clip's reach bends the curve, so it may have several valleys: the best of many points
    # first, then the floor of its valley.
    grid = np.linspace(np.log(CLIP), np.log(0.5), 400)
    best = int(np.argmin([loss(point) for point in grid]))
    valley = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(loss, bounds=valley, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def calibrate(labels: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """Fit temperature and clip on the validation photos' classes (n,) and probabilities (n, 2)."""
    temperature = fit_temperature(labels, probabilities)
    return Calibration(temperature, fit_clip(labels, apply_temperature(probabilities, temperature)))


def expected_log_loss(labels: np.ndarray, probabilities: Mapping[str, np.ndarray], folds: int = 5) -> float:
    """What a submission should score, if the test photos are like validation's.

    Every photo is judged with a temperature, a clip and an ensemble's weights fitted on the other folds, so the
    estimate is not flattered by them (it still is by early stopping, which looked at the same photos).

    Args:
        labels: (n,) 0 or 1, of validation.
        probabilities: by model, (n, 2), as it gives them; of several, their ensemble's loss is returned.
        folds: parts the photos are dealt into; photos in order of class are dealt evenly.

    Returns:
        Mean log-loss.
    """
    labels = np.asarray(labels)
    place = np.arange(len(labels)) % folds
    lost = np.empty(len(labels))
    for fold in sorted({*place.tolist()}):
        inside = place == fold
        others = ~inside if not inside.all() else inside
        fitted_on = {name: given[others] for name, given in probabilities.items()}
        ensemble = fit_ensemble(labels[others], fitted_on)
        calibration = calibrate(labels[others], ensemble.apply(fitted_on))
        judged = ensemble.apply({name: given[inside] for name, given in probabilities.items()})
        lost[inside] = losses(labels[inside], calibration.apply(judged))
    return float(lost.mean())


def submission_frame(
    files: Sequence[str], probabilities: np.ndarray, undecodable: Sequence[str], share: float
) -> pd.DataFrame:
    """The table to submit.

    Args:
        files: n photos; a file's name without its ending is its id.
        probabilities: (n,) P(second class), as they are to be submitted.
        undecodable: ids of the test set's photos that could not be read.
        share: of the second class among labelled photos, the best guess for those.

    Returns:
        Columns id and label, a row an id, ascending (as numbers, where all ids are numbers).

    Raises:
        WorkflowError: if an id occurs twice.
    """
    ids = [PurePosixPath(file).stem for file in files] + list(undecodable)
    labels = np.concatenate([np.asarray(probabilities, dtype=np.float64), np.full(len(undecodable), share)])
    twice = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise WorkflowError(
            f"test photo {twice[0]}: its id occurs more than once in the test set; rename or remove one"
        )
    frame = pd.DataFrame({"id": pd.Series(ids, dtype=object), "label": labels})
    if all(name.isascii() and name.isdecimal() and str(int(name)) == name for name in ids):
        frame["id"] = frame["id"].astype("int64")
    return frame.sort_values("id", ignore_index=True)


@dataclass(frozen=True)
class Submission:
    """What is submitted.

    Attributes:
        frame: columns id and label.
        facts: the model, its calibration and what to expect, for ``submission.json``.
        told: the same in a line.
    """

    frame: pd.DataFrame
    facts: dict[str, object]
    told: str

    def write(self, path: Path) -> None:
        """Write ``id,label`` as CSV, whole or not at all; equal frames give equal bytes."""
        with whole_file(path) as partial:
            self.frame.to_csv(partial, index=False, float_format="%.8f", lineterminator="\n")


def facts_of(dataset: Dataset, ids: int) -> dict[str, object]:
    """Return what a submission says of its photos."""
    return {"source": dataset.source, "ids": ids, "undecodable": len(dataset.unlabelled_rejected)}


def nothing_to_predict(dataset: Dataset) -> Submission:
    """Return the submission where the source has no unlabelled photos that can be read."""
    frame = submission_frame([], np.empty(0), dataset.unlabelled_rejected, 0.5)
    told = "the source has no unlabelled test photos: nothing to submit"
    return Submission(frame, facts_of(dataset, len(frame)), told)
