"""Optimizers by their settings."""

from typing import Any

import keras
import tensorflow as tf

from dogs_vs_cats.settings import OptimizerSettings


@keras.saving.register_keras_serializable("dogs_vs_cats")
class FusedRMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]
    """RMSprop whose update is one kernel of TensorFlow's in place of nine operations, each through all of memory.

    A head's millions of weights make the update most of a step. The formula is Keras's, rounded in other places. With
    momentum or centring it is Keras's own update.
    """

    def build(self, variables: list[Any]) -> None:
        """Make the slots, and those that the kernel wants besides: no state, each step writes them anew."""
        super().build(variables)
        self._steps = [tf.Variable(tf.zeros(one.shape, one.dtype), trainable=False) for one in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its mean square."""
        if self.momentum or self.centered or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        number = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyRMSProp(
            var=_handle(variable),
            ms=_handle(self._velocities[number]),
            mom=self._steps[number].handle,
            lr=tf.cast(learning_rate, variable.dtype),
            rho=self.rho,
            momentum=0.0,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: Any) -> Any:
    """Keras hands over its own variables in one place and TensorFlow's in another."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


_BY_NAME: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": FusedRMSprop,
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
