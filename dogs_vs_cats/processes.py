"""Worker processes that end when their parent does, in whatever way it ends."""

import contextlib
import itertools
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from dogs_vs_cats.files import temporary_folder

P = ParamSpec("P")
T = TypeVar("T")

_ENDED = "ended"
_DYING_SECONDS = 0.5  # between a process's last word and its end, as multiprocessing sees it
_LONGEST_FOLDER = 86  # of a socket's path, 107 bytes in all


class Submit(Protocol):
    """Hands a call to a worker process."""

    def __call__(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """A future of the call's result; ``BrokenProcessPool`` once any worker has died."""


def _start(lifeline: Connection, calls: Path, folders: list[Path]) -> None:
    threading.Thread(target=_watch, args=(lifeline, calls, folders), daemon=True).start()


def _watch(lifeline: Connection, calls: Path, folders: list[Path]) -> None:
    try:
        lifeline.recv_bytes()
    finally:
        if calls.exists() and not (calls / _ENDED).exists():
            # The parent was killed: nobody else removes what it left in the temporary directory.
            for folder in (calls, *folders):
                shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)


def _call(path: Path) -> None:
    """Make the call that a file holds, and leave its result there instead.

    By file, since what is larger than a pipe goes through it in parts: a worker killed between two parts of a result
    leaves the parent waiting for the rest for ever, one killed between two parts of a call, before Python 3.11.5, the
    parent waiting for somebody to take the rest (python/cpython#94777).
    """
    call = pickle.loads(path.read_bytes())  # noqa: S301 - the parent wrote it
    path.write_bytes(pickle.dumps(call(), pickle.HIGHEST_PROTOCOL))


def _pass_on(ended: Future[None], path: Path, result: Future[T]) -> None:
    """Give a call's outcome to whom waits for it."""
    if ended.cancelled():
        result.cancel()
        return
    error = ended.exception()
    if error is None:
        try:
            value = pickle.loads(path.read_bytes())  # noqa: S301 - a worker of this process wrote it
            path.unlink()
        except Exception as unread:  # noqa: BLE001 - whatever it is, a result that never came would be waited for
            error = unread
        else:
            result.set_result(value)
    if error is not None:
        result.set_exception(error)


def fitting_processes(memory: int) -> int:
    """How many processes to start: one for each core this process may use, fewer where memory is short.

    Half of what is free is for them.

    Args:
        memory: bytes that each takes.
    """
    import joblib
    import psutil

    return max(1, min(int(joblib.cpu_count()), int(psutil.virtual_memory().available // 2 // memory)))


@contextmanager
def worker_processes(count: int, preload: str | None = None) -> Iterator[Submit]:
    """Start worker processes, which are gone when the block ends.

    When the block ends with an error, Ctrl-C included, what they were doing is dropped at once. They don't outlive a
    parent that was killed either. A worker's death is an error in every call under way, never a wait without end.

    Args:
        count: processes at most; they start as calls come in.
        preload: a module that workers find imported when they start, on Linux: they are forked from a process that has
            imported it once for all, and nothing else. Importing it must not start threads that it depends on.

    Yields:
        The function that hands a call to a worker.
    """
    # Not fork: a forked child of a process with TensorFlow's threads may hang.
    context: SpawnContext | ForkServerContext = get_context("spawn")
    folders: list[Path] = []
    # macOS's own libraries do not bear a fork, and the system takes no socket of a longer path.
    if preload is not None and sys.platform == "linux" and len(get_temp_dir()) < _LONGEST_FOLDER:
        context = get_context("forkserver")
        context.set_forkserver_preload([preload])
        folders.append(Path(get_temp_dir()))  # the fork server's socket
    # Nothing is ever sent: the workers wait for this end to close, which the system sees to when the parent is killed.
    theirs, ours = context.Pipe(duplex=False)
    with temporary_folder() as calls:
        executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(theirs, calls, folders))
        numbers = itertools.count()

        def submit(function: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> Future[T]:
            path = calls / str(next(numbers))
            path.write_bytes(pickle.dumps(partial(function, *values, **named), pickle.HIGHEST_PROTOCOL))
            # A worker is started here and inherits the mask: Ctrl-C is for the parent alone, which closes the pipe.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            result: Future[T] = Future()
            try:
                called = executor.submit(_call, path)
            except (ConnectionError, EOFError):
                # The process that workers are forked from was killed; the next worker has a new one.
                time.sleep(_DYING_SECONDS)
                result.set_exception(BrokenProcessPool("the process that forks workers died"))
                return result
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            called.add_done_callback(lambda ended: _pass_on(ended, path, result))
            return result

        try:
            yield submit
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk is no reason to go on
                (calls / _ENDED).touch()
            ours.close()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
            ours.close()
            theirs.close()
