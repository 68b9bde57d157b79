"""What is faster with TensorFlow, Keras's default backend; imported where that is the backend, and nowhere else."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from dogs_vs_cats.runtime import gpu_names
from dogs_vs_cats.training import gathering
from dogs_vs_cats.training.affine import resample, rounded

_LARGE = 1 << 16
"""Numbers in a weight array from which on compiling its update is worth it."""


def affine_transform(images: Any, transforms: Any, dtype: str, size: int | None = None) -> Any:
    """Do what ``affine.affine_transform`` does, on a CPU to the last bit what Keras's does.

    TensorFlow's kernel behind Keras's works out where a pixel comes from once for each channel; compiled by XLA the
    same takes a quarter of the time, after a quarter to half a second of compiling for each new shape of a batch.
    """
    if size is None and gpu_names():
        return ops.image.affine_transform(ops.cast(images, dtype), transforms, "bilinear", "nearest")
    return _compiled(images, transforms, dtype, *((size, size) if size else images.shape[1:3]))


# XLA makes one loop over the pixels of this, which waits for nothing. Keep products, convolutions and FFTs out: what
# shares its work out to XLA's threads from one of them, and waits, can hang (PyAutoLabs/PyAutoFit#1530).
@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def _compiled(images: Any, transforms: Any, dtype: str, rows: int, columns: int) -> Any:
    return resample(images, transforms, dtype, (rows, columns), _gather)


def _gather(pixels: Any, places: Any) -> Any:
    return tf.gather(pixels, places, axis=1, batch_dims=1)


# By XLA: whether TensorFlow's own kernels take bytes on a GPU has changed from version to version.
@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def gather(inputs: Any, mirrored: Any, where: Any, flipped: Any, mixture: Any, *, mirror: bool) -> Any:
    """Do what ``gathering.gather`` does."""
    return gathering.gather(inputs, mirrored, where, flipped, mixture, mirror=mirror)


@keras.saving.register_keras_serializable("dogs_vs_cats")
class CompiledRMSprop(keras.optimizers.RMSprop):  # type: ignore[misc]
    """Keras's RMSprop, whose update of a large weight array is compiled by XLA: one pass through memory, not ten.

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
        if not simple or variable.shape.num_elements() < _LARGE or gpu_names():
            super().update_step(gradient, variable, learning_rate)
            return
        velocity = self._velocities[self._get_variable_index(variable)]
        rate = tf.cast(learning_rate, "float32")
        self._compiled_update(variable, velocity.value, gradient, rate, self.rho, self.epsilon)


# XLA makes one loop over the numbers of this, which waits for nothing: see above.
def _update(variable: Any, velocity: Any, gradient: Any, rate: Any, rho: float, epsilon: float) -> None:
    squares = rounded(rho * velocity) + rounded((1 - rho) * tf.square(gradient))
    velocity.assign(squares)
    variable.assign_sub(rounded(rate * gradient) / tf.sqrt(squares + epsilon))


def dataset(
    read: Callable[[], Iterator[tuple[NDArray[Any], ...]]], like: tuple[NDArray[Any], ...], batches: int, ahead: int
) -> tf.data.Dataset:
    """Make what Keras's ``fit`` and ``evaluate`` take; it reads ahead in a thread.

    Args:
        read: begins a pass over the batches.
        like: an array of the type and the shape, but for its length, of each one in a batch.
        batches: in a pass.
        ahead: so many of them are read while the model trains on another one.
    """
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in like)
    options = tf.data.Options()
    # Its thread holds up the end of one epoch in two: the clock waits with idle cores until 10 ms times a power of
    # two have passed, up to twice what the epoch takes. Keras's own wrapping of generators has it on.
    options.autotune.enabled = False
    counted = tf.data.experimental.assert_cardinality(batches)
    return (
        tf.data.Dataset.from_generator(read, output_signature=signature)
        .apply(counted)
        .prefetch(ahead)
        .with_options(options)
    )


@contextmanager
def fed(
    model: keras.Model, learned: keras.utils.PyDataset, judged: keras.utils.PyDataset
) -> Iterator[tuple[tf.data.Dataset, tf.data.Dataset]]:
    """Give a compiled model steps that take tensors from where a thread brings them, and wait for no result.

    Keras's own steps are given bytes in host memory. They put their metrics into an Optional, which TensorFlow keeps
    in host memory too, so that each step waits for the device.

    Args:
        model: has these steps within the block.
        learned: batches to train on.
        judged: batches to evaluate on.

    Yields:
        What ``fit`` and ``evaluate`` take in place of both.
    """

    def steps(step: Callable[[Any], Any], batches: keras.utils.PyDataset) -> Callable[[Iterator[Any]], Any]:
        # Of any length, as Keras has it: else the last batch is compiled anew, and others are rounded in other places.
        specs = tuple(tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in batches[0])
        compiled = tf.function(step, input_signature=[specs])
        return lambda places: compiled(batches[int(next(places))])

    model.train_function, model.test_function = steps(model.train_step, learned), steps(model.test_step, judged)
    try:
        yield tf.data.Dataset.range(len(learned)), tf.data.Dataset.range(len(judged))
    finally:
        model.train_function = model.test_function = None


class LateCallbacks(keras.callbacks.CallbackList):  # type: ignore[misc]
    """Keras's list, but told of a batch after the device has been given some more: reading metrics waits for it.

    Args:
        behind: so many batches later. Before anything else is told, all of them are.
        arguments: Keras's.
    """

    def __init__(self, *arguments: Any, behind: int, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self._behind = behind
        self._late: deque[tuple[Callable[..., None], int, Any]] = deque()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of an earlier batch."""
        self._tell(self._behind, (super().on_train_batch_end, batch, logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of an earlier batch."""
        self._tell(self._behind, (super().on_test_batch_end, batch, logs))

    def on_test_begin(self, logs: Any = None) -> None:
        """Tell of all batches of the training's epoch before."""
        self._tell(0)
        super().on_test_begin(logs)

    def on_test_end(self, logs: Any = None) -> None:
        """Tell of all batches before."""
        self._tell(0)
        super().on_test_end(logs)

    def _tell(self, left: int, *coming: tuple[Callable[..., None], int, Any]) -> None:
        self._late.extend(coming)
        while len(self._late) > left:
            tell, batch, logs = self._late.popleft()
            tell(batch, logs)
