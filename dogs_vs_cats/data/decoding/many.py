"""Many photos: on every core, a few ahead of what is asked for, in order."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

# Photos that a thread is handed at once, at most, and how many times that each thread may be ahead.
_AT_A_TIME, _AHEAD = 16, 3

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Map over photos on every core, in order; Pillow decodes and resizes without Python's lock.

    Args:
        function: what to do with an item.
        items: a photo, path or number each; read only a little ahead of what is yielded.

    Yields:
        The results, in the items' order.
    """
    # More than eight would hold more photos in memory, and wait for Python's lock all the same.
    workers = min(8, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers)
    stopped = threading.Event()
    left = iter(items)

    def do(several: list[Item]) -> list[Result]:
        return [function(item) for item in several if not stopped.is_set()]

    def calls() -> Iterator[Future[list[Result]]]:
        # Several at a time: handing over a small photo, and waiting for it, takes a good part of what decoding it does.
        # Few at first, so that few large ones are shared by all threads.
        taken = 0
        while several := list(islice(left, min(_AT_A_TIME, 1 + taken // (4 * workers)))):
            taken += len(several)
            yield pool.submit(do, several)

    try:
        for results in in_order(calls(), _AHEAD * workers):
            yield from results
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def in_order(calls: Iterable[Future[Result]], ahead: int) -> Iterator[Result]:
    """Wait for calls to threads or processes in the order they are made.

    Args:
        calls: makes a call each time it is asked for the next one.
        ahead: how many calls after it are made before one is waited for.

    Yields:
        The calls' results.
    """
    waiting: deque[Future[Result]] = deque()
    for call in calls:
        waiting.append(call)
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
