"""Networks as ncnn reads them: VGG16's convolutions, and whole trained models, without importing TensorFlow."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.models.ncnn.stacking import FIRST_STACKED, LARGEST_STACKED, inside
from dogs_vs_cats.models.pretrained.weights import LAYERS, Tensor
from dogs_vs_cats.settings.training_settings import CnnSettings, HeadSettings

TEXT, BINARY = "network.param", "network.bin"
"""The files of a network: its layers, and their weights."""
OUTPUT = "output"
"""The name of what a network computes."""
AFTER = "after"
"""The folder of the layers that take each photo's maps after a stacked network's parts, whose folders are numbers."""

PARTS = ("block3_pool", "block4_pool", "block5_pool")
"""The layers that VGG16's parts end in, where it is a stacked network."""

_MASK = "mask"  # no layer of ncnn's: two of them

_EPSILON = 1e-3  # of Keras's BatchNormalization, which networks.py leaves as it is


class Network:
    """Layers one after the other, from a photo's three planes to their output.

    Source: ncnn's param and model file structure, https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
    """

    def __init__(self) -> None:
        self._layers: list[tuple[str, str]] = []
        self._weights: list[NDArray[np.float32]] = []

    @property
    def is_empty(self) -> bool:
        """Whether it has no layers yet."""
        return not self._layers

    def convolve(self, kernel: Tensor, bias: Tensor) -> None:
        """Add a convolution, padded as TensorFlow does for "same", and ReLU.

        Args:
            kernel: (side, side, in, out).
            bias: (out,).
        """
        # filters, side, padded as TensorFlow does, with a bias, so many weights, ReLU
        settings = f"0={len(bias)} 1={kernel.shape[0]} 4=-233 5=1 6={kernel.size} 9=1"
        self._layers.append(("Convolution", settings))
        self._weights += [kernel.transpose(3, 2, 0, 1), bias]

    def pool(self) -> None:
        """Add 2x2 max-pooling; an odd last row or column is dropped."""
        self._layers.append(("Pooling", "0=0 1=2 2=2 5=1"))

    def flatten(self, pooling: Literal["flatten", "global_average", "global_max"]) -> None:
        """Add what turns planes into one row of values: all of them, or one a plane."""
        settings = {"flatten": "", "global_average": "0=1 4=1", "global_max": "0=0 4=1"}[pooling]
        self._layers += [("Pooling", settings)] if settings else []
        self._layers.append(("Flatten", ""))

    def connect(self, kernel: Tensor, bias: Tensor, activation: Literal["none", "relu", "sigmoid"]) -> None:
        """Add a dense layer, kernel (in, out) and bias (out,), and its activation."""
        number = {"none": 0, "relu": 1, "sigmoid": 4}[activation]
        self._layers.append(("InnerProduct", f"0={len(bias)} 1=1 2={kernel.size} 9={number}"))
        self._weights += [kernel.T, bias]

    def normalize(self) -> None:
        """Add a softmax."""
        self._layers.append(("Softmax", "0=0 1=1"))

    def mask(self, values: NDArray[np.float32]) -> None:
        """Add a product of each plane with (height, width) values."""
        height, width = values.shape
        self._layers.append((_MASK, f"0={width} 1={height} 2=1"))
        self._weights.append(values.ravel())

    def write(self, folder: Path) -> None:
        """Write ``network.param`` and ``network.bin`` to a folder."""
        lines, before = ["Input photo 0 1 photo"], "photo"
        for number, (kind, settings) in enumerate(self._layers, start=1):
            name = OUTPUT if number == len(self._layers) else f"layer{number}"
            if kind == _MASK:
                lines.append(f"MemoryData values{number} 0 1 values{number} {settings}")
                lines.append(f"BinaryOp {name} 2 1 {before} values{number} {name} 0=2")
            else:
                lines.append(f"{kind} {name} 1 1 {before} {name} {settings}".rstrip())
            before = name
        header = ["7767517", f"{len(lines)} {len(lines)}"]  # a line a layer, each of which gives one blob
        (folder / TEXT).write_text("\n".join([*header, *lines]) + "\n", encoding="ascii")
        with (folder / BINARY).open("wb") as binary:
            for values in self._weights:
                if values.ndim > 1:
                    binary.write(bytes(4))  # the tag of plain float32, which a bias goes without
                binary.write(np.ascontiguousarray(values, dtype="<f4").tobytes())


@dataclass(frozen=True)
class StackedNetwork:
    """Networks one after the other.

    Attributes:
        parts: the first takes a photo, each other one the maps of several, stacked.
        after: takes each photo's maps at the end; without layers they are what is computed.
    """

    parts: list[Network]
    after: Network = field(default_factory=Network)

    def write(self, folder: Path) -> None:
        """Write each part to a folder of its own, its number of two digits, and what comes after them."""
        named = {f"{number:02}": part for number, part in enumerate(self.parts)}
        if not self.after.is_empty:
            named[AFTER] = self.after
        for name, part in named.items():
            (folder / name).mkdir()
            part.write(folder / name)


AnyNetwork = TypeVar("AnyNetwork", bound=Network | StackedNetwork)


def vgg16_network(tensors: Sequence[Tensor], blocks: int | None = None) -> Network:
    """VGG16's convolutions and poolings.

    Args:
        tensors: kernel (3, 3, in, out) and bias (out,) of each layer in turn.
        blocks: how many of the first blocks; None: all five.

    Returns:
        A network from a scaled photo to its bottleneck features, or to the last block's maps.
    """
    return _join(_blocks(tensors)[:blocks])


def tuned_tensors(tensors: Sequence[Tensor], weights: Path) -> list[Tensor]:
    """Put VGG16's last convolutions, as they were fine-tuned, in the place of those of ImageNet.

    Args:
        tensors: kernel and bias of each layer in turn.
        weights: the fine-tuned network's ``.weights.h5``.

    Returns:
        As many tensors, of the same shapes.

    Raises:
        ValueError: if the weights are not those of such a network.
        OSError: if they are missing, or no HDF5 file.
    """
    tuned = [tensor for layer in _read(weights, "conv2d") for tensor in layer]
    frozen = list(tensors)[: len(tensors) - len(tuned)]
    shapes = [tensor.shape for tensor in tensors[len(frozen) :]]
    if not tuned or [tensor.shape for tensor in tuned] != shapes:
        raise ValueError("its convolutions are not VGG16's last ones")
    return [*frozen, *tuned]


def vgg16_for_many(tensors: Sequence[Tensor], size: int, *, stacked: bool = False) -> Network | StackedNetwork:
    """The same for several photos at once, where that takes less time a photo.

    Args:
        tensors: as for ``vgg16_network``.
        size: pixels a side of the photos.
        stacked: whether it is to have ``PARTS`` even where that takes no less time.

    Returns:
        From a scaled photo to its bottleneck features.
    """
    if size > LARGEST_STACKED and not stacked:
        return vgg16_network(tensors)
    blocks = _blocks(tensors)
    parts = [_join(blocks[:FIRST_STACKED])]
    for number, layers in enumerate(blocks[FIRST_STACKED:], start=FIRST_STACKED):
        part, between = Network(), inside(size >> number)
        for position, layer in enumerate(layers):
            if position:
                part.mask(between)
            part.convolve(*layer)
        part.pool()
        parts.append(part)
    return StackedNetwork(parts)


def _blocks(tensors: Sequence[Tensor]) -> list[list[tuple[Tensor, Tensor]]]:
    """Kernel and bias of each layer, by block."""
    layers = zip(LAYERS, tensors[::2], tensors[1::2], strict=True)
    blocks = itertools.groupby(layers, key=lambda layer: layer[0].partition("_")[0])
    return [[(kernel, bias) for _, kernel, bias in block] for _, block in blocks]


def _join(blocks: Sequence[Sequence[tuple[Tensor, Tensor]]]) -> Network:
    network = Network()
    for layers in blocks:
        for layer in layers:
            network.convolve(*layer)
        network.pool()
    return network


def cnn_network(settings: CnnSettings, size: int, weights: Path) -> Network:
    """The trained CNN as a whole.

    Args:
        settings: its shape.
        size: pixels a side of its photos.
        weights: its ``.weights.h5``.

    Returns:
        A network from a photo, divided by 255, to its outputs.

    Raises:
        ValueError: if the weights are not those of such a network.
        OSError: if they are missing, or no HDF5 file.
    """
    network, channels = Network(), 3
    convolutions, normalizations = _read(weights, "conv2d"), _read(weights, "batch_normalization")
    for convolution in settings.convolutions:
        side, filters = convolution.kernel, convolution.filters
        kernel, *biases = _next(convolutions, (side, side, channels, filters))
        if settings.batch_normalization:
            gamma, beta, mean, variance = _next(normalizations, (filters,))
            factor = gamma / np.sqrt(variance + _EPSILON)
            kernel, biases = kernel * factor, [beta - mean * factor]
        network.convolve(kernel, biases[0])
        network.pool()
        channels, size = filters, size // 2
    _classify(network, settings.pooling_end, (size, size, channels), settings.dense, settings.output, weights)
    return network


def add_head(network: AnyNetwork, settings: HeadSettings, features: tuple[int, int, int], weights: Path) -> AnyNetwork:
    """Add to VGG16 the head that was trained on its features.

    Args:
        network: from ``vgg16_network`` or ``vgg16_for_many``.
        settings: the head's shape.
        features: height, width and channels of one photo's features.
        weights: the head's ``.weights.h5``.

    Returns:
        The same network, now from a photo, scaled for VGG16, to the head's outputs.

    Raises:
        ValueError: if the weights are not those of such a head.
        OSError: if they are missing, or no HDF5 file.
    """
    last = network if isinstance(network, Network) else network.after
    _classify(last, settings.pooling, features, settings.dense, settings.output, weights)
    return network


def _classify(
    network: Network,
    pooling: Literal["flatten", "global_average", "global_max"],
    shape: tuple[int, int, int],
    dense: list[int],
    output: Literal["softmax", "sigmoid"],
    weights: Path,
) -> None:
    """Add the dense layers, the first of which takes planes of ``shape``: height, width, channels."""
    layers = _read(weights, "dense")
    network.flatten(pooling)
    inputs = int(np.prod(shape)) if pooling == "flatten" else shape[2]
    for position, units in enumerate([*dense, 2 if output == "softmax" else 1]):
        kernel, bias = _next(layers, (inputs, units))
        if pooling == "flatten" and position == 0:
            # ncnn keeps plane after plane, Keras the channels of a place together.
            kernel = kernel.reshape(*shape, units).transpose(2, 0, 1, 3).reshape(inputs, units)
        last = position == len(dense)
        network.connect(kernel, bias, "relu" if not last else "sigmoid" if output == "sigmoid" else "none")
        inputs = units
    if output == "softmax":
        network.normalize()


def _next(layers: Iterator[list[Tensor]], shape: tuple[int, ...]) -> list[Tensor]:
    """The tensors of the next layer, the first of which must have this shape."""
    tensors = next(layers, None)
    if tensors is None or tensors[0].shape != shape:
        raise ValueError(f"a layer of shape {shape} {'is missing' if tensors is None else f'is {tensors[0].shape}'}")
    return tensors


def _read(weights: Path, kind: str) -> Iterator[list[Tensor]]:
    """The tensors of each layer of a kind, in order, as Keras wrote them: ``conv2d``, ``conv2d_1``, ..."""
    import h5py

    with h5py.File(weights) as file:
        for name in itertools.chain([kind], (f"{kind}_{number}" for number in itertools.count(1))):
            variables = file.get(f"layers/{name}/vars")
            if not variables:
                return
            yield [variables[str(index)][()] for index in range(len(variables))]
