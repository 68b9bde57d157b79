"""The decoded photos on disk: one memory-mapped array a split, read by everything after the decode stage."""

import json
import math
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import reserve, whole_file
from dogs_vs_cats.settings.sections import Resampling

REPAIR = "make it again with: dvc repro -f decode"

# Bytes: macOS refuses to write 2 GB in one call.
_MOST_AT_ONCE = 2**30


@dataclass(frozen=True)
class Split:
    """The photos of one split.

    Attributes:
        images: (n, size, size, 3) uint8, RGB, memory-mapped and read-only.
        labels: (n,) uint8, 0 or 1, the position in the data set's classes; None for unlabelled photos.
        files: the photos' files, relative to the images folder.
    """

    images: np.ndarray
    labels: np.ndarray | None
    files: list[str]


@dataclass(frozen=True)
class Dataset:
    """What the arrays were made from.

    Attributes:
        source: ``download.source`` of the photos.
        classes: the two classes; the second is the positive one.
        unlabelled_rejected: ids of the unlabelled photos that do not decode.
        size: pixels a side of the decoded photos.
        digest: SHA-256 of the images folder's index, 64 hex digits.
        counts: photos in each split that has any.
        resampling: how the photos were resized; Lanczos where arrays of an older version do not say.
    """

    source: str
    classes: list[str]
    unlabelled_rejected: list[str]
    size: int
    digest: str
    counts: dict[str, int]
    resampling: Resampling = "lanczos"

    @property
    def article_comparable(self) -> bool:
        """Whether results on these photos can be compared with the article's."""
        return self.source != "drawn" and self.classes == ["cats", "dogs"]


def has_split(arrays: Path, name: str) -> bool:
    """Whether there are photos in a split.

    Args:
        arrays: the folder the decode stage left.
        name: train, validation, test or unlabelled.
    """
    return _images_file(arrays, name).exists()


def open_split(arrays: Path, name: str) -> Split:
    """Open a split's decoded photos; they are read from disk as they are used.

    Args:
        arrays: the folder the decode stage left.
        name: train, validation, test or unlabelled.

    Returns:
        Images, labels and files in one order.

    Raises:
        WorkflowError: if a file is missing or damaged, or does not fit the others.
    """
    path = _images_file(arrays, name)
    images = _open_array(path)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:  # noqa: PLR2004
        raise WorkflowError(f"{path}: holds {images.dtype} {images.shape}, not uint8 (n, size, size, 3); {REPAIR}")
    labels = None
    if name != "unlabelled":
        labels_path = arrays / f"{name}_labels.npy"
        labels = np.array(_open_array(labels_path))
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise WorkflowError(f"{labels_path}: not one label for each of {len(images)} photos; {REPAIR}")
    files_path = arrays / f"{name}_files.txt"
    try:
        files = files_path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        raise WorkflowError(f"{files_path}: missing or damaged; {REPAIR}") from None
    if len(files) != len(images):
        raise WorkflowError(f"{files_path}: {len(files)} files for {len(images)} photos; {REPAIR}")
    return Split(images, labels, files)


def write_files(arrays: Path, name: str, files: Iterable[str], labels: Iterable[int] | None) -> None:
    """Write what belongs to a split beside its images.

    Args:
        arrays: the folder.
        name: train, validation, test or unlabelled.
        files: the photos' files, in the images' order.
        labels: their classes as 0 or 1; None for unlabelled photos.
    """
    with (arrays / f"{name}_files.txt").open("w", encoding="utf-8") as list_:
        list_.writelines(f"{file}\n" for file in files)
    if labels is not None:
        np.save(arrays / f"{name}_labels.npy", np.fromiter(labels, dtype=np.uint8))


def read_dataset(arrays: Path) -> Dataset:
    """Read what the arrays were made from.

    Raises:
        WorkflowError: if that is missing or damaged.
    """
    path = arrays / "dataset.json"
    try:
        return Dataset(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        raise WorkflowError(f"{path}: missing or damaged; {REPAIR}") from None


def write_dataset(arrays: Path, dataset: Dataset) -> None:
    """Write what the arrays were made from."""
    (arrays / "dataset.json").write_text(json.dumps(asdict(dataset), indent=2) + "\n", encoding="utf-8")


class ArrayFile:
    """A ``.npy`` file to fill: rows are assigned to it as to an array, and written at once.

    Not mapped into memory: what is written never counts as this process's memory, no page is faulted in for it, and a
    full disk is an error rather than the process's end.

    Attributes:
        path: of the file; another process may open it there too, by ``open_array_file``.
        shape: of the array.
        dtype: of the array.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        empty = np.lib.format.open_memmap(path, mode="r")
        self.path = path
        self.shape = empty.shape
        self.dtype = empty.dtype
        self._offset = empty.offset
        self._descriptor = descriptor

    def __setitem__(self, rows: int | slice, values: ArrayLike) -> None:
        """Write rows.

        Args:
            rows: which; a slice is of rows that follow one another.
            values: theirs, cast to the file's type and broadcast to the rows' shape.

        Raises:
            IndexError: if there is no such row, or the slice has a step.
            ValueError: if the values do not fit.
            OSError: if the disk has no room for them.
        """
        start, shape = self._place(rows)
        data = np.asarray(values, self.dtype)
        if data.shape != shape:
            data = np.broadcast_to(data, shape)
        left = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
        at = self._offset + start * math.prod(self.shape[1:]) * self.dtype.itemsize
        while len(left):
            written = os.pwrite(self._descriptor, left[:_MOST_AT_ONCE], at)
            left, at = left[written:], at + written

    def sync(self) -> None:
        """Wait until what was written is on the disk: else it is in the system's memory for half a minute or so."""
        os.fsync(self._descriptor)

    def _place(self, rows: int | slice) -> tuple[int, tuple[int, ...]]:
        """The first row, and the shape of what is assigned."""
        count, *others = self.shape
        if isinstance(rows, slice):
            start, stop, step = rows.indices(count)
            if step == 1:
                return start, (max(0, stop - start), *others)
        elif 0 <= rows < count:
            return rows, tuple(others)
        raise IndexError(f"{rows}: not rows that follow one another, of {count}")


@contextmanager
def create_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[ArrayFile]:
    """An array on disk to fill, moved to ``path`` when the block ends well and removed when it does not.

    Args:
        path: the ``.npy`` file to make.
        shape: of the array, at least one element.
        dtype: of the array.

    Yields:
        The array, zero until written.

    Raises:
        OSError: with the file's name, if the disk has no room for it.
    """
    with whole_file(path) as partial:
        header = np.lib.format.open_memmap(partial, mode="w+", dtype=np.dtype(dtype), shape=shape).offset
        reserve(partial, header)
        with open_array_file(partial) as array:
            yield array


@contextmanager
def open_array_file(path: Path) -> Iterator[ArrayFile]:
    """Open an array that ``create_array`` has made and that is being filled: other processes write rows of it too."""
    with path.open("r+b") as file:
        yield ArrayFile(path, file.fileno())


def release(array: np.ndarray) -> None:
    """Drop a memory-mapped array's pages from this process's memory; what was written stays in the file.

    Args:
        array: a memory-mapped array, or a view of one; any other array is left as it is.
    """
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def _images_file(arrays: Path, name: str) -> Path:
    return arrays / f"{name}_images.npy"


def _open_array(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise WorkflowError(f"{path}: missing; {REPAIR}") from None
    except (ValueError, EOFError) as error:
        raise WorkflowError(f"{path}: truncated or damaged ({error}); {REPAIR}") from None
    return array
