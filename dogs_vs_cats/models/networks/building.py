"""The networks that are trained: one of several on images, a head on bottleneck features."""

from typing import Any, Literal

import keras
import numpy as np
from keras import layers, ops

from dogs_vs_cats.models.networks import architectures
from dogs_vs_cats.settings.training_settings import CnnSettings, HeadSettings


def _classify(x: Any, output: Literal["softmax", "sigmoid"]) -> Any:
    # float32 whatever the compute type: probabilities near 1 need the digits.
    logits = layers.Dense(2 if output == "softmax" else 1, dtype="float32", name="logits")(x)
    if output == "sigmoid":
        return layers.Activation("sigmoid", dtype="float32", name="probability")(logits)
    # Not plain softmax: it hands its logits to Keras's binary cross-entropy, which in a graph then takes them
    # for those of two sigmoids, and trains and reports something else than the loss of these probabilities.
    return ops.exp(ops.log_softmax(logits))


_BODIES = {
    "fully_connected": architectures.fully_connected,
    "lenet5": architectures.lenet5,
    "alexnet": architectures.alexnet,
    "residual": architectures.residual,
}


def build_cnn(network: CnnSettings, size: int | None) -> keras.Model:
    """Build the network that is trained from scratch.

    Args:
        network: its name and, for ``cnn``, its shape; the defaults are the article's, 1,355,938 parameters at 150
            pixels.
        size: pixels a side of the images; None: any, where the network takes any.

    Returns:
        A model from ``(n, size, size, 3)`` pixels, 0 to 255, to ``(n, 2)`` softmax or ``(n, 1)`` sigmoid outputs.
    """
    inputs = layers.Input((size, size, 3), name="image")
    if network.name == "cnn":
        x = _cnn(layers.Rescaling(1 / 255)(inputs), network)
    elif network.name == "wide_residual":
        x = architectures.wide_residual(layers.Rescaling(1 / 127.5, offset=-1.0)(inputs), network.width)
    else:
        x = _BODIES[network.name](layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    return keras.Model(inputs, _classify(x, network.output), name="scratch")


def _cnn(x: Any, network: CnnSettings) -> Any:
    for convolution in network.convolutions:
        # The normalisation has a bias of its own.
        bias = not network.batch_normalization
        x = layers.Conv2D(convolution.filters, convolution.kernel, padding="same", use_bias=bias)(x)
        if network.batch_normalization:
            x = architectures.normalisation()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(network.convolution_dropout)(x)
    x = layers.Flatten()(x) if network.pooling_end == "flatten" else layers.GlobalAveragePooling2D()(x)
    for units in network.dense:
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(network.dense_dropout)(x)
    return x


def build_head(network: HeadSettings, features: tuple[int, int, int]) -> keras.Model:
    """Build the head that is trained on a backbone's bottleneck features.

    Args:
        network: its shape; the defaults are the article's.
        features: height, width and channels of one photo's features, (4, 4, 512) of VGG16 at 150 pixels.

    Returns:
        A model from ``(n, *features)`` to ``(n, 1)`` sigmoid or ``(n, 2)`` softmax outputs.
    """
    inputs = layers.Input(features, name="features")
    return keras.Model(inputs, head_on(inputs, network), name="head")


def head_on(features: Any, network: HeadSettings) -> Any:
    """Return the outputs of such a head on features (n, height, width, channels)."""
    pooling = {
        "flatten": layers.Flatten,
        "global_average": layers.GlobalAveragePooling2D,
        "global_max": layers.GlobalMaxPooling2D,
    }[network.pooling]
    x = pooling()(features)
    for units, dropout in zip(network.dense, network.dropout, strict=True):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(dropout)(x)
    return _classify(x, network.output)


def second_class(outputs: Any) -> Any:
    """P(second class), ``(n,)``, from the outputs of either kind: ``(n, 2)`` softmax or ``(n, 1)`` sigmoid."""
    return outputs[:, -1]


def describe_layers(model: keras.Model) -> list[tuple[str, tuple[int | None, ...], int]]:
    """Name, output shape and parameter count of each layer, input first."""
    return [(type(layer).__name__, tuple(layer.output.shape), layer.count_params()) for layer in model.layers]


def describe_stages(model: keras.Model, most: int = 26) -> list[tuple[str, tuple[int | None, ...], int]]:
    """The layers as ``describe_layers`` gives them; where they are many, those between two halvings as one.

    Args:
        model: any network.
        most: layers that are still told one by one.

    Returns:
        Name, output shape and parameter count, input first; the counts add up to the network's.
    """
    layers_of = describe_layers(model)
    if len(layers_of) <= most:
        return layers_of
    found: list[list[int]] = []
    side, final = float("inf"), _last_image(layers_of)
    for number, (layer, (_, shape, _)) in enumerate(zip(model.layers, layers_of, strict=True)):
        strided = max(np.atleast_1d(getattr(layer, "strides", 1))) > 1
        # Squeeze-and-excitation goes down to one pixel too, but comes back: only strides begin a stage.
        begins = not found or (strided and len(shape) == _IMAGE and (shape[1] or 0) < side)
        ends = len(shape) != _IMAGE and number >= final
        if begins or ends:
            found.append([])
            side = (shape[1] or 0) if len(shape) == _IMAGE else side
        found[-1].append(number)
    return [_stage(layers_of, numbers, last=final in numbers) for numbers in found]


_IMAGE = 4
"""Axes of a layer's output that still is an image: batch, height, width, channels."""


def _last_image(described: list[tuple[str, tuple[int | None, ...], int]]) -> int:
    return max(number for number, (_, shape, _) in enumerate(described) if len(shape) == _IMAGE)


def _stage(
    described: list[tuple[str, tuple[int | None, ...], int]], numbers: list[int], *, last: bool
) -> tuple[str, tuple[int | None, ...], int]:
    names = [described[number][0] for number in numbers]
    convolutions = sum("Conv" in name for name in names)
    name = names[0]
    if len(names) > 1:
        among = f", {convolutions} convolution{'' if convolutions == 1 else 's'} among them" if convolutions else ""
        name = f"{len(names)} layers{among}"
    # Layers of the next stage's branches may stand at the end: where branches meet is what this one gives.
    meeting = [number for number in numbers if described[number][0] in {"Add", "Concatenate"} and not last]
    images = [number for number in numbers if len(described[number][1]) == _IMAGE]
    return name, described[(meeting or images or numbers)[-1]][1], sum(described[number][2] for number in numbers)
