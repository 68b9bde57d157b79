"""What a study leaves in MLflow beside its trials' own runs: states that agree after any kill, and the best model."""

import shlex
import sys
from pathlib import Path

from optuna.study import Study
from optuna.trial import TrialState

from dogs_vs_cats.files import digest_of
from dogs_vs_cats.paths import BACKBONE_WEIGHTS
from dogs_vs_cats.search.confirming import Confirmation
from dogs_vs_cats.search.display import counted
from dogs_vs_cats.search.plan import Plan
from dogs_vs_cats.search.report import study_card
from dogs_vs_cats.search.studies import best_trial, ranked, tally, why_failed
from dogs_vs_cats.settings.addresses import without_secrets
from dogs_vs_cats.tracking.connection import reason
from dogs_vs_cats.tracking.notes import code
from dogs_vs_cats.tracking.tracked_runs import Run, client
from dogs_vs_cats.tracking.views import RANK, metric, study_view

_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
_LOGGED = "logged_trial"
"""User attribute of a study: the trial whose model MLflow has."""
_MOST_RUNS = 50_000


def reconcile(plan: Plan, study: Study) -> None:
    """Give the run of each trial that has ended the state and the rank that the study has for it.

    A kill can fall between the two: a run goes on for ever then, or has finished where its trial was cut off. Where
    MLflow does not answer, that is told in a line, and left to the next time.
    """
    from mlflow.exceptions import MlflowException

    settings = plan.settings.tracking
    trials = {str(trial.number): trial for trial in study.get_trials(deepcopy=False)}
    # Candidates of a confirmation have no order.
    order = [] if plan.candidates else ranked(plan, study)
    ranks = {trial.number: place for place, trial in enumerate(order, 1)}
    try:
        mlflow = client(settings, plan.root)
        experiment = mlflow.get_experiment_by_name(settings.experiment)
        if experiment is None:
            return
        of_study = f"tags.study = '{plan.study}' and tags.`mlflow.parentRunId` = '{plan.run}'"
        for run in mlflow.search_runs([experiment.experiment_id], of_study, max_results=_MOST_RUNS):
            trial = trials.get(run.data.tags.get("trial", ""))
            status = None if trial is None else _STATUS.get(trial.state)
            if trial is not None and status is not None and run.info.status != status:
                mlflow.set_terminated(run.info.run_id, status)
                if why := why_failed(trial):
                    mlflow.set_tag(run.info.run_id, "error", why)
            rank = None if trial is None else ranks.get(trial.number)
            if rank is not None and run.data.metrics.get(RANK) != rank:
                mlflow.log_metric(run.info.run_id, RANK, rank)
    except (MlflowException, OSError) as error:
        print(f"MLflow: {reason(error)}; states and ranks of trials are brought in line the next time", flush=True)


def study_note(plan: Plan, study: Study, confirmation: Confirmation | None) -> str:
    """Describe a study in Markdown: what is searched for, what was found so far, and the command."""
    lines = [f"Search for {plan.searched}: {plan.fidelity} a trial.", "", f"- {counted(tally(study))}"]
    best = best_trial(plan, study)
    if best is not None:
        values = ", ".join(f"{name} {value:.4f}" for name, value in zip(plan.objectives, best.values, strict=True))
        lines += [
            f"- best: trial {best.number}, {values}",
            f"- report: {code(f'search/{plan.study}.html')}, in Artifacts",
        ]
    if confirmation is not None:
        lines.append(f"- {confirmation}")
    # Its arguments may name a storage with a password.
    command = without_secrets(shlex.join(["python", f"search/{Path(sys.argv[0]).name}", *sys.argv[1:]]))
    return "\n".join([*lines, f"- made by {code(command)}", ""])


def trials_view(plan: Plan) -> str:
    """Return what MLflow's page of a study's trials shows: the best one on top, those of the last rung first."""
    columns = {"val_loss": "val/log_loss", "val_accuracy": "val/accuracy"}
    first = plan.objectives[0]
    return study_view(plan.study, metric(columns.get(first, f"model/{first}")))


def log_best_model(plan: Plan, study: Study, run: Run) -> None:
    """Log the best trial's model to the study's run, unless it is there, and drop the weights of earlier bests."""
    best = best_trial(plan, study)
    if best is None:
        return
    weights = plan.kept / f"trial-{best.number}.weights.h5"
    if study.user_attrs.get(_LOGGED) != best.number:
        if not weights.exists():
            print(f"the best trial, {best.number}, ran on another machine, which has its model: {weights}", flush=True)
            return
        _log(plan, study, run, weights)
        study.set_user_attr(_LOGGED, best.number)
    for other in plan.kept.glob("trial-*"):
        if other.name.split(".")[0] != f"trial-{best.number}":
            other.unlink(missing_ok=True)  # another command that shares the study was quicker


def _log(plan: Plan, study: Study, run: Run, weights: Path) -> None:
    from dogs_vs_cats.runtime import import_backend

    import_backend()
    from dogs_vs_cats.models.exporting import exported
    from dogs_vs_cats.models.saved import load_predictor

    predictor = load_predictor(weights)
    description = predictor.description
    card = study_card(plan, study, description, digest_of(weights))
    run.log_model(exported(predictor.open(plan.root / BACKBONE_WEIGHTS), description), "best", card=card)
