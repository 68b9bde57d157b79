"""Bottleneck features: every photo through the frozen backbone once, kept on disk."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dogs_vs_cats.data.arrays import create_array, release
from dogs_vs_cats.data.examples import Examples, open_images
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.ncnn.engine import NcnnPool, PooledParts, count_workers
from dogs_vs_cats.models.ncnn.networks import PARTS, Network, StackedNetwork, lite_network, vgg16_for_many
from dogs_vs_cats.models.pretrained.backbones import build_extractor, scaling_values
from dogs_vs_cats.models.pretrained.efficientnet_lite import LiteName
from dogs_vs_cats.models.pretrained.weights import read_tensors
from dogs_vs_cats.processes import worker_processes
from dogs_vs_cats.runtime import BACKENDS, backend, enough_memory, gpu_names, hide_gpus, import_backend
from dogs_vs_cats.settings.catalogue import BACKBONES, check_size
from dogs_vs_cats.settings.params import BottleneckSettings

Photos: TypeAlias = NDArray[np.uint8]
Features: TypeAlias = NDArray[np.float32]
Extract: TypeAlias = Callable[[Photos, Path], None]

_SAMPLE = 4  # photos on which ncnn must agree with TensorFlow
TOLERANCE = 1e-4
"""Share of the features' range by which an engine may differ from TensorFlow."""
_RELEASE_EVERY = 256  # photos, 17 MB of them at 150 pixels a side


# ---------------------------------------------------------------- the engines


def _reference(sample: Photos, weights: Path, settings: BottleneckSettings, *, without_gpu: bool) -> Features | None:
    """In a process of its own: Keras's features of the sample, by the CPU; None: it sees a GPU, and may use it."""
    if without_gpu:
        hide_gpus()
    import_backend()
    if not without_gpu and gpu_names():
        return None
    model = build_extractor(sample.shape[1], weights, settings)
    return np.asarray(model.predict_on_batch(sample.astype(np.float32)))


def _ask_tensorflow(
    sample: Photos, weights: Path, settings: BottleneckSettings, *, without_gpu: bool
) -> Features | None:
    """``_reference``, after which its hundreds of megabytes are free again."""
    try:
        with worker_processes(1) as submit:
            return submit(_reference, sample, weights, settings, without_gpu=without_gpu).result()
    except BrokenProcessPool:
        raise WorkflowError(
            f"{BACKENDS[backend()]}'s process died while computing features, most likely for want of memory; free some"
        ) from None


def pick_sample(photos: Photos) -> Photos:
    """Return a few photos on which an engine is tried, (at most 4, size, size, 3)."""
    positions = np.linspace(0, len(photos) - 1, min(_SAMPLE, len(photos))).astype(int)
    return np.array(photos[positions])


def difference(found: Features, reference: Features) -> float:
    """Return the largest difference of an engine's features of some photos from TensorFlow's, as a share of the range.

    Raises:
        ValueError: if their shapes differ.
    """
    if found.shape != reference.shape:
        raise ValueError(f"features of {found.shape} and {reference.shape}")
    span = max(float(np.ptp(reference)), float(np.finfo(np.float32).tiny))
    return float(np.max(np.abs(found - reference))) / span


def compare(found: Features, reference: Features) -> None:
    """Refuse an engine whose features are not TensorFlow's.

    Args:
        found: an engine's features of some photos.
        reference: TensorFlow's of the same.

    Raises:
        WorkflowError: if they differ by more than 1e-4 of the reference's range.
        ValueError: if their shapes differ.
    """
    share = difference(found, reference)
    # Written so that a NaN, which compares false, is refused.
    if not share <= TOLERANCE:
        raise WorkflowError(
            f"bottleneck.engine: ncnn's features differ from {BACKENDS[backend()]}'s by {share:.1e} of their range "
            f"(allowed: {TOLERANCE:.0e}) on this machine; set bottleneck.engine: tensorflow"
        )


def _with_tensorflow(weights: Path, settings: BottleneckSettings, size: int) -> Extract:
    import_backend()
    model = build_extractor(size, weights, settings)

    def extract_all(photos: Photos, out: Path) -> None:
        def batches() -> Iterator[tuple[int, Features]]:
            for start in range(0, len(photos), settings.batch):
                inputs = np.asarray(photos[start : start + settings.batch], dtype=np.float32)
                with enough_memory("bottleneck.batch", settings.batch):
                    found = np.asarray(model.predict_on_batch(inputs))
                yield start, found

        _write(photos, batches(), out, settings.features(size))

    return extract_all


def _write(photos: Photos, batches: Iterable[tuple[int, Features]], out: Path, shape: tuple[int, int, int]) -> None:
    """Write batches of features, which come in any order, at their places."""
    pending = 0
    with (
        create_array(out, (len(photos), *shape), np.float32) as features,
        tqdm(total=len(photos), desc=out.stem, unit="photo", disable=None) as bar,
    ):
        for start, found in batches:
            features[start : start + len(found)] = found
            bar.update(len(found))
            pending += len(found)
            if pending >= _RELEASE_EVERY:
                release(photos)
                pending = 0


@contextmanager
def open_engine(
    settings: BottleneckSettings, weights: Path, photos: Photos, workers: int | None = None
) -> Iterator[Extract]:
    """Start what computes features, and check it.

    Args:
        settings: whose features, of photos scaled how, pooled how, by which engine. ``tensorflow``; ``ncnn``: a
            single-threaded process a core; ``auto``: ncnn where it can, unless TensorFlow sees a GPU or ncnn is
            missing, else TensorFlow.
        weights: the backbone's ``.weights.h5``.
        photos: (n, size, size, 3) uint8 RGB; on a few of these ncnn's features must be TensorFlow's.
        workers: processes of ncnn; ``None``: one a core. Features do not depend on it.

    Yields:
        A function of photos (n, size, size, 3) uint8 and of a file, which writes the photos' features
        (n, *settings.features(size)) float32 there, in the photos' order.

    Raises:
        WorkflowError: if the photos are too small, the weights are missing or damaged, ncnn is asked for and missing,
            or its features are not TensorFlow's.
    """
    size, engine = photos.shape[1], settings.engine
    check_size(settings.backbone, size)
    has_ncnn = importlib.util.find_spec("ncnn") is not None
    if engine == "ncnn" and not has_ncnn:
        raise WorkflowError("bottleneck.engine: ncnn is not installed on this platform; set it to tensorflow")
    if engine == "tensorflow" or not has_ncnn or not settings.suits_ncnn:
        yield _with_tensorflow(weights, settings, size)
        return
    network = _ncnn_network(weights, settings, size)
    sample = pick_sample(photos)
    reference = _ask_tensorflow(sample, weights, settings, without_gpu=engine == "ncnn")
    if reference is None:
        yield _with_tensorflow(weights, settings, size)
        return
    scaling = scaling_values(settings.scaling, settings.backbone)
    workers = workers or count_workers(size, stacked=isinstance(network, StackedNetwork))
    with NcnnPool(network, scaling, workers, _pooled_parts(settings)) as pool:
        del network
        compare(np.concatenate([found for _, found in sorted(pool.compute(sample))]), reference)
        yield lambda photos, out: _write(photos, pool.compute(photos), out, settings.features(size))


def _ncnn_network(weights: Path, settings: BottleneckSettings, size: int) -> Network | StackedNetwork:
    if settings.backbone == "vgg16":
        return vgg16_for_many(read_tensors(weights), size, stacked=settings.pooling is not None)
    try:
        return lite_network(cast("LiteName", settings.backbone), weights)
    except (OSError, ValueError) as error:
        title = BACKBONES[settings.backbone].title
        raise WorkflowError(f"{weights}: not {title}'s weights ({error}); run: dvc repro weights") from None


def _pooled_parts(settings: BottleneckSettings) -> PooledParts | None:
    if settings.pooling is None:
        return None
    parts = [PARTS.index(layer) for layer in settings.layers or ()]
    return PooledParts((*parts, len(PARTS) - 1), tuple(settings.pooling))


def open_features(features: Path, split: str, n: int | None = None) -> NDArray[np.float32]:
    """Open a split's features, memory-mapped.

    Args:
        features: the folder the bottleneck stage left.
        split: ``train``, ``validation``, ``test`` or ``unlabelled``.
        n: how many photos there must be; ``None``: any number.

    Returns:
        (n, h, w, channels) float32, read only.

    Raises:
        WorkflowError: if the file is missing, truncated, of another kind or another length.
    """
    file = features / f"{split}.npy"
    mend = "run: dvc repro bottleneck"
    try:
        found: NDArray[np.float32] = np.load(file, mmap_mode="r")
    except FileNotFoundError:
        raise WorkflowError(f"{file}: no such file; {mend}") from None
    except (ValueError, EOFError) as error:
        raise WorkflowError(f"{file}: damaged ({' '.join(str(error).split())}); {mend}") from None
    if found.dtype != np.float32 or found.ndim != 4:  # noqa: PLR2004
        raise WorkflowError(f"{file}: {found.shape} {found.dtype} are no bottleneck features; {mend}")
    if n is not None and len(found) != n:
        raise WorkflowError(f"{file}: features of {len(found)} photos, where there are {n} photos; {mend}")
    return found


def mirrored(split: str) -> str:
    """Return what the features of a split's mirrored photos are called."""
    return f"{split}_mirrored"


def open_bottleneck(arrays: Path, features: Path, split: str, *, with_mirrored: bool = False) -> Examples:
    """The bottleneck features of a labelled split.

    Args:
        arrays: the folder that the decode stage left, for the labels.
        features: the folder that the bottleneck stage left.
        split: train, validation or test.
        with_mirrored: whether those of the mirrored photos follow, in memory.

    Returns:
        ``(n, height, width, channels)`` float32 features and their labels, memory-mapped.

    Raises:
        WorkflowError: if either is missing, damaged, or of another length than the other.
    """
    labels = open_images(arrays, split).labels
    own = open_features(features, split, len(labels))
    if not with_mirrored:
        return Examples(own, labels)
    others = open_features(features, mirrored(split), len(labels))
    return Examples(np.concatenate([own, others]), np.concatenate([labels, labels]), copies=2)
