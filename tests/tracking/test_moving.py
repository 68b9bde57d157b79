"""A project that is moved or copied takes its runs along, and writes nothing into its old place."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dogs_vs_cats.files import digest_of
from dogs_vs_cats.tracking.tracked_runs import client, set_alias, tracked_run
from dogs_vs_cats.tracking.unsent import send
from tests.mlflow_server import put_database, tracking

TAGS = {"weights_sha256": "ab" * 32}


def write_model(folder: Path) -> None:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")


def record(root: Path, name: str) -> str:
    """Record a run with an artifact and a registered model; return its id."""
    with tracked_run(name, tracking(), root, params={}, system_metrics=False) as run:
        run.log_text(name, "note.txt")
        run.log_folder(write_model, "model", registered_model="pets", version_tags=TAGS | {"name": name})
    return run.id


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one run, in a folder whose name is no plain word."""
    root = tmp_path / "my cats_100%"
    put_database(root)
    record(root, "first")
    return root


def contents(root: Path) -> dict[str, str]:
    return {str(path): digest_of(path) for path in sorted(root.rglob("*")) if path.is_file()}


def places(root: Path) -> list[str]:
    """Every place in the database but that of MLflow's own default experiment, which the tests copy."""
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return [
            place
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "source"),
                ("model_versions", "storage_location"),
            )
            for (place,) in database.execute(f"SELECT {column} FROM {table}")
            if "mlflow-tables" not in place
        ]


def assert_at_home(root: Path, runs: list[str]) -> None:
    assert len(places(root)) == 1 + 4 * len(runs)
    assert all(place.startswith(f"{root.as_uri()}/mlruns/artifacts") for place in places(root)), places(root)
    mlflow = client(tracking(), root)
    for run in runs:
        assert [file.path for file in mlflow.list_artifacts(run)] == ["note.txt"]
        text = Path(mlflow.download_artifacts(run, "note.txt")).read_text()
        assert text == mlflow.get_run(run).info.run_name
    versions = mlflow.search_model_versions("name = 'pets'")
    assert {version.run_id for version in versions} == {*runs}


@pytest.mark.parametrize("marked", [True, False], ids=["", "of a version that kept no note of its folder"])
def test_a_moved_project_finds_its_runs_and_stays_where_it_is(
    project: Path, tmp_path: Path, marked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if not marked:
        (project / "mlruns" / ".root").unlink()
    (first,) = (run.info.run_id for run in client(tracking(), project).search_runs(["1"]))
    moved = tmp_path / "elsewhere" / "cats"
    moved.parent.mkdir()
    shutil.move(project, moved)
    capsys.readouterr()
    second = record(moved, "second")
    assert capsys.readouterr().err == (
        f"tracking: this project was in {project}; its runs are looked for in {moved} now\n"
    )
    assert not project.exists()
    assert_at_home(moved, [first, second])
    record(moved, "third")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("marked", [True, False], ids=["", "of a version that kept no note of its folder"])
def test_a_copied_project_leaves_the_first_alone(project: Path, tmp_path: Path, marked: bool) -> None:
    if not marked:
        (project / "mlruns" / ".root").unlink()
    (first,) = (run.info.run_id for run in client(tracking(), project).search_runs(["1"]))
    before = contents(project)
    copied = Path(shutil.copytree(project, tmp_path / "copy"))
    second = record(copied, "second")
    set_alias(tracking(), copied, "champion", TAGS | {"name": "second"})
    assert contents(project) == before
    shutil.rmtree(project)
    assert_at_home(copied, [first, second])


def test_another_projects_runs_in_the_same_database_stay_its_own(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shared = tracking(f"sqlite:///{project}/mlflow.db").model_copy(update={"experiment": "dogs"})
    with tracked_run("theirs", shared, other, params={}, system_metrics=False) as run:
        run.log_text("theirs", "note.txt")
    moved = Path(shutil.move(project, tmp_path / "cats"))
    record(moved, "second")
    theirs = [place for place in places(moved) if "/other/" in place]
    assert theirs == [f"{other.as_uri()}/mlruns/artifacts", f"{other.as_uri()}/mlruns/artifacts/{run.id}/artifacts"]


def test_what_was_not_sent_goes_to_the_copys_own_database(tmp_path: Path) -> None:
    root = tmp_path / "cats"
    root.mkdir()
    (root / "mlflow.db").write_text("no database")
    with tracked_run("kept", tracking(), root, params={}, system_metrics=False) as run:
        run.log_text("kept", "note.txt")
    copied = Path(shutil.copytree(root, tmp_path / "copy"))
    before = contents(root)
    put_database(copied)
    assert [line.split(": ")[1][:11] for line in send(copied)] == ["sent to run"]
    assert contents(root) == before
