"""The network that is fine-tuned: a backbone's last blocks and a head, from the frozen layers' maps to classes."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from dogs_vs_cats.models.networks.building import build_head, head_on
from dogs_vs_cats.models.pretrained.backbones import pooled
from dogs_vs_cats.settings.catalogue import BLOCKS, BackboneName
from dogs_vs_cats.settings.sections import Pooling
from dogs_vs_cats.settings.training_settings import HeadSettings

_STANDARDISED = "standardised"


def find_cut(backbone: keras.Model, name: BackboneName, block: str, earlier: Sequence[str]) -> str:
    """Find the last layer that is not needed to train a block and all after it.

    Args:
        backbone: the whole backbone.
        name: its name.
        block: the first of its blocks that is trained, of ``catalogue.BLOCKS``.
        earlier: its layers whose maps the head sees, too; of those, none may be frozen out of reach.

    Returns:
        The name of the layer whose maps the block takes, or of an earlier one where that is among ``earlier``.
    """
    order = [layer.name for layer in backbone.layers]
    return min([BLOCKS[name][block], *earlier], key=order.index)


def top(backbone: keras.Model, cut: str, pooling: Sequence[Pooling] | None, earlier: Sequence[str]) -> keras.Model:
    """A backbone from one of its layers on to its features, pooled where they are; it shares the backbone's weights."""
    whole = pooled(backbone, pooling, earlier)
    return keras.Model(whole.get_layer(cut).output, whole.output)


def build_tuned(
    backbone: keras.Model, block: str, part: keras.Model, network: HeadSettings, *, standardised: bool
) -> keras.Model:
    """Put a head on a backbone's ``top``.

    What lies before the block is frozen, and so are all batch normalisations, in their inference mode.

    Args:
        backbone: the whole backbone.
        block: the layer whose maps the first block that is trained takes.
        part: the backbone's ``top``.
        network: the head's settings.
        standardised: whether the head's inputs pass a frozen normalisation. Pooled features differ so much in their
            scales that no gradient step suits the weights of all; the normalisation's numbers are the training's.

    Returns:
        A model from maps (n, rows, columns, channels) to the head's outputs.
    """
    order = [layer.name for layer in backbone.layers]
    frozen = set(order[: order.index(block) + 1])
    for layer in part.layers:
        layer.trainable = layer.name not in frozen and not isinstance(layer, layers.BatchNormalization)
    features = part.output
    if standardised:
        features = layers.BatchNormalization(center=False, scale=False, trainable=False, name=_STANDARDISED)(features)
    return keras.Model(part.input, head_on(features, network), name="fine_tuned")


def start(network: keras.Model, part: keras.Model, head: keras.Model, features: NDArray[np.float32]) -> None:
    """Give a network of ``build_tuned`` the weights that it is trained from, so that it says what the head says.

    Args:
        network: the network.
        part: the backbone's ``top``, with ImageNet weights.
        head: the trained head.
        features: (n, height, width, channels) that the head was trained on.
    """
    weights = part.get_weights()
    dense = head.get_weights()
    if epsilon := _epsilon(network):
        mean = features.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
        variance = features.var(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
        weights += [mean, variance]
        kernel, bias = dense[:2]
        dense[:2] = [kernel * np.sqrt(variance + epsilon)[:, None], bias + mean @ kernel]
    network.set_weights([*weights, *dense])


def finish(network: keras.Model, part: keras.Model, network_of: HeadSettings) -> keras.Model:
    """Give the backbone's ``top`` the trained weights.

    Args:
        network: the trained network of ``build_tuned``.
        part: the backbone's ``top``, whose weights become the network's.
        network_of: the head's settings.

    Returns:
        The trained head, on features that are not standardised.
    """
    weights = network.get_weights()
    count = len(part.weights)
    part.set_weights(weights[:count])
    dense = weights[count:]
    if epsilon := _epsilon(network):
        mean, variance, kernel, bias, *others = dense
        kernel = kernel / np.sqrt(variance + epsilon)[:, None]
        dense = [kernel, bias - mean @ kernel, *others]
    head = build_head(network_of, part.output_shape[1:])
    head.set_weights(dense)
    return head


def _epsilon(network: keras.Model) -> float | None:
    """What the head's standardisation adds to variances; None where it has none."""
    found = [layer for layer in network.layers if layer.name == _STANDARDISED]
    return float(found[0].epsilon) if found else None
