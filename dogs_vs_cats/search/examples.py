"""What trials are trained on: the arrays and features that the workflow left, cut down once for smaller trials."""

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import read_dataset, release
from dogs_vs_cats.data.decoding.index import INDEX, read_index
from dogs_vs_cats.data.examples import Examples, Parts, open_images
from dogs_vs_cats.data.scaling import digest, keep_rows, scale
from dogs_vs_cats.data.splits.splitting import assign_splits, group_duplicates
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.paths import ARRAYS, IMAGES, Prepared
from dogs_vs_cats.search.plan import Fidelity, Kind
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.photo_settings import SplitSettings
from dogs_vs_cats.settings.sections import Resampling
from dogs_vs_cats.training.weighting import class_weights

_LEARNED = ("train", "validation")


class Rows:
    """Rows of several arrays as those of one, read as they are asked for.

    Args:
        arrays: (n, ...), alike but for their lengths, usually memory-mapped.
        where: (m,) the rows, counted through all arrays.
    """

    def __init__(self, arrays: Sequence[NDArray[Any]], where: NDArray[np.int64]) -> None:
        self._arrays, self._where = arrays, where
        self._starts = np.cumsum([0, *map(len, arrays)])
        self.shape, self.dtype = (len(where), *arrays[0].shape[1:]), arrays[0].dtype

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, key: int | slice | NDArray[np.int64]) -> NDArray[Any]:
        rows = np.arange(len(self))[key]
        return self.take(rows) if rows.ndim else self.take(rows[np.newaxis])[0]

    def take(
        self,
        rows: NDArray[np.int64],
        axis: Literal[0] = 0,  # noqa: ARG002 - what numpy.take passes on
        out: NDArray[Any] | None = None,
        mode: str = "raise",  # noqa: ARG002 - likewise
    ) -> NDArray[Any]:
        """Read rows, for ``numpy.take`` too; into an array where one is given."""
        wanted = self._where[rows]
        taken = np.empty((len(wanted), *self.shape[1:]), self.dtype) if out is None else out
        for start, source in zip(self._starts, self._arrays, strict=False):
            here = (start <= wanted) & (wanted < start + len(source))
            taken[here] = source[wanted[here] - start]
            release(source)
        return taken


def open_parts(kind: Kind, root: Path, settings: Settings, fidelity: Fidelity, anew: int | None = None) -> Parts:
    """The training and the validation part, at a study's fidelity.

    Where a study wants fewer photos or smaller ones, the first process that opens them writes them to ``data/search``,
    and all map that into memory.

    Args:
        kind: images for scratch, features for vgg16.
        root: the project's folder.
        settings: ``params.yaml``.
        fidelity: how many photos, and how large.
        anew: seed of another split of the training and validation photos; None: theirs.

    Raises:
        WorkflowError: if what the workflow left is missing or does not fit.
    """
    model, prepared = KINDS[kind], Prepared.of(root)
    dataset = model.check_prepared(settings, prepared)
    images = fidelity.images
    total = dataset.counts["train"]
    if images is not None and images > total:
        raise WorkflowError(f"--images {images}: there are {total} training photos; use {total} or fewer")
    share = 1.0 if images is None else images / total
    parts, description = [], model.of(settings, prepared)
    size = fidelity.size if fidelity.size != description.side else None
    if size is not None and size > description.side:
        raise WorkflowError(
            f"--size {size}: the network sees photos of {description.side} pixels; use {description.side} or less"
        )
    redrawn = None if anew is None else _split_anew(description, root, settings, anew)
    for split in _LEARNED:
        examples = description.examples(prepared, split) if redrawn is None else redrawn[split]
        source, where = examples.inputs, chosen(examples.labels, share, settings.search.seed)
        bottleneck = [settings.bottleneck.backbone, str(settings.bottleneck.scaling)]
        made_from = [kind, dataset.digest, settings.decode.resampling, *bottleneck, source.shape[1:], images, size]
        made_from += [] if anew is None else ["split anew", anew, settings.split.near_duplicate_bits]
        inputs = source
        if len(where) < len(source) or size is not None:
            place = root / "data" / "search" / digest(made_from) / f"{split}.npy"
            shape = source.shape[1:] if size is None else (size, size, 3)
            inputs = keep_rows(place, source, shape, _change(size, settings.decode.resampling), where)
        parts.append(Examples(inputs, examples.labels[where]))
    opened = Parts(parts[0], parts[1], description.classes)
    class_weights(model.training_settings(settings), opened)  # a wrong name is told before there is a trial
    return opened


def _split_anew(description: Description, root: Path, settings: Settings, seed: int) -> dict[str, Examples]:
    """Split the photos of training and validation again, in the same shares."""
    prepared = Prepared.of(root)
    labels = [open_images(prepared.arrays, split).labels for split in _LEARNED]
    split = settings.split.model_copy(update={"validation": len(labels[1]) / sum(map(len, labels)), "seed": seed})
    learned, judged = draw_split(root, np.concatenate(labels), split)
    views = [
        description.view_inputs(prepared, name) if description.mirrors else [description.inputs(prepared, name)]
        for name in _LEARNED
    ]
    arrays, copies = [view for pair in zip(*views, strict=True) for view in pair], len(views[0])
    total, found = sum(map(len, labels)), np.tile(np.concatenate(labels), copies)
    everything = np.concatenate([learned + view * total for view in range(copies)])
    return {
        name: Examples(cast("NDArray[Any]", Rows(arrays, where)), found[where], times)
        for name, where, times in (("train", everything, copies), ("validation", judged, 1))
    }


def draw_split(root: Path, labels: NDArray[np.uint8], split: SplitSettings) -> tuple[NDArray[np.int64], ...]:
    """Draw a split of the photos of training and validation, as the split stage does: duplicates together.

    Args:
        root: the project's folder.
        labels: (n,) of the training photos, then of the validation photos.
        split: the ``split`` section with the share of validation and the seed that are wanted.

    Returns:
        Which are for training and which for validation, ascending.

    Raises:
        WorkflowError: if the images folder is missing, or the arrays are not made from it.
    """
    dataset, hashes = read_dataset(root / ARRAYS), {name: array("Q") for name in _LEARNED}
    for photo in read_index(root / IMAGES):
        if photo.split in hashes:
            hashes[photo.split].append(photo.fingerprint.perceptual_hash)
    if digest_of(root / IMAGES / INDEX) != dataset.digest:
        raise WorkflowError(f"{IMAGES}: not the photos that {ARRAYS} were decoded from; run dvc repro decode")
    groups = group_duplicates(np.concatenate([np.array(hashes[name]) for name in _LEARNED]), split.near_duplicate_bits)
    names = [dataset.classes[label] for label in labels]
    parts = np.array([*assign_splits(names, groups, split.model_copy(update={"images": None, "test": 0.0}))])
    return tuple(np.flatnonzero(parts == name) for name in _LEARNED)


def chosen(labels: NDArray[np.uint8], share: float, seed: int) -> NDArray[np.int64]:
    """Which examples a share of them are: as many of each class as the share says, ascending."""
    if share >= 1:
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    by_class = (np.flatnonzero(labels == label) for label in (0, 1))
    picked = [random.permutation(where)[: max(round(len(where) * share), 1)] for where in by_class]
    return np.sort(np.concatenate(picked))


def _change(size: int | None, resampling: Resampling) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda rows: rows if size is None else scale(rows, size, resampling)
