"""Networks run by ncnn, one single-threaded process a core: on a CPU half again to twice as fast as TensorFlow.

ncnn's speed comes from Winograd convolutions; its threads are slower than its processes (they share Python's lock and
split layers too small to be split). What is computed of a photo does not depend on how many processes there are, or on
which other photos there are.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import temporary_folder
from dogs_vs_cats.models.ncnn.networks import AFTER, BINARY, OUTPUT, TEXT, Network, StackedNetwork
from dogs_vs_cats.models.ncnn.stacking import LARGEST_STACKED, STACKED, cut, stack
from dogs_vs_cats.processes import Submit, fitting_processes, worker_processes
from dogs_vs_cats.settings.sections import Pooling

ChannelScaling: TypeAlias = tuple[float | tuple[float, ...], tuple[float, ...], bool]
"""Factor of all channels or of each, offset of each, and whether RGB is reversed to BGR before them."""

_PLANES = 3  # dimensions of an output that is no row of values
_PHOTOS_A_TASK = STACKED  # under a second of work: what is redone when a process dies, and waited for at Ctrl-C
_LIVES = 3  # how often the processes may die before it is taken for hopeless
# What a process takes, measured from 32 to 1024 pixels a side: Winograd's copies of the weights, and layers' outputs.
_BYTES_A_PROCESS, _BYTES_A_PIXEL, _BYTES_A_PIXEL_STACKED = 340_000_000, 2300, 5500


@dataclass(frozen=True)
class PooledParts:
    """Which maps of a network are pooled.

    Attributes:
        parts: the numbers of the parts that end in them; of a network that is not stacked there is but one.
        ways: how, which is the same for each.
    """

    parts: tuple[int, ...]
    ways: tuple[Pooling, ...]


# ---------------------------------------------------------------- in the worker processes


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
    if network.load_param(f"{folder}/{TEXT}") or network.load_model(f"{folder}/{BINARY}"):
        raise WorkflowError("ncnn could not load the network; set bottleneck.engine: tensorflow")
    return network


def compute(
    folder: str, scaling: ChannelScaling, photos: NDArray[np.uint8], pooled: PooledParts | None = None
) -> NDArray[np.float32]:
    """Run a network on photos, one after the other, in this process.

    Args:
        folder: where ``Network.write`` wrote it; loaded once a process.
        scaling: factor, offset of each channel, and whether RGB is reversed to BGR before them.
        photos: (n, size, size, 3) uint8 RGB.
        pooled: how its planes are pooled; None: not at all.

    Returns:
        What it computes of each, planes with their channels last: VGG16's features are (n, h, w, 512) float32; pooled:
        (n, 1, 1, channels).

    Raises:
        WorkflowError: if ncnn is missing or fails.
    """
    found = _channels_last([_run(folder, planes) for planes in _scaled(photos, scaling)])
    return found if pooled is None else pool(found, pooled.ways)


def compute_stacked(
    folder: str, scaling: ChannelScaling, photos: NDArray[np.uint8], pooled: PooledParts | None = None
) -> NDArray[np.float32]:
    """Run a stacked network on photos, in this process.

    Args:
        folder: where ``StackedNetwork.write`` wrote it; loaded once a process.
        scaling: as for ``compute``.
        photos: (n, size, size, 3) uint8 RGB, at most as many as are stacked.
        pooled: what becomes of the parts' maps; None: the last ones are what is computed.

    Returns:
        What it computes of each, as ``compute``; pooled: (n, 1, 1, channels).

    Raises:
        WorkflowError: as ``compute``.
    """
    after = Path(folder) / AFTER
    first, *others = sorted(str(part) for part in Path(folder).iterdir() if part != after)
    found = [[_run(first, planes) for planes in _scaled(photos, scaling)]]
    for part in others:
        found.append(cut(_run(part, stack(found[-1])), len(photos)))
    if pooled is not None:
        return np.concatenate([pool(_channels_last(found[part]), pooled.ways) for part in pooled.parts], axis=-1)
    return _channels_last([_run(str(after), one) for one in found[-1]] if after.exists() else found[-1])


def pool(maps: NDArray[np.float32], ways: Sequence[Pooling]) -> NDArray[np.float32]:
    """Pool maps (n, rows, columns, channels) over their places to (n, 1, 1, channels * ways)."""
    values = {"average": maps.mean(axis=(1, 2), keepdims=True), "max": maps.max(axis=(1, 2), keepdims=True)}
    return np.concatenate([values[way] for way in ways], axis=-1)


def _channels_last(computed: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack([values.transpose(1, 2, 0) if values.ndim == _PLANES else values for values in computed])


def _scaled(photos: NDArray[np.uint8], scaling: ChannelScaling) -> Iterator[NDArray[np.float32]]:
    factor, offset, reverse = scaling
    for photo in photos:
        values = photo.astype(np.float32)[..., :: -1 if reverse else 1]
        yield (values * np.asarray(factor, np.float32) + np.asarray(offset, np.float32)).transpose(2, 0, 1)


def _run(folder: str, planes: NDArray[np.float32]) -> NDArray[np.float32]:
    network = _load_network(folder)
    import ncnn

    kept = np.ascontiguousarray(planes)  # ncnn reads it where it is, and does not keep it from being freed
    extractor = network.create_extractor()
    failed = extractor.input("photo", ncnn.Mat(kept))
    status, found = extractor.extract(OUTPUT)
    if failed or status:
        raise WorkflowError("ncnn could not compute a photo's features; set bottleneck.engine: tensorflow")
    return np.array(found)


# ---------------------------------------------------------------- in the parent


def count_workers(size: int, *, stacked: bool | None = None) -> int:
    """A process for each core this process may use, fewer where memory is short.

    Args:
        size: the photos' pixels a side.
        stacked: whether the network takes several; None: up to the size for which that is worth it.
    """
    if stacked is None:
        stacked = size <= LARGEST_STACKED
    a_pixel = _BYTES_A_PIXEL_STACKED if stacked else _BYTES_A_PIXEL
    return fitting_processes(_BYTES_A_PROCESS + a_pixel * size**2)


class NcnnPool:
    """Processes that run a network; used as a context manager.

    Args:
        network: a backbone, alone or with a head, stacked or not, or a CNN.
        scaling: factor, offset of each channel, and whether RGB is reversed to BGR before them.
        workers: how many processes.
        pooled: as for ``compute_stacked``.
    """

    def __init__(
        self,
        network: Network | StackedNetwork,
        scaling: ChannelScaling,
        workers: int,
        pooled: PooledParts | None = None,
    ) -> None:
        self._compute = partial(compute if isinstance(network, Network) else compute_stacked, pooled=pooled)
        self._workers = workers
        self._scaling = scaling
        self._open = ExitStack()
        self._folder = self._open.enter_context(temporary_folder())
        self._processes = self._open.enter_context(ExitStack())
        self._submit: Submit | None = None
        network.write(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _start(self) -> Submit:
        if self._submit is None:
            self._submit = self._processes.enter_context(worker_processes(self._workers))
        return self._submit

    def compute(self, photos: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Run the network on photos; results come in whatever order they are ready.

        Photos whose process died are done again.

        Args:
            photos: (n, size, size, 3) uint8 RGB; read a few at a time.

        Yields:
            The position of a first photo, and what the network computes of it and those after it, (m, ...) float32 as
            of the function ``compute``.

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
                    future = self._start()(self._compute, str(self._folder), self._scaling, few)
                    running[future] = todo.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    found = future.result()
                    yield running.pop(future), found
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
