"""Optuna's storage: opened so that a trial whose process is gone is noticed, with errors a user can act on."""

import logging
import re
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, make_url, select
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from dogs_vs_cats.errors import WorkflowError, missing_package
from dogs_vs_cats.search.owners import is_awake, is_here
from dogs_vs_cats.search.plan import OWNER, RUN
from dogs_vs_cats.settings.addresses import absolute, redacted, storage_fault, without_secrets

DEFAULT_DATABASE = "optuna.db"
SQLITE_SECONDS = 120
"""How long a worker waits for another one's write."""
_TRIES = 10
_CLOCK_SECONDS = 3
"""How far two clocks may come apart, of which one counts whole seconds, without either having been set."""
_CORRECT = "correct --storage, or search.storage in params.yaml"
_ANEW = "put a copy of the file there, move it away to begin anew"
# Faults that another try does not mend, whenever they come; and those of an address that may be right.
_LASTING = (
    r"read-?only|not a database|malformed|ermission denied|"
    # another program's tables
    r"no such (table|column)|no column|cannot modify|not exist|n't exist|Unknown (column|table)"
)
_PASSING = (
    r"refused|timed? ?out|resolve host|unreachable|No route|reset|closed|terminat|locked|starting up|shutting down|"
    r"recovery mode|too many|already exists|No space|disk"
)

STORAGE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


def storage_url(given: str | None, root: Path) -> str:
    """The storage's URL; a SQLite file with its absolute path, ``optuna.db`` in ``root`` where none is given.

    Raises:
        WorkflowError: for what is no database's address.
    """
    url = f"sqlite:///{DEFAULT_DATABASE}" if given is None else given
    if fault := storage_fault(url):
        raise WorkflowError(f"--storage {redacted(url)}: {fault}")
    return absolute(url, root)


class _Storage(RDBStorage):
    """Does not take a trial for dead because a clock was set: heartbeats are compared by the database's clock.

    Attributes:
        judges: whether it ends silent trials at all. A trial's process opens it anew, and knows of no clock before.
    """

    judges = True
    _clock: float | None = None
    _doubts_until = 0.0

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        if not self.judges or self._clock_was_set():
            return []
        owners = {
            stale: self.get_trial(stale).user_attrs.get(OWNER) for stale in super()._get_stale_trial_ids(study_id)
        }
        return [stale for stale, owner in owners.items() if not (owner and is_here(owner) and is_awake(owner))]

    def _clock_was_set(self) -> bool:
        """Whether the database's clock was set so shortly ago that trials which live may not have reported since."""
        with self.engine.connect() as connection:
            now = connection.execute(select(func.now())).scalar_one().timestamp()
        before, self._clock = self._clock, now - time.monotonic()
        if before is not None and abs(self._clock - before) > _CLOCK_SECONDS:
            self._doubts_until = time.monotonic() + (self.grace_period or 0)
        return time.monotonic() < self._doubts_until


def open_storage(url: str, heartbeat_seconds: int, *, judges: bool = True) -> BaseStorage:
    """Open a storage; its tables are made where there are none.

    Args:
        url: any that SQLAlchemy knows.
        heartbeat_seconds: how often a running trial says that it still runs. One that was silent for twice as long
            is marked as failed and run again, unless its process lives on this machine.
        judges: whether this process looks for such trials.

    Raises:
        WorkflowError: if it is not there, is something else's, cannot be opened or does not answer.
    """
    quiet_optuna()
    options: dict[str, Any] = {"connect_args": {"timeout": SQLITE_SECONDS}}
    if not url.startswith("sqlite:"):
        # A connection that the server has closed is noticed before it is used.
        options = {"pool_pre_ping": True}
        if url.startswith("postgresql"):
            options["connect_args"] = {"connect_timeout": 10}

    def opened() -> _Storage:
        return _Storage(
            url,
            engine_kwargs=options,
            heartbeat_interval=heartbeat_seconds,
            grace_period=2 * heartbeat_seconds,
            heartbeat_stale_trial_callback=queue_again,
        )

    with storage_errors(url, opening=True):
        _check_tables(url, options)
        storage = _patiently(opened)
    storage.judges = judges
    if url.startswith("sqlite:"):
        _take_turns(storage.engine)
    return storage


def queue_again(study: Study, trial: FrozenTrial, known: Mapping[str, object] | None = None) -> None:
    """Queue a cut-off trial's hyperparameters, without the name of the process that is gone and its run.

    Args:
        study: the study.
        trial: the trial that was cut off.
        known: user attributes of the new one, beside the old one's.
    """
    again = copy(trial)
    kept = {name: value for name, value in trial.user_attrs.items() if name not in (OWNER, RUN)}
    again.user_attrs = kept | dict(known or {})
    RetryHeartbeatStaleTrialCallback()(study, again)


def _patiently(opened: Callable[[], _Storage]) -> _Storage:
    """Open a storage again where another process was making its tables at the same time."""
    for _ in range(_TRIES):
        try:
            return opened()
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            if not isinstance(error, IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(1)
    return opened()


def _take_turns(engine: Engine) -> None:
    """Have every transaction take SQLite's lock when it begins.

    By default Python begins one at the first write: two workers then read that a queued trial waits, and both run it.
    """

    def leave_to_sqlalchemy(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", leave_to_sqlalchemy)
    event.listen(engine, "begin", begin)
    engine.dispose()  # connections from before


def _check_tables(url: str, options: Mapping[str, Any]) -> None:
    """Refuse a database of another program: Optuna would put its tables there before it notices."""
    engine = create_engine(url, **options)
    try:
        inspector = inspect(engine)
        tables = inspector.get_table_names()
        columns = [column["name"] for column in inspector.get_columns("studies")] if "studies" in tables else []
    finally:
        engine.dispose()
    # Optuna makes studies first, its Alembic's table last. A server's database may have other tables beside them.
    others = tables if url.startswith("sqlite:") else {"alembic_version"}.intersection(tables)
    if "study_name" not in columns if "studies" in tables else others:
        raise WorkflowError(f"{redacted(url)}: the database is of another program, such as MLflow; {_CORRECT}")


@contextmanager
def storage_errors(url: str, *, opening: bool = False) -> Iterator[None]:
    """Turn a storage's errors into one line that names it.

    Args:
        url: the storage's address.
        opening: whether it was not used yet, so that what fails may be the address.
    """
    try:
        yield
    except STORAGE_ERRORS as error:
        cause = error.__cause__ or error
        reason = without_secrets(str(getattr(cause, "orig", None) or cause)).strip().splitlines()[0]
        if re.search(_LASTING, reason) or (opening and not re.search(_PASSING, reason)):
            reason = _why_not(url, reason)
            advice = f"{_ANEW}, or {_CORRECT}" if "malformed" in reason else _CORRECT
            raise WorkflowError(f"{redacted(url)}: the study's storage cannot be used ({reason}); {advice}") from None
        raise WorkflowError(
            f"{redacted(url)}: the study's storage does not answer ({reason}); finished trials are kept there: "
            "run the same command again to go on"
        ) from None
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        if "storage upgrade" in str(error):
            raise WorkflowError(
                f"{redacted(url)}: the study's storage was made by an older Optuna; copy it, then run: "
                f"optuna storage upgrade --storage {shlex.quote(redacted(url))}"
            ) from None
        raise WorkflowError(
            f"{redacted(url)}: the study's storage was made by a newer Optuna than {optuna.__version__}; "
            f"use that version, or {_CORRECT}"
        ) from None
    except ImportError as error:
        driver = getattr(error.__cause__, "name", error.name)  # Optuna raises an ImportError of its own from it
        if driver == "psycopg":
            raise missing_package(redacted(url), "psycopg[binary]") from None
        package = "mysqlclient" if driver == "MySQLdb" else driver
        raise WorkflowError(
            f"{redacted(url)}: the storage's driver is not installed ({driver}); run pip install {package}"
        ) from None


def _why_not(url: str, reason: str) -> str:
    """Say why a SQLite file cannot be opened, where SQLite itself does not."""
    if not (url.startswith("sqlite:") and "unable to open" in reason):
        return reason
    file = Path(make_url(url).database or "")
    if file.is_dir():
        return "it is a folder, not a file"
    return reason if file.parent.is_dir() else f"there is no folder {file.parent}"


def quiet_optuna() -> None:
    """Keep Optuna's log lines and its notices of experimental features from the user, who can do nothing about them."""
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
