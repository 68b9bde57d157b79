"""Train the CNN from scratch on the decoded training photos."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.paths import project_root


def main() -> None:
    """Train, write the model and its metrics, record the run in MLflow."""
    arguments = parse_arguments(
        "Train the CNN from scratch",
        arrays="decoded photos",
        model="weights to write; their description goes beside them",
        reports="folder for history.csv, metrics.json and timing.json",
    )
    settings = arguments.settings.train_scratch

    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    from dogs_vs_cats.runtime import import_tensorflow

    import_tensorflow()
    from dogs_vs_cats.data.arrays import read_dataset
    from dogs_vs_cats.data.examples import open_images
    from dogs_vs_cats.models.saved import Description
    from dogs_vs_cats.training.augmentation import build_augmentation
    from dogs_vs_cats.training.recording import train_and_record

    dataset = read_dataset(arguments.arrays)
    description = Description(
        kind="scratch",
        size=dataset.size,
        resampling=dataset.resampling,
        classes=(dataset.classes[0], dataset.classes[1]),
        features=None,
        scaling=None,
        network=settings.network,
    )
    validation = open_images(arguments.arrays, "validation")
    train_and_record(
        description,
        open_images(arguments.arrays, "train"),
        validation,
        settings,
        dataset,
        weights=arguments.model,
        reports=arguments.reports,
        tracking=arguments.settings.tracking,
        root=project_root(),
        augmentation=lambda: build_augmentation(settings.augmentation, settings.seed),
        photos=validation.inputs,
    )


if __name__ == "__main__":
    run(main)
