"""Photos decoded into an array by processes: each in its row, and what is said when one can't be."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.decoding.into_arrays import decode_files
from dogs_vs_cats.processes import Submit, worker_processes
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


@pytest.fixture(scope="module")
def submit() -> Iterator[Submit]:
    """Two worker processes for all tests."""
    with worker_processes(2) as submit:
        yield submit


@pytest.mark.parametrize("workers", [1, 2, 100])
def test_each_photo_is_in_its_row_however_many_processes_there_are(
    photos: Path, tmp_path: Path, submit: Submit, workers: int
) -> None:
    decode_files(iter(_files()), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, workers)
    assert np.array_equal(np.load(tmp_path / "images.npy"), _expected(photos))
    assert [path.name for path in tmp_path.iterdir()] == ["images.npy"]


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


def test_a_process_names_the_photo_that_it_cannot_decode(tmp_path: Path, submit: Submit) -> None:
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(WorkflowError, match=r"text\.png: not a picture; .*dvc repro -f split"):
        decode_files(["text.png", "missing.png"], 2, tmp_path, tmp_path / "images.npy", SETTINGS, submit, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]


def test_a_process_that_dies_is_one_error_and_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    with worker_processes(1) as submit:
        os.kill(submit(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(WorkflowError, match="process that decodes photos died"):
            decode_files(_files(), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, 1)
    assert not list(tmp_path.iterdir())
