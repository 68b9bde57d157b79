"""Seeds, deterministic kernels and the compute type, set before a model is built."""

import keras

from dogs_vs_cats.runtime import make_repeatable


def prepare(seed: int, *, mixed_precision: bool = False) -> None:
    """Make what follows in this process repeatable to the last digit on a CPU.

    Args:
        seed: of Python's, NumPy's and the backend's random numbers.
        mixed_precision: compute in float16 where a GPU can, keeping float32 weights.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    make_repeatable()
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed_precision else "float32")
