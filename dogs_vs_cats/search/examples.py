"""What trials are trained on: the arrays and features that the workflow left, cut down once for smaller trials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.data.scaling import digest, keep_rows, scale
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.search.plan import Fidelity, Kind
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.sections import Resampling
from dogs_vs_cats.training.weighting import class_weights


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
    share = 1.0 if images is None else images / total
    parts, description = [], model.of(settings, prepared)
    size = fidelity.size if fidelity.size != description.side else None
    if size is not None and size > description.side:
        raise WorkflowError(
            f"--size {size}: the network sees photos of {description.side} pixels; use {description.side} or less"
        )
    for split in ("train", "validation"):
        examples = description.examples(prepared, split)
        source, where = examples.inputs, chosen(examples.labels, share, settings.search.seed)
        bottleneck = [settings.bottleneck.backbone, str(settings.bottleneck.scaling)]
        made_from = [kind, dataset.digest, settings.decode.resampling, *bottleneck, source.shape[1:], images, size]
        inputs = source
        if len(where) < len(source) or size is not None:
            place = root / "data" / "search" / digest(made_from) / f"{split}.npy"
            shape = source.shape[1:] if size is None else (size, size, 3)
            inputs = keep_rows(place, source, shape, _change(size, settings.decode.resampling), where)
        parts.append(Examples(inputs, examples.labels[where]))
    opened = Parts(parts[0], parts[1], description.classes)
    class_weights(model.training_settings(settings), opened)  # a wrong name is told before there is a trial
    return opened


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
