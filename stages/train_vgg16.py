"""Train the head on the backbone's features of the training photos."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.models.kinds.transfer import TransferModel
from dogs_vs_cats.paths import Prepared, project_root
from dogs_vs_cats.runtime import import_backend


def main() -> None:
    """Train, write the head and its metrics, record the run with the whole model in MLflow."""
    arguments = parse_arguments(
        "Train the head on the backbone's features",
        arrays="decoded photos, for their labels",
        features="bottleneck features",
        backbone="the backbone's ImageNet weights, for the model that takes photos",
        model="weights to write; their description goes beside them",
        reports="folder for history.csv, metrics.json and timing.json",
    )
    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    import_backend()
    from dogs_vs_cats.training.recording import Outputs, train_and_record

    prepared = Prepared(arguments.arrays, arguments.features, arguments.backbone)
    outputs = Outputs(arguments.model, arguments.reports)
    train_and_record(TransferModel, prepared, arguments.settings, outputs, project_root(), arguments.params)


if __name__ == "__main__":
    run(main)
