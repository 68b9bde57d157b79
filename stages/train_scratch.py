"""Train the CNN from scratch on the decoded training photos."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.paths import Prepared, project_root
from dogs_vs_cats.runtime import import_backend


def main() -> None:
    """Train, write the model and its metrics, record the run in MLflow."""
    arguments = parse_arguments(
        "Train the CNN from scratch",
        arrays="decoded photos",
        model="weights to write; their description goes beside them",
        reports="folder for history.csv, metrics.json and timing.json",
    )
    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    import_backend()
    from dogs_vs_cats.training.recording import Outputs, train_and_record

    prepared, outputs = Prepared(arrays=arguments.arrays), Outputs(arguments.model, arguments.reports)
    train_and_record(ScratchModel, prepared, arguments.settings, outputs, project_root(), arguments.params)


if __name__ == "__main__":
    run(main)
