"""Worker processes on this machine, one trial each at a time."""

import os
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from optuna.trial import TrialState

from dogs_vs_cats.processes import Submit, worker_processes
from search.plan import Plan
from search.trials import Outcome, run_trial

_TRIALS_A_PROCESS = 10
"""TensorFlow and Keras keep some 17 MB of every training (keras-team/keras#20552); a new process takes 12 seconds."""


class Crew:
    """So many workers, which start when they are needed; one that dies is replaced, and the others work on.

    After ten trials a worker's process is replaced, so that memory does not grow with a study.
    When the ``with`` block ends with an error, Ctrl-C included, what they were doing is dropped at once.

    Args:
        jobs: how many.
    """

    def __init__(self, jobs: int) -> None:
        share_cores(jobs)
        self.size = jobs
        self._workers: list[tuple[AbstractContextManager[Submit], Submit] | None] = [None] * jobs
        self._trials = [0] * jobs
        self._running: dict[Future[Outcome], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for place in range(len(self._workers)):
            self._dismiss(place, kind, error, traceback)

    @property
    def running(self) -> int:
        """Trials under way."""
        return len(self._running)

    @property
    def free(self) -> int:
        """Workers with nothing to do."""
        return len(self._workers) - self.running

    def submit(self, plan: Plan) -> None:
        """Have a free worker run the study's next trial."""
        place = next(place for place in range(len(self._workers)) if place not in self._running.values())
        if self._trials[place] == _TRIALS_A_PROCESS:
            self._dismiss(place)
        worker = self._workers[place]
        if worker is None:
            self._trials[place] = 0
            opened = worker_processes(1)
            worker = self._workers[place] = (opened, opened.__enter__())
        self._trials[place] += 1
        self._running[worker[1](run_trial, plan)] = place

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of trials that have ended; waits so long for the first one."""
        return [self._outcome(future) for future in wait(self._running, seconds, FIRST_COMPLETED).done]

    def _outcome(self, future: Future[Outcome]) -> Outcome:
        place = self._running.pop(future)
        try:
            return future.result()
        except BrokenProcessPool:
            self._dismiss(place)
            return Outcome(None, TrialState.FAIL.name, "its process died: killed, perhaps for want of memory")

    def _dismiss(
        self,
        place: int,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        worker, self._workers[place] = self._workers[place], None
        if worker is None:
            return
        try:
            worker[0].__exit__(kind, error, traceback)
        except BaseException as raised:
            if raised is not error:  # worker_processes passes the error on; so does the block that this ends
                raise


def share_cores(jobs: int) -> None:
    """Give each of several workers its part of the cores; TensorFlow reads these when it is imported."""
    threads = str(max((os.cpu_count() or 1) // jobs, 1))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, threads)
