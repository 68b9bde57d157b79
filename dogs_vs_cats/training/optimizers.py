"""Optimizers by their settings."""

from typing import Any

import keras

from dogs_vs_cats.settings.training_settings import OptimizerSettings
from dogs_vs_cats.training.muon import Muon
from dogs_vs_cats.training.schedules import build_schedule

_BY_NAME: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adagrad": keras.optimizers.Adagrad,
    "muon": Muon,
}
_SPARED = ["bias", "gamma", "beta"]
"""Names of the weights that do not decay: biases, and those of a normalisation."""


def build_optimizer(
    settings: OptimizerSettings, epochs: int, updates: int, averaging: float | None = None
) -> keras.optimizers.Optimizer:
    """Build the optimizer of ``settings``.

    Args:
        settings: its name and rates.
        epochs: of the whole training.
        updates: in each epoch.
        averaging: momentum of the moving average of the weights that it keeps; None: it keeps none.

    Returns:
        A new Keras optimizer. Its weight decay is decoupled, and spares biases and normalisations.
    """
    options: dict[str, Any] = {
        name: value for name in ("momentum", "weight_decay") if (value := getattr(settings, name)) is not None
    }
    if settings.name in ("sgd", "muon"):
        options["nesterov"] = settings.nesterov
    if settings.name == "muon" and settings.weight_decay is not None:
        options["adam_weight_decay"] = settings.weight_decay
    if averaging is not None:
        options |= {"use_ema": True, "ema_momentum": averaging}
    rate = build_schedule(settings, epochs, updates)
    kind = _BY_NAME[settings.name]
    if kind is keras.optimizers.RMSprop and keras.backend.backend() == "tensorflow":
        from dogs_vs_cats.training.tensorflow_only import CompiledRMSprop

        kind = CompiledRMSprop
    optimizer = kind(learning_rate=rate, **options)
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_SPARED)
    return optimizer
