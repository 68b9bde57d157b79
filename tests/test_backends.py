"""The workflow on Keras's other backends, where TensorFlow cannot be imported."""

import json
import math
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray
from PIL import Image

from dogs_vs_cats.explanation.grad_cam import grad_cam
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.models.saved import load_predictor
from dogs_vs_cats.paths import BACKBONE_WEIGHTS
from dogs_vs_cats.training.affine import affine_transform
from dogs_vs_cats.training.augmentation import RandomAffine
from tests.conftest import ROOT, users_environment
from tests.photo_project import small_tensors
from tests.search.conftest import Project, prepare

OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed"))
    for name in ("jax", "torch")
]
ABSENT = """
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec
def find_others(name, path=None, target=None):
    return None if name.partition(".")[0] in {absent} else find(name, path, target)
PathFinder.find_spec = find_others
"""
STAGES = {
    "bottleneck": "--arrays data/arrays --weights data/weights/backbone.weights.h5 --features data/features",
    "train_scratch": "--arrays data/arrays --model models/scratch.weights.h5 --reports reports/scratch",
    "train_vgg16": "--arrays data/arrays --features data/features --backbone data/weights/backbone.weights.h5 "
    "--model models/vgg16.weights.h5 --reports reports/vgg16",
    "compare": "--arrays data/arrays --features data/features --backbone data/weights/backbone.weights.h5 "
    "--models models --training reports --comparison reports/comparison.json --metrics reports/metrics.json "
    "--report reports/comparison.html --plots reports/plots",
}
# One process for all of them: each would import the backend, MLflow and more for itself.
RUNNING = """
import json, runpy, sys
for command in json.loads(sys.argv[1]):
    print("ran:")
    sys.argv = command
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
print("ran:")
"""
LOOKING = f"""
from pathlib import Path
import numpy
from dogs_vs_cats.explanation.grad_cam import grad_cam
from dogs_vs_cats.models.saved import load_predictor
network = load_predictor(Path("models/scratch.weights.h5")).open(Path("{BACKBONE_WEIGHTS}"))
print(json.dumps([values.tolist() for values in grad_cam(network, numpy.load("looked_at.npy"))]))
"""
# Dropout and augmentation have to go on where their random numbers were.
RESUMING = """
import threading
import keras
from dogs_vs_cats.data.examples import Parts
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.training.fitting import train

class Killed(BaseException):
    pass

def kill(*_):
    raise Killed

class Threads(keras.callbacks.Callback):
    async_safe, names = True, set()

    def on_train_batch_end(self, batch, logs=None):
        self.names.add(threading.current_thread().name)

settings = load_settings(Path("params.yaml"))
described, section = ScratchModel.of(settings, Prepared()), settings.train_scratch.model_copy(update={"epochs": 2})
parts = Parts(*(described.examples(Prepared(), split) for split in ("train", "validation")))
histories = []
for options in ({"callbacks": [Threads()]}, {"checkpoint": Path("kept"), "log": kill}, {"checkpoint": Path("kept")}):
    prepare(section.seed)
    try:
        result = train(described.build(), parts, section, show_progress=False, **options)
        histories.append(result.history.values.tolist())
    except Killed:
        histories.append(None)
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.runtime import enough_memory
from dogs_vs_cats.training import batches
batches.free_gpu_memory = lambda: 1 << 30
prepare(section.seed)
histories.append(train(described.build(), parts, section, show_progress=False).history.values.tolist())
told = []
try:
    with enough_memory("batch", 7):
        keras.ops.ones((1 << 25, 1 << 25))
except WorkflowError as error:
    told.append(str(error))
rate = section.optimizer.model_copy(update={"learning_rate": 1e39})
try:
    train(described.build(), parts, section.model_copy(update={"optimizer": rate}), show_progress=False)
except WorkflowError as error:
    told.append(str(error))
print("ran:")
print(json.dumps([*histories, "MainThread" in Threads.names, told]))
"""


def without(monkeypatch: pytest.MonkeyPatch, folder: Path, backend: str, *absent: str) -> None:
    """Set a backend for the processes to come, which find no package of these names."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ABSENT.format(absent=set(absent)))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
    monkeypatch.setenv("KERAS_BACKEND", backend)


def run(project: Project, *command: str, status: int = 0) -> str:
    """Run a Python command in the project; return what it printed, or its error where one is expected."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project.folder,
        env=users_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr if status else done.stdout


@pytest.mark.parametrize("backend", OTHERS)
def test_training_comparison_prediction_grad_cam_and_search_need_no_tensorflow(
    backend: str, tmp_path: Path, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, tmp_path / "absent", backend, "tensorflow")
    weights = tmp_path / "vgg16.weights.h5"
    write_weights(small_tensors(), weights)
    project = prepare(tmp_path, *photos, weights)
    project.set(
        **{
            "train_scratch.epochs": 6,
            "train_scratch.batch": 40,  # each size of a batch is compiled anew
            "train_scratch.optimizer.learning_rate": 0.05,
            "train_scratch.network.convolutions": [{"filters": 4, "kernel": 3}],
            "train_vgg16.epochs": 2,
            "train_vgg16.batch": 40,
            "compare.bootstrap_resamples": 100,
            "search.scratch.rungs": [{"epochs": 2, "pixels": None}],
        }
    )
    np.save(project.folder / "looked_at.npy", photos[0][80:83])
    for place, picture in enumerate(photos[0][80:84]):
        Image.fromarray(picture).save(project.folder / f"{place}.png")
    command = "dogs_vs_cats.commands.main"
    predict = [command, "predict", *(f"{place}.png" for place in range(4)), "--model", "scratch", "--csv", "--engine"]
    explain = [command, "explain", "0.png", "--model", "scratch"]
    commands = [[f"stages.{stage}", *options.split()] for stage, options in STAGES.items()]
    commands += [[*predict, "tensorflow"], [*predict, "ncnn"], explain]
    printed = run(project, "-c", RUNNING + LOOKING + RESUMING, json.dumps(commands))
    *_, by_backend, by_ncnn, _, looked, resumed = printed.split("ran:\n")
    undisturbed, killed, gone_on, on_gpu, waits, told = json.loads(resumed)
    assert [line.partition(";")[0] for line in told] == [
        "batch is 7: too much for the memory of this machine",
        "the loss was not a number in epoch 1",
    ]
    assert killed is None
    assert gone_on == undisturbed
    assert on_gpu == undisturbed  # with the arrays where a GPU's memory would be
    assert not waits  # for each batch's metrics, before it gives the device the next one
    comparison = json.loads((project.folder / "reports/comparison.json").read_text())
    for kind in ("scratch", "vgg16"):
        history = pd.read_csv(project.folder / f"reports/{kind}/history.csv")
        assert np.isfinite(history.drop(columns="kept").to_numpy(float)).all()
        assert history["val_log_loss"].iloc[-1] < 1
    # Brighter above or below is soon learned.
    assert comparison["models"]["scratch"]["accuracy"] > 0.8
    said, expected = (
        [float(line.split(",")[3]) for line in printed.splitlines()[1:]] for printed in (by_backend, by_ncnn)
    )
    assert len(said) == 4
    assert said == pytest.approx(expected, abs=1e-3)
    assert {file.suffix for file in (project.folder / "reports/explain/0").iterdir()} == {".png"}
    assert "1 finished, 0 pruned, 0 failed" in project.run("scratch", "--trials", "1")
    assert math.isfinite(optuna.load_study(study_name="scratch", storage=project.storage).best_value)
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    for tracked in client.search_runs(["1"]):
        assert tracked.info.status == "FINISHED"
        assert tracked.data.tags["backend"] == backend
        assert {backend, "device", "cpu"} < tracked.data.tags.keys()
        assert "tensorflow" not in tracked.data.tags
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())  # as this process has it
    network = load_predictor(project.folder / "models/scratch.weights.h5").open(project.folder / BACKBONE_WEIGHTS)
    evidence, probabilities = grad_cam(network, photos[0][80:83])
    # Below it is what Keras prints where a loss is no number.
    their_evidence, their_probabilities = json.loads(looked.splitlines()[0])
    np.testing.assert_allclose(their_evidence, evidence, rtol=1e-3, atol=1e-3 * float(np.abs(evidence).max()))
    np.testing.assert_allclose(their_probabilities, probabilities, atol=1e-4)


@pytest.mark.parametrize(
    ("backend", "absent", "told"),
    [
        ("jx", (), "KERAS_BACKEND is 'jx': choose tensorflow, jax or torch"),
        (
            "jax",
            ("jax", "torch"),
            "JAX is not installed for .*; run pip install jax, or set KERAS_BACKEND=tensorflow",
        ),
        ("torch", ("jax", "torch", "tensorflow"), "PyTorch is not installed for .*; run pip install torch\n"),
        ("tensorflow", ("jax", "torch", "tensorflow"), "TensorFlow is not installed for .*; run make setup\n"),
    ],
)
def test_a_backend_that_is_not_there_is_told_in_one_line(
    backend: str, absent: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, tmp_path / "absent", backend, *absent)
    project = Project(tmp_path)
    code = "from dogs_vs_cats.cli import run; from dogs_vs_cats.runtime import import_backend; run(import_backend)"
    printed = run(project, "-c", code, status=1)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert re.search(told, printed), printed


def test_images_of_the_same_size_are_resampled_as_keras_does() -> None:
    images = np.random.default_rng(1).uniform(0, 255, (3, 24, 20, 3)).astype(np.float32)
    transforms = RandomAffine(30, 0.4, flip=True, seed=1)._transforms(3, 24, 20)
    expected = keras.ops.image.affine_transform(images, transforms, "bilinear", "nearest")
    found = affine_transform(keras.ops.convert_to_tensor(images), transforms, "float32")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), keras.ops.convert_to_numpy(expected), atol=1e-3)
