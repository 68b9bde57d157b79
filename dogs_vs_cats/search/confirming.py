"""Whether the best trial wins: it, the article's and the stage's settings, trained again with new seeds and splits.

A seed draws its own split of the training and validation photos, so that the photos that ranked the trials do not judge
the best one alone. All settings get the same pairs of seed and split.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.numerals import percent, points
from dogs_vs_cats.search.plan import Fidelity, Plan
from dogs_vs_cats.search.sampling import CANDIDATE, SEED, STAGE, article_parameters, own_settings, trial_settings, tried
from dogs_vs_cats.search.studies import ARTICLE, best_trial, open_study

ARTICLE_NAME, WINNER_NAME = "article", "best"
CONFIDENCE = 0.95
LOOKS = "looks"
"""User attribute of a study: the name of each confirmation with the pairs that it was asked for, in that order."""
MEASURES = ("val_loss", "val_accuracy")
"""The objectives of a confirmation: the validation log-loss, which decides, and the validation accuracy."""


@dataclass(frozen=True)
class Difference:
    """How much better the best trial is than the article's settings, by one measure, over pairs of seed and split.

    Attributes:
        best: (k,) the best trial's values.
        article: (k,) the article's, with the same pairs.
        mean: mean of the differences, positive where the best trial is better.
        interval: of that mean, Student's t over the k differences; None for one pair.
        confidence: of the interval.
    """

    best: tuple[float, ...]
    article: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    confidence: float = CONFIDENCE

    @property
    def outcome(self) -> str:
        """``better`` or ``worse`` where the interval leaves out 0, else ``tie``."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return "tie"
        return "better" if self.mean > 0 else "worse"


@dataclass(frozen=True)
class Confirmation:
    """The best trial against the article's settings.

    Attributes:
        trial: the best trial's number.
        fidelity: of these trainings.
        seeds: they were trained with, each with a split of its own.
        log_loss: on validation, by which trials are ranked and which decides.
        accuracy: on validation.
        own: log-loss against the stage's own settings; None where they are the article's or the trial's, or where
            they have not been trained.
        shorter: the study's longest training; empty where that is the full one.
    """

    trial: int
    fidelity: str
    seeds: tuple[int, ...]
    log_loss: Difference
    accuracy: Difference
    own: Difference | None = None
    shorter: str = ""

    @property
    def outcome(self) -> str:
        """``better``, ``worse`` or ``tie``, by the log-loss."""
        return self.log_loss.outcome

    def __str__(self) -> str:
        """The outcome in a sentence or two that claim no more than was shown."""
        found = f" It was found without the full training: {self.shorter}." if self.shorter else ""
        if self.own is None:
            return self._against_the_article() + found
        verdict = {"better": "It beats", "worse": "It does worse than", "tie": "A tie with"}[self.own.outcome]
        means = f"{np.mean(self.own.best):.4f} against {np.mean(self.own.article):.4f}{_interval(self.own, _loss)}"
        return f"{self._against_the_article()} {verdict} the settings in params.yaml: log-loss {means}.{found}"

    def _against_the_article(self) -> str:
        count = len(self.seeds)
        over = f"over {count} pair{'' if count == 1 else 's'} of seed and split ({self.fidelity})"
        figures = (
            f"validation accuracy {_accuracies(self.accuracy.best)} against {_accuracies(self.accuracy.article)}"
            f", {points(self.accuracy.mean)} points apart{_interval(self.accuracy, points)}; "
            f"log-loss {np.mean(self.log_loss.best):.4f} against {np.mean(self.log_loss.article):.4f}"
            f"{_interval(self.log_loss, _loss)}"
        )
        if self.outcome == "better":
            also = {"better": "and in accuracy", "tie": "not in accuracy", "worse": "and loses in accuracy"}
            how = f"in log-loss, {also[self.accuracy.outcome]}"
            return f"Trial {self.trial} beats the article's settings {how}, {over}: {figures}."
        if self.outcome == "worse":
            return f"Trial {self.trial} does worse than the article's settings {over}: {figures}."
        why = "one pair cannot tell" if count == 1 else "chance alone may explain the difference"
        return f"A tie between trial {self.trial} and the article's settings {over}: {figures}; {why}."


def _accuracies(values: tuple[float, ...]) -> str:
    return percent(float(np.mean(values)))


def _loss(value: float) -> str:
    return f"{value:.4f}".replace("-", "\N{MINUS SIGN}")


def _interval(difference: Difference, written: Any) -> str:
    if difference.interval is None:
        return ""
    low, high = difference.interval
    return f" ({percent(difference.confidence, None)} interval of the gain {written(low)} to {written(high)})"


def winner(plan: Plan, study: Study) -> FrozenTrial:
    """The trial to confirm.

    Raises:
        WorkflowError: if none has finished, or the best one has the article's settings.
    """
    best = best_trial(plan, study)
    if best is None:
        raise WorkflowError(f"study {plan.study}: no trial has finished; run it with --trials first")
    if STAGE in best.user_attrs:
        raise WorkflowError(
            f"study {plan.study}: its best trial, {best.number}, has the settings of the stage: there is nothing to "
            "confirm or promote; search on with more --trials"
        )
    if best.user_attrs.get(ARTICLE) or best.params == article_parameters(plan.kind):
        raise WorkflowError(
            f"study {plan.study}: its best trial, {best.number}, has the article's own settings: there is nothing to "
            "confirm or promote; search on with more --trials"
        )
    return best


def full_fidelity(plan: Plan) -> Fidelity:
    """All photos, as they were decoded, and as many epochs as the stage has."""
    return Fidelity(None, plan.base.epochs, None)


def confirmation_plan(plan: Plan, trial: FrozenTrial, seeds: int, fidelity: Fidelity) -> Plan:
    """The study that confirms a trial: the trial's, the article's and the stage's settings with each seed.

    Args:
        plan: the study that the trial is of.
        trial: its best one.
        seeds: how many.
        fidelity: of these trainings.
    """
    return replace(
        plan,
        # Those called -confirm-N alone are from when all seeds had the same split.
        study=f"{plan.study}-confirm-{trial.number}-pairs" + ("" if fidelity == full_fidelity(plan) else "-cheap"),
        fidelity=fidelity,
        rungs=(),
        rung=0,
        objectives=MEASURES,
        candidates={ARTICLE_NAME: article_parameters(plan.kind), WINNER_NAME: trial.params},
        trials=2 * seeds,
    )


def open_confirmation(plan: Plan, storage: BaseStorage) -> tuple[Plan, Study]:
    """Make the confirmation or go on with it: what has not been trained yet, or was cut off, waits to be.

    Args:
        plan: of ``confirmation_plan``.
        storage: of both studies.

    Returns:
        The plan with the number of its trials, and the study.
    """
    study, own = open_study(plan, storage), _own(plan)
    entries: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for seed in _seeds(plan, plan.trials // len(plan.candidates)):
        entries += [({CANDIDATE: candidate, SEED: seed}, {}) for candidate in plan.candidates]
        entries += [] if own is None else [({SEED: seed}, {STAGE: own})]
    live = [trial for trial in study.get_trials(deepcopy=False) if trial.state is not TrialState.FAIL]
    there = [(_tries(trial), trial.user_attrs.get(STAGE)) for trial in live]
    for params, attributes in entries:
        if (params, attributes.get(STAGE)) not in there:
            study.enqueue_trial(params, user_attrs=attributes)
            there.append((params, attributes.get(STAGE)))
    # Settings that the stage had in an earlier confirmation stay, and count.
    return replace(plan, trials=len(there)), study


def _own(plan: Plan) -> dict[str, Any] | None:
    """The stage's settings, where they are neither the article's nor the best trial's."""
    best = trial_settings(plan.kind, plan.base, plan.candidates[WINNER_NAME], plan.settings.decode.size)
    return None if best == plan.base else own_settings(plan)


def _seeds(plan: Plan, pairs: int) -> list[int]:
    """Seeds that no trial was trained with: the best one owes nothing to its luck with those."""
    return [plan.base.seed + 1 + number for number in range(pairs)]


def announce(study: Study, confirming: Plan, pairs: int) -> None:
    """Record that a study's confirmation will be looked at when it has so many pairs, unless it has as many already.

    Args:
        study: the one that found the best trial.
        confirming: of ``confirmation_plan``.
        pairs: of seed and split.
    """
    looks = study.user_attrs.get(LOOKS, [])
    if pairs > max((count for name, count in looks if name == confirming.study), default=0):
        study.set_user_attr(LOOKS, [*looks, [confirming.study, pairs]])


def _tries(trial: FrozenTrial) -> Mapping[str, Any]:
    fixed: Mapping[str, Any] = trial.system_attrs.get("fixed_params", trial.params)
    return fixed


def outcome(plan: Plan, study: Study, trial: int, looks: Sequence[tuple[str, int]]) -> Confirmation | None:
    """What a confirmation found at its last look; None before all pairs of one have been trained.

    Each look spends half of what is left of the error that all of a study's verdicts may have, so that looking again,
    with more pairs or at another trial, does not find chance in the end. Source: Lan and DeMets, "Discrete sequential
    boundaries for clinical trials", Biometrika 70 (1983).

    Args:
        plan: of ``confirmation_plan``.
        study: opened.
        trial: the best trial's number.
        looks: what ``announce`` has recorded.
    """
    values: dict[str, dict[int, list[float]]] = {name: {} for name in (*plan.candidates, STAGE)}
    own, overlap = _own(plan), 0.0
    for done in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if done.user_attrs.get(STAGE, own) == own:
            values[done.params.get(CANDIDATE, STAGE)][done.params[SEED]] = done.values
            overlap = done.user_attrs.get("validation_photos", 0) / done.user_attrs.get("training_photos", 1)
    both = values[ARTICLE_NAME].keys() & values[WINNER_NAME].keys()
    spent, shown = 0, None
    for name, pairs in looks:
        spent += pairs > 1  # one pair has no interval
        if name == plan.study and both.issuperset(seeds := _seeds(plan, pairs)):
            shown = seeds, 1 - (1 - CONFIDENCE) / 2 ** max(spent, 1)
    if shown is None:
        return None
    seeds, confidence = shown

    def compared(other: str, measure: int) -> Difference:
        ours, theirs = ([values[name][seed][measure] for seed in seeds] for name in (WINNER_NAME, other))
        higher_is_better = MEASURES[measure] == "val_accuracy"
        return difference(ours, theirs, higher_is_better=higher_is_better, confidence=confidence, overlap=overlap)

    beside = compared(STAGE, 0) if own is not None and values[STAGE].keys() >= {*seeds} else None
    log_loss, accuracy = (compared(ARTICLE_NAME, measure) for measure in range(len(MEASURES)))
    return Confirmation(trial, str(plan.fidelity), tuple(seeds), log_loss, accuracy, beside)


def why_not(plan: Plan, best: FrozenTrial, confirmation: Confirmation | None) -> str:
    """Say why a trial is not to be promoted; nothing where it is.

    Args:
        plan: the study that the trial is of.
        best: its best trial.
        confirmation: of that trial; None: there is none.
    """
    again = "run --confirm 3 first"
    if confirmation is None:
        return f"trial {best.number} of study {plan.study} is not confirmed: {again}"
    if confirmation.outcome != "better" or (confirmation.own and confirmation.own.outcome != "better"):
        return f"params.yaml stays as it is: {confirmation}"
    if confirmation.own is None and own_settings(plan) is not None and tried(plan, best) != plan.base:
        return f"trial {best.number} of study {plan.study} is not compared with the settings in params.yaml: {again}"
    return ""


def difference(
    best: list[float],
    article: list[float],
    *,
    higher_is_better: bool,
    confidence: float = CONFIDENCE,
    overlap: float = 0.0,
) -> Difference:
    """Compare two settings over pairs of seed and split.

    Args:
        best: (k,) values of one.
        article: (k,) values of the other, with the same pairs.
        higher_is_better: whether that is so of these values.
        confidence: of the interval.
        overlap: validation photos for each training photo. Splits of the same photos share most of them, so their
            differences vary less than those of other photos would. 0 where each pair has photos of its own.

    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003), section 3: the
        corrected resampled t-test.
    """
    from scipy import stats

    gains = (1 if higher_is_better else -1) * (np.array(best) - np.array(article))
    mean, interval = float(gains.mean()), None
    if len(gains) > 1:
        spread = float(gains.std(ddof=1)) * math.sqrt(1 / len(gains) + overlap)
        reach = float(stats.t.ppf(0.5 + confidence / 2, len(gains) - 1)) * spread
        interval = (mean - reach, mean + reach)
    return Difference(tuple(best), tuple(article), mean, interval, confidence)
