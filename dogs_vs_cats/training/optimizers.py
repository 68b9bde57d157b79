"""Optimizers by their settings."""

import keras

from dogs_vs_cats.settings.params import OptimizerSettings
from dogs_vs_cats.training.compiled_rmsprop import CompiledRMSprop

_BY_NAME: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": CompiledRMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adagrad": keras.optimizers.Adagrad,
}


def build_optimizer(settings: OptimizerSettings, epochs: int) -> keras.optimizers.Optimizer:
    """Build the optimizer of ``settings``.

    Args:
        settings: its name and rates.
        epochs: of the whole training; a time decay of ``learning_rate/epochs`` is derived from it.

    Returns:
        A new Keras optimizer. With a time decay its rate after t updates is ``learning_rate / (1 + decay * t)``, which
        Keras 2 called ``decay``.
    """
    decay = settings.time_decay
    if decay == "learning_rate/epochs":
        decay = settings.learning_rate / epochs
    rate = settings.learning_rate
    if decay:
        rate = keras.optimizers.schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)
    options = {name: value for name in ("momentum", "weight_decay") if (value := getattr(settings, name)) is not None}
    if settings.nesterov:
        options["nesterov"] = True
    return _BY_NAME[settings.name](learning_rate=rate, **options)
