"""A Keras model of what every other program's format has."""

import logging
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops


def portable(model: keras.Model) -> keras.Model:
    """Rebuild a model of what every format has.

    Layers resize by an operation that only TensorFlow has, so here a matrix for each axis does it. TensorFlow's saved
    models take no variable whose name begins with an underscore, as those of EfficientNet-Lite do. Keras compiles a
    convolution in groups by XLA, which no format takes; those of ConvNeXt are depthwise. TensorFlow's gelu is of an
    operation that ONNX lacks. A normalisation's numbers are tensors, which would become inputs of the graph.
    """
    normalisations: list[layers.Normalization] = []

    def renamed(layer: Any) -> Any:
        if not isinstance(layer, layers.Layer):
            return layer  # an operation, which has no weights
        name = layer.name.lstrip("_")
        if isinstance(layer, layers.Conv2D) and layer.kernel.shape[2] == 1 < layer.groups == layer.filters:
            shape = (layer.kernel_size, layer.strides, layer.padding)
            options = {"dilation_rate": layer.dilation_rate, "activation": layer.activation, "use_bias": layer.use_bias}
            return layers.DepthwiseConv2D(*shape, **options, name=name)
        rebuilt = type(layer).from_config(layer.get_config() | {"name": name})
        if isinstance(rebuilt, layers.Normalization):
            normalisations.append(rebuilt)
        return rebuilt

    def called(layer: Any, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, layers.Resizing):
            return _resize(layer, *inputs)
        if isinstance(layer, layers.Activation) and layer.activation is keras.activations.gelu:
            return inputs[0] * (1 + ops.erf(inputs[0] * 0.5**0.5)) / 2
        return layer(*inputs, **options)

    rebuilt: keras.Model = keras.models.clone_model(model, clone_function=renamed, call_function=called, recursive=True)
    # A kernel in groups of one channel is (rows, columns, 1, channels), a depthwise one (rows, columns, channels, 1).
    values = zip(model.get_weights(), rebuilt.weights, strict=True)
    rebuilt.set_weights([np.reshape(value, variable.shape) for value, variable in values])
    for layer in normalisations:
        layer.finalize_state()
        layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    return rebuilt


def _resize(layer: layers.Resizing, photos: Any) -> Any:
    """Resize square photos (n, side, side, 3) as the layer does."""
    side = photos.shape[1]
    rows = layers.Resizing(layer.height, side, layer.interpolation, antialias=layer.antialias, dtype="float32")
    matrix = np.asarray(rows(np.eye(side, dtype=np.float32)[None, :, :, None]))[0, :, :, 0]
    channels_first = ops.transpose(photos, (0, 3, 1, 2))
    return ops.transpose(ops.matmul(ops.matmul(matrix, channels_first), matrix.T), (0, 2, 3, 1))


def write_onnx(model: keras.Model, file: Path) -> None:
    """Write a model of one input as ONNX, which takes its ``photos`` in batches of any size.

    Keras can do that on TensorFlow alone, with tf2onnx.
    """
    photos = keras.InputSpec(shape=model.input_shape, dtype=model.input.dtype, name="photos")
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # where it cannot simplify, it leaves the network as it is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras and tf2onnx warn of what they themselves do
        portable(model).export(str(file), format="onnx", verbose=False, input_signature=[photos])
