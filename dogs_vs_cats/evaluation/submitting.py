"""The submission that one of the trained models gives, or several of them together."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dogs_vs_cats.data.arrays import open_split, read_dataset
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.comparing import better_model
from dogs_vs_cats.evaluation.ensemble import NAME as ENSEMBLE
from dogs_vs_cats.evaluation.ensemble import fit_ensemble
from dogs_vs_cats.evaluation.predicting import Member, load_predictors
from dogs_vs_cats.evaluation.submission import Submission, calibrate, expected_log_loss, facts_of, submission_frame
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.paths import Prepared


def predict_unlabelled(prepared: Prepared, models: Path, seed: int, kind: str | None) -> Submission:
    """Predict the unlabelled photos, calibrated on validation.

    Args:
        prepared: what the workflow left.
        models: the folder of the trained models.
        seed: of what is random in predicting.
        kind: of the model; ensemble: all of them together; None: the one that is better on validation.

    Raises:
        WorkflowError: if something is missing, damaged, or does not fit the rest.
    """
    dataset = read_dataset(prepared.arrays)
    prepare(seed)
    predictors = load_predictors(models, dataset, None if kind in (None, ENSEMBLE) else [kind])
    members = {kind: Member(predictor, prepared) for kind, predictor in predictors.items()}
    validation = {kind: member.probabilities("validation") for kind, member in members.items()}
    better = kind or better_model(open_images(prepared.arrays, "validation").labels, validation)
    used = validation if better == ENSEMBLE else {better: validation[better]}
    return submission_of({kind: members[kind] for kind in used}, used, better)


def submission_of(members: Mapping[str, Member], validation: Mapping[str, np.ndarray], model: str) -> Submission:
    """Return what models say together of the unlabelled photos.

    Args:
        members: the models, which have the same photos.
        validation: what they say of the validation photos, (n, 2), by which they are weighted and calibrated.
        model: what the facts call it.
    """
    prepared = next(iter(members.values())).prepared
    dataset, labels = read_dataset(prepared.arrays), open_images(prepared.arrays, "validation").labels
    ensemble = fit_ensemble(labels, validation)
    fitted, expected = calibrate(labels, ensemble.apply(validation)), expected_log_loss(labels, validation)
    unlabelled = {name: member.probabilities("unlabelled") for name, member in members.items()}
    given = fitted.apply(ensemble.apply(unlabelled))[:, 1]
    files = open_split(prepared.arrays, "unlabelled").files
    frame = submission_frame(files, given, dataset.unlabelled_rejected, float(labels.mean()))
    facts = {
        "model": model,
        **({"weights": dict(ensemble.weights)} if model == ENSEMBLE else {}),
        "temperature": fitted.temperature,
        "clip": fitted.clip,
        "validation_images": len(labels),
        "expected_log_loss": expected,
    }
    names = " and the ".join(member.predictor.description.name for member in members.values())
    told = f"{len(frame):,} ids by the {names}, expected log-loss {expected:.4f}"
    told += "; drawn pictures, so not for Kaggle" if dataset.source == "drawn" else ""
    return Submission(frame, {**facts_of(dataset, len(frame)), **facts}, told)
