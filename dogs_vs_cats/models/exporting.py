"""The whole model, as others use it."""

from typing import Any

import keras
from keras import layers, ops

from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.networks.building import second_class
from dogs_vs_cats.models.networks.views import average
from dogs_vs_cats.models.opened import OpenNetwork


def exported(opened: OpenNetwork, description: Description) -> keras.Model:
    """Build the model as others use it: photos in, a probability out, made of Keras's own classes alone.

    Returns:
        A model from ``(n, size, size, 3)`` uint8 RGB photos to ``(n,)`` float32 P(second class). It is not compiled.
    """
    # Not the trained object itself: Keras saves the optimizer and the loss that a model was compiled with, and where
    # this one is loaded, those of this project do not exist.
    if opened.learned is None:
        network = description.build()
        network.set_weights(opened.trained.get_weights())
    else:
        network = opened.deciding
    judge = description.judge(network)

    def answer(x: Any) -> Any:
        if opened.scale is not None:
            x = opened.scale(x)
        if opened.deciding is not None:
            x = opened.seeing(x)
        return second_class(judge(x))

    photos = layers.Input((description.size, description.size, 3), dtype="uint8", name="photos")
    x = ops.cast(photos, "float32")
    second = average([answer(x), answer(ops.flip(x, axis=2))]) if description.mirrors else answer(x)
    return keras.Model(photos, second, name=f"photos_to_{description.kind}")
