"""Handing out a study's trials, until as many have finished as were asked for."""

import time
from collections.abc import Callable

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import TrialState

from dogs_vs_cats.errors import WorkflowError
from search.crew import Crew
from search.plan import Plan
from search.studies import OWNER, cut_off, tally
from search.trials import Outcome

FAILURES_IN_A_ROW = 10
_POLL_SECONDS = 2.0


class _TimeUpError(Exception):
    """The time that the search had is over."""


def drive(
    plan: Plan,
    study: Study,
    storage: BaseStorage,
    jobs: int,
    timeout: float | None,
    tell: Callable[[Outcome], None],
) -> bool:
    """Run trials in worker processes here until ``plan.trials`` have finished.

    Args:
        plan: the study.
        study: opened.
        storage: its storage.
        jobs: worker processes.
        timeout: seconds after which what still runs is cut off, to be run again by the next command; None: no limit.
        tell: called for each trial that ends.

    Returns:
        Whether as many have finished as were asked for; False after a timeout.

    Raises:
        WorkflowError: after ten failures in a row, or when the storage does not answer.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    grace = 2.0 * plan.settings.search.heartbeat_seconds
    try:
        with Crew(jobs) as crew:
            _hand_out(plan, study, storage, crew, deadline, tell)
    except _TimeUpError:
        return False
    finally:
        cut_off(study, storage, grace)
    return True


def _hand_out(
    plan: Plan,
    study: Study,
    storage: BaseStorage,
    crew: Crew,
    deadline: float | None,
    tell: Callable[[Outcome], None],
) -> None:
    failures = 0
    while True:
        cut_off(study, storage, 2.0 * plan.settings.search.heartbeat_seconds)
        for _ in range(min(crew.free, _missing(plan, study) - crew.running)):
            crew.submit(plan)
        if not crew.running and tally(study).done >= plan.trials:
            return
        pause = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, deadline - time.monotonic())
        if pause <= 0:
            raise _TimeUpError
        if not crew.running:
            time.sleep(pause)  # the last trials run elsewhere
            continue
        for outcome in crew.wait(pause):
            tell(outcome)
            failures = failures + 1 if outcome.is_failure else 0
            if failures >= FAILURES_IN_A_ROW:
                raise WorkflowError(
                    f"{failures} trials in a row failed, the last one with: {outcome.reason}; "
                    "mend that and run the same command again to go on"
                )


def _missing(plan: Plan, study: Study) -> int:
    """Trials that have not finished and are not run elsewhere: those this process has to see to."""
    elsewhere = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if trial.user_attrs.get(OWNER, {"driver": plan.driver})["driver"] != plan.driver
    ]
    return plan.trials - tally(study).done - len(elsewhere)
