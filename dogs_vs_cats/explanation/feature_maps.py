"""What a trained network makes of a photo: the feature maps after each convolution, activation and pooling."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from dogs_vs_cats.models.opened import CONVOLUTIONS, OpenNetwork
from dogs_vs_cats.models.pretrained.backbones import is_pooled

_UNSEEN = (layers.Dropout, layers.SpatialDropout2D, layers.ZeroPadding2D)
"""Layers whose output shows nothing that their input does not."""


@dataclass(frozen=True)
class Step:
    """What comes out of one layer.

    Attributes:
        name: of the operation: convolution 3x3, ReLU, max pooling 2x2.
        maps: (rows, columns, channels) float32.
    """

    name: str
    maps: NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A convolution and what follows it, up to the next one.

    Attributes:
        name: of the convolution's layer.
        steps: the convolution first, before any activation of its own.
    """

    name: str
    steps: list[Step]


def feature_maps(network: OpenNetwork, photo: NDArray[Any]) -> list[Block]:
    """What comes out of each convolution, activation and pooling.

    Args:
        network: the trained network.
        photo: (size, size, 3) RGB, 0 to 255.

    Returns:
        A block a convolution, in the network's order; none without convolutions.

    Source: what Zeiler and Fergus, "Visualizing and understanding convolutional networks", arXiv 1311.2901 (2013),
    call feature maps.
    """
    outputs: list[Any] = []
    names: list[list[str]] = []
    convolutions = network.convolutions
    if not convolutions:
        return []
    for layer in network.seeing.layers[network.seeing.layers.index(convolutions[0]) :]:
        if isinstance(layer, CONVOLUTIONS):
            names.append([])
            fused = layer.activation is not keras.activations.linear
            outputs.append(_without_activation(layer) if fused else layer.output)
            names[-1].append(f"convolution {_sides(layer.kernel_size)}")
            if fused:
                outputs.append(layer.output)
                names[-1].append(_activation(layer))
        elif len(layer.output.shape) == 4 and not (isinstance(layer, _UNSEEN) or is_pooled(layer)):  # noqa: PLR2004
            outputs.append(layer.output)
            names[-1].append(_operation(layer))
    found = iter(keras.Model(network.seeing.inputs, outputs)(network.scaled(photo[np.newaxis]), training=False))
    return [
        Block(layer.name, [Step(name, ops.convert_to_numpy(ops.cast(next(found)[0], "float32"))) for name in steps])
        for layer, steps in zip(convolutions, names, strict=True)
    ]


def _without_activation(layer: keras.layers.Layer) -> Any:
    twin = type(layer).from_config({**layer.get_config(), "activation": "linear", "name": f"{layer.name}_linear"})
    outputs = twin(layer.input)
    twin.set_weights(layer.get_weights())
    return outputs


def _operation(layer: keras.layers.Layer) -> str:
    if isinstance(layer, layers.ReLU):
        return "ReLU"
    if isinstance(layer, layers.Activation):
        return _activation(layer)
    pooled = {layers.MaxPooling2D: "max pooling", layers.AveragePooling2D: "average pooling"}
    if type(layer) in pooled:
        return f"{pooled[type(layer)]} {_sides(layer.pool_size)}"
    return "batch normalisation" if isinstance(layer, layers.BatchNormalization) else type(layer).__name__


def _activation(layer: keras.layers.Layer) -> str:
    name = str(layer.activation.__name__)
    return "ReLU" if name == "relu" else name


def _sides(sides: tuple[int, int]) -> str:
    return "x".join(str(side) for side in sides)
