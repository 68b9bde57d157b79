"""The submission that one of the trained models gives, or all of them together."""

from pathlib import Path

from dogs_vs_cats.data.arrays import open_split, read_dataset
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.comparing import better_model
from dogs_vs_cats.evaluation.ensemble import NAME as ENSEMBLE
from dogs_vs_cats.evaluation.ensemble import fit_ensemble
from dogs_vs_cats.evaluation.predicting import load_predictors
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
    labels = open_images(prepared.arrays, "validation").labels
    validation = {kind: predictor.probabilities(prepared, "validation") for kind, predictor in predictors.items()}
    better = kind or better_model(labels, validation)
    used = validation if better == ENSEMBLE else {better: validation[better]}
    ensemble = fit_ensemble(labels, used)
    fitted, expected = calibrate(labels, ensemble.apply(used)), expected_log_loss(labels, used)
    unlabelled = {kind: predictors[kind].probabilities(prepared, "unlabelled") for kind in used}
    given = fitted.apply(ensemble.apply(unlabelled))[:, 1]
    files = open_split(prepared.arrays, "unlabelled").files
    frame = submission_frame(files, given, dataset.unlabelled_rejected, float(labels.mean()))
    facts = {
        "model": better,
        **({"weights": dict(ensemble.weights)} if better == ENSEMBLE else {}),
        "temperature": fitted.temperature,
        "clip": fitted.clip,
        "validation_images": len(labels),
        "expected_log_loss": expected,
    }
    names = " and the ".join(predictors[kind].description.name for kind in used)
    told = f"{len(frame):,} ids by the {names}, expected log-loss {expected:.4f}"
    told += "; drawn pictures, so not for Kaggle" if dataset.source == "drawn" else ""
    return Submission(frame, {**facts_of(dataset, len(frame)), **facts}, told)
