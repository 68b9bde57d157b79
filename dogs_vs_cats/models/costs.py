"""What a network costs: its parameters, its multiply-adds and its memory, found without giving it any weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
from keras import layers

_FLOAT_BYTES = 4
_PASSED_ON = (layers.InputLayer, layers.Flatten, layers.Reshape, layers.Dropout)
"""Layers that hand on what they get, or nothing but views of it, where a network predicts."""


@dataclass(frozen=True)
class Cost:
    """What one photo costs.

    Attributes:
        parameters: numbers in the network.
        multiply_adds: of its convolutions and dense layers, for one photo.
        weight_bytes: the parameters as float32.
        activation_bytes: every layer's output for one photo as float32, all held at once, as in training.
    """

    parameters: int
    multiply_adds: int
    weight_bytes: int
    activation_bytes: int


@contextmanager
def without_weights() -> Iterator[None]:
    """Networks that are built within have layers and shapes, but no values, so even the largest costs no memory.

    Keras's session is cleared afterwards, or it would make up for the values at the next chance.
    """
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        keras.utils.clear_session()


def cost(model: keras.Model) -> Cost:
    """What a network costs.

    Args:
        model: built for one size of photos, with or without values.

    Returns:
        Its cost. Normalisations, activations and poolings are not among the multiply-adds: they are one in a hundred.
    """
    multiply_adds = activations = 0
    for layer in model.layers:
        shape = layer.output.shape
        # Each kernel meets every place of what it puts out once; biases and normalisations have one axis alone.
        kernels = sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)
        multiply_adds += kernels * math.prod(shape[1:-1])
        if not isinstance(layer, _PASSED_ON):
            activations += math.prod(shape[1:])
    parameters = int(model.count_params())
    return Cost(parameters, int(multiply_adds), parameters * _FLOAT_BYTES, int(activations) * _FLOAT_BYTES)
