"""Both searches from beginning to end: the study, its confirmation, and what becomes of the winner."""

import argparse
import time
from contextlib import suppress
from dataclasses import replace

from optuna.storages import BaseStorage
from optuna.study import Study

from dogs_vs_cats.cli import run
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.runtime import check_backend
from dogs_vs_cats.search.arguments import build_plan, parse_arguments
from dogs_vs_cats.search.confirming import (
    LOOKS,
    Confirmation,
    announce,
    confirmation_plan,
    full_fidelity,
    open_confirmation,
    outcome,
    why_not,
    winner,
)
from dogs_vs_cats.search.crew import Crew
from dogs_vs_cats.search.display import Display, counted
from dogs_vs_cats.search.driving import Workers, drive
from dogs_vs_cats.search.examples import open_parts
from dogs_vs_cats.search.figures import pictures
from dogs_vs_cats.search.plan import RUN, Kind, Plan
from dogs_vs_cats.search.report import write_report
from dogs_vs_cats.search.rungs import first_of_each, results, targets
from dogs_vs_cats.search.sampling import tried
from dogs_vs_cats.search.settings_file import changes, experiments, promote, queue_experiment
from dogs_vs_cats.search.storage import STORAGE_ERRORS, open_storage, storage_errors
from dogs_vs_cats.search.studies import best_trial, best_trials, join_study, open_study, ranked, tally
from dogs_vs_cats.search.tracked import log_best_model, reconcile, study_note, trials_view
from dogs_vs_cats.tracking.notes import NOTE
from dogs_vs_cats.tracking.runs import Run


def main(kind: Kind) -> None:
    """Do what the command line asks for; errors are one line."""
    run(lambda: search(kind))


def search(kind: Kind) -> None:
    """Run the study to as many trials as are asked for, confirm its best one, and write it where it is wanted."""
    arguments = parse_arguments(kind)
    deadline = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    plan = build_plan(kind, arguments)
    check_backend()  # before any trial
    storage = open_storage(plan.storage, plan.settings.search.heartbeat_seconds)
    with storage_errors(plan.storage):
        study = open_study(plan, storage)
        plan = replace(plan, trials=plan.trials or tally(study).done)
        print(f"study {plan.study}: {plan.fidelity}; {counted(tally(study))}", flush=True)
        for rung, trials in enumerate(targets(plan, study) if plan.rungs else [], 1):
            print(f"rung {rung}: {trials} trial{'' if trials == 1 else 's'}, {plan.ladder[rung - 1]}", flush=True)
        _run_and_confirm(arguments, plan, study, storage, deadline)
        if arguments.promote:
            _promote(arguments, plan, study, storage)
        if arguments.experiments:
            _queue(plan, study, arguments.experiments)


def _run_and_confirm(
    arguments: argparse.Namespace, plan: Plan, study: Study, storage: BaseStorage, deadline: float | None
) -> None:
    from dogs_vs_cats.tracking.pages import page_lines
    from dogs_vs_cats.tracking.provenance import SEPARATOR
    from dogs_vs_cats.tracking.tracked_runs import coming_run, tracked_run

    if RUN not in study.user_attrs:
        study.set_user_attr(RUN, coming_run())
    with tracked_run(
        f"study {plan.study}{SEPARATOR}{plan.searched}{SEPARATOR}{plan.fidelity.photos}",
        plan.settings.tracking,
        plan.root,
        params={"fidelity": str(plan.fidelity), "objectives": list(plan.objectives), "seed": plan.seed},
        tags={"study": plan.study, "kind": f"{plan.kind}-study", NOTE: study_note(plan, study, None)},
        resume=study.user_attrs[RUN],
        system_metrics=False,
    ) as tracked:
        study.set_user_attr(RUN, tracked.id)
        plan = replace(plan, run=tracked.id)
        finished = True
        try:
            if arguments.trials is not None:
                finished = _drive(arguments, plan, study, storage, deadline)
            if arguments.confirm and finished:
                # Now, since a confirmation takes long, may be cut off, and may have nothing to confirm.
                write_report(plan, study, _confirmation(plan, study, storage))
                finished = _confirm(arguments, plan, study, storage, deadline)
        except BaseException:
            with suppress(OSError, *STORAGE_ERRORS):  # what ended the search is told, and not this
                reconcile(plan, study)
            raise
        reconcile(plan, study)
        confirmation = _confirmation(plan, study, storage)
        _show(plan, study, tracked, confirmation)
        tracked.show(f"study-{plan.study}", trials_view(plan))
    print(counted(tally(study)) if finished else f"time is up: {counted(tally(study))}; run it again to go on")
    for trial in best_trials(plan, study):
        values = ", ".join(f"{name} {value:.4f}" for name, value in zip(plan.objectives, trial.values, strict=True))
        print(f"best: trial {trial.number}, {values}: {trial.params}")
    if plan.fidelity != full_fidelity(plan):
        print(f"no trial of this study was the full training, which is: {full_fidelity(plan)}")
    if confirmation is not None:
        print(confirmation)
    print(*page_lines(plan.settings.tracking, plan.root, {f"study-{plan.study}": "its trials"}), sep="\n")
    if finished:
        print(f"next: {_next(plan, study, confirmation)}")


def _next(plan: Plan, study: Study, confirmation: Confirmation | None) -> str:
    """What to do with what the study found."""
    more = f"search on with the same command and --trials {2 * max(plan.trials, 1)}"
    try:
        best = winner(plan, study)
    except WorkflowError:
        return more
    if tried(plan, best) == plan.base:
        return f"params.yaml has the settings of trial {best.number}; train with them: dvc exp run"
    if confirmation is None:
        return "the same command with --confirm 3, to see whether the best trial wins with other seeds and splits"
    if not why_not(plan, best, confirmation):
        return "the same command with --promote, to write the settings into params.yaml"
    return f"the same command with --confirm {2 * len(confirmation.seeds)}, for more pairs of seed and split; or {more}"


def _show(plan: Plan, study: Study, tracked: Run, confirmation: Confirmation | None) -> None:
    """Leave the report, and in MLflow the counts, the best trial's model and the main figures."""
    # The run's own duration is that of the last command alone.
    spent = [trial.duration.total_seconds() for trial in study.get_trials(deepcopy=False) if trial.duration]
    now = tally(study)
    tracked.log_metrics(
        {
            "trials/finished": now.finished,
            "trials/pruned": now.pruned,
            "trials/failed": now.failed,
            "trials/seconds": sum(spent),
        }
    )
    for result in results(plan, study):
        told = {"seconds": result.seconds, "tau": result.tau, "regret": result.regret}
        tracked.log_metrics({f"rung_{result.rung}/{name}": one for name, one in told.items() if one is not None})
    best = best_trial(plan, study)
    if best is not None:
        tracked.log_metrics({f"best/{name}": best.values[i] for i, name in enumerate(plan.objectives)})
        tracked.set_tags({"best_trial": str(best.number)})
        log_best_model(plan, study, tracked)
        for name, figure in pictures(plan, study):
            tracked.log_figure(figure, name)
    if confirmation is not None:
        tracked.set_tags({"confirmation": str(confirmation)})
        gains = {"log_loss": confirmation.log_loss.mean, "accuracy": confirmation.accuracy.mean}
        tracked.log_metrics({f"confirmed_gain/{name}": gain for name, gain in gains.items()})
    tracked.set_tags({NOTE: study_note(plan, study, confirmation)})
    page = write_report(plan, study, confirmation)
    tracked.log_artifact(page, "search")
    print(f"report: {page.relative_to(plan.root)}", flush=True)


def _workers(arguments: argparse.Namespace) -> Workers:
    if arguments.ray is None:
        return Crew(arguments.jobs or 1)
    from dogs_vs_cats.search.ray_crew import RayCrew

    return RayCrew(arguments.ray, arguments.jobs, arguments.gpus_per_trial)


def _drive(
    arguments: argparse.Namespace, plan: Plan, study: Study, storage: BaseStorage, deadline: float | None
) -> bool:
    workers = _workers(arguments)
    with Display(plan, study, workers.size) as display:
        return drive(plan, study, storage, workers, deadline, display)


def _confirm(
    arguments: argparse.Namespace, plan: Plan, study: Study, storage: BaseStorage, deadline: float | None
) -> bool:
    best = winner(plan, study)
    fidelity = full_fidelity(plan) if arguments.confirm_fidelity == "full" else plan.fidelity
    confirming = confirmation_plan(plan, best, arguments.confirm, fidelity)
    # A split that cannot be drawn is told before any training.
    open_parts(plan.kind, plan.root, plan.settings, fidelity, plan.base.seed)
    print(f"confirming trial {best.number} with {arguments.confirm} seeds and splits: {fidelity}", flush=True)
    announce(study, confirming, arguments.confirm)
    confirming, opened = open_confirmation(confirming, storage)
    try:
        return _drive(arguments, confirming, opened, storage, deadline)
    finally:
        reconcile(confirming, opened)


def _confirmation(plan: Plan, study: Study, storage: BaseStorage) -> Confirmation | None:
    """What is known of the best trial's confirmation: at full fidelity if there is one, else at the study's."""
    best = best_trial(plan, study)
    if best is None:
        return None
    names = {existing.study_name for existing in storage.get_all_studies()}
    for fidelity in (full_fidelity(plan), plan.fidelity):
        confirming = confirmation_plan(plan, best, 1, fidelity)
        if confirming.study in names:
            looks = study.user_attrs.get(LOOKS, [])
            found = outcome(confirming, join_study(confirming, storage), best.number, looks)
            if found is not None:
                return replace(found, shorter="" if plan.fidelity == full_fidelity(plan) else str(plan.fidelity))
    return None


def _promote(arguments: argparse.Namespace, plan: Plan, study: Study, storage: BaseStorage) -> None:
    best = winner(plan, study)
    if reason := why_not(plan, best, _confirmation(plan, study, storage)):
        raise WorkflowError(reason)
    promote(arguments.params, changes(plan, best))
    print(
        f"{arguments.params}: has the settings of trial {best.number} now. Make them the committed result with:\n"
        f"dvc exp run --name {plan.study}-trial-{best.number}"
    )


def _queue(plan: Plan, study: Study, count: int) -> None:
    best = first_of_each(ranked(plan, study))[:count]
    if not best:
        raise WorkflowError(f"study {plan.study}: no trial has finished; run it with --trials first")
    known = experiments(plan.root)
    for trial in best:
        name = f"{plan.study}-trial-{trial.number}"
        if name not in known:
            queue_experiment(plan.root, name, changes(plan, trial))
        print(f"{name}: {'there already' if name in known else 'queued'}")
    print("run them with: dvc queue start (or dvc exp run --run-all); dvc exp show lists them")
