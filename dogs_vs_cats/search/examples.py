"""What trials are trained on: the arrays and features that the workflow left, cut down once for smaller trials."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import create_array, release
from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.search.plan import Fidelity, Kind
from dogs_vs_cats.settings.params import Settings

_ROWS = 256
"""Rows copied at a time."""


def open_parts(kind: Kind, root: Path, settings: Settings, fidelity: Fidelity) -> Parts:
    """The training and the validation part, at a study's fidelity.

    Where a study wants fewer photos or smaller ones, the first process that opens them writes them to ``data/search``,
    and all map that into memory.

    Args:
        kind: images for scratch, features for vgg16.
        root: the project's folder.
        settings: ``params.yaml``.
        fidelity: how many photos, and how large.
    """
    model, prepared = KINDS[kind], Prepared.of(root)
    dataset = model.check_prepared(settings, prepared)
    images = fidelity.images
    total = dataset.counts["train"]
    if images is not None and images > total:
        raise WorkflowError(f"--images {images}: there are {total} training photos; use {total} or fewer")
    size = fidelity.size if fidelity.size != dataset.size else None
    if size is not None and size > dataset.size:
        raise WorkflowError(
            f"--size {size}: the photos are decoded at {dataset.size} pixels; use {dataset.size} or less"
        )
    share = 1.0 if images is None else images / total
    parts, description = [], model.of(settings, prepared)
    for split in ("train", "validation"):
        examples = description.examples(prepared, split)
        source, where = examples.inputs, chosen(examples.labels, share, settings.search.seed)
        bottleneck = [settings.bottleneck.backbone, str(settings.bottleneck.scaling)]
        made_from = [kind, dataset.digest, settings.decode.resampling, *bottleneck, images, size]
        inputs = source
        if len(where) < len(source) or size is not None:
            inputs = _cut_down(source, where, size, settings.decode.resampling, root, split, made_from)
        parts.append(Examples(inputs, examples.labels[where]))
    return Parts(*parts)


def chosen(labels: NDArray[np.uint8], share: float, seed: int) -> NDArray[np.int64]:
    """Which examples a share of them are: as many of each class as the share says, ascending."""
    if share >= 1:
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    by_class = (np.flatnonzero(labels == label) for label in (0, 1))
    picked = [random.permutation(where)[: max(round(len(where) * share), 1)] for where in by_class]
    return np.sort(np.concatenate(picked))


def _cut_down(
    source: NDArray[Any],
    where: NDArray[np.int64],
    size: int | None,
    resampling: str,
    root: Path,
    split: str,
    made_from: Sequence[object],
) -> NDArray[Any]:
    name = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]
    path = root / "data" / "search" / name / f"{split}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _write(source, where, path, *_change(size, resampling))
    made: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return made


def _change(size: int | None, resampling: str) -> tuple[tuple[int, int] | None, Callable[[NDArray[Any]], NDArray[Any]]]:
    if size is None:
        return None, lambda rows: rows
    from PIL import Image

    from dogs_vs_cats.data.decoding.photos import squash

    def smaller(rows: NDArray[Any]) -> NDArray[Any]:
        return np.stack([squash(Image.fromarray(row), size, resampling) for row in rows])

    return (size, size), smaller


def _write(
    source: NDArray[Any],
    where: NDArray[np.int64],
    path: Path,
    sides: tuple[int, int] | None,
    change: Callable[[NDArray[Any]], NDArray[Any]],
) -> None:
    shape = (len(where), *(sides or source.shape[1:3]), *source.shape[3:])
    with create_array(path, shape, source.dtype) as array:
        for start in range(0, len(where), _ROWS):
            array[start : start + _ROWS] = change(np.asarray(source[where[start : start + _ROWS]]))
            release(source)
        # Unlike what DVC keeps, this is taken for whole because it is there, after a power failure too.
        array.sync()
