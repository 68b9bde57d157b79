"""MLflow: a run for each training, with what it was made from, how it went, and the model it left.

A run never stops what it records. Everything goes to MLflow from a thread of its own (``outbox.py``); what MLflow does
not take is kept on disk (``unsent.py``) until ``python -m dogs_vs_cats.tracking send``.
"""

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.addresses import absolute, redacted, tracking_fault, without_secrets
from dogs_vs_cats.settings.params import Rule, TrackingSettings
from dogs_vs_cats.tracking.connection import connect, quiet_mlflow, reason
from dogs_vs_cats.tracking.delivery import MlflowRun
from dogs_vs_cats.tracking.devices import device_tags
from dogs_vs_cats.tracking.operations import (
    ERROR,
    IDENTITY,
    End,
    Promotion,
    Reopen,
    Start,
    Status,
    View,
    identity_of,
    unsent_id,
)
from dogs_vs_cats.tracking.outbox import Outbox
from dogs_vs_cats.tracking.provenance import source_tags
from dogs_vs_cats.tracking.runs import Run, flattened, timestamp
from dogs_vs_cats.tracking.system_metrics import SystemMetrics
from dogs_vs_cats.tracking.unsent import forget_promotions, journal_of, new_journal
from dogs_vs_cats.tracking.views import COMPARED

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "Run",
    "client",
    "coming_run",
    "end_abandoned",
    "flattened",
    "reopened_run",
    "set_alias",
    "show_compared",
    "tracked_run",
    "tracking_uri",
]

DEFAULT_DATABASE = "mlflow.db"


def tracking_uri(settings: TrackingSettings, root: Path) -> str:
    """Where runs go.

    Args:
        settings: the ``tracking`` section.
        root: the project's folder, which MLflow's own default place is in: plain ``mlflow ui`` there shows every run.

    Returns:
        ``settings.uri``, else the variable ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in ``root``; a SQLite file
        with its absolute path, since DVC runs stages in copies of the project.

    Raises:
        WorkflowError: for what is no address, or one that MLflow cannot keep runs at.
    """
    variable = os.environ.get("MLFLOW_TRACKING_URI")
    uri = settings.uri or variable or f"sqlite:///{DEFAULT_DATABASE}"
    if fault := tracking_fault(uri):
        setting = "tracking.uri" if settings.uri else "MLFLOW_TRACKING_URI"
        raise WorkflowError(f"{setting}: {redacted(uri)}: {fault}")
    return absolute(uri, root)


def coming_run() -> str:
    """Return an id to note before there is a run, and to give ``tracked_run`` as ``resume``.

    That makes the run, or finds the one that was made before a kill left no time to note its own id.
    """
    return unsent_id(uuid.uuid4().hex)


@contextmanager
def tracked_run(
    name: str,
    settings: TrackingSettings,
    root: Path,
    *,
    params: Mapping[str, object],
    tags: Mapping[str, str] | None = None,
    dataset: tuple[str, str] | None = None,
    parent: str | None = None,
    resume: str | None = None,
    system_metrics: bool = True,
) -> Iterator[Run]:
    """Record what happens in the ``with`` block as an MLflow run.

    The run ends as FINISHED; as KILLED by an interrupt, an exit or a pruned trial; as FAILED by any other exception,
    with the exception as the tag ``error``. A tracker that does not answer is told of once and then left alone.

    Args:
        name: the run's name.
        settings: the ``tracking`` section.
        root: the project's folder.
        params: the settings the run was made from; nested ones get names with dots.
        tags: what one looks for runs by, such as the data's digest. The commit, the DVC experiment and the devices
            are added.
        dataset: the data's name and digest, as MLflow's pages list it.
        parent: the id of the run that this one belongs to.
        resume: the id of a run that was cut off, to go on with in place of beginning a new one.
        system_metrics: whether to record the use of processors, memory, disk and network (MLflow's own).

    Yields:
        The run.

    Raises:
        WorkflowError: if ``settings.uri`` is one that MLflow cannot use.
    """
    root = root.resolve()
    uri = tracking_uri(settings, root)
    quiet_mlflow()
    began = time.monotonic()
    identity = (resume and identity_of(resume)) or uuid.uuid4().hex
    journal = journal_of(root, uri, identity) or new_journal(root, uri, name, identity)
    outbox = Outbox(
        MlflowRun(uri, root, settings.timeout_seconds, again=resume is not None), journal, uri, settings.timeout_seconds
    )
    if journal.folder.exists():
        outbox.leave_alone("the beginning of this run was not sent yet")
    elif parent is not None and identity_of(parent) is not None:
        outbox.leave_alone("the run that this one belongs to was not sent yet")
    outbox.put(
        Start(
            identity=identity,
            run_id=resume if resume is not None and identity_of(resume) is None else None,
            experiment=settings.experiment,
            name=name,
            parent=parent,
            time=timestamp(),
            tags=source_tags() | dict(tags or {}),
            dataset=dataset,
            resumes=resume is not None,
        )
    )
    status: Status = "FINISHED"
    sampler: SystemMetrics | None = None
    with _recorded(outbox) as run:
        run.log_params(params)
        run.set_tags(device_tags())
        try:
            outbox.wait()
            run.id = outbox.run_id or unsent_id(identity)
            sampler = SystemMetrics(run.log_metrics) if system_metrics else None
            yield run
        except BaseException as error:
            status = _status(error)
            run.set_tags({ERROR: f"{type(error).__name__}: {without_secrets(str(error))}"})
            raise
        finally:
            if sampler is not None:
                sampler.stop()
            run.log_metrics({"duration_seconds": time.monotonic() - began})
            run.set_tags(device_tags())
            outbox.put(End(status=status, time=timestamp()))


@contextmanager
def reopened_run(settings: TrackingSettings, root: Path, version_tags: Mapping[str, str]) -> Iterator[Run]:
    """Add to the run that made the newest version of the registered model with all these tags.

    Where MLflow does not answer, or does not have that version yet, what is added is kept on disk like the rest.

    Args:
        settings: the ``tracking`` section.
        root: the project's folder.
        version_tags: what ``Run.log_model`` tagged the version with.

    Yields:
        The run, without an id; its status stays what it was.
    """
    outbox = _outbox(settings, root.resolve(), "later")
    outbox.put(Reopen(registered_model=settings.registered_model, version_tags=dict(version_tags)))
    with _recorded(outbox) as run:
        yield run


def set_alias(
    settings: TrackingSettings,
    root: Path,
    alias: str,
    version_tags: Mapping[str, str],
    *,
    rule: Rule | None = None,
    confidence: float = 0.95,
) -> None:
    """Give the newest version of the registered model that has all these tags the alias.

    Where there is a rule, that decides; what it decided and why is printed, and kept as the version's tag ``ALIAS``.

    Where MLflow does not answer, or does not have that version yet, it is told and done by ``send``.

    Args:
        settings: the ``tracking`` section.
        root: the project's folder.
        alias: for example ``champion``.
        version_tags: what ``Run.log_model`` tagged the version with.
        rule: ``tracking.champion``; None: it is given in any case.
        confidence: with which a version has to be better by merit.
    """
    root = root.resolve()
    name = settings.registered_model
    forget_promotions(root, name, alias)
    outbox = _outbox(settings, root, alias)
    outbox.put(
        Promotion(registered_model=name, alias=alias, version_tags=dict(version_tags), rule=rule, confidence=confidence)
    )
    outbox.close()
    for line in outbox.said:
        print(line, flush=True)


def show_compared(settings: TrackingSettings, root: Path, view: str, versions: Sequence[Mapping[str, str]]) -> None:
    """Have MLflow's page of the compared models show those that made the newest versions with these tags.

    Args:
        settings: the ``tracking`` section.
        root: the project's folder.
        view: what it shows, of ``views``.
        versions: what ``Run.log_model`` tagged each version with.
    """
    outbox = _outbox(settings, root.resolve(), COMPARED)
    tags = [dict(version) for version in versions]
    outbox.put(View(name=COMPARED, state=view, registered_model=settings.registered_model, versions=tags))
    outbox.close()


def _outbox(settings: TrackingSettings, root: Path, name: str) -> Outbox:
    uri = tracking_uri(settings, root)
    quiet_mlflow()
    journal = new_journal(root, uri, name, uuid.uuid4().hex)
    return Outbox(MlflowRun(uri, root, settings.timeout_seconds), journal, uri, settings.timeout_seconds)


@contextmanager
def _recorded(outbox: Outbox) -> Iterator[Run]:
    """A run whose last operations are waited for."""
    run = Run(outbox)
    try:
        yield run
    finally:
        outbox.close()
        run.remove_files()


def client(settings: TrackingSettings, root: Path) -> "MlflowClient":
    """MLflow's own client for what there is no function for here; it raises when MLflow does not answer."""
    return connect(tracking_uri(settings, root), root, settings.timeout_seconds)


def end_abandoned(settings: TrackingSettings, root: Path, run_id: str) -> None:
    """End the run of a training that nothing goes on with, which a kill left running; MLflow may be away."""
    from mlflow.exceptions import MlflowException

    try:
        mlflow, identity = client(settings, root), identity_of(run_id)
        if identity is None:
            found = [mlflow.get_run(run_id)]
        else:
            experiment = mlflow.get_experiment_by_name(settings.experiment)
            of_identity = f"tags.`{IDENTITY}` = '{identity}'"
            found = mlflow.search_runs([experiment.experiment_id], of_identity) if experiment else []
        for run in found:
            if run.info.status == "RUNNING":
                mlflow.set_terminated(run.info.run_id, "KILLED")
    except (MlflowException, OSError) as error:
        print(f"tracking: run {run_id} of an abandoned training is not ended: {reason(error)}", flush=True)


def _status(error: BaseException) -> Status:
    if isinstance(error, KeyboardInterrupt | SystemExit) or type(error).__name__ == "TrialPruned":
        return "KILLED"
    return "FAILED"
