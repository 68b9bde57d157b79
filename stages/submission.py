"""Predict the competition's test photos with the best model, as Kaggle scores them: by log-loss."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.arrays import has_split, read_dataset
from dogs_vs_cats.evaluation.comparison import write_json
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.runtime import import_backend


def main() -> None:
    """Choose the model and calibrate it by validation, predict, write."""
    arguments = parse_arguments(
        "Predict the unlabelled test photos",
        arrays="folder of decoded photos",
        features="folder of bottleneck features",
        backbone="the backbone's ImageNet weights, for a fine-tuned model",
        models="folder of the trained models",
        submission="CSV file to write: id,label",
        summary="JSON file to write: the model, its calibration and what to expect",
    )
    # Here, not above: these take seconds to import, a fault in params.yaml should not.
    if has_split(arguments.arrays, "unlabelled"):
        import_backend()
        from dogs_vs_cats.evaluation.submitting import predict_unlabelled

        prepared = Prepared(arguments.arrays, arguments.features, arguments.backbone)
        settings = arguments.settings
        submission = predict_unlabelled(prepared, arguments.models, settings.compare.seed, settings.submission.model)
    else:
        from dogs_vs_cats.evaluation.submission import nothing_to_predict

        submission = nothing_to_predict(read_dataset(arguments.arrays))
    submission.write(arguments.submission)
    write_json(arguments.summary, submission.facts)
    print(f"{arguments.submission}: {submission.told}")


if __name__ == "__main__":
    run(main)
