"""Arrays on disk: whole or absent, read back as written, refused when damaged."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.data.arrays import (
    Dataset,
    create_array,
    has_split,
    open_split,
    read_dataset,
    release,
    write_dataset,
    write_files,
)
from dogs_vs_cats.errors import WorkflowError

ROOT = Path(__file__).parents[2]
REAL = Dataset("zip", ["cats", "dogs"], ["17"], 150, "0" * 64, {"train": 5})


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """A folder with five training photos of 4x4 pixels."""
    with create_array(tmp_path / "train_images.npy", (5, 4, 4, 3), "uint8") as images:
        images[:] = np.arange(5, dtype=np.uint8)[:, None, None, None]
    write_files(tmp_path, "train", [f"train/cats/{number}.jpg" for number in range(5)], [0, 1, 0, 1, 1])
    write_dataset(tmp_path, REAL)
    return tmp_path


def test_a_split_is_read_back_in_one_order(arrays: Path) -> None:
    split = open_split(arrays, "train")
    assert split.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert split.labels is not None
    assert split.labels.tolist() == [0, 1, 0, 1, 1]
    assert split.files == [f"train/cats/{number}.jpg" for number in range(5)]


def test_images_stay_on_disk_and_cannot_be_changed(arrays: Path) -> None:
    images = open_split(arrays, "train").images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 1


def test_unlabelled_photos_have_no_labels(tmp_path: Path) -> None:
    with create_array(tmp_path / "unlabelled_images.npy", (1, 4, 4, 3), "uint8"):
        pass
    write_files(tmp_path, "unlabelled", ["unlabelled/1.jpg"], None)
    assert open_split(tmp_path, "unlabelled").labels is None


def test_only_splits_with_photos_are_there(arrays: Path) -> None:
    assert has_split(arrays, "train")
    assert not has_split(arrays, "test")


@pytest.mark.parametrize("name", ["train_images.npy", "train_labels.npy", "train_files.txt"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_a_damaged_split_names_the_file_and_its_repair(arrays: Path, name: str, damage: str) -> None:
    path = arrays / name
    if damage == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2 if damage == "truncated" else 0)
    with pytest.raises(WorkflowError, match=f"{name}: .*dvc repro -f decode"):
        open_split(arrays, "train")


@pytest.mark.parametrize("labels", [[0, 1], [0] * 6])
def test_labels_of_another_number_of_photos_are_refused(arrays: Path, labels: list[int]) -> None:
    write_files(arrays, "train", ["x"] * 5, labels)
    with pytest.raises(WorkflowError, match=r"train_labels\.npy: not one label for each of 5 photos"):
        open_split(arrays, "train")


def test_images_of_another_type_are_refused(arrays: Path) -> None:
    np.save(arrays / "train_images.npy", np.zeros((5, 4, 4, 3), dtype=np.float32))
    with pytest.raises(WorkflowError, match=r"train_images\.npy: holds float32"):
        open_split(arrays, "train")


def test_the_data_set_is_read_back(arrays: Path) -> None:
    assert read_dataset(arrays) == REAL


@pytest.mark.parametrize("text", [None, "", "[]", '{"source": "zip"}', '{"source"'])
def test_a_damaged_data_set_names_the_file_and_its_repair(arrays: Path, text: str | None) -> None:
    path = arrays / "dataset.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(WorkflowError, match=r"dataset\.json: .*dvc repro -f decode"):
        read_dataset(arrays)


@pytest.mark.parametrize(
    ("source", "classes", "comparable"),
    [("kaggle", ["cats", "dogs"], True), ("drawn", ["cats", "dogs"], False), ("zip", ["bees", "wasps"], False)],
)
def test_only_real_cats_and_dogs_are_comparable_with_the_article(
    source: str,
    classes: list[str],
    comparable: bool,
) -> None:
    assert Dataset(source, classes, [], 150, "0" * 64, {}).article_comparable is comparable


def test_an_array_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    with create_array(path, (10, 3), "float32") as array:
        array[:] = 1
        assert not path.exists()
    assert np.load(path).sum() == 30
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_an_array_that_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), create_array(tmp_path / "images.npy", (10, 3), "float32"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_array_takes_its_disk_space_at_once(tmp_path: Path) -> None:
    with create_array(tmp_path / "images.npy", (1000, 1000), "uint8"):
        (partial,) = tmp_path.iterdir()
        assert partial.stat().st_blocks * 512 >= 10**6


@pytest.mark.parametrize("fallocate", [True, False])
def test_an_array_without_room_is_an_error_that_names_the_file(tmp_path: Path, fallocate: bool) -> None:
    """In a process that may write a megabyte."""
    code = f"""
import os, pathlib, resource
if not {fallocate}:
    vars(os).pop("posix_fallocate", None)
from dogs_vs_cats.data.arrays import create_array
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    with create_array(pathlib.Path({str(tmp_path / "images.npy")!r}), (100, 2**20), "uint8") as array:
        array[:] = 1
except OSError as error:
    print(error.errno, error.filename)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == f"{errno.EFBIG} {tmp_path / 'images.npy'}\n", done.stderr
    assert not list(tmp_path.iterdir())


def test_room_is_taken_where_the_system_has_no_call_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with create_array(tmp_path / "images.npy", (3, 2**20), "uint8") as array:
        (partial,) = tmp_path.iterdir()
        assert partial.stat().st_blocks * 512 >= 3 * 2**20
        array[:] = 7
    assert (np.load(tmp_path / "images.npy") == 7).all()


def test_rows_are_assigned_as_to_an_array(tmp_path: Path) -> None:
    expected = np.zeros((6, 2, 3), np.float32)
    with create_array(tmp_path / "features.npy", expected.shape, "float32") as array:
        for target in (array, expected):
            target[4:] = np.arange(12).reshape(2, 3, 2).transpose(0, 2, 1)
            target[0] = 1
            target[2:3] = [[[5, 6, 7]]]
            target[5:5] = 9
            target[5:50] = [0.25, 2, 3]
    assert np.array_equal(np.load(tmp_path / "features.npy"), expected)


def test_a_written_file_is_the_one_that_numpy_saves(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (7, 3, 3, 3), np.uint8)
    np.save(tmp_path / "saved.npy", values)
    with create_array(tmp_path / "images.npy", values.shape, "uint8") as array:
        for row in reversed(range(7)):
            array[row] = values[row]
    assert (tmp_path / "images.npy").read_bytes() == (tmp_path / "saved.npy").read_bytes()


@pytest.mark.parametrize("rows", [5, -1, slice(0, 4, 2), slice(None, None, -1)])
def test_rows_that_are_not_there_or_do_not_follow_one_another_are_refused(tmp_path: Path, rows: int | slice) -> None:
    with (
        pytest.raises(IndexError, match="not rows that follow one another, of 5"),
        create_array(tmp_path / "images.npy", (5, 2), "uint8") as array,
    ):
        array[rows] = 1


@pytest.mark.parametrize(("rows", "shape"), [(0, (3,)), (slice(0, 2), (3, 2)), (slice(4, 9), (5, 2))])
def test_values_of_another_shape_are_refused(tmp_path: Path, rows: int | slice, shape: tuple[int, ...]) -> None:
    with (
        pytest.raises(ValueError, match="broadcast"),
        create_array(tmp_path / "images.npy", (5, 2), "uint8") as array,
    ):
        array[rows] = np.ones(shape)
    assert not list(tmp_path.iterdir())


def test_what_a_system_writes_in_parts_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, at: real(descriptor, data[:7], at))
    values = np.random.default_rng(1).normal(size=(4, 3))
    with create_array(tmp_path / "features.npy", (6, 3), "float64") as array:
        array[1:5] = values
        array.sync()
    assert np.array_equal(np.load(tmp_path / "features.npy")[1:5], values)
    assert not np.load(tmp_path / "features.npy")[[0, 5]].any()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see the memory in use")
def test_memory_does_not_grow_with_what_is_written_and_released_pages_leave_it(tmp_path: Path) -> None:
    with create_array(tmp_path / "images.npy", (64, 2**20), "uint8") as file:
        empty = _resident()
        for row in range(64):
            file[row] = 3
        assert _resident() - empty < 10 * 2**20

    array = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert (array == 3).all()
    full = _resident()
    release(array[5:])
    assert full - _resident() > 50 * 2**20
    assert (array == 3).all()


def test_release_leaves_other_arrays_alone() -> None:
    array = np.ones(5)
    release(array)
    assert array.sum() == 5
