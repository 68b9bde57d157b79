"""What computes a backbone beside Keras: whether it is installed, and how ONNX Runtime runs."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.runtime import BACKENDS, backend

Forward: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From photos (n, size, size, 3), 0 to 255, to what is computed of them, (n, ...)."""

TITLES = {"ncnn": "ncnn", "onnx": "ONNX Runtime"}
"""The engines beside Keras's backend, as people call them."""
_PACKAGES = {"ncnn": ("ncnn",), "onnx": ("onnxruntime", "tf2onnx"), "tensorflow": ()}


def obstacle(engine: str) -> str | None:
    """Return why an engine cannot run here and what to do; None: it can."""
    missing = [package for package in _PACKAGES[engine] if find_spec(package) is None]
    if missing:
        packages = " and ".join(missing)
        return f"{packages} {'is' if len(missing) == 1 else 'are'} not installed; run pip install {' '.join(missing)}"
    if engine == "onnx" and backend() != "tensorflow":
        return f"Keras on {BACKENDS[backend()]} writes no ONNX; set KERAS_BACKEND=tensorflow"
    return None


def open_onnx(file: Path) -> Forward:
    """Load what ``portable.write_onnx`` wrote, to run on all cores that this process may use."""
    import joblib
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = joblib.cpu_count()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda photos: np.asarray(session.run(None, {"photos": photos})[0])


def in_batches(forward: Forward, photos: NDArray[np.uint8], batch: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Run photos through a network.

    Args:
        forward: the network.
        photos: (n, size, size, 3) uint8 RGB; read a few at a time.
        batch: how many at a time.

    Yields:
        The position of a first photo, and what the network computes of it and those after it.
    """
    for start in range(0, len(photos), batch):
        yield start, np.asarray(forward(np.asarray(photos[start : start + batch], dtype=np.float32)))
