"""Photos decoded into an array: by threads or processes alike, and what is said when one can't be."""

import os
import signal
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.decoding import into_arrays
from dogs_vs_cats.decoding.into_arrays import decode_files, workers_for
from dogs_vs_cats.processes import worker_processes
from dogs_vs_cats.workflow.errors import WorkflowError
from dogs_vs_cats.workflow.settings import DecodeSettings

SETTINGS = DecodeSettings(size=16, resampling="lanczos")
COUNT = 300


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pictures, each another one."""
    folder = tmp_path_factory.mktemp("photos")
    values = np.random.default_rng(2).integers(0, 256, (COUNT, 20, 30, 3), np.uint8)
    for number, pixels in enumerate(values):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def _files() -> list[str]:
    return [f"{number}.png" for number in range(COUNT)]


def _expected(photos: Path) -> list[np.ndarray]:
    opened = [Image.open(photos / file) for file in _files()]
    return [np.asarray(image.resize((16, 16), Image.Resampling.LANCZOS)) for image in opened]


@pytest.mark.parametrize(("many", "here"), [(COUNT + 1, True), (COUNT, False)])
def test_few_photos_by_threads_and_many_by_processes_are_the_same(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int, here: bool
) -> None:
    monkeypatch.setattr(into_arrays, "MANY", many)
    with workers_for(COUNT) as (submit, workers):
        assert (submit(os.getpid).result() == os.getpid()) == here
        decode_files(_files(), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, workers)
    assert np.array_equal(np.load(tmp_path / "images.npy"), _expected(photos))
    assert [path.name for path in tmp_path.iterdir()] == ["images.npy"]


@pytest.mark.parametrize("workers", [1, 3, 100])
def test_the_number_of_workers_changes_nothing(photos: Path, tmp_path: Path, workers: int) -> None:
    with workers_for(1) as (submit, _):
        decode_files(iter(_files()), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, workers)
    assert np.array_equal(np.load(tmp_path / "images.npy"), _expected(photos))


def test_no_more_calls_are_made_than_a_few_ahead(photos: Path, tmp_path: Path) -> None:
    made: list[Future[Any]] = []

    def submit(function: Any, *values: Any) -> Future[Any]:
        made.append(Future())
        if len(made) > 5:
            raise AssertionError("a call too many")
        if len(made) == 5:  # no call has ended yet
            made[0].set_exception(WorkflowError("waited for"))
        return made[-1]

    with pytest.raises(WorkflowError, match="waited for"):
        decode_files(_files(), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, 2)
    assert len(made) == 5
    assert not list(tmp_path.iterdir())


def test_a_process_names_the_photo_that_it_cannot_decode(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    with (
        pytest.raises(WorkflowError, match=r"text\.png: not a picture; .*dvc repro -f split"),
        worker_processes(1) as submit,
    ):
        decode_files(["text.png", "missing.png"], 2, tmp_path, tmp_path / "images.npy", SETTINGS, submit, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]


def test_a_process_that_dies_is_one_error_and_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    with worker_processes(1) as submit:
        os.kill(submit(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(WorkflowError, match="process that decodes photos died"):
            decode_files(_files(), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, 1)
    assert not list(tmp_path.iterdir())
