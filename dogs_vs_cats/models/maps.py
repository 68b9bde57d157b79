"""The maps that fine-tuning starts from: every photo through the backbone's frozen layers once, kept on disk."""

import math
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from tqdm import tqdm

from dogs_vs_cats.data.arrays import create_array, read_dataset, release
from dogs_vs_cats.data.scaling import digest, open_scaled
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of, temporary_folder
from dogs_vs_cats.models.engines import TITLES, in_batches, obstacle, open_onnx
from dogs_vs_cats.models.features import TOLERANCE, Batches, difference, mirrored, pick_sample
from dogs_vs_cats.models.ncnn.engine import NcnnPool, count_workers
from dogs_vs_cats.models.ncnn.networks import vgg16_network
from dogs_vs_cats.models.pretrained.backbones import Scaling, build_backbone, scale_layers, scaling_values
from dogs_vs_cats.models.pretrained.weights import read_tensors
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.runtime import BACKENDS, backend, gpu_names
from dogs_vs_cats.settings.catalogue import FASTEST, BackboneName

if TYPE_CHECKING:
    import keras

Maps: TypeAlias = NDArray[np.float16]

_BATCH = 32
_GIGABYTE = 10**9


@dataclass(frozen=True)
class Cut:
    """Where a backbone is cut in two: its layers up to there are frozen, and compute the maps that are kept.

    Attributes:
        backbone: its name.
        scaling: how photos are scaled for it.
        side: pixels a side of the photos that it sees.
        layer: the last of the frozen layers that all of a photo passes through.
    """

    backbone: BackboneName
    scaling: Scaling
    side: int
    layer: str


@dataclass(frozen=True)
class View:
    """The photos of a split, or their mirror images.

    Attributes:
        split: train, validation, test or unlabelled.
        mirrored: whether it is the mirror images.
    """

    split: str
    mirrored: bool = False

    @property
    def name(self) -> str:
        """What its file is called."""
        return mirrored(self.split) if self.mirrored else self.split


def bottom(backbone: "keras.Model", layer: str) -> "keras.Model":
    """A backbone up to one of its layers."""
    import keras

    return keras.Model(backbone.input, backbone.get_layer(layer).output)


def open_maps(prepared: Prepared, cut: Cut, view: View, views: Iterable[View]) -> Maps:
    """Open the maps of a view, memory-mapped; they are computed and kept where no process has done so yet.

    They are in ``maps/`` beside the arrays, in a folder for each data set, size, backbone and cut.

    Args:
        prepared: decoded photos, and the backbone's weights.
        cut: where the backbone is cut.
        view: which photos.
        views: all that the model needs in the end; before any is computed, the disk must have room for all.

    Returns:
        (n, rows, columns, channels) float16, read only.

    Raises:
        WorkflowError: if the disk has no room, or a file is damaged.
    """
    dataset = read_dataset(prepared.arrays)
    facts = [dataset.digest, dataset.size, dataset.resampling, *astuple(cut), digest_of(prepared.backbone)]
    folder = prepared.arrays.parent / "maps" / digest(facts)
    file = folder / f"{view.name}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not file.exists():
                missing = [one for one in views if not (folder / f"{one.name}.npy").exists()]
                network = bottom(build_backbone(cut.backbone, cut.side, prepared.backbone), cut.layer)
                photos = sum(dataset.counts.get(one.split, 0) for one in missing)
                _check_room(folder, cut, photos, network.output_shape[1:])
                _compute(prepared, cut, view, network, file)
    try:
        maps: Maps = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise WorkflowError(f"{file}: damaged ({' '.join(str(error).split())}); remove it, and run again") from None
    return maps


def _check_room(folder: Path, cut: Cut, photos: int, shape: Sequence[int]) -> None:
    needed, free = photos * math.prod(shape) * np.dtype(np.float16).itemsize, shutil.disk_usage(folder).free
    told = f"{folder}: maps after {cut.layer} of {photos:,} photos and mirror images take {needed / _GIGABYTE:.2f} GB"
    if needed > free:
        raise WorkflowError(
            f"{told}, the disk has {free / _GIGABYTE:.2f} GB free; free some, or set fine_tune.block to a later block, "
            "or to null"
        )
    print(f"{told} of the disk's {free / _GIGABYTE:.2f} GB", flush=True)


def _compute(prepared: Prepared, cut: Cut, view: View, network: "keras.Model", file: Path) -> None:
    photos = open_scaled(prepared.arrays, view.split, cut.side)
    if view.mirrored:
        photos = photos[:, :, ::-1]
    shape = (len(photos), *network.output_shape[1:])
    with (
        ExitStack() as opened,
        create_array(file, shape, np.float16) as maps,
        tqdm(total=len(photos), desc=f"maps {view.name}", unit="photo", disable=None) as bar,
    ):
        for start, found in _run(photos, prepared.backbone, cut, network, opened):
            with np.errstate(over="ignore"):  # told below
                rows = found.astype(np.float16)
            if not np.isfinite(rows).all():
                raise WorkflowError(
                    f"fine_tune.block: values after {cut.layer} reach {np.abs(found).max():.0f}, more than float16 "
                    "holds; choose another block"
                )
            maps[start : start + len(rows)] = rows
            bar.update(len(rows))
            release(photos)
        # Taken for whole because it is there, after a power failure too.
        maps.sync()


def _run(
    photos: NDArray[np.uint8], weights: Path, cut: Cut, network: "keras.Model", opened: ExitStack
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the position of a first photo, and the maps of it and those after it: by the fastest engine there is."""
    import keras

    inputs = keras.Input((cut.side, cut.side, 3), name="photos")
    whole = keras.Model(inputs, network(scale_layers(inputs, cut.scaling, cut.backbone)))
    engine = FASTEST.get(cut.backbone, "onnx")
    if engine != "tensorflow" and not obstacle(engine) and not gpu_names():
        faster, sample = _faster(weights, cut, whole, opened), pick_sample(photos)
        reference = np.asarray(whole.predict_on_batch(sample.astype(np.float32)))
        ((_, found),) = faster(sample)
        if difference(found, reference) <= TOLERANCE:
            yield from faster(photos)
            return
        title = BACKENDS[backend()]
        print(f"{TITLES[engine]}'s maps differ from {title}'s on this machine: {title} computes these", flush=True)
    yield from in_batches(whole.predict_on_batch, photos, _BATCH)


def _faster(weights: Path, cut: Cut, whole: "keras.Model", opened: ExitStack) -> Batches:
    if cut.backbone == "vgg16":
        blocks = int(cut.layer.removeprefix("block").removesuffix("_pool"))
        network, scaling = vgg16_network(read_tensors(weights), blocks), scaling_values(cut.scaling, cut.backbone)
        return opened.enter_context(NcnnPool(network, scaling, count_workers(cut.side, stacked=False))).compute
    from dogs_vs_cats.models.portable import write_onnx

    file = opened.enter_context(temporary_folder()) / "frozen.onnx"
    write_onnx(whole, file)
    return partial(in_batches, open_onnx(file), batch=_BATCH)
