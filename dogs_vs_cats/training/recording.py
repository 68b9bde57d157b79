"""What a training leaves: its history, metrics and timing as files, its model in MLflow."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from dogs_vs_cats.data.arrays import Dataset, read_dataset
from dogs_vs_cats.data.examples import Parts
from dogs_vs_cats.files import digest_of, whole_file
from dogs_vs_cats.models.exporting import exported
from dogs_vs_cats.models.features import read_engine
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.probabilities import wilson_interval
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.models.saved import write_model
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.training_settings import TrainingSettings, TrainVgg16Settings
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG, as_tag
from dogs_vs_cats.tracking.making import made_from
from dogs_vs_cats.tracking.notes import NOTE, model_note, run_note, version_note
from dogs_vs_cats.tracking.provenance import run_name
from dogs_vs_cats.tracking.tracked_runs import Run, coming_run, end_abandoned, tracked_run
from dogs_vs_cats.training.checkpoints import Checkpoint, identity_of, run_of
from dogs_vs_cats.training.fitting import Log, Training, train
from dogs_vs_cats.training.logistic import solve
from dogs_vs_cats.training.weighting import class_weights

_MEASURES = ("accuracy", "loss", "log_loss")
_DESCRIBED = {"size", "sees", "resampling", "backbone", "scaling", "pooling", "layers", "mirrored", "cut"}


@dataclass(frozen=True)
class Outputs:
    """Where a training leaves its results.

    Attributes:
        weights: ``NAME.weights.h5``; its description goes beside it.
        reports: folder for ``history.csv``, ``metrics.json`` and ``timing.json``.
    """

    weights: Path
    reports: Path


def train_and_record(
    kind: type[Description],
    prepared: Prepared,
    settings: Settings,
    outputs: Outputs,
    root: Path,
    params: Path = Path("params.yaml"),
) -> None:
    """Train a model, write it with its results, and record all of it as an MLflow run; go on where a kill cut it off.

    Args:
        kind: which kind of model.
        prepared: what the stages before left.
        settings: ``params.yaml``, read and checked.
        outputs: where the results go.
        root: the project's folder; unfinished trainings wait in its ``models/.unfinished``.
        params: the file that the settings are from.
    """
    description, section = kind.of(settings, prepared), kind.training_settings(settings)
    training, validation = (description.examples(prepared, split) for split in ("train", "validation"))
    parts = Parts(training, validation, description.classes)
    class_weights(section, parts)  # a wrong name is told before there is a run
    identity = identity_of(description, section, parts)
    with Checkpoint(root / "models" / ".unfinished", description.kind, identity) as checkpoint:
        # A queued experiment runs in a copy of the project, which has a dvc.lock of its own.
        checkpoint.forget_if_recorded(Path("dvc.lock"), root / "dvc.lock")
        prepare(section.seed, mixed_precision=section.mixed_precision)
        model = description.build()
        description.initialise(model, parts.training.inputs, section.seed, prepared)
        if checkpoint.finished:
            print(f"{checkpoint.folder}: this training had finished; its results are written again", flush=True)
            result = fit(model, parts, section, checkpoint=checkpoint.state)
            _write(model, description, result, parts, outputs)
            return
        for folder in checkpoint.abandoned():
            end_abandoned(settings.tracking, root, run_of(folder))
            print(f"{folder}: holds an unfinished training of other settings or data, and is left as it is", flush=True)
        dataset = read_dataset(prepared.arrays)
        photos = f"{dataset.counts['train']} {dataset.source} photos"
        parameters = {"photos": dataset.counts["train"], **main_params(description, section)}
        if kind.needs == "bottleneck":
            parameters["settings.features_by"] = read_engine(prepared.features)
        making = made_from(params, dataset.counts)

        def note(*results: str) -> str:
            return model_note(description.name, photos, description.classes, results, making)

        if checkpoint.run is None:
            checkpoint.track_as(coming_run())
        with tracked_run(
            run_name(description.label, photos),
            settings.tracking,
            root,
            params=parameters,
            tags={**data_tags(dataset), "kind": description.kind, NOTE: run_note(note("in training"))},
            dataset=(dataset.source, dataset.digest),
            resume=checkpoint.run,
        ) as run:
            checkpoint.track_as(run.id)
            result = fit(model, parts, section, checkpoint=checkpoint.state, log=by_epoch(run))
            _write(model, description, result, parts, outputs)
            log_results(run, result, model, len(parts.training.labels))
            described = note(reached(result, len(parts.validation.labels)), "test: not compared yet")
            run.set_tags({NOTE: run_note(described)})
            name = settings.tracking.registered_model
            run.log_model(
                exported(description.open(model, prepared.backbone), description),
                description.kind,
                registered_model=name,
                description=version_note(described, name, description.size, description.classes[1]),
                version_tags={
                    "kind": description.kind,
                    DIGEST_TAG: digest_of(outputs.weights),
                    "classes": as_tag(description.classes),
                },
            )
        checkpoint.finish(outputs.weights)


def fit(
    model: keras.Model, parts: Parts, settings: TrainingSettings, *, log: Log | None = None, **options: Any
) -> Training:
    """Train a model as its settings say: by gradients, or by solving.

    Arguments and errors are those of ``fitting.train`` and ``logistic.solve``; solving has no use for other options.
    """
    if isinstance(settings, TrainVgg16Settings) and settings.solver == "logistic":
        return solve(model, parts, settings, log)
    return train(model, parts, settings, log=log, **options)


def _write(model: keras.Model, description: Description, result: Training, parts: Parts, outputs: Outputs) -> None:
    write_model(model, description, outputs.weights)
    write_results(result, len(parts.training.labels), outputs.reports)


def write_results(training: Training, images: int, folder: Path) -> None:
    """Write ``history.csv``, ``metrics.json`` and ``timing.json`` to ``folder``.

    Args:
        training: what the training left.
        images: it was trained on.
        folder: where to; made if missing.
    """
    kept = training.kept
    # What people compare; the history has the rest: which epochs were kept, and the loss that was minimised.
    metrics = {
        "train": {name: kept[name] for name in ("accuracy", "log_loss")},
        "validation": {name: kept[f"val_{name}"] for name in ("accuracy", "log_loss")},
    }
    # Apart from the metrics: time differs from run to run, and what depends on the metrics need not run again for it.
    timing = {"seconds": training.seconds, "epochs": len(training.history), "images": images}
    with whole_file(folder / "history.csv") as path:
        training.history.to_csv(path, index=False)
    for name, values in (("metrics", metrics), ("timing", timing)):
        with whole_file(folder / f"{name}.json") as path:
            path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def data_tags(dataset: Dataset) -> dict[str, str]:
    """Return the data as tags of an MLflow run."""
    counts = {f"data_{split}": str(count) for split, count in dataset.counts.items()}
    return {
        "data_digest": dataset.digest,
        "data_source": dataset.source,
        "classes": as_tag(dataset.classes),
    } | counts


def by_epoch(run: Run) -> Log:
    """Return what logs an epoch's metrics to a run, as ``epoch/train/NAME`` and ``epoch/val/NAME``.

    MLflow's table shows a metric's last value, which is the last epoch's here. So ``train/`` and ``val/`` alone are
    left to what the kept weights reach, and the curves have a group of charts of their own.
    """

    def name(key: str) -> str:
        if key.startswith("val_"):
            return f"epoch/val/{key.removeprefix('val_')}"
        return f"epoch/train/{key}" if key in _MEASURES else f"epoch/{key}"

    return lambda values, epoch, time: run.log_metrics({name(key): values[key] for key in values}, epoch, time)


def results(training: Training, model: keras.Model, images: int) -> dict[str, float]:
    """Return a training's outcome as metrics of an MLflow run: ``train/`` and ``val/`` are the kept weights'.

    Args:
        training: what the training left.
        model: the trained network.
        images: it was trained on, for how many it takes a second, the validation after each epoch included.
    """
    kept = training.kept
    return {
        **{f"train/{name}": kept[name] for name in _MEASURES},
        **{f"val/{name}": kept[f"val_{name}"] for name in _MEASURES},
        "train/epochs": len(training.history),
        "train/first_kept_epoch": training.kept_epochs[0],
        "train/last_kept_epoch": training.kept_epochs[1],
        "train/seconds": training.seconds,
        "train/photos_per_second": images * len(training.history) / training.seconds,
        "model/parameters": model.count_params(),
    }


def main_params(description: Description, settings: TrainingSettings) -> dict[str, object]:
    """Return the settings as parameters of an MLflow run: a few that matter most, then all others as ``settings``.

    MLflow lists parameters by the alphabet, ``settings.`` behind the few.
    """
    few: dict[str, object] = {"model": description.label, "pixels": description.side, "seed": settings.seed}
    if isinstance(settings, TrainVgg16Settings) and settings.solver == "logistic":
        few |= {"solver": "logistic"}
    else:
        few |= {"epochs": settings.epochs, "batch": settings.batch}
        few |= {"optimizer": settings.optimizer.name, "learning_rate": settings.optimizer.learning_rate}
    described = description.model_dump(include=_DESCRIBED)
    # Who loads a registered model reads how its photos were resized.
    return {**few, "resampling": description.resampling, "settings": {**settings.model_dump(mode="json"), **described}}


def reached(training: Training, images: int) -> str:
    """Say what a training reached on so many validation photos."""
    accuracy, log_loss = training.kept["val_accuracy"], training.kept["val_log_loss"]
    low, high = map(percent, wilson_interval(round(accuracy * images), images))
    interval = f"95 % interval {low} to {high}"
    return f"validation: accuracy {percent(accuracy)} ({interval}) on {images:,} photos, log-loss {log_loss:.3f}"


def log_results(run: Run, training: Training, model: keras.Model, images: int) -> None:
    """Log a training's outcome to its MLflow run; its figures are drawn when models are compared."""
    run.log_metrics(results(training, model, images))
    run.set_tags({"stopped_early": str(training.stopped_early).lower()})
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    run.log_text("\n".join(lines) + "\n", "model/summary.txt")
