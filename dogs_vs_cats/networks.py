"""The networks that are trained: one of several on images, a head on bottleneck features."""

from typing import Any, Literal

import keras
from keras import layers, ops

from dogs_vs_cats import architectures
from dogs_vs_cats.settings import CnnSettings, HeadSettings


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


def build_cnn(network: CnnSettings, size: int) -> keras.Model:
    """Build the network that is trained from scratch.

    Args:
        network: its name and, for ``cnn``, its shape; the defaults are the article's, 1,355,938 parameters at 150
            pixels.
        size: pixels a side of the images.

    Returns:
        A model from ``(n, size, size, 3)`` pixels, 0 to 255, to ``(n, 2)`` softmax or ``(n, 1)`` sigmoid outputs.
    """
    inputs = layers.Input((size, size, 3), name="image")
    if network.name == "cnn":
        x = _cnn(layers.Rescaling(1 / 255)(inputs), network)
    else:
        x = _BODIES[network.name](layers.Rescaling(1 / 127.5, offset=-1.0)(inputs))
    return keras.Model(inputs, _classify(x, network.output), name="scratch")


def _cnn(x: Any, network: CnnSettings) -> Any:
    for convolution in network.convolutions:
        # The normalisation has a bias of its own.
        bias = not network.batch_normalization
        x = layers.Conv2D(convolution.filters, convolution.kernel, padding="same", use_bias=bias)(x)
        if network.batch_normalization:
            x = layers.BatchNormalization()(x)
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
    pooling = {
        "flatten": layers.Flatten,
        "global_average": layers.GlobalAveragePooling2D,
        "global_max": layers.GlobalMaxPooling2D,
    }[network.pooling]
    inputs = layers.Input(features, name="features")
    x = pooling()(inputs)
    for units, dropout in zip(network.dense, network.dropout, strict=True):
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, _classify(x, network.output), name="head")


def second_class(outputs: Any) -> Any:
    """P(second class), ``(n,)``, from the outputs of either kind: ``(n, 2)`` softmax or ``(n, 1)`` sigmoid."""
    return outputs[:, -1]


def describe_layers(model: keras.Model) -> list[tuple[str, tuple[int | None, ...], int]]:
    """Name, output shape and parameter count of each layer, input first."""
    return [(type(layer).__name__, tuple(layer.output.shape), layer.count_params()) for layer in model.layers]
