"""What a training leaves: its history, metrics and timing as files, its curves and model in MLflow."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import Dataset
from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.explanation.grad_cam import OpenNetwork, first_filters, grad_cam, open_network, telling_photos
from dogs_vs_cats.files import digest_of, whole_file
from dogs_vs_cats.models.networks.building import describe_layers
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.models.saved import Description, exported, predict, write_model
from dogs_vs_cats.reports import explanation_figures as explaining_pictures
from dogs_vs_cats.reports import figures as pictures
from dogs_vs_cats.settings.params import TrackingSettings, TrainingSettings
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG
from dogs_vs_cats.tracking.tracked_runs import Run, tracked_run
from dogs_vs_cats.training.checkpoints import checkpoint_folder, track_as, tracked_as
from dogs_vs_cats.training.fitting import Training, train


def train_and_record(
    description: Description,
    training: Examples,
    validation: Examples,
    settings: TrainingSettings,
    dataset: Dataset,
    *,
    weights: Path,
    reports: Path,
    tracking: TrackingSettings,
    root: Path,
    augmentation: Callable[[], keras.layers.Layer | None] = lambda: None,
    backbone: Callable[[], keras.Model | None] = lambda: None,
    photos: NDArray[np.uint8],
) -> None:
    """Train a model, write it with its results, and record all of it as an MLflow run; go on where a kill cut it off.

    Args:
        description: the network.
        training: what it learns from.
        validation: what its epochs are judged by.
        settings: how it is trained.
        dataset: what the examples were made from.
        weights: ``NAME.weights.h5`` to write; its description goes beside it.
        reports: folder for ``history.csv``, ``metrics.json`` and ``timing.json``.
        tracking: the ``tracking`` section.
        root: the project's folder; unfinished trainings wait in its ``models/.unfinished``.
        augmentation: makes the layer that changes training images.
        backbone: makes what stands between photos and the network, with its weights.
        photos: (n, size, size, 3) the validation photos.
    """
    params = settings.model_dump(mode="json")
    checkpoint = checkpoint_folder(
        root / "models" / ".unfinished", description.kind, params, description.model_dump(mode="json"), dataset.digest
    )
    prepare(settings.seed, mixed_precision=settings.mixed_precision)
    model = description.build()
    with tracked_run(
        description.kind,
        tracking,
        root,
        params={**params, **description.model_dump(include={"size", "resampling", "backbone", "scaling"})},
        tags={**data_tags(dataset), "kind": description.kind},
        dataset=(dataset.source, dataset.digest),
        resume=tracked_as(checkpoint),
    ) as run:
        track_as(checkpoint, run.id)
        result = train(
            model,
            training,
            validation,
            settings,
            augmentation=augmentation(),
            checkpoint=checkpoint,
            log=run.log_metrics,
        )
        write_model(model, description, weights)
        write_results(result, len(training.labels), reports)
        below = backbone()
        network = open_network(model, description, below)
        log_results(run, result, model, validation, photos, network, dataset.classes)
        log_model(run, exported(model, description, below), description, weights, tracking)
    result.forget()


def write_results(training: Training, images: int, folder: Path) -> None:
    """Write ``history.csv``, ``metrics.json`` and ``timing.json`` to ``folder``.

    Args:
        training: what the training left.
        images: it was trained on.
        folder: where to; made if missing.
    """
    kept = training.kept
    metrics = {
        "first_kept_epoch": training.kept_epochs[0],
        "last_kept_epoch": training.kept_epochs[1],
        "epochs": len(training.history),
        "stopped_early": training.stopped_early,
        "train": {name: kept[name] for name in ("accuracy", "loss", "log_loss")},
        "validation": {name: kept[f"val_{name}"] for name in ("accuracy", "loss", "log_loss")},
    }
    # Apart from the metrics: time differs from run to run, and what depends on the metrics need not run again for it.
    timing = {"seconds": training.seconds, "epochs": len(training.history), "images": images}
    with whole_file(folder / "history.csv") as path:
        training.history.to_csv(path, index=False)
    for name, values in (("metrics", metrics), ("timing", timing)):
        with whole_file(folder / f"{name}.json") as path:
            path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def data_tags(dataset: Dataset) -> dict[str, str]:
    """The data as tags of an MLflow run."""
    counts = {f"data_{split}": str(count) for split, count in dataset.counts.items()}
    return {
        "data_digest": dataset.digest,
        "data_source": dataset.source,
        "classes": ", ".join(dataset.classes),
    } | counts


def log_results(
    run: Run,
    training: Training,
    model: keras.Model,
    validation: Examples,
    photos: NDArray[np.uint8],
    network: OpenNetwork,
    classes: list[str],
) -> None:
    """Log a training's outcome to its MLflow run.

    Args:
        run: the open run.
        training: what the training left.
        model: the trained network.
        validation: the examples that its confusion is shown on.
        photos: (n, size, size, 3) the photos that these were made from.
        network: the trained network, laid open.
        classes: the two classes.
    """
    probabilities = predict(model, validation.inputs)
    kept = training.kept
    final = {name: kept[f"val_{name}"] for name in ("accuracy", "loss", "log_loss")}
    run.log_metrics(
        {
            **{f"validation_{name}": value for name, value in final.items()},
            "first_kept_epoch": training.kept_epochs[0],
            "last_kept_epoch": training.kept_epochs[1],
            "training_seconds": training.seconds,
            "parameters": model.count_params(),
        }
    )
    run.set_tags({"stopped_early": str(training.stopped_early).lower()})
    name = model.name
    run.log_figure(pictures.learning_curves(training.history, f"{name}: learning curves"), "curves.png")
    run.log_figure(
        pictures.confusion(validation.labels, probabilities, classes, f"{name}: validation photos"), "confusion.png"
    )
    run.log_figure(pictures.network(describe_layers(model), f"{name}: architecture"), "model/architecture.png")
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    run.log_text("\n".join(lines) + "\n", "model/summary.txt")
    if network.convolutions:
        chosen = telling_photos(validation.labels, {name: probabilities})
        _log_looks(run, network, np.array(photos[chosen]), validation.labels[chosen], classes, name)


def _log_looks(
    run: Run, network: OpenNetwork, photos: NDArray[np.uint8], labels: NDArray[np.uint8], classes: list[str], name: str
) -> None:
    looks = {name: grad_cam(network, photos)}
    title = f"{name}: where it looks in validation photos"
    run.log_figure(
        explaining_pictures.where_models_look(photos, labels, classes, looks, title), "explained/grad_cam.png"
    )
    run.log_figure(explaining_pictures.filters(first_filters(network), name), "explained/first_filters.png")


def log_model(
    run: Run, exported: keras.Model, description: Description, weights: Path, settings: TrackingSettings
) -> None:
    """Log and register the model that takes photos; ``DIGEST_TAG`` finds its version again."""
    run.log_model(
        exported,
        description.kind,
        registered_model=settings.registered_model,
        version_tags={
            "kind": description.kind,
            DIGEST_TAG: digest_of(weights),
            "classes": ", ".join(description.classes),
        },
    )
