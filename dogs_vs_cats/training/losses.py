"""Losses on the probability that a model gives the true class."""

from typing import Any

import keras
from keras import ops

from dogs_vs_cats.settings.training_settings import LossSettings

SMALLEST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1 before a logarithm, as Keras does."""


@keras.saving.register_keras_serializable("dogs_vs_cats")
class LogitHinge(keras.losses.Loss):  # type: ignore[misc]
    """Hinge loss on the logit of the true class: ``max(0, 1 - logit)``."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each image; ``y_true`` is 0/1 or one-hot like ``y_pred``, probabilities of one or two units."""
        y_true = ops.cast(y_true, y_pred.dtype)
        true_class = ops.mean(y_true * y_pred + (1 - y_true) * (1 - y_pred), axis=-1)
        true_class = ops.clip(true_class, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return ops.maximum(0.0, 1.0 - (ops.log(true_class) - ops.log1p(-true_class)))


def build_loss(settings: LossSettings) -> keras.losses.Loss:
    """The loss of ``settings``, for softmax outputs with one-hot labels and sigmoid outputs with 0/1 labels alike."""
    if settings.name == "focal":
        return keras.losses.BinaryFocalCrossentropy(
            gamma=settings.focal_gamma, label_smoothing=settings.label_smoothing
        )
    if settings.name == "hinge":
        return LogitHinge()
    if settings.name == "squared":
        return keras.losses.MeanSquaredError()
    return keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
