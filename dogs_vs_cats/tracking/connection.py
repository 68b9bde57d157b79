"""The way to MLflow: a client that fails soon and says little, its database made whole, its faults in a few words."""

import http
import logging
import os
import re
import warnings
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from dogs_vs_cats.settings.addresses import is_local, without_secrets
from dogs_vs_cats.tracking.moving import bring_home

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A request that fails for one of these reasons fails for ever; anything else is the tracker's fault and passes.
_REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}
# Imported at first, so that the second it takes is not taken for a database's silence.
_DATABASE_MODULES = ("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store")
_OURS = "refuses_empty_answers"
# Making a new database takes a second of a processor; on a busy machine it took nine.
DATABASE_SECONDS = 90
_SET_BY_USER = {
    name for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES") if name in os.environ
}


def is_refusal(error: Exception) -> bool:
    """Whether MLflow answered that it will never take this, rather than not answering."""
    answered = not str(error).startswith("API request to")  # that one is no JSON: it came from something else
    return answered and getattr(error, "error_code", None) in _REFUSALS


def reason(error: BaseException) -> str:
    """Say in a few words why MLflow did not take an operation."""
    text = without_secrets(" ".join(str(error).split()))
    for pattern, words in (
        ("Connection refused", "connection refused"),
        ("timed out|timeout", "no answer in time"),
        ("Name or service not known|name resolution|nodename nor servname", "its host name is not known"),
        ("Connection reset|RemoteDisconnected|Connection aborted", "connection closed"),
        ("database is locked", "the database is locked"),
        ("readonly database", "the database is read-only"),
        ("file is not a database|malformed", "the database file is damaged"),
        (
            "error code 401",
            "it wants a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or correct them",
        ),
        ("error code 403|PERMISSION_DENIED", "this login has no permission for that; ask the server's administrator"),
        ("answered with nothing", "it answers with nothing"),
        ("too many 5.. error responses|error code 5..", "it answers with server errors"),
    ):
        if re.search(pattern, text):
            return words
    return text[:160] or type(error).__name__


def deleted(experiment: str, number: str | None) -> str:
    """Say that an experiment was deleted in MLflow, and what restores it; ``number`` is its id, where it is known."""
    command = "" if number is None else f" (mlflow experiments restore -x {number})"
    return f"experiment {experiment} was deleted there; restore it{command}, or name another one"


def quiet_mlflow() -> None:
    """Import MLflow without its telemetry, log lines, bars and warnings."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in ("mlflow", *_DATABASE_MODULES):
            import_module(module)
    # And when first used: parts of MLflow 3.17's dependencies that these call outdated, nothing a user could change.
    warnings.filterwarnings("ignore", module=r"(mlflow|sqlalchemy|alembic)(\.|$)")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _refuse_empty_answers()


def _refuse_empty_answers() -> None:
    """Have MLflow's client take an answer with status 200 and no content for a fault.

    MLflow 3.17 takes it for success, of which a run without an id or a place for artifacts comes. Its own server never
    answers so.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils import rest_utils

    def verified(response: Any, endpoint: str, expected_status: int = 200) -> Any:
        if response.status_code == http.HTTPStatus.OK and not response.content.strip():
            raise MlflowException(f"API request to {endpoint} was answered with nothing")
        return _verify(response, endpoint, expected_status)

    if not hasattr(rest_utils.verify_rest_response, _OURS):
        _verify = rest_utils.verify_rest_response
        setattr(verified, _OURS, True)
        rest_utils.verify_rest_response = verified


def database_file(uri: str) -> Path | None:
    """The file of a SQLite database; None for anything else."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:////") else None


def connect(uri: str, root: Path, timeout_seconds: float) -> "MlflowClient":
    """Connect to MLflow, creating its database where there is none.

    Args:
        uri: a server or a database, as ``tracking.tracking_uri`` gives it.
        root: the project's folder.
        timeout_seconds: how long one request may take.

    Returns:
        A client that fails rather than waits or tries again, unless MLflow's own variables say otherwise.
    """
    quiet_mlflow()
    for name, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, round(timeout_seconds)))),
        # Trying again is done an operation at a time (outbox.py): a request repeated blindly may double a run.
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0"),
    ):
        if name not in _SET_BY_USER:
            os.environ[name] = value
    return _client(uri, root)


@lru_cache(maxsize=8)
def _client(uri: str, root: Path) -> "MlflowClient":
    from mlflow import MlflowClient

    if not is_local(uri):
        return MlflowClient(uri, uri)
    (root / "mlruns").mkdir(parents=True, exist_ok=True)
    # Two processes that create the tables of one database at once: one of them dies.
    with FileLock(root / "mlruns" / ".database.lock", timeout=DATABASE_SECONDS):
        database = database_file(uri)
        if database is not None and not database.exists():
            _create_database(database, root)
        if database is not None and database.is_relative_to(root):
            bring_home(database, root)
        return MlflowClient(uri, uri)


def is_new_database(uri: str) -> bool:
    """Whether connecting may have to create MLflow's tables first."""
    database = database_file(uri)
    return is_local(uri) and (database is None or not database.exists())


def _create_database(database: Path, root: Path) -> None:
    """Create MLflow's tables beside the place and move them there: a creation that was cut off can't be mended."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event

    database = database.resolve()  # it may be a link to where there is room
    partial = database.with_name(f".{database.name}.partial")
    partial.unlink(missing_ok=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    engine = create_sqlalchemy_engine(f"sqlite:///{partial}")
    event.listen(engine, "connect", _write_later)
    _initialize_tables(engine)
    engine.dispose()
    store = SqlAlchemyStore(f"sqlite:///{partial}", (root / "mlruns").as_uri())  # which adds the default experiment
    store.engine.dispose()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(database)


def _write_later(connection: Any, _: object) -> None:
    """Have SQLite not wait for the disk after each of the thousands of changes that MLflow makes its tables by.

    A power cut then breaks the file, which has no name yet that anybody opens it by.
    """
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
