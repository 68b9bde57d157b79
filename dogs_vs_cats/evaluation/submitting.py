"""The submission that the better of the trained models gives."""

from pathlib import Path

from dogs_vs_cats.data.arrays import open_split, read_dataset
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.comparing import better_model
from dogs_vs_cats.evaluation.predicting import load_predictors
from dogs_vs_cats.evaluation.submission import Submission, calibrate, expected_log_loss, facts_of, submission_frame
from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.paths import Prepared


def predict_unlabelled(prepared: Prepared, models: Path, seed: int, kind: str | None) -> Submission:
    """Predict the unlabelled photos, calibrated on validation.

    Args:
        prepared: what the workflow left.
        models: the folder of the trained models.
        seed: of what is random in predicting.
        kind: of the model; None: the one that is better on validation.

    Raises:
        WorkflowError: if something is missing, damaged, or does not fit the rest.
    """
    dataset = read_dataset(prepared.arrays)
    prepare(seed)
    predictors = load_predictors(models, dataset, KINDS if kind is None else [kind])
    labels = open_images(prepared.arrays, "validation").labels
    validation = {kind: predictor.probabilities(prepared, "validation") for kind, predictor in predictors.items()}
    better = kind or better_model(labels, validation)
    fitted, expected = calibrate(labels, validation[better]), expected_log_loss(labels, validation[better])
    given = fitted.apply(predictors[better].probabilities(prepared, "unlabelled"))[:, 1]
    files = open_split(prepared.arrays, "unlabelled").files
    frame = submission_frame(files, given, dataset.unlabelled_rejected, float(labels.mean()))
    facts = {
        "model": better,
        "temperature": fitted.temperature,
        "clip": fitted.clip,
        "validation_images": len(labels),
        "expected_log_loss": expected,
    }
    told = f"{len(frame):,} ids by the {predictors[better].description.name}, expected log-loss {expected:.4f}"
    told += "; drawn pictures, so not for Kaggle" if dataset.source == "drawn" else ""
    return Submission(frame, {**facts_of(dataset, len(frame)), **facts}, told)
