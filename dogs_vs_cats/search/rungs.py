"""Rungs: all trials begin with a few epochs, and the best go on to longer trainings, up to the full one.

A trial that goes on is trained anew: each rung has photos of its own size, and the whole schedule over its own epochs.
All of a rung's trials have ended before the next one begins, so none is dropped for arriving late. Source: Jamieson and
Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.numerals import points
from dogs_vs_cats.search.plan import RUNG, Fidelity, Plan
from dogs_vs_cats.search.sampling import SOLVER, STAGE, article_parameters, own_settings
from dogs_vs_cats.search.studies import (
    ARTICLE,
    CUT_OFF,
    NOT_NEEDED,
    elapsed,
    finished_rungs,
    in_rung,
    ranked,
    rung_of,
    why_failed,
)
from dogs_vs_cats.settings.spaces import HeadRung
from dogs_vs_cats.settings.training_settings import TrainVgg16Settings

PARENT = "parent"
"""User attribute of a trial that went on: the number of the trial in the rung before."""

_FACTOR, _DOUBTFUL_FACTOR, _LAST_LEAST = 3, 2, 3
"""The best third goes on. The best half does to the last rung, three at least where so many can, and from a rung that
does not rank."""
LEAST_TAU = 0.3
"""Kendall's tau of a rung that ranks with the one before."""
_SOLVED, _SOLVED_FROM = {SOLVER: "logistic"}, 10
"""A head that is solved, and the trials of a first rung that can spare one for it."""
_FEWEST_PAIRS = 3


def fidelities(name: str, rungs: Sequence[HeadRung], full: Fidelity, side: int) -> tuple[Fidelity, ...]:
    """The trainings of each rung.

    Args:
        name: of the settings, for errors.
        rungs: the settings.
        full: the full training, of which no rung is more.
        side: pixels a side that the network sees there unless ``full`` has fewer.

    Returns:
        From the cheapest on; rungs that come to the same are one.

    Raises:
        WorkflowError: if a rung is less than the one before.
    """
    ladder = []
    for rung in rungs:
        pixels = min(getattr(rung, "pixels", None) or side, full.size or side)
        ladder.append(Fidelity(full.images, rung.length(full.epochs), pixels if pixels < side else None))
    for number, (before, after) in enumerate(pairwise(ladder), 2):
        if after.epochs < before.epochs or (after.size or side) < (before.size or side):
            raise WorkflowError(
                f"{name}: number {number} ({after}) is less than number {number - 1} ({before}); "
                "each has to have as many epochs and pixels as the one before, or more"
            )
    return tuple(dict.fromkeys(ladder))


def rung_sizes(trials: int, rungs: int, kept: int, done: Sequence[tuple[int, int]]) -> list[int]:
    """How many trials each rung is to have.

    Args:
        trials: in all rungs together.
        rungs: how many there are. Few trials leave the first ones out: each rung has to drop some.
        kept: trials that always go on.
        done: of each rung, how many trials it has already, and how many of them did not come from the rung before.

    Returns:
        Their numbers, ``trials`` in all unless more have been done.
    """
    if sum(there for there, _ in done) >= trials:
        return [there for there, _ in done]
    for used in range(rungs, 1, -1):
        unused, began = done[: rungs - used], done[rungs - used + 1 :]
        spent = sum(there for there, _ in unused)
        most = next((n for n in range(trials, 0, -1) if sum(_descent(n, used, kept)) <= trials - spent), 0)
        wanted = [size + own for size, (_, own) in zip(_descent(most, used, kept)[1:], began, strict=True)]
        later = [max(size, there) for size, (there, _) in zip(wanted, began, strict=True)]
        # What went on beyond the plan, from a rung that does not rank, is missing in the last rung.
        later[-1] = max(later[-1] - sum(later[:-1]) + sum(wanted[:-1]), began[-1][0], min(wanted[-1], kept + 1))
        sizes = [trials - spent - sum(later), *later]
        can = sizes[0] if not spent else kept + sum(own for _, own in done[: rungs - used + 1])
        falls = all(a > b for a, b in pairwise(sizes)) and sizes[-1] > kept
        if most and done[rungs - used][0] <= sizes[0] <= can and falls:
            return [there for there, _ in unused] + sizes
    # No rungs fit what is there: all else is the last rung's, and where too few can go on to it, the first one's.
    sizes = [there for there, _ in done]
    sizes[-1] += trials - sum(sizes)
    first = next(rung for rung, size in enumerate(sizes) if size)
    lacking = max(sizes[-1] - kept - sum(own for _, own in done), 0) if first < rungs - 1 else 0
    sizes[first] += -(-lacking // 2)
    sizes[-1] -= -(-lacking // 2)
    return sizes


def _descent(first: int, rungs: int, kept: int) -> list[int]:
    """The sizes of rungs of which the first one has so many."""
    sizes, free = [first], first - kept
    for rung in range(1, rungs):
        free = (
            -(-free // _FACTOR) if rung < rungs - 1 else max(-(-free // _DOUBTFUL_FACTOR), min(_LAST_LEAST, free - 1))
        )
        sizes.append(free + kept)
    return sizes


def targets(plan: Plan, study: Study) -> list[int]:
    """How many trials each rung of a study is to have, ``plan.trials`` together."""
    if plan.candidates:
        return [plan.trials]
    done = []
    for rung in range(len(plan.ladder)):
        ended = [one for one in in_rung(study, rung) if one.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        done.append((len(ended), sum(not {PARENT, ARTICLE, STAGE} & one.user_attrs.keys() for one in ended)))
    kept = len(_protected(plan))
    sizes = rung_sizes(plan.trials, len(plan.ladder), kept, done)
    for rung in range(len(sizes) - 2):
        if done[rung][0] >= sizes[rung] > 0 and doubt(plan, study, rung):
            more = -(-(sizes[rung] - kept) // _DOUBTFUL_FACTOR) + kept - sizes[rung + 1]
            more = max(min(more, sizes[-1] - max(kept + 1, done[-1][0])), 0)
            sizes[rung + 1] += more
            sizes[-1] -= more
    return sizes


def seconds_left(plan: Plan, study: Study, workers: int) -> float | None:
    """Estimate how long the rungs still take, from how long their trials took so far.

    Of a rung in which no trial has ended, it is that of the last rung before, by epochs and pixels. Trainings that stop
    early take less.

    Args:
        plan: the study.
        study: opened.
        workers: trials that run at a time.

    Returns:
        Seconds; None before the first trial has ended.
    """
    left, mean, last = 0.0, None, 0
    for rung, target in enumerate(targets(plan, study)):
        here = in_rung(study, rung)
        took = [one.duration.total_seconds() for one in here if one.state is TrialState.COMPLETE and one.duration]
        if took:
            mean, last = sum(took) / len(took), rung
        if mean is None:
            continue
        expected = mean * _work(plan, plan.ladder[rung]) / _work(plan, plan.ladder[last])
        missing = max(target - len(took), 0)
        running = [one for one in here if one.state is TrialState.RUNNING]
        rest = missing * expected - sum(min(elapsed(trial), expected) for trial in running)
        left += max(rest, 0.0) / max(min(workers, missing), 1)
    return None if mean is None else left


def _work(plan: Plan, fidelity: Fidelity) -> float:
    """How much a training has to do beside others, by its epochs and pixels."""
    side = fidelity.size or plan.settings.train_scratch.size or plan.settings.decode.size
    return fidelity.epochs * side**2


def tau(plan: Plan, study: Study, rung: int) -> float | None:
    """Kendall's tau between a rung's results and those of the same settings in the rung before, by the first objective.

    Returns:
        1 where both rank alike, 0 where neither tells anything of the other; None for fewer than three trials, or where
        all did equally well.
    """
    from scipy.stats import kendalltau

    trials = study.get_trials(deepcopy=False)
    values = [
        (trials[trial.user_attrs[PARENT]].values[0], trial.values[0])
        for trial in ranked(plan, study, rung)
        if PARENT in trial.user_attrs
    ]
    if len(values) < _FEWEST_PAIRS:
        return None
    found = float(kendalltau(*zip(*values, strict=True)).statistic)
    return None if math.isnan(found) else found


def doubt(plan: Plan, study: Study, rung: int) -> str:
    """Say why a rung's order is not to be relied on, so that more than a third should go on; nothing where it is.

    Two trials cannot be told apart where their validation accuracies differ by less than another seed may make them
    differ. That is taken to be the binomial deviation, which needs no further trainings. Source: Bouthillier et al.,
    "Accounting for variance in machine learning benchmarks", MLSys 2021, figure 2.
    """
    found = tau(plan, study, rung)
    if found is not None and found < LEAST_TAU:
        return f"tau is {found:.2f}, less than {LEAST_TAU}"
    protected = {_text(params, attributes) for params, attributes in _protected(plan)}
    free = [trial for trial in ranked(plan, study, rung) if identity(trial) not in protected]
    if plan.objectives[0] not in ("val_loss", "val_accuracy") or len(free) <= (going := -(-len(free) // _FACTOR)):
        return ""
    best, out = free[0], free[going]
    if not all({"validation_accuracy", "validation_photos"} <= one.user_attrs.keys() for one in (best, out)):
        return ""  # made before these were recorded
    first, last = (one.user_attrs["validation_accuracy"] for one in (best, out))
    deviation = math.sqrt(first * (1 - first) / best.user_attrs["validation_photos"])
    if first - last >= deviation:
        return ""
    return (
        f"trials {best.number} and {out.number}, the best and the first not among the best third, are within a seed's "
        f"deviation in accuracy ({points(deviation)} points)"
    )


@dataclass(frozen=True)
class RungResult:
    """What a rung found.

    Attributes:
        rung: counted from 1.
        training: its fidelity, in words.
        trials: that finished.
        seconds: that they took, together.
        tau: with the rung before; None where that cannot be told.
        promotions: the number of each trial that went on, and of the one that it went on as.
        doubt: why more than the best third should go on; empty where its order is relied on.
        cost: seconds that what went on took in the next rung.
        regret: in the next rung, how far the one that was first here is behind the best, by the first objective: what
            going on with that one alone would have cost. None before both have finished there.
    """

    rung: int
    training: str
    trials: int
    seconds: float
    tau: float | None
    promotions: tuple[tuple[int, int], ...]
    doubt: str
    cost: float
    regret: float | None


def results(plan: Plan, study: Study) -> list[RungResult]:
    """What each rung found that has a finished trial."""
    found = []
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for rung in finished_rungs(study):
        here = sorted((one for one in finished if rung_of(one) == rung), key=lambda one: plan.sign * one.values[0])
        went_on = {one.user_attrs[PARENT]: one for one in finished if PARENT in one.user_attrs}
        next_ones = {one.number: went_on[one.number] for one in here if one.number in went_on}
        losses = [plan.sign * one.values[0] for one in next_ones.values()]
        found.append(
            RungResult(
                rung=rung + 1,
                training=str(plan.ladder[rung]),
                trials=len(here),
                seconds=sum(map(elapsed, here)),
                tau=tau(plan, study, rung),
                promotions=tuple(
                    (parent, one.number) for one in finished if (parent := one.user_attrs.get(PARENT)) in next_ones
                ),
                doubt=doubt(plan, study, rung) if rung < len(plan.rungs) - 1 else "",
                cost=sum(map(elapsed, next_ones.values())),
                regret=losses[0] - min(losses) if here[0].number in next_ones else None,
            )
        )
    return found


def queue_rung(plan: Plan, study: Study) -> int:
    """Queue what the plan's rung still needs.

    Several commands that share a study may queue the same: trials ask when they begin whether an earlier one does it.

    Returns:
        How many trials the rung is to have: ``plan.trials``, or fewer where not so many can go on.
    """
    if plan.candidates:
        return plan.trials  # a confirmation queues its own
    here = in_rung(study, plan.rung)
    live = [trial for trial in here if trial.state is not TrialState.FAIL]
    known = {identity(trial) for trial in here if trial in live or _failed_itself(trial)}
    room = max(plan.trials - len(live), 0)
    lower = [rung for rung in finished_rungs(study) if rung < plan.rung]
    wanting = [one for one in _candidates(plan, study, lower) if _text(one[0], one[1]) not in known][:room]
    for params, attributes in wanting:
        study.enqueue_trial(dict(params), user_attrs={**attributes, RUNG: plan.rung})
    return len(live) + len(wanting) if lower else plan.trials


def _candidates(plan: Plan, study: Study, lower: Sequence[int]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Hyperparameters and user attributes for a rung: what always goes on, a solved head, and the best of before."""
    protected = _protected(plan)
    before = [trial for rung in reversed(lower) for trial in ranked(plan, study, rung)]
    for params, attributes in protected:
        parent = next((one.number for one in before if identity(one) == _text(params, attributes)), None)
        yield params, attributes | ({} if parent is None else {PARENT: parent})
    gradient = isinstance(plan.base, TrainVgg16Settings) and plan.base.solver == "gradient"
    if gradient and not lower and plan.trials >= _SOLVED_FROM:
        yield _SOLVED, _SOLVED
    for trial in first_of_each(before):
        if identity(trial) not in {_text(params, attributes) for params, attributes in protected}:
            solved = {SOLVER: trial.user_attrs[SOLVER]} if SOLVER in trial.user_attrs else {}
            yield trial.params, solved | {PARENT: trial.number}


def _protected(plan: Plan) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The article's settings, and those of the stage where they differ: every rung has them."""
    article: list[tuple[Mapping[str, Any], dict[str, Any]]] = [(article_parameters(plan.kind), {ARTICLE: True})]
    own = own_settings(plan)
    return article if own is None else [*article, ({}, {STAGE: own})]


def first_of_each(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The first trial of each that tries the same, but those that have the settings of their stage already."""
    first: dict[str, FrozenTrial] = {}
    for trial in trials:
        if STAGE not in trial.user_attrs:
            first.setdefault(identity(trial), trial)
    return [*first.values()]


def identity(trial: FrozenTrial) -> str:
    """What is tried, whatever the rung."""
    return _text(trial.system_attrs.get("fixed_params", trial.params), trial.user_attrs)


def _text(params: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    return ARTICLE if attributes.get(ARTICLE) else json.dumps(attributes.get(STAGE, params), sort_keys=True)


def _failed_itself(trial: FrozenTrial) -> bool:
    """Whether a trial's own settings failed: they would fail again."""
    return bool(why := why_failed(trial)) and not why.startswith((CUT_OFF, NOT_NEEDED))
