"""The command line of both searches."""

import argparse
import re
import uuid
from pathlib import Path

from optuna.study import Study

from dogs_vs_cats.entry import run
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings import load_settings
from search.driving import drive
from search.examples import check_data, open_parts
from search.plan import DIRECTIONS, RUN, Fidelity, Kind, Plan
from search.storage import open_storage, storage_errors, storage_url
from search.studies import open_study, tally
from search.tracked import best_trial, log_best_model, reconcile
from search.trials import Outcome, check_importable


def main(kind: Kind) -> None:
    """Search, and print what came of it; errors are one line."""
    run(lambda: search(kind))


def search(kind: Kind) -> None:
    """Parse the command line, run the study to as many trials as it says."""
    from dataclasses import replace

    from dogs_vs_cats.tracking import tracked_run

    arguments = _arguments(kind)
    plan = _plan(kind, arguments)
    check_importable()
    storage = open_storage(plan.storage, plan.settings.search.heartbeat_seconds)
    with storage_errors(plan.storage):
        study = open_study(plan, storage)
        print(f"study {plan.study}: {plan.fidelity}; {_counted(study)}", flush=True)
        with tracked_run(
            f"study {plan.study}",
            plan.settings.tracking,
            plan.root,
            params={"fidelity": str(plan.fidelity), "objectives": list(plan.objectives), "seed": plan.seed},
            tags={"study": plan.study, "kind": f"{kind}-study"},
            resume=study.user_attrs.get(RUN),
            system_metrics=False,
        ) as tracked:
            study.set_user_attr(RUN, tracked.id)
            plan = replace(plan, run=tracked.id)
            try:
                finished = drive(
                    plan, study, storage, arguments.jobs, arguments.timeout, lambda outcome: _tell(study, outcome)
                )
            finally:
                reconcile(plan, study)
            best = best_trial(plan, study)
            if best is not None:
                tracked.log_metrics({f"best_{name}": best.values[i] for i, name in enumerate(plan.objectives)})
                tracked.set_tags({"best_trial": str(best.number)})
                log_best_model(plan, study, tracked)
        print(_counted(study) if finished else f"time is up: {_counted(study)}; run it again to go on")
        for trial in study.best_trials:
            values = ", ".join(f"{name} {trial.values[i]:.4f}" for i, name in enumerate(plan.objectives))
            print(f"best: trial {trial.number}, {values}: {trial.params}")


def _arguments(kind: Kind) -> argparse.Namespace:
    what = "CNN" if kind == "scratch" else "head on VGG16's features"
    parser = argparse.ArgumentParser(description=f"Search for a better {what}; what is varied stands in params.yaml.")
    parser.add_argument("--trials", type=int, required=True, help="trials that the study is to have finished")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes (%(default)s)")
    parser.add_argument("--study", default=kind, help="the study's name (%(default)s)")
    parser.add_argument("--storage", help="any Optuna storage (search.storage, else optuna.db here)")
    parser.add_argument("--images", type=int, help=f"training photos a trial sees (search.{kind}.images)")
    parser.add_argument("--epochs", type=int, help=f"epochs a trial has at most (search.{kind}.epochs)")
    if kind == "scratch":
        parser.add_argument("--size", type=int, help="pixels a side (search.scratch.size)")
    parser.add_argument("--objectives", default="val_loss", help=f"one or more of {', '.join(DIRECTIONS)}, with commas")
    parser.add_argument("--timeout", type=float, help="seconds after which the search stops (no limit)")
    parser.add_argument("--seed", type=int, help="of what is sampled (search.seed)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    return parser.parse_args()


def _plan(kind: Kind, arguments: argparse.Namespace) -> Plan:
    for name, least in {"trials": 1, "jobs": 1, "epochs": 1, "images": 10, "size": 16, "seed": 0}.items():
        value = getattr(arguments, name, None)
        if value is not None and value < least:
            raise WorkflowError(f"--{name} {value}: it has to be {least} at least")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", arguments.study):
        raise WorkflowError(
            f"--study {arguments.study}: a name has letters, digits, dots, hyphens and underscores only"
        )
    objectives = tuple(part.strip() for part in arguments.objectives.split(","))
    for objective in objectives:
        if objective not in DIRECTIONS:
            raise WorkflowError(f"--objectives {objective}: there are {', '.join(DIRECTIONS)}")
    settings, root = load_settings(arguments.params), arguments.params.resolve().parent
    section = settings.search.scratch if kind == "scratch" else settings.search.vgg16
    fidelity = Fidelity(
        images=arguments.images or section.images,
        epochs=arguments.epochs or section.epochs,
        size=getattr(arguments, "size", None) or getattr(section, "size", None),
    )
    dataset = check_data(kind, root, settings)
    if arguments.images is None and fidelity.images is not None and fidelity.images > dataset.counts["train"]:
        fidelity = Fidelity(None, fidelity.epochs, fidelity.size)
    open_parts(kind, root, settings, fidelity)
    return Plan(
        kind=kind,
        study=arguments.study,
        storage=storage_url(arguments.storage or settings.search.storage, root),
        root=root,
        settings=settings,
        fidelity=fidelity,
        objectives=objectives,
        seed=settings.search.seed if arguments.seed is None else arguments.seed,
        trials=arguments.trials,
        digest=dataset.digest,
        driver=uuid.uuid4().hex,
    )


def _tell(study: Study, outcome: Outcome) -> None:
    if outcome.number is None:
        print(f"failed: {outcome.reason}", flush=True)
        return
    trial = study.get_trials(deepcopy=False)[outcome.number]
    values = "" if trial.values is None else " " + ", ".join(f"{value:.4f}" for value in trial.values)
    reason = f": {outcome.reason}" if outcome.reason else ""
    print(f"trial {outcome.number} {outcome.state.lower()}{values}{reason}; {_counted(study)}", flush=True)


def _counted(study: Study) -> str:
    counts = tally(study)
    return f"{counts.finished} finished, {counts.pruned} pruned, {counts.failed} failed"
