"""RMSprop in one pass through memory in place of ten."""

from typing import Any

import keras
import tensorflow as tf

from dogs_vs_cats.training.affine import rounded

_LARGE = 1 << 16
"""Numbers in a weight array from which on compiling its update is worth it."""


@keras.saving.register_keras_serializable("dogs_vs_cats")
class CompiledRMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]
    """Keras's RMSprop, whose update of a large weight array is compiled by XLA.

    Arguments and state are those of ``keras.optimizers.RMSprop``. Weights differ in their last bit, about one in fifty
    after five steps: XLA's roots are not those of TensorFlow's kernels, and neither are always rounded right.
    """

    def build(self, variables: list[Any]) -> None:
        """Make the state of these variables, and what updates them."""
        super().build(variables)
        # Of this optimizer alone: what TensorFlow traces for variables cannot be called for others once they are gone.
        self._compiled_update = tf.function(_update, jit_compile=True)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable and its velocity."""
        simple = not self.momentum and not self.centered and variable.dtype == "float32"
        if not simple or variable.shape.num_elements() < _LARGE or tf.config.list_physical_devices("GPU"):
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self._velocities[self._get_variable_index(variable)]
        rate = tf.cast(learning_rate, "float32")
        self._compiled_update(variable, velocity.value, gradient, rate, self.rho, self.epsilon)


# XLA makes one loop over the numbers of this, which waits for nothing: see affine.py.
def _update(variable: Any, velocity: Any, gradient: Any, rate: Any, rho: float, epsilon: float) -> None:
    squares = rounded(rho * velocity) + rounded((1 - rho) * tf.square(gradient))
    velocity.assign(squares)
    variable.assign_sub(rounded(rate * gradient) / tf.sqrt(squares + epsilon))
