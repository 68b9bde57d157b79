"""A project whose workflow has run: tiny arrays and features that a network can learn from."""

import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import chdir, closing, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest.mock import patch

import matplotlib as mpl
import numpy as np
import optuna
import pytest
import yaml
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from dogs_vs_cats.data.arrays import Dataset, create_array, write_dataset, write_files
from dogs_vs_cats.data.decoding.index import INDEX, IndexedPhoto, write_index
from dogs_vs_cats.data.decoding.photos import Fingerprint
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.paths import BACKBONE_WEIGHTS, IMAGES
from dogs_vs_cats.search.command import main
from dogs_vs_cats.search.plan import Kind
from tests.conftest import ROOT, changed, users_environment
from tests.mlflow_server import put_database
from tests.vgg16 import random_tensors

COUNTS = {"train": 80, "validation": 40}


class Project:
    """A folder to search in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, kind: str, *options: str) -> "subprocess.Popen[str]":
        """Start a search in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "search" / f"optuna_{kind}.py"), *options],
            cwd=self.folder,
            env=users_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """Kill what a test that failed has left running."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def search(self, kind: Kind, *options: str, status: int | None = 0) -> str:
        """Run a search to its end in this process; return all that it printed. A status of None is any.

        The process that trials are forked from imports TensorFlow once for all searches of a process: most of what a
        search of few small trials takes is that.
        """
        printed, code = io.StringIO(), 0
        with (
            chdir(self.folder),
            patch.dict(os.environ, users_environment(), clear=True),
            patch.object(sys, "argv", [str(ROOT / "search" / f"optuna_{kind}.py"), *options]),
            redirect_stdout(printed),
            redirect_stderr(printed),
            warnings.catch_warnings(),
            mpl.rc_context(),  # Optuna changes the style of all figures
        ):
            warnings.simplefilter("ignore")  # as in a process of its own
            try:
                main(kind)
            except SystemExit as ended:
                code = int(ended.code or 0)
        assert status in (code, None), printed.getvalue()
        return printed.getvalue()

    def run(self, kind: Kind, *options: str, status: int = 0) -> str:
        """Run a search to its end in a process of its own, as users do; return all that it printed."""
        process = self.start(kind, *options)
        output, _ = process.communicate(timeout=400)
        assert process.returncode == status, output
        return output

    def set(self, **changes: object) -> None:
        """Change settings."""
        file = self.folder / "params.yaml"
        file.write_text(yaml.safe_dump(changed(yaml.safe_load(file.read_text()), **changes), sort_keys=False))

    def trials(self, study: str) -> list[FrozenTrial]:
        """The study's trials; none before there is one."""
        storage = self.folder / "optuna.db"
        if not storage.exists():
            return []
        with (
            closing(sqlite3.connect(f"file:{storage}?mode=ro", timeout=60, uri=True)) as database,
            suppress(sqlite3.Error),
        ):
            # Optuna would make the tables where they are missing, at the same time as the search does.
            if database.execute("SELECT 1 FROM alembic_version, studies WHERE study_name = ?", [study]).fetchone():
                return optuna.load_study(study_name=study, storage=self.storage).trials
        return []

    @property
    def storage(self) -> str:
        """Where its studies are."""
        return f"sqlite:///{self.folder}/optuna.db"


@pytest.fixture(scope="session")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """VGG16's weights, random."""
    path = tmp_path_factory.mktemp("weights") / "vgg16.weights.h5"
    write_weights(random_tensors(), path)
    return path


def prepare(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], weights: Path) -> Project:
    """Write arrays of 32x32 pictures, features of the shape that VGG16 gives for them, and the settings."""
    arrays, features = folder / "data" / "arrays", folder / "data" / "features"
    (folder / IMAGES).mkdir(parents=True)
    hashes, listed = np.random.default_rng(5).integers(2**63, size=len(labels)).tolist(), []
    start = 0
    for split, count in COUNTS.items():
        where = slice(start, start + count)
        start += count
        with create_array(arrays / f"{split}_images.npy", images[where].shape, np.uint8) as array:
            array[:] = images[where]
        files = [f"{split}/{row:02}.jpg" for row in range(count)]
        write_files(arrays, split, files, labels[where].tolist())
        for file, label, perceptual_hash in zip(files, labels[where], hashes[where], strict=True):
            listed.append(
                IndexedPhoto(file, ("cats", "dogs")[label], split, Fingerprint("0" * 64, perceptual_hash, 32, 32))
            )
        told = np.random.default_rng(3).normal(size=(count, 1, 1, 512)) + labels[where][:, None, None, None]
        with create_array(features / f"{split}.npy", (count, 1, 1, 512), np.float32) as array:
            array[:] = told
    write_index(folder / IMAGES, listed)
    write_dataset(arrays, Dataset("drawn", ["cats", "dogs"], [], 32, digest_of(folder / IMAGES / INDEX), COUNTS))
    shutil.copy(ROOT / "params.yaml", folder / "params.yaml")
    (folder / BACKBONE_WEIGHTS).parent.mkdir()
    (folder / BACKBONE_WEIGHTS).symlink_to(weights)
    put_database(folder)
    project = Project(folder)
    project.set(**{"decode.size": 32})
    return project


@pytest.fixture
def project(tmp_path: Path, photos: tuple[NDArray[np.uint8], NDArray[np.uint8]], vgg16: Path) -> Iterator[Project]:
    """A project with settings for short trials."""
    project = prepare(tmp_path, *photos, vgg16)
    project.set(
        **{
            "search.heartbeat_seconds": 5,
            "train_scratch.epochs": 2,
            "search.scratch.space.filters": [4, 32, 64],
            "search.scratch.space.convolutions": {"low": 1, "high": 3},
            "search.scratch.space.width": [8, 16],
            "train_vgg16.epochs": 2,
        }
    )
    yield project
    project.stop()
