"""Predict the competition's test photos with the better model, as Kaggle scores them: by log-loss."""

import numpy as np

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.arrays import has_split, open_split, read_dataset
from dogs_vs_cats.evaluation.comparison import as_json, better_model
from dogs_vs_cats.evaluation.submission import calibrate, expected_log_loss, submission_frame, write_submission
from dogs_vs_cats.files import whole_file


def main() -> None:
    """Choose the model and calibrate it by validation, predict, write."""
    arguments = parse_arguments(
        "Predict the unlabelled test photos",
        arrays="folder of decoded photos",
        features="folder of bottleneck features",
        models="folder of both trained models",
        submission="CSV file to write: id,label",
        summary="JSON file to write: the model, its calibration and what to expect",
    )
    dataset = read_dataset(arguments.arrays)
    undecodable = dataset.unlabelled_rejected
    facts: dict[str, object] = {"source": dataset.source, "ids": 0, "undecodable": len(undecodable)}
    if not has_split(arguments.arrays, "unlabelled"):
        frame = submission_frame([], np.empty(0), undecodable, 0.5)
        told = "the source has no unlabelled test photos: nothing to submit"
    else:
        from dogs_vs_cats.runtime import import_tensorflow

        import_tensorflow()
        from dogs_vs_cats.evaluation.predicting import load_predictors, predict_split
        from dogs_vs_cats.models.reproducibility import prepare

        prepare(arguments.settings.compare.seed)
        labels = open_split(arguments.arrays, "validation").labels
        assert labels is not None
        predictors = load_predictors(arguments.models, dataset)
        validation = {
            kind: predict_split(predictor, arguments.arrays, arguments.features, "validation")
            for kind, predictor in predictors.items()
        }
        better = better_model(labels, validation)
        fitted, expected = calibrate(labels, validation[better]), expected_log_loss(labels, validation[better])
        given = predict_split(predictors[better], arguments.arrays, arguments.features, "unlabelled")
        files = open_split(arguments.arrays, "unlabelled").files
        frame = submission_frame(files, fitted.apply(given), undecodable, float(labels.mean()))
        facts |= {
            "model": better,
            "temperature": fitted.temperature,
            "clip": fitted.clip,
            "validation_images": len(labels),
            "expected_log_loss": expected,
        }
        told = f"{len(frame):,} ids by the {predictors[better].description.name}, expected log-loss {expected:.4f}"
        told += "; drawn pictures, so not for Kaggle" if dataset.source == "drawn" else ""
    write_submission(frame, arguments.submission)
    with whole_file(arguments.summary) as partial:
        partial.write_text(as_json({**facts, "ids": len(frame)}), encoding="utf-8")
    print(f"{arguments.submission}: {told}")


if __name__ == "__main__":
    run(main)
