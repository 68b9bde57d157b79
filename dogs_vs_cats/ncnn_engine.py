"""VGG16's features by ncnn, one single-threaded process a core: on a CPU twice as fast as TensorFlow.

ncnn's speed comes from Winograd convolutions; its threads are slower than its processes (they share Python's lock and
split layers too small to be split). Every photo is computed alone, so the features do not depend on how many
processes there are.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.processes import Submit, worker_processes
from dogs_vs_cats.weights import LAYERS, Tensor

_PHOTOS_A_TASK = 8  # under a second of work: what is redone when a process dies, and waited for at Ctrl-C
_LIVES = 3  # how often the processes may die before it is taken for hopeless
# What a process takes, measured from 32 to 1024 pixels a side: Winograd's copies of the weights, and layers' outputs.
_BYTES_A_PROCESS, _BYTES_A_PIXEL = 320_000_000, 2300

# ---------------------------------------------------------------- in the worker processes


def write_network(tensors: Sequence[Tensor], folder: Path) -> None:
    """Write VGG16's convolutions and poolings as ncnn reads them.

    Args:
        tensors: kernel (3, 3, in, out) and bias (out,) of each layer in turn.
        folder: where to leave ``vgg16.param`` (text) and ``vgg16.bin``.

    Source: ncnn's param and model file structure, https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure
    """
    lines = ["Input photo 0 1 photo"]
    last, block = "photo", "block1"
    with (folder / "vgg16.bin").open("wb") as binary:
        for (name, (_, filters)), kernel, bias in zip(LAYERS.items(), tensors[::2], tensors[1::2], strict=True):
            if not name.startswith(block):
                lines.append(f"Pooling {block}_pool 1 1 {last} {block}_pool 0=0 1=2 2=2 5=1")
                last, block = f"{block}_pool", name.partition("_")[0]
            # filters, 3x3, padded by 1, with a bias, so many weights, ReLU
            lines.append(f"Convolution {name} 1 1 {last} {name} 0={filters} 1=3 4=1 5=1 6={kernel.size} 9=1")
            last = name
            binary.write(bytes(4))  # the tag of plain float32
            binary.write(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), dtype="<f4").tobytes())
            binary.write(np.ascontiguousarray(bias, dtype="<f4").tobytes())
    lines.append(f"Pooling {block}_pool 1 1 {last} features 0=0 1=2 2=2 5=1")
    header = f"7767517\n{len(lines)} {len(lines)}\n"
    (folder / "vgg16.param").write_text(header + "\n".join(lines) + "\n", encoding="ascii")


@cache
def _load_network(folder: str) -> Any:
    """The network, loaded once a process."""
    try:
        import ncnn
    except ImportError as error:
        raise WorkflowError(f"ncnn can't be imported ({error}); set bottleneck.engine: tensorflow") from None

    network = ncnn.Net()
    options = network.opt
    options.num_threads = 1
    for name in dir(options):
        # Every reduced precision this version has: the features are TensorFlow's only in plain float32.
        if name.startswith(("use_fp16", "use_bf16", "use_int8")):
            setattr(options, name, False)
    if network.load_param(f"{folder}/vgg16.param") or network.load_model(f"{folder}/vgg16.bin"):
        raise WorkflowError("ncnn could not load VGG16; set bottleneck.engine: tensorflow")
    return network


def _compute(
    folder: str, scaling: tuple[float, tuple[float, ...], bool], photos: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Features (n, h, w, 512) of photos (n, size, size, 3), one after the other."""
    network = _load_network(folder)
    import ncnn

    factor, offset, reverse = scaling
    features = []
    for photo in photos:
        values = photo.astype(np.float32)[..., :: -1 if reverse else 1]
        scaled = values * np.float32(factor) + np.asarray(offset, np.float32)
        planes = np.ascontiguousarray(scaled.transpose(2, 0, 1))
        extractor = network.create_extractor()
        failed = extractor.input("photo", ncnn.Mat(planes))
        status, found = extractor.extract("features")
        if failed or status:
            raise WorkflowError("ncnn could not compute a photo's features; set bottleneck.engine: tensorflow")
        features.append(np.array(found).transpose(1, 2, 0))
    return np.stack(features)


# ---------------------------------------------------------------- in the parent


def count_workers(size: int) -> int:
    """A process for each core this process may use, fewer where memory is short.

    Args:
        size: the photos' pixels a side.
    """
    import joblib
    import psutil

    fitting = int(psutil.virtual_memory().available // 2 // (_BYTES_A_PROCESS + _BYTES_A_PIXEL * size**2))
    return max(1, min(int(joblib.cpu_count()), fitting))


class NcnnPool:
    """Processes that compute VGG16's features; used as a context manager.

    Args:
        tensors: kernel (3, 3, in, out) and bias (out,) of each layer in turn.
        scaling: factor, offset of each channel, and whether RGB is reversed to BGR before them.
        workers: how many processes.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        scaling: tuple[float, tuple[float, ...], bool],
        workers: int,
    ) -> None:
        self._workers = workers
        self._scaling = scaling
        self._folder = tempfile.TemporaryDirectory()
        self._processes = ExitStack()
        self._submit: Submit | None = None
        write_network(tensors, Path(self._folder.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._processes.__exit__(kind, error, trace)
        finally:
            self._folder.cleanup()

    def _start(self) -> Submit:
        if self._submit is None:
            self._submit = self._processes.enter_context(worker_processes(self._workers))
        return self._submit

    def compute(self, photos: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Compute features, in whatever order they are ready.

        Photos whose process died are done again.

        Args:
            photos: (n, size, size, 3) uint8 RGB; read a few at a time.

        Yields:
            The position of a first photo, and the features (m, h, w, 512) of it and those after it.

        Raises:
            WorkflowError: if the processes die again and again.
        """
        todo = list(range(0, len(photos), _PHOTOS_A_TASK))[::-1]
        running: dict[Future[NDArray[np.float32]], int] = {}
        lives = _LIVES
        while todo or running:
            try:
                while todo and len(running) < 2 * self._workers:
                    start = todo[-1]
                    few = np.array(photos[start : start + _PHOTOS_A_TASK])
                    future = self._start()(_compute, self._folder.name, self._scaling, few)
                    running[future] = todo.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    features = future.result()
                    yield running.pop(future), features
            except BrokenProcessPool:
                lives -= 1
                if not lives:
                    raise WorkflowError(
                        f"ncnn's processes died {_LIVES} times while computing features, most likely for want of "
                        "memory; free some, or set bottleneck.engine: tensorflow"
                    ) from None
                todo += sorted(running.values(), reverse=True)
                running.clear()
                self._processes.close()
                self._submit = None
