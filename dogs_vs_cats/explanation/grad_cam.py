"""Where a trained network looks in a photo (Grad-CAM), and the filters that it looks with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from dogs_vs_cats.evaluation.metrics import correct
from dogs_vs_cats.models.pretrained.backbones import scale_layers, scaling_values
from dogs_vs_cats.models.saved import Description, Predictor, open_backbone

CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D)


@dataclass(frozen=True)
class OpenNetwork:
    """A trained network, laid open between photo and class.

    Attributes:
        seeing: a network with convolutions among its own layers; from photos (n, size, size, 3), scaled if need be.
        scale: what photos pass before it; None: nothing.
        deciding: the network on top of it, where that is another; None: ``seeing`` ends in the class itself.
        reversed_channels: whether ``seeing`` takes BGR, not RGB.
    """

    seeing: keras.Model
    scale: keras.Model | None = None
    deciding: keras.Model | None = None
    reversed_channels: bool = False

    def scaled(self, photos: NDArray[Any]) -> Any:
        """Photos (n, size, size, 3) RGB, 0 to 255, as ``seeing`` takes them."""
        inputs = ops.convert_to_tensor(np.asarray(photos), "float32")
        return inputs if self.scale is None else self.scale(inputs)

    @property
    def convolutions(self) -> list[keras.layers.Layer]:
        """Its convolutions, the first one first; without any there is nothing here to look into."""
        return [layer for layer in self.seeing.layers if isinstance(layer, CONVOLUTIONS)]


def open_network(model: keras.Model, description: Description, backbone: keras.Model | None = None) -> OpenNetwork:
    """Lay a trained model open.

    Args:
        model: the trained network.
        description: what it is.
        backbone: the backbone with its weights, for the head.
    """
    if description.kind == "scratch":
        return OpenNetwork(model)
    if backbone is None or description.backbone is None or description.scaling is None:
        raise ValueError("the vgg16 model needs its backbone and its scaling")
    photos = keras.Input((description.size, description.size, 3), name="photos")
    return OpenNetwork(
        backbone,
        scale=keras.Model(photos, scale_layers(photos, description.scaling, description.backbone)),
        deciding=model,
        reversed_channels=scaling_values(description.scaling, description.backbone)[2],
    )


def open_predictor(predictor: Predictor, vgg16: Path) -> OpenNetwork:
    """Lay a loaded model open.

    Args:
        predictor: the model.
        vgg16: the file with the backbone's ImageNet weights, read for the head only.

    Raises:
        WorkflowError: if those weights are missing or damaged.
    """
    description = predictor.description
    return open_network(predictor.model, description, open_backbone(description, vgg16))


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
    import tensorflow as tf

    last = _last_maps(network)
    to_maps, to_log_odds = keras.Model(network.seeing.inputs, last.output), _log_odds(network, last)
    maps = to_maps(network.scaled(photos), training=False)
    # From the maps on only: the gradient through the convolutions before them would be thrown away.
    with tf.GradientTape() as tape:
        tape.watch(maps)
        log_odds = to_log_odds(maps, training=False)
    weights = ops.mean(ops.cast(tape.gradient(log_odds, maps), "float32"), axis=(1, 2), keepdims=True)
    evidence = ops.sum(weights * ops.cast(maps, "float32"), axis=-1)
    probabilities = np.asarray(ops.sigmoid(ops.cast(log_odds, "float64")))[:, 0]
    return np.asarray(evidence), probabilities


def _last_maps(network: OpenNetwork) -> keras.layers.Layer:
    """The layer after whose activation the last convolution's maps are whole, before any pooling."""
    last = network.convolutions[-1]
    after = network.seeing.layers[network.seeing.layers.index(last) :]
    places = last.output.shape[1:3]
    return [layer for layer in after if len(layer.output.shape) == 4 and layer.output.shape[1:3] == places][-1]  # noqa: PLR2004


def _log_odds(network: OpenNetwork, last: keras.layers.Layer) -> keras.Model:
    """The network from its last maps to the log-odds (n, 1) of the second class.

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
        return keras.Model(last.output, log_odds)
    return keras.Model(last.output, keras.Model(classifier.inputs, log_odds)(network.seeing.output))


def first_filters(network: OpenNetwork) -> NDArray[np.float32]:
    """The weights that the first convolution looks at a photo with.

    Args:
        network: has a convolution; the first one takes the photo's three colours.

    Returns:
        (rows, columns, 3, filters), the colours in the order red, green, blue.
    """
    kernel = np.asarray(network.convolutions[0].get_weights()[0], dtype=np.float32)
    return kernel[:, :, ::-1] if network.reversed_channels else kernel


def telling_photos(labels: NDArray[Any], probabilities: Mapping[str, NDArray[Any]]) -> list[int]:
    """A few photos that show models both right and wrong: of each outcome and class the one they are surest of.

    Args:
        labels: (n,) the photos' classes, 0 or 1.
        probabilities: by model, (n,) P(second class).

    Returns:
        Their positions, at most four for one model and eight for two: first those that all models are right on, last
        those that all are wrong on.
    """
    given = np.array(list(probabilities.values()))
    rights = np.array([correct(labels, one) for one in given])
    # Sure all together: the least sure of the models counts.
    sureness = np.abs(given - 0.5).min(axis=0)
    surest: dict[tuple[Any, ...], int] = {}
    for index in np.argsort(-sureness, kind="stable"):
        surest.setdefault((*(~rights[:, index]).tolist(), int(labels[index])), int(index))
    return [surest[outcome] for outcome in sorted(surest)]
