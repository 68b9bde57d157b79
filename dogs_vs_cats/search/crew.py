"""Trials as processes of this machine."""

import os
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import joblib
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from dogs_vs_cats.processes import worker_processes
from dogs_vs_cats.search.plan import Plan
from dogs_vs_cats.search.trials import Outcome, run_trial

_PRELOADED = "dogs_vs_cats.search.preloaded"


class Crew:
    """So many trials at a time, each in a process of its own; one that dies has failed, the others work on.

    TensorFlow and Keras keep some 17 MB of every training for as long as the process lives (keras-team/keras#20552),
    and whatever a trial breaks in its process is gone with it. When the ``with`` block ends with an error, Ctrl-C
    included, what they were doing is dropped at once.

    Args:
        jobs: how many.
    """

    def __init__(self, jobs: int) -> None:
        self.size = jobs
        self._running: dict[Future[Outcome], ExitStack] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._running:
            _, process = self._running.popitem()
            try:
                process.__exit__(kind, error, traceback)
            except BaseException as raised:
                if raised is not error:  # worker_processes passes the error on; so does the block that this ends
                    raise

    @property
    def running(self) -> int:
        """Trials under way."""
        return len(self._running)

    @property
    def free(self) -> int:
        """Trials that may begin."""
        return self.size - self.running

    def submit(self, plan: Plan) -> None:
        """Have a new process run the study's next trial."""
        with ExitStack() as process:
            future = process.enter_context(worker_processes(1, _PRELOADED))(_run_in_share, plan, self.size)
            self._running[future] = process.pop_all()

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of trials that have ended; waits so long for the first one."""
        return [self._outcome(future) for future in wait(self._running, seconds, FIRST_COMPLETED).done]

    def _outcome(self, future: Future[Outcome]) -> Outcome:
        with self._running.pop(future):
            try:
                return future.result()
            except BrokenProcessPool:
                return Outcome(None, TrialState.FAIL.name, "its process died: killed, perhaps for want of memory")


def _run_in_share(plan: Plan, jobs: int) -> Outcome:
    """Run a trial on its part of the cores. What it computes depends on that in the last digits of each number."""
    threads = max(joblib.cpu_count() // jobs, 1)
    # TensorFlow reads these when it first computes; OpenMP has read its own when the libraries were loaded.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(threads))
    if "OMP_NUM_THREADS" not in os.environ:
        threadpool_limits(threads)
    return run_trial(plan)
