"""Storages that cannot be used: one line says why, and what to do."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from optuna import create_study
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.storage import open_storage, storage_errors
from tests.mlflow_server import put_database
from tests.search.servers import Postgresql, postgresql

CORRECT = "correct --storage, or search.storage in params.yaml"
ANEW = "put a copy of the file there, move it away to begin anew"
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")


def refusal(url: str) -> str:
    with pytest.raises(WorkflowError) as told:
        open_storage(url, 60)
    return str(told.value)


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)


def made(file: Path) -> str:
    url = f"sqlite:///{file}"
    open_storage(url, 60)
    return url


def test_an_older_schema_names_the_command_that_upgrades_it(tmp_path: Path) -> None:
    url = made(tmp_path / "my studies.db")
    change(tmp_path / "my studies.db", "UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    assert refusal(url) == (
        f"{url}: the study's storage was made by an older Optuna; copy it, then run: "
        f"optuna storage upgrade --storage '{url}'"
    )


def test_a_newer_schema_is_told(tmp_path: Path) -> None:
    url = made(tmp_path / "optuna.db")
    change(tmp_path / "optuna.db", "UPDATE alembic_version SET version_num = 'v9.9.9.a'")
    assert f"{url}: the study's storage was made by a newer Optuna than " in refusal(url)


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    url = put_database(tmp_path)
    before = (tmp_path / "mlflow.db").read_bytes()
    assert refusal(url) == f"{url}: the database is of another program, such as MLflow; {CORRECT}"
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("text.db", f"(file is not a database); {CORRECT}"),
        ("journal.log", f"(file is not a database); {CORRECT}"),
        ("damaged.db", f"(database disk image is malformed); {ANEW}, or {CORRECT}"),
        ("cut off.db", f"(database disk image is malformed); {ANEW}, or {CORRECT}"),
        ("folder", f"(it is a folder, not a file); {CORRECT}"),
        ("nowhere/optuna.db", f"(there is no folder {{}}/nowhere); {CORRECT}"),
    ],
)
def test_a_file_that_holds_no_studies_is_told(tmp_path: Path, place: str, told: str) -> None:
    (tmp_path / "folder").mkdir()
    create_study(storage=JournalStorage(JournalFileBackend(str(tmp_path / "journal.log"))))
    (tmp_path / "text.db").write_text("notes on cats\n" * 100)
    made(tmp_path / "damaged.db")
    with (tmp_path / "damaged.db").open("r+b") as file:
        file.seek(100)
        file.write(b"x" * 3000)
    made(tmp_path / "cut off.db")
    with (tmp_path / "cut off.db").open("r+b") as file:
        file.truncate(8192)
    url = f"sqlite:///{tmp_path}/{place}"
    assert refusal(url) == f"{url}: the study's storage cannot be used {told.format(tmp_path)}"


def test_an_empty_file_becomes_a_storage(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    storage = open_storage(f"sqlite:///{tmp_path}/empty.db", 60)
    assert create_study(storage=storage).trials == []


@pytest.mark.parametrize("table", ["studies", "trials", "photos"])
def test_another_programs_tables_are_left_as_they_are(tmp_path: Path, table: str) -> None:
    change(tmp_path / "theirs.db", f"CREATE TABLE {table} (id)")
    before = (tmp_path / "theirs.db").read_bytes()
    url = f"sqlite:///{tmp_path}/theirs.db"
    assert refusal(url) == f"{url}: the database is of another program, such as MLflow; {CORRECT}"
    assert (tmp_path / "theirs.db").read_bytes() == before


def test_another_programs_view_is_no_silence(tmp_path: Path) -> None:
    change(tmp_path / "theirs.db", "CREATE VIEW studies AS SELECT 1")
    url = f"sqlite:///{tmp_path}/theirs.db"
    storage = open_storage(url, 60)
    with pytest.raises(WorkflowError) as refused, storage_errors(url):
        create_study(storage=storage)
    told = f"{url}: the study's storage cannot be used (no such column: studies.study_id); {CORRECT}"
    assert str(refused.value) == told


def test_a_read_only_file_is_told_when_it_is_written_to(tmp_path: Path) -> None:
    made(tmp_path / "optuna.db")
    url = f"sqlite:///file:{tmp_path}/optuna.db?mode=ro&uri=true"
    storage = open_storage(url, 60)
    told = rf"cannot be used \(attempt to write a readonly database\); {CORRECT}"
    with pytest.raises(WorkflowError, match=told), storage_errors(url):
        storage.create_new_study([])


def test_a_driver_that_is_missing_is_named() -> None:
    told = refusal("mysql+pymysql://me:secret@host/db")
    assert told.endswith("the storage's driver is not installed (pymysql); run pip install pymysql")
    assert "secret" not in told


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    # Not in pytest's own folder: the server is another user where root runs the tests, who may not look into that.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder, postgresql(Path(folder)) as running:
        running.ask_for_a_password("careful", "right")
        yield running


@pytest.mark.parametrize(
    ("user", "database", "told"),
    [
        ("me", "missing", 'database "missing" does not exist'),
        ("nobody", "postgres", 'role "nobody" does not exist'),
        ("careful:wrong", "postgres", 'password authentication failed for user "careful"'),
        ("careful:wr%2Fong", "postgres", 'password authentication failed for user "careful"'),
    ],
)
def test_what_a_server_refuses_is_no_silence(server: Postgresql, user: str, database: str, told: str) -> None:
    said = refusal(f"postgresql+psycopg://{user}@127.0.0.1:{server.port}/{database}")
    assert said.startswith(
        f"postgresql+psycopg://***@127.0.0.1:{server.port}/{database}: the study's storage cannot be"
    )
    assert told in said
    assert said.endswith(CORRECT)
    assert "wr" not in said


def test_the_right_password_opens_it(server: Postgresql) -> None:
    storage = open_storage(f"postgresql+psycopg://careful:right@127.0.0.1:{server.port}/postgres", 60)
    assert isinstance(storage, RDBStorage)
    assert storage.get_all_studies() == []
    storage.remove_session()
    storage.engine.dispose()
