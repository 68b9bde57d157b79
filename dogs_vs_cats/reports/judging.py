"""The table of what trained models reach on the same photos, each and all together."""

from collections.abc import Mapping

import numpy as np
from rich.table import Table

from dogs_vs_cats.data.arrays import has_split
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.ensemble import NAME as ENSEMBLE
from dogs_vs_cats.evaluation.ensemble import fit_ensemble
from dogs_vs_cats.evaluation.metrics import correct, losses
from dogs_vs_cats.evaluation.predicting import Member
from dogs_vs_cats.evaluation.submission import calibrate, expected_log_loss
from dogs_vs_cats.models.probabilities import wilson_interval
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.tables import console


def judge(members: Mapping[str, Member]) -> dict[str, np.ndarray]:
    """Print a row for each model and split, and of several models for their ensemble.

    The calibrated log-loss of validation is cross-validated: what a submission should score. That of test is
    calibrated on validation.

    Args:
        members: models of the same photos.

    Returns:
        By model, what it says of the validation photos, (n, classes).
    """
    arrays = next(iter(members.values())).prepared.arrays
    labels = {split: open_images(arrays, split).labels for split in ("validation", "test") if has_split(arrays, split)}
    given = {split: {name: member.probabilities(split) for name, member in members.items()} for split in labels}
    together = [{name: given["validation"][name]} for name in members]
    if len(members) > 1:
        together.append(given["validation"])
    table = Table("model", "split", "photos", "accuracy", "95 % interval", "log-loss", "calibrated", box=None)
    for validation in together:
        ensemble = fit_ensemble(labels["validation"], validation)
        calibration = calibrate(labels["validation"], ensemble.apply(validation))
        for split, classes in labels.items():
            said = ensemble.apply({name: given[split][name] for name in validation})
            right = correct(classes, said)
            low, high = wilson_interval(int(right.sum()), len(right))
            calibrated = (
                expected_log_loss(classes, validation)
                if split == "validation"
                else losses(classes, calibration.apply(said)).mean()
            )
            table.add_row(
                next(iter(validation)) if len(validation) == 1 else ENSEMBLE,
                split,
                f"{len(right):,}",
                percent(float(right.mean()), 2),
                f"{percent(low, 2)} to {percent(high, 2)}",
                f"{losses(classes, said).mean():.4f}",
                f"{calibrated:.4f}",
            )
    console().print(table)
    if len(members) > 1:
        print("weights:", ", ".join(f"{name} {weight:.2f}" for name, weight in ensemble.weights.items()))
    return given["validation"]
