"""To whom an unfinished training belongs, what it is told by, and when it is done with."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.models.kinds.scratch import ScratchModel
from dogs_vs_cats.settings.params import Settings, TrackingSettings
from dogs_vs_cats.tracking.operations import IDENTITY
from dogs_vs_cats.tracking.tracked_runs import client, end_abandoned
from dogs_vs_cats.training import checkpoints
from dogs_vs_cats.training.checkpoints import Checkpoint, identity_of, run_of


@pytest.fixture
def training(settings: Settings, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> tuple[Any, ...]:
    """A description, its settings and its examples."""
    images, labels = photos
    parts = Parts(Examples(images[:80], labels[:80]), Examples(images[80:], labels[80:]))
    description = ScratchModel(size=32, classes=("cats", "dogs"), network=settings.train_scratch.network)
    return description, settings.train_scratch, parts


def test_a_training_is_told_by_all_that_its_result_depends_on(training: tuple[Any, ...]) -> None:
    description, section, parts = training
    images = parts.training.inputs.copy()
    images[40, 0, 0, 0] ^= 1
    labels = parts.validation.labels.copy()
    labels[0] ^= 1
    others = [
        (description, section.model_copy(update={"epochs": 3}), parts),
        (description, section.model_copy(update={"class_weight": "balanced"}), parts),
        (description.model_copy(update={"resampling": "nearest"}), section, parts),
        (description, section, replace(parts, training=Examples(images, parts.training.labels))),
        (description, section, replace(parts, validation=Examples(parts.validation.inputs, labels))),
    ]
    identities = [identity_of(*each) for each in (training, *others)]
    assert len(set(identities)) == len(identities)
    assert identity_of(*training) == identities[0]


@pytest.mark.parametrize("of", ["backend", "keras", "device", "code"])
def test_a_training_of_another_library_device_or_code_is_another(
    training: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    before = identity_of(*training)
    if of == "device":
        monkeypatch.setattr(checkpoints, "device_tags", lambda: {"device": "another"})
    elif of == "code":
        package = Path(checkpoints.__file__).parent.parent
        shutil.copytree(package, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.setattr(checkpoints, "_PACKAGE", tmp_path / "package")
        assert identity_of(*training) == before
        with (tmp_path / "package" / "training" / "losses.py").open("a", encoding="utf-8") as file:
            file.write("# another\n")
    elif of == "backend":
        monkeypatch.setattr(checkpoints, "backend_version", lambda: "0")
    else:
        monkeypatch.setattr("keras.__version__", "0")
    assert identity_of(*training) != before


def test_a_second_training_of_the_same_keeps_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Checkpoint(tmp_path, "scratch", "a" * 16) as first, Checkpoint(tmp_path, "scratch", "a" * 16) as second:
        first.track_as("run")
        assert first.state == tmp_path / f"scratch-{'a' * 16}"
        assert (second.state, second.run, second.finished) == (None, None, False)
        second.track_as("another run")
        second.forget()
        assert first.run == "run"
    assert "another process trains the same" in capsys.readouterr().out
    with Checkpoint(tmp_path, "scratch", "a" * 16) as third:
        assert third.run == "run"


def test_a_finished_training_is_kept_until_dvc_has_recorded_it(tmp_path: Path) -> None:
    weights, lock = tmp_path / "scratch.weights.h5", tmp_path / "dvc.lock"
    weights.write_bytes(b"weights")
    with Checkpoint(tmp_path / "unfinished", "scratch", "a" * 16) as checkpoint:
        checkpoint.track_as("run")
        before = checkpoint.finished
        checkpoint.finish(weights)
        assert (before, checkpoint.finished) == (False, True)
        lock.write_text("md5: of something else", encoding="utf-8")
        checkpoint.forget_if_recorded(lock, tmp_path / "no.lock")
        assert checkpoint.finished
        lock.write_text("md5: 5f3bd6fbadf05d4f06a7bb5d6d4f3bf6", encoding="utf-8")  # of other weights
        checkpoint.forget_if_recorded(lock)
        assert checkpoint.finished
        lock.write_text(f"md5: {hashlib.md5(b'weights').hexdigest()}", encoding="utf-8")
        checkpoint.forget_if_recorded(lock)
        assert not checkpoint.folder.exists()
        after = checkpoint.finished
    assert not after


def test_unfinished_trainings_of_other_settings_are_found_unless_a_process_goes_on_with_them(tmp_path: Path) -> None:
    weights = tmp_path / "scratch.weights.h5"
    weights.write_bytes(b"weights")
    for identity in "bcd":
        with Checkpoint(tmp_path, "scratch", identity * 16) as other:
            other.track_as(f"run {identity}")
            if identity == "c":
                other.finish(weights)
    with Checkpoint(tmp_path, "vgg16", "e" * 16) as of_another_kind:
        of_another_kind.track_as("run e")
    with Checkpoint(tmp_path, "scratch", "d" * 16), Checkpoint(tmp_path, "scratch", "a" * 16) as checkpoint:
        (folder,) = checkpoint.abandoned()
        assert run_of(folder) == "run b"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's, with SQLAlchemy 2.1
def test_the_run_of_an_abandoned_training_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracking = TrackingSettings(uri=None, experiment="e", registered_model="m", timeout_seconds=1)
    mlflow = client(tracking, tmp_path)
    run = mlflow.create_run(mlflow.create_experiment("e")).info.run_id
    end_abandoned(tracking, tmp_path, run)
    assert mlflow.get_run(run).info.status == "KILLED"
    assert capsys.readouterr().out == ""
    # Killed before its id was known.
    unknown = mlflow.create_run("1", tags={IDENTITY: "abc"}).info.run_id
    end_abandoned(tracking, tmp_path, "unsent-abc")
    assert mlflow.get_run(unknown).info.status == "KILLED"
    # One that MLflow does not know, or does not answer for, stops no training.
    end_abandoned(tracking, tmp_path, "0" * 32)
    assert "of an abandoned training is not ended" in capsys.readouterr().out
