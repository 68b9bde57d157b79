"""Trials as tasks of a Ray cluster."""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from optuna.trial import TrialState

from dogs_vs_cats.errors import WorkflowError, missing_package
from dogs_vs_cats.search.plan import Plan
from dogs_vs_cats.search.trials import Outcome, run_trial

_CONNECT_SECONDS = 10.0


class RayCrew:
    """The same as ``Crew``, on the machines of a cluster; a task whose machine dies has failed, the others go on.

    Every machine has the project and its data in the same folder (a shared file system), the same environment, and
    reaches the study's storage.

    Args:
        address: of the cluster's head, ``HOST:PORT``, or ``ray://HOST:PORT`` of its client server.
        jobs: tasks at a time; None: as many as the cluster has room for.
        gpus: of each trial; a fraction lets trials share one.

    Raises:
        WorkflowError: if Ray is not installed, or there is no cluster at the address, or no room in it for one trial.
    """

    def __init__(self, address: str, jobs: int | None, gpus: float) -> None:
        try:
            import ray
        except ImportError:
            raise missing_package("--ray", "ray") from None
        _check_reachable(address)
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        code = str(Path(__file__).resolve().parents[2])
        try:
            ray.init(
                address,
                runtime_env={"env_vars": {"PYTHONPATH": code}},
                logging_level="error",
                log_to_driver=False,
            )
        except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
            raise WorkflowError(f"--ray {address}: {_first_line(error)}") from None
        self._ray: Any = ray
        self.size = jobs or _room(ray.cluster_resources(), gpus)
        if self.size < 1:
            ray.shutdown()
            raise WorkflowError(f"--gpus-per-trial {gpus:g}: no machine of the cluster at {address} has as many")
        # One call a process, since TensorFlow never gives back all of a training's memory (see Crew).
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": gpus, "max_retries": 0, "max_calls": 1}
        self._task = ray.remote(**options)(run_trial)
        self._running: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()

    @property
    def running(self) -> int:
        """Trials handed to Ray that have not ended."""
        return len(self._running)

    @property
    def free(self) -> int:
        """How many more it takes."""
        return self.size - self.running

    def submit(self, plan: Plan) -> None:
        """Have Ray run the study's next trial."""
        self._running.append(self._task.remote(plan))

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of trials that have ended; waits so long for the first one."""
        ended, self._running = self._ray.wait(self._running, num_returns=1, timeout=seconds)
        return [self._outcome(task) for task in ended]

    def _outcome(self, task: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
        except errors.RayTaskError as error:
            # The storage or the data is missing: a trial's own errors do not come this way.
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, WorkflowError) else WorkflowError(_first_line(error))) from None
        except errors.RayError as error:
            return Outcome(None, TrialState.FAIL.name, f"its Ray task died: {_first_line(error)}")
        return outcome


def _room(resources: dict[str, float], gpus: float) -> int:
    cores = int(resources.get("CPU", 0))
    return min(cores, int(resources.get("GPU", 0) / gpus)) if gpus else cores


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes, with a page of advice, where nothing listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise WorkflowError(f"--ray {address}: it has to be HOST:PORT of a cluster's head, or ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise WorkflowError(
            f"--ray {address}: no cluster answers there ({error.strerror or error}); start one with ray start --head"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
