"""Seeds, deterministic kernels and the compute type, set before a model is built."""

import keras
import tensorflow as tf


def prepare(seed: int, *, mixed_precision: bool = False) -> None:
    """Make what follows in this process repeatable to the last digit on a CPU.

    Args:
        seed: of Python's, NumPy's and TensorFlow's random numbers.
        mixed_precision: compute in float16 where a GPU can, keeping float32 weights.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed_precision else "float32")


def device() -> str:
    """The device that TensorFlow computes on: a GPU's name, or the CPU and its core count."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
        return ", ".join(details)
    return f"CPU, {tf.config.threading.get_intra_op_parallelism_threads() or _cores()} threads"


def _cores() -> int:
    import psutil

    return len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count()
