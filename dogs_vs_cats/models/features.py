"""Bottleneck features: every photo through the frozen backbone once, kept on disk."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dogs_vs_cats.data.arrays import create_array, release
from dogs_vs_cats.data.examples import Examples, open_images
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import temporary_folder
from dogs_vs_cats.models.engines import TITLES, Forward, in_batches, obstacle, open_onnx
from dogs_vs_cats.models.ncnn.engine import NcnnPool, PooledParts, count_workers
from dogs_vs_cats.models.ncnn.networks import PARTS, StackedNetwork, vgg16_for_many
from dogs_vs_cats.models.pretrained.backbones import build_extractor, scaling_values
from dogs_vs_cats.models.pretrained.weights import Tensor, read_tensors
from dogs_vs_cats.processes import worker_processes
from dogs_vs_cats.runtime import BACKENDS, backend, enough_memory, gpu_names, hide_gpus, import_backend
from dogs_vs_cats.settings.catalogue import BACKBONES, check_size
from dogs_vs_cats.settings.photo_settings import BottleneckSettings

Photos: TypeAlias = NDArray[np.uint8]
Features: TypeAlias = NDArray[np.float32]
Batches: TypeAlias = Callable[[Photos], Iterator[tuple[int, Features]]]
"""From photos to the position of a first one and the features of it and those after it, in any order."""

_SAMPLE = 4  # photos on which another engine must agree with TensorFlow
TOLERANCE = 1e-4
"""Share of the features' range by which an engine may differ from TensorFlow."""
_RELEASE_EVERY = 256  # photos, 17 MB of them at 150 pixels a side


# ---------------------------------------------------------------- the engines


@dataclass(frozen=True)
class Extractor:
    """What writes the features of photos.

    Attributes:
        engine: the name of what computes them.
        batches: computes them.
        shape: height, width and channels of one photo's features.
    """

    engine: str
    batches: Batches
    shape: tuple[int, int, int]

    def __call__(self, photos: Photos, out: Path) -> None:
        """Write the features of photos (n, size, size, 3), (n, *shape) float32 in the photos' order, to a file."""
        pending = 0
        with (
            create_array(out, (len(photos), *self.shape), np.float32) as features,
            tqdm(total=len(photos), desc=out.stem, unit="photo", disable=None) as bar,
        ):
            for start, found in self.batches(photos):
                features[start : start + len(found)] = found
                bar.update(len(found))
                pending += len(found)
                if pending >= _RELEASE_EVERY:
                    release(photos)
                    pending = 0


def _reference(sample: Photos, weights: Path, settings: BottleneckSettings, onnx: Path | None) -> Features | None:
    """In a process of its own: Keras's features of the sample, by the CPU; None: it sees a GPU, and may use it."""
    if settings.engine != "auto":
        hide_gpus()
    import_backend()
    if settings.engine == "auto" and gpu_names():
        return None
    model = build_extractor(sample.shape[1], weights, settings)
    if onnx is not None:
        from dogs_vs_cats.models.portable import write_onnx

        write_onnx(model, onnx)
    return np.asarray(model.predict_on_batch(sample.astype(np.float32)))


def _ask_tensorflow(sample: Photos, weights: Path, settings: BottleneckSettings, onnx: Path | None) -> Features | None:
    """``_reference``, after which its hundreds of megabytes are free again."""
    try:
        with worker_processes(1) as submit:
            return submit(_reference, sample, weights, settings, onnx).result()
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


def compare(found: Features, reference: Features, engine: str = "ncnn") -> None:
    """Refuse an engine whose features are not TensorFlow's.

    Args:
        found: an engine's features of some photos.
        reference: TensorFlow's of the same.
        engine: its name.

    Raises:
        WorkflowError: if they differ by more than 1e-4 of the reference's range.
        ValueError: if their shapes differ.
    """
    share = difference(found, reference)
    # Written so that a NaN, which compares false, is refused.
    if not share <= TOLERANCE:
        raise WorkflowError(
            f"bottleneck.engine: {TITLES[engine]}'s features differ from {BACKENDS[backend()]}'s by {share:.1e} of "
            f"their range (allowed: {TOLERANCE:.0e}) on this machine; set bottleneck.engine: tensorflow"
        )


@contextmanager
def open_engine(settings: BottleneckSettings, weights: Path, photos: Photos) -> Iterator[Extractor]:
    """Start what computes features, and check it.

    Args:
        settings: whose features, of photos scaled how, pooled how, by which engine. ``tensorflow``; ``ncnn``: a
            single-threaded process a core; ``onnx``: ONNX Runtime, of what Keras exports; ``auto``: the fastest of the
            three for the backbone, or TensorFlow where it sees a GPU, or the fastest is not installed or disagrees.
        weights: the backbone's ``.weights.h5``.
        photos: (n, size, size, 3) uint8 RGB; on a few of these an engine's features must be TensorFlow's.

    Yields:
        What writes photos' features.

    Raises:
        WorkflowError: if the photos are too small, the weights are missing or damaged, or an engine is asked for and
            missing, or its features are not TensorFlow's.
    """
    size, asked = photos.shape[1], settings.engine
    check_size(settings.backbone, size)
    engine = settings.fastest if asked == "auto" else asked
    hindered = obstacle(engine)
    if hindered and asked != "auto":
        raise WorkflowError(f"bottleneck.engine: {engine}: {hindered}, or set it to tensorflow")
    with ExitStack() as opened:
        if engine != "tensorflow" and not hindered:
            sample, folder = pick_sample(photos), opened.enter_context(temporary_folder())
            onnx = folder / "backbone.onnx" if engine == "onnx" else None
            tensors = read_tensors(weights) if engine == "ncnn" else []  # damaged ones are told before anything starts
            reference = _ask_tensorflow(sample, weights, settings, onnx)
            if reference is not None:
                if onnx is not None:
                    batches = by_batch(open_onnx(onnx), settings.batch)
                else:
                    batches = _with_ncnn(tensors, settings, size, opened)
                found = np.concatenate([part for _, part in sorted(batches(sample), key=itemgetter(0))])
                share = difference(found, reference)
                if share <= TOLERANCE or asked != "auto":
                    compare(found, reference, engine)
                    yield Extractor(engine, batches, settings.features(size))
                    return
                opened.close()
                hindered = f"its features differ by {share:.1e} of their range (allowed: {TOLERANCE:.0e})"
        import_backend()
        if hindered and not gpu_names():
            slower = f"{TITLES[engine]} is faster than {BACKENDS[backend()]} at {BACKBONES[settings.backbone].title}"
            print(f"bottleneck.engine: auto: {slower}, but {hindered}", flush=True)
        model = build_extractor(size, weights, settings)
        yield Extractor(backend(), by_batch(model.predict_on_batch, settings.batch), settings.features(size))


def by_batch(forward: Forward, batch: int) -> Batches:
    """Run a network on a batch of photos at a time; one too large for the memory is told as ``bottleneck.batch``."""

    def guarded(photos: NDArray[np.float32]) -> Features:
        with enough_memory("bottleneck.batch", batch):
            return np.asarray(forward(photos))

    return partial(in_batches, guarded, batch=batch)


def _with_ncnn(tensors: Sequence[Tensor], settings: BottleneckSettings, size: int, opened: ExitStack) -> Batches:
    network = vgg16_for_many(tensors, size, stacked=settings.pooling is not None)
    workers = count_workers(size, stacked=isinstance(network, StackedNetwork))
    scaling = scaling_values(settings.scaling, settings.backbone)
    return opened.enter_context(NcnnPool(network, scaling, workers, _pooled_parts(settings))).compute


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


_ENGINE = "engine.txt"


def write_engine(engine: str, features: Path) -> None:
    """Leave the name of what computed the features in their folder."""
    (features / _ENGINE).write_text(f"{engine}\n", encoding="utf-8")


def read_engine(features: Path) -> str:
    """Return the name of what computed a folder's features; older versions left none."""
    try:
        return (features / _ENGINE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "unknown"


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
