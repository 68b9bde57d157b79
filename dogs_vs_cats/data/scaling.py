"""Photos as a model sees them: the stored ones scaled once to its size, and kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import create_array, open_split, read_dataset, release
from dogs_vs_cats.settings.sections import Resampling

_ROWS = 256
"""Rows written at a time."""


def scale(photos: NDArray[np.uint8], size: int, resampling: Resampling) -> NDArray[np.uint8]:
    """Scale photos, with antialiasing.

    Args:
        photos: (n, height, width, 3) RGB.
        size: pixels a side of the result.
        resampling: Pillow's filter.

    Returns:
        (n, size, size, 3); the photos themselves where they are of that size.
    """
    if photos.shape[1:3] == (size, size):
        return photos
    from PIL import Image

    from dogs_vs_cats.data.decoding.photos import squash

    return np.stack([squash(Image.fromarray(photo), size, resampling) for photo in photos])


def open_scaled(arrays: Path, split: str, size: int | None) -> NDArray[np.uint8]:
    """Open a split's photos at a size, memory-mapped.

    The first process that wants them at another size than the stored one writes them to ``scaled/`` beside the arrays.

    Args:
        arrays: the folder that the decode stage left.
        split: train, validation, test or unlabelled.
        size: pixels a side; None: as stored.

    Returns:
        (n, size, size, 3) RGB.

    Raises:
        WorkflowError: if the arrays are missing or damaged.
    """
    photos = open_split(arrays, split).images
    if size is None or photos.shape[1] == size:
        return photos
    dataset = read_dataset(arrays)
    made_from = [dataset.digest, dataset.size, dataset.resampling, size]
    place = arrays.parent / "scaled" / digest(made_from) / f"{split}.npy"
    return keep_rows(place, photos, (size, size, 3), lambda rows: scale(rows, size, dataset.resampling))


def digest(facts: Sequence[object]) -> str:
    """Return 16 hexadecimal digits that name what arrays were made from."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def keep_rows(
    path: Path,
    source: NDArray[Any],
    shape: tuple[int, ...],
    change: Callable[[NDArray[Any]], NDArray[Any]],
    where: NDArray[np.int64] | None = None,
) -> NDArray[Any]:
    """Write an array made from rows of another, where no process has done so yet, and open it.

    Args:
        path: the ``.npy`` file.
        source: (n, ...), usually memory-mapped.
        shape: of a row of the result.
        change: makes rows of the result from rows of the source.
        where: which rows of the source, ascending; None: all.

    Returns:
        (rows, *shape), memory-mapped and read-only.
    """
    rows = np.arange(len(source)) if where is None else where
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            with create_array(path, (len(rows), *shape), source.dtype) as array:
                for start in range(0, len(rows), _ROWS):
                    array[start : start + _ROWS] = change(np.asarray(source[rows[start : start + _ROWS]]))
                    release(source)
                # Unlike what DVC keeps, this is taken for whole because it is there, after a power failure too.
                array.sync()
    made: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return made
