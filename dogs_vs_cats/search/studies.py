"""A study in its storage: made or gone on with, its trials counted, the cut-off ones run again."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import optuna
from optuna.pruners import NopPruner
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.owners import is_alive, is_here
from dogs_vs_cats.search.plan import OWNER, PLAN, RUNG, Plan
from dogs_vs_cats.search.sampling import SeededByTrial, article_parameters
from dogs_vs_cats.search.storage import queue_again

REASON, ARTICLE = "reason", "article"
"""User attributes of a trial: why it failed, and that it has the article's settings."""

NOT_NEEDED = "NotNeededError"
"""How the reason of a trial begins that found enough trials begun before it."""

CUT_OFF = "cut off"
"""How the reason of a trial begins that did not fail, but was ended in the middle; it is queued to run again."""

DEATHS, MOST_DEATHS = "deaths", 3
"""User attribute of a trial: how often its process died under it while the search went on; and how often it may."""


_SECOND_LOOK_SECONDS = 5
_nameless: dict[int, float] = {}  # trials without an owner, and when they were first seen, by time.monotonic


def open_study(plan: Plan, storage: BaseStorage) -> Study:
    """Make the study, with the article's settings as its first trial, or go on with the one of this name.

    Raises:
        WorkflowError: if there is a study of this name that is not the same study; it says what differs.
    """
    identity = plan.identity()
    names = {study.study_name for study in optuna.get_all_study_summaries(storage, include_best_trial=False)}
    if plan.study not in names:
        study = optuna.create_study(
            storage=storage, study_name=plan.study, directions=plan.directions, load_if_exists=True
        )
        if PLAN not in study.user_attrs:
            study.set_user_attr(PLAN, identity)
        if not plan.candidates:
            study.enqueue_trial(article_parameters(plan.kind), user_attrs={ARTICLE: True}, skip_if_exists=True)
    study = join_study(plan, storage)
    given = study.user_attrs.get(PLAN, {})
    differences = [name for name, value in identity.items() if given.get(name) != value]
    if differences:
        raise WorkflowError(
            f"study {plan.study}: there is one of that name with "
            f"{'; '.join(_difference(name, given, identity) for name in differences)}. "
            "Its trials cannot be compared with these: choose another name with --study"
        )
    return study


def _difference(name: str, given: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """What differs, in a few words: of mappings only the keys that do."""
    if name not in given:
        return f"no {name} on record"
    if not wanted[name].startswith("{"):
        return f"other {name} ({given[name]}, not {wanted[name]})"
    theirs, ours = json.loads(given[name]), json.loads(wanted[name])
    keys = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    return f"another {name} ({', '.join(keys)})"


def join_study(plan: Plan, storage: BaseStorage) -> Study:
    """The study, with the sampler of the plan. No trial is pruned: rungs decide which trials train longer."""
    return optuna.load_study(
        study_name=plan.study, storage=storage, sampler=SeededByTrial(plan.seed), pruner=NopPruner()
    )


@dataclass(frozen=True)
class Tally:
    """Trials by state.

    Attributes:
        finished: trained to their end.
        pruned: stopped as unpromising.
        failed: ended by an error, or cut off.
        running: under way, here or elsewhere.
        waiting: to be run, the article's or cut-off ones.
    """

    finished: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def done(self) -> int:
        """Trials that count: a pruned one has told what it had to tell, a failed one has not."""
        return self.finished + self.pruned


def tally(study: Study) -> Tally:
    """Count a study's trials."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    order = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
    return Tally(*(states.count(state) for state in order))


def in_rung(study: Study, rung: int) -> list[FrozenTrial]:
    """The trials of a rung; one that has just begun, and does not say which it is of, may be of any."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(RUNG, rung) == rung]


def rung_of(trial: FrozenTrial) -> int:
    """The rung that a finished trial is of."""
    return int(trial.user_attrs.get(RUNG, 0))


def finished_rungs(study: Study) -> list[int]:
    """The rungs in which a trial has finished, from the first on."""
    return sorted({rung_of(trial) for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))})


def ranked(plan: Plan, study: Study, rung: int | None = None) -> list[FrozenTrial]:
    """The finished trials, those of the last rung first.

    Within a rung they go from the best first objective on, the earlier one first among equals.

    Args:
        plan: the study.
        study: opened.
        rung: for the trials of one rung alone: of several objectives those first that no other trial there beats by
            all, and so on, since each rung has to keep what the last one is to show.
    """
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    order = sorted(finished, key=lambda trial: (-rung_of(trial), plan.sign * trial.values[0], trial.number))
    if rung is None:
        return order
    left, fronts = [trial for trial in order if rung_of(trial) == rung], []
    while left and len(plan.objectives) > 1:
        front = pareto_front(plan, left)
        fronts += front
        left = [trial for trial in left if trial not in front]
    return fronts + left


def pareto_front(plan: Plan, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that no other one equals by every objective and beats by one."""
    signs = [1 if direction == "minimize" else -1 for direction in plan.directions]
    values = [tuple(sign * value for sign, value in zip(signs, trial.values, strict=True)) for trial in trials]
    return [
        trial
        for trial, own in zip(trials, values, strict=True)
        if not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in values)
    ]


def best_trials(plan: Plan, study: Study) -> list[FrozenTrial]:
    """The best trial, or the Pareto front of several objectives; of the last rung that has any."""
    order = ranked(plan, study)
    last = [trial for trial in order if rung_of(trial) == rung_of(order[0])]
    return sorted(pareto_front(plan, last), key=lambda trial: trial.number) if len(plan.objectives) > 1 else last[:1]


def best_trial(plan: Plan, study: Study) -> FrozenTrial | None:
    """The first of the ranked trials; None where none has finished."""
    return next(iter(ranked(plan, study)), None)


def article_trial(study: Study, rung: int) -> FrozenTrial | None:
    """A rung's trial with the article's settings, the latest where it was cut off and run again."""
    found = [trial for trial in in_rung(study, rung) if trial.user_attrs.get(ARTICLE)]
    return found[-1] if found else None


def elapsed(trial: FrozenTrial) -> float:
    """Seconds since a trial began, or that it took."""
    if trial.datetime_start is None:
        return 0.0
    # Optuna's times are local and without a zone.
    seconds = ((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds()  # noqa: DTZ005
    return max(seconds, 0.0)  # a clock may have been set back


def not_needed(study: Study, number: int, trials: int, rung: int = 0) -> bool:
    """Whether as many trials as are wanted in a rung, begun before this one, have finished or may still.

    Every process asks this of each trial it begins, so exactly as many finish, however many begin at once: a trial
    that was refused had as many before it, and of those that failed later, new ones are begun.
    """
    before = [trial for trial in in_rung(study, rung) if trial.number < number]
    return sum(trial.state is not TrialState.FAIL for trial in before) >= trials


def why_failed(trial: FrozenTrial) -> str:
    """Why a trial failed; empty if it did not."""
    if trial.state is not TrialState.FAIL:
        return ""
    # Optuna itself ends a trial of another machine that has fallen silent, and gives no reason.
    return str(trial.user_attrs.get(REASON, f"{CUT_OFF}: no sign of life from its process"))


def cut_off(study: Study, storage: BaseStorage, grace_seconds: float, driver: str = "") -> list[int]:
    """Mark trials whose process on this machine is gone as failed, and queue them to be run again.

    Args:
        study: the study.
        storage: its storage.
        grace_seconds: a trial that nobody has put a name to for so long was cut off while it began.
        driver: the search that goes on. A trial of its own whose process died ``MOST_DEATHS`` times is given up: it may
            be what kills it, by wanting more memory than there is.

    Returns:
        Their numbers. Trials of other machines are left to their heartbeat.
    """
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_gone(trial, grace_seconds):
            deaths = trial.user_attrs.get(DEATHS, 0) + _is_of(trial, driver)
            if deaths < MOST_DEATHS:
                if _end(study, storage, trial, f"{CUT_OFF}: its process ended"):
                    queue_again(study, trial, {DEATHS: deaths})
            else:
                _end(study, storage, trial, f"its process died {deaths} times: killed, perhaps for want of memory")
            found.append(trial.number)
    # After those that are known to be gone, which get a reason: Optuna gives none.
    optuna.storages.fail_stale_trials(study)
    return found


def _is_of(trial: FrozenTrial, driver: str) -> bool:
    return bool(driver) and trial.user_attrs.get(OWNER, {}).get("driver") == driver


def _end(study: Study, storage: BaseStorage, trial: FrozenTrial, reason: str) -> bool:
    """End a running trial as failed; False where another process did it, or the trial ended by itself."""
    try:
        storage.set_trial_user_attr(trial._trial_id, REASON, reason)  # noqa: SLF001 - no public way to a trial elsewhere
        study.tell(trial.number, state=TrialState.FAIL)
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        return False
    return True


def _is_gone(trial: FrozenTrial, grace_seconds: float) -> bool:
    running = trial.user_attrs.get(OWNER)
    if running is not None:
        return is_here(running) and not is_alive(running)
    began = trial.datetime_start or datetime.now()  # noqa: DTZ005 - Optuna's times are local
    seen = _nameless.setdefault(trial._trial_id, time.monotonic())  # noqa: SLF001 - as below
    # Not by the clock alone, which may just have been set: one that lives has a name by the second look.
    waited = time.monotonic() - seen >= min(grace_seconds, _SECOND_LOOK_SECONDS)
    return waited and datetime.now() - began > timedelta(seconds=grace_seconds)  # noqa: DTZ005
