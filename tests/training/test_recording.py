"""Both kinds of models, trained and recorded for real on tiny pictures: what their runs in MLflow hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from numpy.typing import NDArray

from dogs_vs_cats.models.features import write_engine
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.models.probabilities import wilson_interval
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.tracked_runs import client
from dogs_vs_cats.training.recording import Outputs, train_and_record
from tests.search.conftest import prepare
from tests.vgg16 import random_tensors

EPOCHS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> Path:
    """A project in which both models were trained for the DVC experiment ``wavy-newt``."""
    folder = tmp_path_factory.mktemp("project")
    write_weights(random_tensors(), folder / "vgg16.weights.h5")
    project = prepare(folder, *photos, folder / "vgg16.weights.h5")
    project.set(
        **{
            "train_scratch.epochs": EPOCHS,
            "train_scratch.network.convolutions": [{"filters": 4, "kernel": 3}],
            "train_vgg16.epochs": EPOCHS,
            "train_vgg16.keep": "average",
            "train_vgg16.network.dense": [],
            "train_vgg16.network.dropout": [],
        }
    )
    settings = load_settings(folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_EXP_NAME", "wavy-newt")
        write_engine("onnx", Prepared.of(folder).features)
        for kind in ("scratch", "vgg16"):
            outputs = Outputs(folder / "models" / f"{kind}.weights.h5", folder / "reports" / kind)
            train_and_record(KINDS[kind], Prepared.of(folder), settings, outputs, folder)
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path) -> dict[str, Run]:
    """The runs of both, by kind."""
    mlflow = client(load_settings(folder / "params.yaml").tracking, folder)
    experiment = mlflow.get_experiment_by_name("dogs-vs-cats")
    assert experiment is not None
    return {run.data.tags["kind"]: run for run in mlflow.search_runs([experiment.experiment_id])}


def test_a_runs_name_says_which_model_it_is_of_which_experiment_and_on_which_photos(runs: dict[str, Run]) -> None:
    assert {kind: run.info.run_name for kind, run in runs.items()} == {
        "scratch": "scratch cnn · wavy-newt · 80 drawn photos",
        "vgg16": "transfer vgg16 · wavy-newt · 80 drawn photos",
    }


def test_the_table_shows_what_the_kept_weights_reach_and_the_epochs_stay_curves(
    folder: Path, runs: dict[str, Run]
) -> None:
    mlflow = client(load_settings(folder / "params.yaml").tracking, folder)
    for kind, run in runs.items():
        reached = json.loads((folder / "reports" / kind / "metrics.json").read_text())
        history = pd.read_csv(folder / "reports" / kind / "history.csv")
        for name in ("accuracy", "log_loss"):
            assert run.data.metrics[f"train/{name}"] == float(f"{reached['train'][name]:.6g}")
            assert run.data.metrics[f"val/{name}"] == float(f"{reached['validation'][name]:.6g}")
        for name in ("accuracy", "loss", "log_loss"):
            for metric, column in ((f"epoch/train/{name}", name), (f"epoch/val/{name}", f"val_{name}")):
                curve = mlflow.get_metric_history(run.info.run_id, metric)
                assert [point.step for point in curve] == [1, 2, 3]
                assert [point.value for point in curve] == pytest.approx(list(history[column]), rel=1e-5)
        groups = {name.partition("/")[0] for name in run.data.metrics if "/" in name}
        assert groups == {"epoch", "train", "val", "model", "system"}
        assert not any("accuracy" in name or "loss" in name for name in run.data.metrics if "/" not in name)
    averaged = runs["vgg16"].data.metrics
    assert averaged["val/log_loss"] != averaged["epoch/val/log_loss"]


def test_a_run_says_what_it_is_what_it_reached_and_how_it_was_made(folder: Path, runs: dict[str, Run]) -> None:
    called = {"scratch": "CNN from scratch", "vgg16": "VGG16 transfer model"}
    mlflow = client(load_settings(folder / "params.yaml").tracking, folder)
    for kind, run in runs.items():
        note = run.data.tags["mlflow.note.content"]
        reached = run.data.metrics
        assert note.startswith(f"**{called[kind]}**, trained on 80 drawn photos of `cats`, `dogs`.\n")
        low, high = map(percent, wilson_interval(round(40 * reached["val/accuracy"]), 40))
        accuracy = f"accuracy {percent(reached['val/accuracy'])} (95 % interval {low} to {high})"
        assert f"- validation: {accuracy} on 40 photos, log-loss" in note
        assert "- test: not compared yet" in note
        assert "- made by `dvc repro`" in note
        (version,) = mlflow.search_model_versions(f"run_id = '{run.info.run_id}'")
        assert "those under `epoch/` are the curves that led there." in note
        assert str(version.description).startswith(note.partition("\nMetrics under")[0])
        assert f'load_model("models:/dogs-vs-cats/{version.version}")' in str(version.description)
        assert f"--model models:/dogs-vs-cats/{version.version}`" in str(version.description)


def test_the_parameters_that_matter_come_before_all_others(runs: dict[str, Run]) -> None:
    few = ["batch", "epochs", "learning_rate", "model", "optimizer", "photos", "pixels", "resampling", "seed"]
    for run in runs.values():
        names = sorted(run.data.params)
        assert names[: len(few)] == few
        assert all(name.startswith("settings.") for name in names[len(few) :])
    assert runs["vgg16"].data.params["model"] == "transfer vgg16"
    assert runs["vgg16"].data.params["settings.network.dense"] == "[]"
    assert runs["vgg16"].data.params["settings.features_by"] == "onnx"
    assert "settings.features_by" not in runs["scratch"].data.params


def test_a_training_cut_off_before_its_run_was_noted_goes_on_in_the_same_run(
    tmp_path: Path, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "vgg16.weights.h5").touch()
    project = prepare(tmp_path, *photos, tmp_path / "vgg16.weights.h5")
    project.set(**{"train_scratch.epochs": 1, "train_scratch.network.convolutions": [{"filters": 4, "kernel": 3}]})
    settings = load_settings(tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    outputs = Outputs(tmp_path / "models" / "scratch.weights.h5", tmp_path / "reports" / "scratch")
    with monkeypatch.context() as patch:
        # Begins once MLflow has the run.
        patch.setattr("dogs_vs_cats.tracking.tracked_runs.SystemMetrics", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_and_record(KINDS["scratch"], Prepared.of(tmp_path), settings, outputs, tmp_path)
    train_and_record(KINDS["scratch"], Prepared.of(tmp_path), settings, outputs, tmp_path)
    (run,) = client(settings.tracking, tmp_path).search_runs(["1"])
    assert run.info.status == "FINISHED"
    assert "error" not in run.data.tags
