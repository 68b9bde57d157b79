"""A model laid open between photo and class."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from dogs_vs_cats.models.pretrained.backbones import Scaling, scale_layers, scaling_values
from dogs_vs_cats.settings.catalogue import BackboneName
from dogs_vs_cats.settings.sections import Resampling

_FILTERS: dict[Resampling, str] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "lanczos": "lanczos3",
}

CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D)


@dataclass(frozen=True)
class OpenNetwork:
    """A trained network, laid open between photo and class.

    Attributes:
        seeing: a network with convolutions among its own layers; from photos (n, size, size, 3), scaled if need be.
        scale: what photos pass before it, from those that the model takes; None: nothing.
        deciding: the network on top of it, where that is another; None: ``seeing`` ends in the class itself.
        reversed_channels: whether ``seeing`` takes BGR, not RGB.
        learned: the network that training changed, where that is part of both and neither of them; they have its
            weights then, and are built for this alone.
    """

    seeing: keras.Model
    scale: keras.Model | None = None
    deciding: keras.Model | None = None
    reversed_channels: bool = False
    learned: keras.Model | None = None

    def scaled(self, photos: NDArray[Any]) -> Any:
        """Photos (n, size, size, 3) RGB, 0 to 255, as ``seeing`` takes them."""
        inputs = ops.convert_to_tensor(np.asarray(photos), "float32")
        return inputs if self.scale is None else self.scale(inputs)

    @property
    def trained(self) -> keras.Model:
        """The network that training changed."""
        return self.learned or self.deciding or self.seeing

    @property
    def convolutions(self) -> list[keras.layers.Layer]:
        """Its convolutions, the first one first; without any there is nothing here to look into."""
        return [layer for layer in self.seeing.layers if isinstance(layer, CONVOLUTIONS)]


def open_backbone(
    backbone: keras.Model,
    head: keras.Model,
    scaling: Scaling,
    name: BackboneName,
    smaller: keras.Model | None = None,
    learned: keras.Model | None = None,
) -> OpenNetwork:
    """Lay a backbone with a head on its features open.

    Args:
        backbone: with its weights.
        head: the trained head.
        scaling: how photos are scaled for the backbone.
        name: the backbone's.
        smaller: makes photos of its size of those that the model takes; None: they are of that size.
        learned: the network that training changed; None: the head.
    """
    photos = keras.Input((smaller or backbone).input_shape[1:], name="photos")
    seen = photos if smaller is None else smaller(photos)
    return OpenNetwork(
        backbone,
        scale=keras.Model(photos, scale_layers(seen, scaling, name)),
        deciding=head,
        reversed_channels=scaling_values(scaling, name)[2],
        learned=learned,
    )


def to_side(size: int, side: int, resampling: Resampling) -> keras.Model | None:
    """Build what scales the photos that a model takes to those that its network sees.

    Keras's filters are those of Pillow, which scales the stored arrays. Pillow rounds and clips between its two passes,
    so a value in six differs by one of 256 levels, and one in ten thousand by more.

    Returns:
        A model from (n, size, size, 3) to (n, side, side, 3), 0 to 255; None where both are equal.
    """
    if side == size:
        return None
    photos = keras.Input((size, size, 3), name="photos")
    smaller = layers.Resizing(side, side, _FILTERS[resampling], antialias=True, dtype="float32", name="side")(photos)
    return keras.Model(photos, ops.clip(ops.round(smaller), 0, 255))
