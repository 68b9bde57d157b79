"""Train the backbone's last blocks further, together with the trained head; or say that the settings leave it out."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.models.kinds.fine_tuned import FineTunedModel
from dogs_vs_cats.paths import Prepared, project_root
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.training.left_out import leave_out


def main() -> None:
    """Train, write the network and its metrics, record the run with the whole model in MLflow."""
    arguments = parse_arguments(
        "Train the backbone's last blocks further",
        arrays="decoded photos",
        features="bottleneck features",
        backbone="the backbone's ImageNet weights",
        head="weights of the trained head; their description is beside them",
        model="weights to write; their description goes beside them",
        reports="folder for history.csv, metrics.json and timing.json",
    )
    if arguments.settings.fine_tune.block is None:
        leave_out(arguments.model, arguments.reports)
        print(f"{arguments.model}: fine_tune.block is null, so there is no fine-tuned model")
        return
    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    import_backend()
    from dogs_vs_cats.training.recording import Outputs, train_and_record

    prepared = Prepared(arguments.arrays, arguments.features, arguments.backbone, arguments.head)
    outputs = Outputs(arguments.model, arguments.reports)
    train_and_record(FineTunedModel, prepared, arguments.settings, outputs, project_root(), arguments.params)


if __name__ == "__main__":
    run(main)
