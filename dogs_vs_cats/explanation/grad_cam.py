"""Where a trained network looks in a photo (Grad-CAM), and the filters that it looks with."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from dogs_vs_cats.models.opened import OpenNetwork
from dogs_vs_cats.models.pretrained.backbones import is_pooled
from dogs_vs_cats.models.probabilities import predicted
from dogs_vs_cats.runtime import backend, with_gradient

_KERNEL = 4  # dimensions: rows, columns, from, to


def grad_cam(network: OpenNetwork, photos: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Which places of a photo speak for one class or the other, after the last convolution and its activation.

    Of the last feature maps A_k, each map's weight is the mean, over its places, of the gradient of a class's score by
    A_k, and their weighted sum's positive part is that class's Grad-CAM. The score is the class's log-odds, before the
    softmax or sigmoid, so both outputs give the same. The log-odds of the other class are their negative, so one sum
    with a sign holds both classes' Grad-CAM.

    Args:
        network: has convolutions, and a dense layer on top, of one sigmoid or two softmax outputs.
        photos: (n, size, size, 3) RGB, 0 to 255.

    Returns:
        (n, rows, columns), the places of the last feature maps: above 0 for the second class, below 0 for the first;
        and P(second class) (n,).

    Source: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization",
    ICCV 2017, equations 1 and 2.
    """
    last = _last_maps(network)
    # What the head takes of earlier layers does not come from the last maps.
    known = [last.output, *(layer.output for layer in network.seeing.layers if is_pooled(layer, earlier=True))]
    to_known, to_log_odds = keras.Model(network.seeing.inputs, known), _log_odds(network, known)
    maps, *others = keras.tree.flatten(to_known(network.scaled(photos), training=False))
    # From the maps on only: the gradient through the convolutions before them would be thrown away.
    log_odds, gradient = with_gradient(lambda watched: to_log_odds([watched, *others], training=False), maps)
    weights = ops.mean(ops.cast(gradient, "float32"), axis=(1, 2), keepdims=True)
    evidence = ops.sum(weights * ops.cast(maps, "float32"), axis=-1)
    precision = "float32" if backend() == "jax" else "float64"  # JAX has no float64 unless it is told to
    probabilities = ops.convert_to_numpy(ops.sigmoid(ops.cast(log_odds, precision)))[:, 0]
    return ops.convert_to_numpy(evidence), probabilities.astype(np.float64)


def _last_maps(network: OpenNetwork) -> keras.layers.Layer:
    """The layer after whose activation the last convolution's maps are whole, before any pooling."""
    last = network.convolutions[-1]
    after = network.seeing.layers[network.seeing.layers.index(last) :]
    shape = last.output.shape[:3]
    return [layer for layer in after if layer.output.shape[:-1] == shape and not is_pooled(layer)][-1]


def _log_odds(network: OpenNetwork, known: list[Any]) -> keras.Model:
    """The network from what is known of it to the log-odds (n, 1) of the second class.

    Not from its output: the logarithm of a probability that rounds to 1 has no gradient.
    """
    classifier = network.deciding or network.seeing
    dense = [layer for layer in classifier.layers if isinstance(layer, layers.Dense)][-1]
    # Its twin without softmax or sigmoid, where it has one of its own.
    linear = layers.Dense(dense.units, use_bias=dense.use_bias, dtype="float32")
    logits = linear(dense.input)
    linear.set_weights(dense.get_weights())
    log_odds = logits if dense.units == 1 else logits[:, 1:] - logits[:, :1]
    if network.deciding is None:
        return keras.Model(known, log_odds)
    return keras.Model(known, keras.Model(classifier.inputs, log_odds)(network.seeing.output))


def first_filters(network: OpenNetwork) -> NDArray[np.float32]:
    """The weights that the first convolution looks at a photo with.

    Args:
        network: has a convolution; the first one takes the photo's three colours.

    Returns:
        (rows, columns, 3, filters), the colours in the order red, green, blue.
    """
    # Not the first layer's: ConvNeXt keeps its first convolution in a network of its own.
    kernel = np.asarray(next(values for values in network.seeing.get_weights() if values.ndim == _KERNEL), np.float32)
    return kernel[:, :, ::-1] if network.reversed_channels else kernel


def telling_photos(labels: NDArray[Any], probabilities: Mapping[str, NDArray[Any]]) -> list[int]:
    """Choose a few photos that show models both right and wrong: of each outcome and class the surest.

    Args:
        labels: (n,) the photos' class numbers.
        probabilities: by model, (n, classes).

    Returns:
        Their positions, of two classes at most four for one model and eight for two: first those that all models are
        right on, last those that all are wrong on.
    """
    every = list(probabilities.values())
    rights = np.array([predicted(given) == labels for given in every])
    # Sure all together: the least sure of the models counts.
    sureness = np.array([given.max(axis=1) for given in every]).min(axis=0)
    surest: dict[tuple[Any, ...], int] = {}
    for index in np.argsort(-sureness, kind="stable"):
        surest.setdefault((*(~rights[:, index]).tolist(), int(labels[index])), int(index))
    return [surest[outcome] for outcome in sorted(surest)]
