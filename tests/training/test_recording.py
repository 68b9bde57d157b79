"""Both kinds of models, trained and recorded for real on tiny pictures: what their runs in MLflow hold."""

from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Run
from numpy.typing import NDArray

from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.models.pretrained.weights import write_weights
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
            "train_vgg16.keep": "best",
            "train_vgg16.network.dense": [],
            "train_vgg16.network.dropout": [],
        }
    )
    settings = load_settings(folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_EXP_NAME", "wavy-newt")
        for kind, description in KINDS.items():
            outputs = Outputs(folder / "models" / f"{kind}.weights.h5", folder / "reports" / kind)
            train_and_record(description, Prepared.of(folder), settings, outputs, folder)
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
