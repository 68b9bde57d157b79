"""One trial, as a worker runs it: sample, train, report, record."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import optuna
from optuna.study import Study
from optuna.trial import Trial, TrialState

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.paths import ARRAYS, Prepared
from dogs_vs_cats.search.examples import open_parts
from dogs_vs_cats.search.owners import owner_of
from dogs_vs_cats.search.plan import OWNER, RUN, RUNG, Plan, Trained
from dogs_vs_cats.search.rungs import identity
from dogs_vs_cats.search.sampling import suggest
from dogs_vs_cats.search.storage import STORAGE_ERRORS, open_storage, storage_errors
from dogs_vs_cats.search.studies import (
    CUT_OFF,
    NOT_NEEDED,
    REASON,
    finished_rungs,
    in_rung,
    join_study,
    not_needed,
    ranked,
    rung_of,
    why_failed,
)
from dogs_vs_cats.settings.addresses import without_secrets

if TYPE_CHECKING:
    import keras

    from dogs_vs_cats.models.kinds.description import Description
    from dogs_vs_cats.training.fitting import Training


class NotNeededError(Exception):
    """Enough trials had begun before this one."""


class _StorageLostError(BaseException):
    """The storage failed in the middle of a trial.

    No ``Exception``: Optuna would write the trial off as failed, where it only was cut off.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        number: the trial's; None where a worker died, and which trial it had is found out later.
        state: its state, as Optuna names it.
        reason: why it failed; empty if it did not.
    """

    number: int | None
    state: str
    reason: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether an error ended it."""
        return self.state == TrialState.FAIL.name and not self.reason.startswith((NOT_NEEDED, CUT_OFF))


def run_trial(plan: Plan) -> Outcome:
    """Run the study's next trial in this process, whatever comes of it.

    Raises:
        WorkflowError: if the storage does not answer, or the data is missing: no other trial would fare better.
    """
    storage = open_storage(plan.storage, plan.settings.search.heartbeat_seconds, judges=False)
    with storage_errors(plan.storage):
        study = join_study(plan, storage)
        side = open_parts(plan.kind, plan.root, plan.settings, plan.current).training.inputs.shape[1]
        smallest = min((rung.size for rung in plan.ladder if rung.size), default=side)
        ended: list[int] = []

        def objective(trial: Trial) -> Any:
            ended.append(trial.number)
            trial.set_user_attr(OWNER, owner_of(plan.driver))
            try:
                here = _begin(study, trial, plan)
                settings = suggest(trial, here, smallest)
                anew = settings.seed if plan.candidates else None
                parts = open_parts(plan.kind, plan.root, plan.settings, here.current, anew)
                return _recorded(here, study, trial, settings, parts)
            except optuna.TrialPruned:
                raise
            except STORAGE_ERRORS as error:
                raise _StorageLostError(error) from error
            except Exception as error:
                trial.set_user_attr(
                    REASON, f"{type(error).__name__}: {without_secrets(str(error))}".splitlines()[0][:2000]
                )
                raise

        try:
            study.optimize(objective, n_trials=1, catch=(Exception,))
        except _StorageLostError as lost:
            raise lost.error from None
        except ValueError:
            # Optuna cannot end a trial twice: one that was silent for too long, in a computer put to sleep, was ended
            # and queued again by whoever noticed first.
            if not (ended and study.trials[ended[0]].state is TrialState.FAIL):
                raise
        trial = study.trials[ended[0]]
    return Outcome(trial.number, trial.state.name, why_failed(trial))


def _begin(study: Study, trial: Trial, plan: Plan) -> Plan:
    """Check that a trial is needed; return the plan with the trial's rung, which may have been queued for another."""
    if RUNG not in trial.user_attrs:
        trial.set_user_attr(RUNG, plan.rung)
    rung = int(trial.user_attrs[RUNG])
    if not_needed(study, trial.number, plan.trials, rung):
        raise NotNeededError(f"{plan.trials} trials had begun before")
    own = study.get_trials(deepcopy=False)[trial.number]
    queued = "fixed_params" in own.system_attrs
    if not queued and (plan.candidates or min(finished_rungs(study), default=rung) < rung):
        raise NotNeededError("no candidate waits to be trained")
    others = [one for one in in_rung(study, rung) if one.number < own.number and one.state is not TrialState.FAIL]
    if queued and not plan.candidates and identity(own) in {identity(one) for one in others}:
        raise NotNeededError("another trial of the rung tries the same")
    return replace(plan, rung=rung)


def _recorded(plan: Plan, study: Study, trial: Trial, settings: Trained, parts: Parts) -> Any:
    """Train what the trial tries, and record it as an MLflow run below the study's."""
    from dogs_vs_cats.runtime import gpu_names, import_backend

    import_backend()
    from dogs_vs_cats.data.arrays import read_dataset
    from dogs_vs_cats.reports import figures as pictures
    from dogs_vs_cats.tracking.notes import NOTE, code, run_note
    from dogs_vs_cats.tracking.provenance import SEPARATOR
    from dogs_vs_cats.tracking.tracked_runs import tracked_run
    from dogs_vs_cats.training.recording import by_epoch, data_tags, reached, results

    dataset = read_dataset(plan.root / ARRAYS)
    tags = {"study": plan.study, "trial": str(trial.number), "kind": plan.kind, RUNG: str(plan.rung + 1)}
    tags |= data_tags(dataset)
    about = f"Trial {trial.number} of study {code(plan.study)}: {plan.searched} on {plan.current}.\n"
    rung = [f"rung {plan.rung + 1} of {len(plan.ladder)}"] if plan.rungs else []
    with tracked_run(
        SEPARATOR.join([f"trial {trial.number}", *rung, f"study {plan.study}", plan.fidelity.photos]),
        plan.settings.tracking,
        plan.root,
        # What the trial varies first: MLflow lists parameters by the alphabet, and settings are many.
        params={**trial.params, "fidelity": str(plan.current), "settings": settings.model_dump(mode="json")},
        tags={**tags, NOTE: about},
        parent=plan.run or None,
        system_metrics=bool(gpu_names()),  # a GPU's memory and energy; the rest is the same for trials side by side
    ) as run:
        trial.set_user_attr(RUN, run.id)
        model, description, training = _train(plan, trial, settings, parts, by_epoch(run))
        values = _measure(plan, model, training, parts.validation)
        kept = training.kept
        facts = {
            **{f"validation_{name}": kept[f"val_{name}"] for name in ("accuracy", "loss", "log_loss")},
            "parameters": model.count_params(),
            "epochs": len(training.history),
            "training_seconds": training.seconds,
            "training_photos": plan.fidelity.images or dataset.counts["train"],
            "validation_photos": len(parts.validation.labels),
        }
        speed = {f"model/{name}": value for name, value in values.items() if name == "latency"}
        run.log_metrics(results(training, model, len(parts.training.labels)) | speed)
        run.log_figure(pictures.learning_curves(training.history, f"trial {trial.number}"), "curves.png")
        for name, value in facts.items():
            trial.set_user_attr(name, value)
        if not plan.candidates:
            _keep(plan, study, trial, values, model, description)
        found = reached(training, len(parts.validation.labels))
        command = code(f"python search/optuna_{plan.kind}.py --study {plan.study}")
        made = f"made by {command}, with the options that the study's run names"
        run.set_tags({"state": "COMPLETE", NOTE: run_note(f"{about}\n- {found}\n- {made}\n")})
    return [values[objective] for objective in plan.objectives]


def _train(
    plan: Plan, trial: Trial, settings: Trained, parts: Parts, log: Any
) -> "tuple[keras.Model, Description, Training]":
    from optuna_integration import KerasPruningCallback

    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.training.recording import fit

    described = KINDS[plan.kind].of(plan.settings, Prepared.of(plan.root))
    tried = {"size": plan.current.size or described.side, "sees": None, "network": settings.network}
    description = described.model_copy(update=tried)
    prepare(settings.seed, mixed_precision=settings.mixed_precision)
    model = description.build()
    description.initialise(model, parts.training.inputs, settings.seed, Prepared.of(plan.root))
    result = fit(
        model,
        parts,
        settings,
        log=log,
        # Optuna cannot prune where there are several objectives.
        callbacks=[KerasPruningCallback(trial, "val_log_loss")] if len(plan.objectives) == 1 else [],
        show_progress=False,
    )
    return model, description, result


def _measure(plan: Plan, model: "keras.Model", training: "Training", validation: Examples) -> dict[str, float]:
    """The objectives' values: latency in milliseconds a photo, in batches of 32, for the network that was trained."""
    values = {
        "val_loss": training.kept["val_log_loss"],
        "val_accuracy": training.kept["val_accuracy"],
        "parameters": float(model.count_params()),
    }
    if "latency" in plan.objectives:
        from dogs_vs_cats.evaluation.metrics import photos_per_second

        values["latency"] = 1000 / photos_per_second(model.predict_on_batch, validation.inputs[:512])
    return {name: values[name] for name in plan.objectives}


def _keep(
    plan: Plan, study: Study, trial: Trial, values: dict[str, float], model: "keras.Model", description: "Description"
) -> None:
    """Keep the weights of a trial that is the best so far, in place of the best before."""
    from dogs_vs_cats.models.saved import write_model

    found = (-plan.rung, plan.sign * values[plan.objectives[0]])
    if all(found < (-rung_of(best), plan.sign * best.values[0]) for best in ranked(plan, study)[:1]):
        write_model(model, description, plan.kept / f"trial-{trial.number}.weights.h5")
