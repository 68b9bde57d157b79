"""Seeds, deterministic kernels and the compute type, set before a model is built."""

import keras
import tensorflow as tf


def prepare(seed: int, *, mixed_precision: bool = False) -> None:
    """Make what follows in this process repeatable to the last digit on a CPU.

    Args:
        seed: of Python's, NumPy's and TensorFlow's random numbers.
        mixed_precision: compute in float16 where a GPU can, keeping float32 weights.
    """
    # Its warnings are of graphs traced again, which happens wherever a process holds two models.
    tf.get_logger().setLevel("ERROR")
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed_precision else "float32")
