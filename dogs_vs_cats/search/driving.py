"""Handing out a study's trials, until as many have finished as were asked for."""

import time
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import TrialState

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.plan import OWNER, Plan
from dogs_vs_cats.search.rungs import queue_rung, targets
from dogs_vs_cats.search.studies import cut_off, in_rung, tally
from dogs_vs_cats.search.trials import Outcome

FAILURES_IN_A_ROW = 10
_POLL_SECONDS = 2.0


class Workers(Protocol):
    """Whatever runs trials: processes here (``Crew``), or a cluster (``RayCrew``).

    Attributes:
        size: trials at a time.
    """

    size: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @property
    def running(self) -> int:
        """Trials under way."""

    @property
    def free(self) -> int:
        """How many more it can take."""

    def submit(self, plan: Plan) -> None:
        """Have the study's next trial run."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes of trials that have ended; waits so long for the first one."""


class Observer(Protocol):
    """Whoever wants to know how the search goes."""

    def ended(self, outcome: Outcome) -> None:
        """A trial has ended."""

    def refresh(self) -> None:
        """Some time has passed."""


class _TimeUpError(Exception):
    """The time that the search had is over."""


def drive(
    plan: Plan,
    study: Study,
    storage: BaseStorage,
    workers: Workers,
    deadline: float | None,
    observer: Observer,
) -> bool:
    """Run trials, rung by rung, until ``plan.trials`` have finished in all.

    Args:
        plan: the study.
        study: opened.
        storage: its storage.
        workers: who runs them; they are gone when this returns.
        deadline: time of ``time.monotonic`` after which what still runs is cut off, to be run again by the next
            command; None: no limit.
        observer: told of each trial that ends, and every other second.

    Returns:
        Whether as many have finished as were asked for; False after the deadline.

    Raises:
        WorkflowError: after ten failures in a row, or one of a confirmation, or when the storage does not answer.
    """
    try:
        with workers:
            before = -1
            # Once is enough, unless rungs that another --trials left behind have too few that can go on.
            while before < (done := tally(study).done) and (before < 0 or done < plan.trials):
                before = done
                for rung in range(len(plan.ladder)):
                    trials = targets(plan, study)[rung]
                    _hand_out(replace(plan, rung=rung, trials=trials), study, storage, workers, deadline, observer)
    except _TimeUpError:
        return False
    finally:
        cut_off(study, storage, _grace(plan))
    return True


def _grace(plan: Plan) -> float:
    return 2.0 * plan.settings.search.heartbeat_seconds


def _hand_out(
    plan: Plan,
    study: Study,
    storage: BaseStorage,
    workers: Workers,
    deadline: float | None,
    observer: Observer,
) -> None:
    failures = 0
    while True:
        cut_off(study, storage, _grace(plan), plan.driver)
        missing = queue_rung(plan, study) - _done(plan, study)
        for _ in range(min(workers.free, missing - _elsewhere(plan, study) - workers.running)):
            workers.submit(plan)
        if not workers.running and missing <= 0:
            return
        observer.refresh()
        pause = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
        if pause <= 0:
            raise _TimeUpError
        if not workers.running:
            time.sleep(pause)  # the last trials run elsewhere
            continue
        for outcome in workers.wait(pause):
            observer.ended(outcome)
            failures = failures + 1 if outcome.is_failure else 0
            _check_failures(plan, outcome, failures)


def _check_failures(plan: Plan, outcome: Outcome, failures: int) -> None:
    if failures and plan.candidates and outcome.number is not None:
        # The same settings with the same seed would fail again.
        raise WorkflowError(f"study {plan.study}: trial {outcome.number} failed: {outcome.reason}")
    if failures >= FAILURES_IN_A_ROW:
        raise WorkflowError(
            f"{failures} trials in a row failed, the last one with: {outcome.reason}; "
            "mend that and run the same command again to go on"
        )


def _done(plan: Plan, study: Study) -> int:
    return sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in in_rung(study, plan.rung))


def _elsewhere(plan: Plan, study: Study) -> int:
    """Trials that others run; those that are missing beside them, this process has to see to."""
    return sum(
        trial.user_attrs.get(OWNER, {"driver": plan.driver})["driver"] != plan.driver
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    )
