"""Train the head on the backbone's features of the training photos."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.paths import project_root


def main() -> None:
    """Train, write the head and its metrics, record the run with the whole model in MLflow."""
    arguments = parse_arguments(
        "Train the head on the backbone's features",
        arrays="decoded photos, for their labels and for pictures of some",
        features="bottleneck features",
        vgg16="the backbone's ImageNet weights, for the model that takes photos",
        model="weights to write; their description goes beside them",
        reports="folder for history.csv, metrics.json and timing.json",
    )
    settings, bottleneck = arguments.settings.train_vgg16, arguments.settings.bottleneck

    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    from dogs_vs_cats.runtime import import_tensorflow

    import_tensorflow()
    from dogs_vs_cats.data.arrays import read_dataset
    from dogs_vs_cats.data.examples import open_images
    from dogs_vs_cats.models.features import open_bottleneck
    from dogs_vs_cats.models.saved import Description, open_backbone
    from dogs_vs_cats.training.recording import train_and_record

    dataset = read_dataset(arguments.arrays)
    training, validation = (
        open_bottleneck(arguments.arrays, arguments.features, name) for name in ("train", "validation")
    )
    description = Description(
        kind="vgg16",
        size=dataset.size,
        resampling=dataset.resampling,
        classes=(dataset.classes[0], dataset.classes[1]),
        features=training.inputs.shape[1:],
        backbone=bottleneck.backbone,
        scaling=bottleneck.scaling,
        network=settings.network,
    )
    train_and_record(
        description,
        training,
        validation,
        settings,
        dataset,
        weights=arguments.model,
        reports=arguments.reports,
        tracking=arguments.settings.tracking,
        root=project_root(),
        backbone=lambda: open_backbone(description, arguments.vgg16),
        photos=open_images(arguments.arrays, "validation").inputs,
    )


if __name__ == "__main__":
    run(main)
