"""Gives MLflow a run's operations, one after the other."""

import getpass
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dogs_vs_cats.settings.addresses import is_local
from dogs_vs_cats.tracking.champions import Judgement, judge
from dogs_vs_cats.tracking.connection import connect, deleted
from dogs_vs_cats.tracking.logged_models import DIGEST_TAG
from dogs_vs_cats.tracking.notes import ALIASES, VERSION, code
from dogs_vs_cats.tracking.operations import (
    DATASET_DIGEST_LENGTH,
    DESCRIPTION_LENGTH,
    ENTRIES_AT_ONCE,
    ERROR,
    IDENTITY,
    METRICS_AT_ONCE,
    PARAMETER_LENGTH,
    REPLACES,
    TAG_LENGTH,
    AnyOperation,
    Artifact,
    Described,
    End,
    Logged,
    Promotion,
    Record,
    Reopen,
    Start,
    View,
    identity_of,
)
from dogs_vs_cats.tracking.views import VIEW, experiment_tags, of_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, FileInfo
    from mlflow.entities.model_registry import ModelVersion


class NoSuchVersionError(LookupError):
    """No version of the registered model has the tags asked for."""


class NoSuchParentError(LookupError):
    """The run that a run belongs to is not in MLflow yet."""


class NoSuchRunError(LookupError):
    """MLflow has the run no more, whatever it answered an operation."""


class NameTakenError(RuntimeError):
    """The registered model has versions, and none is of this workflow; or it is a prompt."""


class MlflowRun:
    """One run in MLflow, which takes its operations in order.

    Args:
        uri: where MLflow is.
        root: the project's folder.
        timeout_seconds: how long one request may take.
        again: whether operations may have been delivered before, wholly or in part.
    """

    def __init__(self, uri: str, root: Path, timeout_seconds: float, *, again: bool = False) -> None:
        self._uri = uri
        self._root = root
        self._timeout_seconds = timeout_seconds
        self.again = again
        self.run_id: str | None = None
        self.said: list[str] = []
        """What became of aliases that are given by merit."""
        self._experiment_id = ""
        self._version: ModelVersion | None = None

    @property
    def _client(self) -> "MlflowClient":
        return connect(self._uri, self._root, self._timeout_seconds)

    @property
    def _run(self) -> str:
        if self.run_id is None:
            raise RuntimeError("a run's first operation is its start")
        return self.run_id

    def take(self, operation: AnyOperation) -> None:
        """Deliver one operation.

        Raises:
            Exception: whatever MLflow raises; the same operation can be given again.
        """
        match operation:
            case Start():
                self._start(operation)
            case Reopen():
                version = newest_version(self._client, operation.registered_model, operation.version_tags)
                self._experiment_id = self._client.get_run(version.run_id).info.experiment_id
                self.run_id, self._version = version.run_id, version
            case Record():
                self._record(operation)
            case Artifact():
                self._artifact(operation)
            case Logged():
                self._model(operation)
            case Described():
                self._describe(operation)
            case View():
                self._show(operation)
            case Promotion():
                self._promote(operation)
            case End():
                self._client.set_terminated(self._run, operation.status, operation.time)

    def check_run(self) -> None:
        """Ask for the run, where an operation was refused.

        Raises:
            NoSuchRunError: if it is not there: deleted, or lost with the server's database.
            Exception: whatever MLflow raises.
        """
        if self.run_id is not None and not self._is_there(self.run_id):
            raise NoSuchRunError(f"it has no run {self.run_id} any more")

    def _start(self, start: Start) -> None:
        from mlflow.entities import Dataset, DatasetInput

        self._experiment_id = self._experiment(start.experiment)
        run_id = start.run_id if start.run_id is None or self._is_there(start.run_id) else None
        if run_id is None and self.again:
            run_id = self._find(start.identity)
        if run_id is not None:
            self._client.update_run(run_id, status="RUNNING")
            if start.resumes and ERROR in self._client.get_run(run_id).data.tags:
                self._client.delete_tag(run_id, ERROR)
        else:
            tags = start.tags | {IDENTITY: start.identity, "mlflow.user": _user()}
            if start.run_id is not None:
                tags[REPLACES] = start.run_id
            if start.parent is not None:
                tags["mlflow.parentRunId"] = self._parent(start.parent)
            run = self._client.create_run(self._experiment_id, start.time, cut_tags(tags), start.name)
            run_id = run.info.run_id
        if start.dataset is not None:
            name, digest = start.dataset
            data = Dataset(
                name, digest[:DATASET_DIGEST_LENGTH], source_type="local", source=json.dumps({"digest": digest})
            )
            self._client.log_inputs(run_id, [DatasetInput(data)])
        self.run_id = run_id

    def _experiment(self, name: str) -> str:
        client = self._client
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            # A server knows where artifacts go; a database takes the folder that happens to be the current one.
            artifacts = (self._root / "mlruns" / "artifacts").as_uri() if is_local(self._uri) else None
            _create(lambda: client.create_experiment(name, artifacts))
            experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise RuntimeError(deleted(name, None if experiment is None else experiment.experiment_id))
        self._tag(experiment, experiment_tags(experiment.experiment_id, experiment.tags))
        return str(experiment.experiment_id)

    def _tag(self, experiment: "Experiment", tags: dict[str, str]) -> None:
        from mlflow.exceptions import MlflowException

        # Without them, pages are harder to read. A run is recorded all the same, also by whom no tag is allowed.
        with suppress(MlflowException):
            for key, value in tags.items():
                self._client.set_experiment_tag(experiment.experiment_id, key, value)

    def _show(self, view: View) -> None:
        found = [newest_version(self._client, view.registered_model, tags).run_id for tags in view.versions]
        if found:
            self._experiment_id = self._client.get_run(found[0]).info.experiment_id
        experiment = self._client.get_experiment(self._experiment_id)
        shown = {VIEW + view.name: of_runs(view.state, found)}
        self._tag(experiment, {**shown, **experiment_tags(experiment.experiment_id, experiment.tags | shown)})

    def _is_there(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _parent(self, parent: str) -> str:
        """The parent's id in MLflow, when all that was known of it is its identity."""
        identity = identity_of(parent)
        run_id = parent if identity is None else self._find(identity)
        if run_id is None:
            raise NoSuchParentError(parent)
        return run_id

    def _find(self, identity: str) -> str | None:
        found = self._client.search_runs([self._experiment_id], f"tags.`{IDENTITY}` = '{identity}'", max_results=1)
        return found[0].info.run_id if found else None

    def _record(self, record: Record) -> None:
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(key, value[:PARAMETER_LENGTH]) for key, value in record.params.items()]
        tags = [RunTag(key, value) for key, value in cut_tags(record.tags).items()]
        metrics = [Metric(*metric) for metric in record.metrics]
        while params or tags or metrics:
            self._client.log_batch(
                self._run, metrics[:METRICS_AT_ONCE], params[:ENTRIES_AT_ONCE], tags[:ENTRIES_AT_ONCE]
            )
            del metrics[:METRICS_AT_ONCE], params[:ENTRIES_AT_ONCE], tags[:ENTRIES_AT_ONCE]

    def _artifact(self, artifact: Artifact) -> None:
        client, payload, folder = self._client, artifact.payload, artifact.folder
        there: Callable[[str | None], list[FileInfo]] = partial(client.list_artifacts, self._run)
        identity = artifact.beside_model and self._version and self._version.tags.get(IDENTITY)
        if identity and (model := self._logged_model(identity)):
            client.log_model_artifact(model.model_id, str(payload), folder)
            there = partial(client.list_logged_model_artifacts, model.model_id)
        elif payload.is_dir():
            client.log_artifacts(self._run, str(payload), folder)
        else:
            client.log_artifact(self._run, str(payload), folder)
        if not is_local(self._uri):
            _check_uploaded(payload, folder, there)

    def _logged_model(self, identity: str) -> Any:
        found = self._client.search_logged_models([self._experiment_id], f"tags.`{IDENTITY}` = '{identity}'")
        return found[0] if found else None

    def _model(self, logged: Logged) -> None:
        """What ``mlflow.keras.log_model`` does after saving, in steps that find what is already done."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus
        from mlflow.models import Model

        client = self._client
        model: Any = None
        if self.again:
            model = self._logged_model(logged.identity)
        if model is None:
            tags = {IDENTITY: logged.identity}
            model = client.create_logged_model(self._experiment_id, logged.name, self._run, tags)
        outputs = client.get_run(self._run).outputs
        if model.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
            client.log_outputs(self._run, [LoggedModelOutput(model.model_id, step=0)])
        if model.status != LoggedModelStatus.READY:
            described = Model.load(str(logged.payload))
            described.run_id, described.model_id, described.model_uuid = self._run, model.model_id, model.model_id
            described.artifact_path = model.artifact_location
            described.save(str(logged.payload / "MLmodel"))
            client.log_model_artifacts(model.model_id, str(logged.payload))
            if not is_local(self._uri):
                there = partial(client.list_logged_model_artifacts, model.model_id)
                _check_uploaded(logged.payload, None, there)
            client.finalize_logged_model(model.model_id, "READY")
        if logged.registered_model is not None:
            # A database resolves "models:/" by the process's own tracking URI, a server by its own database.
            source = model.artifact_location if is_local(self._uri) else f"models:/{model.model_id}"
            self._register(logged, logged.registered_model, model.model_id, source)

    def _register(self, logged: Logged, registered_model: str, model_id: str, source: str) -> None:
        client = self._client
        _create(lambda: client.create_registered_model(registered_model))
        versions = client.search_model_versions(f"name = '{registered_model}'")
        # MLflow keeps prompts among the registered models, under the same names, but does not find them.
        is_model = bool(client.search_registered_models(f"name = '{registered_model}'"))
        is_ours = not versions or any({IDENTITY, DIGEST_TAG} & found.tags.keys() for found in versions)
        if not (is_model and is_ours):
            raise NameTakenError(
                f"registered model {registered_model} is another project's: set tracking.registered_model to another "
                "name, then make send MODEL=NAME"
            )
        version = next((found for found in versions if found.tags.get(IDENTITY) == logged.identity), None)
        if version is None:
            tags = logged.version_tags | {IDENTITY: logged.identity}
            version = client.create_model_version(
                registered_model, source, self._run, tags, model_id=model_id, await_creation_for=0
            )
            if logged.description:
                described = _numbered(logged.description, version)
                client.update_model_version(registered_model, version.version, described)
        # MLflow's pages show a model's versions by this tag.
        listed = json.dumps([{"name": registered_model, "version": version.version}])
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": listed})

    def _describe(self, described: Described) -> None:
        version = self._version
        if version is None:
            raise RuntimeError("a version is described in the run that was reopened by it")
        for key, value in described.tags.items():
            self._client.set_model_version_tag(version.name, version.version, key, value)
        description = _numbered(described.description, version)
        self._client.update_model_version(version.name, version.version, description)

    def _promote(self, promotion: Promotion) -> None:
        client, name, alias = self._client, promotion.registered_model, promotion.alias
        version = newest_version(client, name, promotion.version_tags)
        judged = Judgement(takes=True, why="") if promotion.rule is None else self._judged(promotion, version)
        if promotion.rule is not None:
            # Before the alias: whoever delivers this again judges as before, or finds it done.
            if version.tags.get(alias) != judged.why:
                client.set_model_version_tag(name, version.version, alias, judged.why)
            self.said.append(f"models:/{name}@{alias}: {judged.why}")
        if judged.takes:
            client.set_registered_model_alias(name, alias, version.version)
            self._describe_aliases(name)

    def _describe_aliases(self, name: str) -> None:
        """Describe a registered model by the versions that its aliases name, unless somebody else has described it."""
        client = self._client
        registered = client.get_registered_model(name)
        if not (registered.description or ALIASES).startswith(ALIASES):
            return
        versions: dict[str, list[str]] = {}
        for alias, number in sorted(registered.aliases.items()):
            versions.setdefault(str(number), []).append(code(alias))
        told = [
            f"### Version {number}: {', '.join(aliases)}\n\n{client.get_model_version(name, number).description or ''}"
            for number, aliases in versions.items()
        ]
        client.update_registered_model(name, "\n\n".join([ALIASES, *told])[:DESCRIPTION_LENGTH])

    def _judged(self, promotion: Promotion, version: "ModelVersion") -> Judgement:
        """Judge whether a version takes an alias, and say so of both versions by their numbers."""
        client, name = self._client, promotion.registered_model
        number = client.get_registered_model(name).aliases.get(promotion.alias)
        if number is not None and str(number) == str(version.version):
            return Judgement(takes=False, why=version.tags.get(promotion.alias) or f"version {number} already")
        if promotion.rule != "merit":
            takes = promotion.rule == "always"
            judged = Judgement(takes=takes, why=f"tracking.champion is {promotion.rule}")
        else:
            champion = None if number is None else client.get_model_version(name, str(number)).tags
            same = {DIGEST_TAG: "" if champion is None else champion.get(DIGEST_TAG, "")}
            if same.items() <= version.tags.items():
                judged = Judgement(takes=True, why=f"the same weights as version {number}")
            else:
                # The champion's weights may have been compared under a newer number.
                with suppress(NoSuchVersionError):
                    champion = champion and newest_version(client, name, same).tags
                judged = judge(version.tags, champion, f"version {number}", promotion.confidence)
        if judged.takes:
            return Judgement(takes=True, why=f"version {version.version} now: {judged.why}")
        stays = "nowhere" if number is None else f"version {number} still"
        return Judgement(takes=False, why=f"{stays}, not version {version.version}: {judged.why}")


def _numbered(description: str, version: "ModelVersion") -> str:
    """Return a version's description with its number."""
    return description.replace(VERSION, str(version.version))[:DESCRIPTION_LENGTH]


def _check_uploaded(payload: Path, folder: str | None, there: "Callable[[str | None], list[FileInfo]]") -> None:
    """Check that a server has what it was sent: one that answers an upload with a page and status 200 seems to take it.

    Args:
        payload: the file that was sent, or the folder whose files were.
        folder: where to; None: to the top.
        there: lists what the server has in a folder.

    Raises:
        FileNotFoundError: if a file is not there, or not whole.
    """
    files = [file for file in payload.rglob("*") if file.is_file()] if payload.is_dir() else [payload]
    base = payload if payload.is_dir() else payload.parent
    sizes: dict[str, int | None] = {}
    for parent in {file.parent.relative_to(base) for file in files}:
        place = (PurePosixPath(folder or "") / parent).as_posix()
        sizes |= {found.path: found.file_size for found in there(None if place == "." else place)}
    for file in files:
        path = (PurePosixPath(folder or "") / file.relative_to(base)).as_posix()
        if path not in sizes or sizes[path] not in (None, file.stat().st_size):
            raise FileNotFoundError(f"{path} is not there after its upload")


def newest_version(client: "MlflowClient", registered_model: str, version_tags: Mapping[str, str]) -> "ModelVersion":
    """Find the newest version of a registered model that has all these tags.

    Raises:
        NoSuchVersionError: if no version has them.
    """
    versions = client.search_model_versions(f"name = '{registered_model}'")
    versions = [version for version in versions if version_tags.items() <= version.tags.items()]
    if not versions:
        tags = ", ".join(f"{key} {value}" for key, value in version_tags.items())
        raise NoSuchVersionError(f"the registered model {registered_model} has no version with {tags}")
    return max(versions, key=lambda version: int(version.version))


def cut_tags(tags: dict[str, str]) -> dict[str, str]:
    """Tags no longer than MLflow takes."""
    return {key: value[:TAG_LENGTH] for key, value in tags.items()}


def _create(create: Callable[[], object]) -> None:
    """Create something unless it is there, whoever was first."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _user() -> str:
    with suppress(OSError, KeyError, ImportError):  # a container's user may have no name
        return getpass.getuser()
    return "unknown"
