"""Worker processes that end when their parent does, in whatever way it ends."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Submit(Protocol):
    """Hands a call to a worker process."""

    def __call__(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """A future of the call's result; ``BrokenProcessPool`` once any worker has died."""


def _start(lifeline: Connection) -> None:
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()


def _watch(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    finally:
        os._exit(1)


@contextmanager
def worker_processes(count: int) -> Iterator[Submit]:
    """Start worker processes, which are gone when the block ends.

    When the block ends with an error, Ctrl-C included, what they were doing is dropped at once. They don't outlive a
    parent that was killed either. A worker's death is an error in every call under way, never a wait without end,
    if results are small: ``ncnn_engine`` says why.

    Args:
        count: processes at most; they start as calls come in.

    Yields:
        The function that hands a call to a worker.
    """
    # spawn: a forked child of a process with TensorFlow's threads may hang.
    context = get_context("spawn")
    # Nothing is ever sent: the workers wait for this end to close, which the system sees to when the parent is killed.
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(theirs,))

    def submit(function: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> Future[T]:
        # A worker is started here and inherits the mask: Ctrl-C is for the parent alone, which then closes the pipe.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return executor.submit(function, *values, **named)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield submit
    except BaseException:
        ours.close()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        ours.close()
        theirs.close()
