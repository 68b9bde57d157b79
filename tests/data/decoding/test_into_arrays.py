"""Photos decoded into an array by processes: each in its row, and what is said when one can't be."""

import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.decoding.into_arrays import decode_files
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.processes import Submit, worker_processes
from dogs_vs_cats.settings.photo_settings import DecodeSettings

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


class Calls:
    """Calls that end when they are told to, and what was handed to them."""

    def __init__(self) -> None:
        self.made: list[Future[Any]] = []
        self.files: list[list[str]] = []

    def submit(self, *call: Any, **_: Any) -> Future[Any]:
        self.made.append(Future())
        self.files.append(call[4])
        if len(self.made) == 5:  # none has ended yet
            self.made[0].set_exception(WorkflowError("waited for"))
        return self.made[-1]


@pytest.mark.parametrize(("count", "most"), [(30, 1), (300, 10), (5000, 64)])
def test_few_photos_are_handed_over_at_once_and_few_calls_made_ahead(tmp_path: Path, count: int, most: int) -> None:
    calls, files = Calls(), [f"{number}.png" for number in range(count)]
    with pytest.raises(WorkflowError, match="waited for"):
        decode_files(files, count, tmp_path, tmp_path / "images.npy", SETTINGS, calls.submit, 2)
    assert len(calls.made) == 5
    assert {len(handed) for handed in calls.files} == {most}
    assert [*chain.from_iterable(calls.files)] == files[: 5 * most]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("count", "said"), [(COUNT - 1, "more"), (COUNT + 1, "fewer")])
def test_another_number_of_photos_than_was_said_is_an_error(
    photos: Path, tmp_path: Path, submit: Submit, count: int, said: str
) -> None:
    with pytest.raises(ValueError, match=f"{said} photos than {count}"):
        decode_files(_files(), count, photos, tmp_path / "images.npy", SETTINGS, submit, 2)
    assert not list(tmp_path.iterdir())


def test_a_process_names_the_photo_that_it_cannot_decode(tmp_path: Path, submit: Submit) -> None:
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(WorkflowError, match=r"text\.png: not a picture; .*dvc repro -f split"):
        decode_files(["text.png", "missing.png"], 2, tmp_path, tmp_path / "images.npy", SETTINGS, submit, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]


def test_a_process_that_dies_is_one_error_and_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    with worker_processes(1) as submit:
        os.kill(submit(os.getpid).result(), signal.SIGKILL)
        with pytest.raises(WorkflowError, match="decoding images: a process died"):
            decode_files(_files(), COUNT, photos, tmp_path / "images.npy", SETTINGS, submit, 1)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_is_an_error_that_names_the_file(photos: Path, tmp_path: Path) -> None:
    target = tmp_path / "images.npy"
    with worker_processes(1) as submit:
        submit(resource.setrlimit, resource.RLIMIT_FSIZE, (10_000, 10_000)).result()
        with pytest.raises(OSError, match="too large") as caught:
            decode_files(_files(), COUNT, photos, target, SETTINGS, submit, 1)
    assert caught.value.filename == str(target)
    assert not list(tmp_path.iterdir())
