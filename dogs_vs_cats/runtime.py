"""What Keras computes with: TensorFlow, JAX or PyTorch, and what each of them does in a way of its own."""

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dogs_vs_cats.errors import WorkflowError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
"""The values of ``KERAS_BACKEND`` that this project knows, and what people call them."""
_INSTALLING = {"tensorflow": "make setup", "jax": "pip install jax", "torch": "pip install torch"}
_NOISE = ("absl::InitializeLog()", "oneDNN custom operations are on", "optimized to use available CPU instructions")

_FULL = (
    "RESOURCE_EXHAUSTED",
    "OOM when allocating",
    "out of memory",
    "can't allocate memory",
    "Failed to allocate memory",
)
"""What JAX, TensorFlow, PyTorch on a GPU and on a CPU, and ONNX Runtime say where memory does not do."""


def backend() -> str:
    """Return the name of Keras's backend, a key of ``BACKENDS``, without importing it.

    Raises:
        WorkflowError: if ``KERAS_BACKEND`` is none of them.
    """
    name = os.environ["KERAS_BACKEND"]  # the package sets it where the user did not
    if name not in BACKENDS:
        raise WorkflowError(f"KERAS_BACKEND is {name!r}: choose tensorflow, jax or torch")
    return name


def check_backend() -> None:
    """Fail if Keras's backend is not installed, without importing it.

    Raises:
        WorkflowError: if it is unknown or not installed, with the command that installs it.
    """
    name = backend()
    if find_spec(name) is None:
        others = [f", or set KERAS_BACKEND={other}" for other in BACKENDS if find_spec(other) is not None]
        raise WorkflowError(
            f"KERAS_BACKEND={name}: {BACKENDS[name]} is not installed for {sys.executable}; "
            f"run {_INSTALLING[name]}{''.join(others[:1])}"
        )


def import_backend() -> None:
    """Import Keras's backend. Of what TensorFlow prints meanwhile, leave out three lines that tell a user nothing.

    No setting of TensorFlow's silences them, and Python's ``sys.stderr`` does not see them.

    Raises:
        WorkflowError: if the backend is unknown or not installed.
    """
    name = backend()
    if name in sys.modules and sys.modules[name] is not None:
        return
    check_backend()
    if name != "tensorflow":
        importlib.import_module(name)
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            import tensorflow  # noqa: ICN001, F401
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            printed.seek(0)
            for line in printed.read().decode(errors="replace").splitlines():
                # The rest of a message that names the instructions follows on a line of its own.
                if not any(noise in line for noise in _NOISE) and "rebuild TensorFlow" not in line:
                    print(line, file=sys.stderr)


def backend_version() -> str:
    """Return the backend's installed version: TensorFlow's build for processors alone is a package of another name."""
    try:
        return version(backend())
    except PackageNotFoundError:
        return version(f"{backend()}-cpu")


def gpu_names() -> list[str]:
    """Return the names of the GPUs that the backend sees; none before it is imported."""
    name = backend()
    module: Any = sys.modules.get(name)
    if name == "tensorflow" and hasattr(module, "config"):
        gpus = module.config.list_physical_devices("GPU")
        details = module.config.experimental.get_device_details
        return [details(gpu).get("device_name", gpu.name) for gpu in gpus]
    if name == "jax" and hasattr(module, "devices"):
        return [device.device_kind for device in module.devices() if device.platform != "cpu"]
    if name == "torch" and hasattr(module, "cuda"):
        return [module.cuda.get_device_name(number) for number in range(module.cuda.device_count())]
    return []


def free_gpu_memory() -> int:
    """Return how many bytes of the first GPU's memory are free for the backend; 0 where it sees no GPU."""
    if not gpu_names():
        return 0
    if backend() == "torch":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    if backend() == "jax":
        import jax

        told = jax.devices()[0].memory_stats() or {"bytes_limit": 0, "bytes_in_use": 0}
        return int(told["bytes_limit"] - told["bytes_in_use"])
    import tensorflow as tf
    from tensorflow.python.client.device_lib import list_local_devices

    limit = next(device.memory_limit for device in list_local_devices() if device.device_type == "GPU")
    return int(limit - tf.config.experimental.get_memory_info("GPU:0")["current"])


def hide_gpus() -> None:
    """Import the backend so that it computes on the CPU alone, in a process that has not imported it yet."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}
    import_backend()
    if backend() == "tensorflow" and gpu_names():
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")


def make_repeatable() -> None:
    """Have the backend's kernels give the same at every run; only TensorFlow's have to be asked."""
    if backend() == "tensorflow":
        import tensorflow as tf

        # Its warnings are of graphs traced again, which happens wherever a process holds two models.
        tf.get_logger().setLevel("ERROR")
        tf.config.experimental.enable_op_determinism()


@contextmanager
def enough_memory(key: str, batch: int) -> Iterator[None]:
    """Tell in one line where the memory, a GPU's or the machine's, does not do for a batch.

    Args:
        key: the setting that says how large a batch is.
        batch: what it says.

    Raises:
        WorkflowError: naming the setting, in place of what the backend raises.
    """
    try:
        yield
    except Exception as error:
        told = [line for line in str(error).splitlines() if any(words in line for words in _FULL)]
        if not told:
            raise
        where = ", ".join(gpu_names()) or "this machine"
        raise WorkflowError(
            f"{key} is {batch}: too much for the memory of {where}; make it smaller ({told[0].strip()[:200]})"
        ) from error


def random_states() -> "list[NDArray[np.uint8]]":
    """Return the states of the backend's own random numbers, which Keras's dropout takes on PyTorch: none elsewhere."""
    if backend() != "torch":
        return []
    import torch

    return [state.numpy() for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())]


def set_random_states(states: "list[NDArray[np.uint8]]") -> None:
    """Give the backend's own random numbers the states that ``random_states`` returned."""
    if not states:
        return
    import torch

    cpu, *gpus = (torch.from_numpy(state) for state in states)
    torch.set_rng_state(cpu)
    torch.cuda.set_rng_state_all(gpus)


def with_gradient(function: Callable[[Any], Any], at: Any) -> tuple[Any, Any]:
    """Return a function's values and the gradient of their sum, as Keras has none for all backends.

    Args:
        function: of one tensor.
        at: the tensor.

    Returns:
        What the function gives, and the gradient in the tensor's shape.
    """
    if backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(at)
            values = function(at)
        return values, tape.gradient(values, at)
    if backend() == "jax":
        import jax

        values, pull_back = jax.vjp(function, at)
        return values, pull_back(jax.numpy.ones_like(values))[0]
    import torch

    at = at.detach().requires_grad_()
    with torch.enable_grad():
        values = function(at)
    return values.detach(), torch.autograd.grad(values.sum(), at)[0]
