"""Runs in MLflow's default place: what is in them, how they end, and the model that loads elsewhere."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.tracking.tracked_runs import client, flattened, reopened_run, set_alias, tracked_run, tracking_uri
from tests.mlflow_server import put_database, tracking

PARAMS = {"network": {"dense": [64], "convolutions": [{"filters": 32}, {"filters": 64}]}, "loss": None}

KILLED = """
import os, sys
from pathlib import Path
from dogs_vs_cats.tracking.tracked_runs import tracked_run
from tests.mlflow_server import tracking
with tracked_run("scratch", tracking(), Path(sys.argv[1]), params={}) as run:
    run.log_text("summary", "summary.txt")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project's folder with MLflow's default database in it."""
    put_database(tmp_path)
    return tmp_path


@pytest.fixture
def commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit of a repository that has changes since."""
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text("epochs: 1\n")
    for variable in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(variable, "somebody@example.com")
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "settings"]):
        subprocess.run(["git", *command], check=True)
    (root / "params.yaml").write_text("epochs: 2\n")
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


def test_a_new_database_is_what_mlflow_itself_makes(root: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # warns where it is imported first

    SqlAlchemyStore(f"sqlite:///{root}/own.db", (root / "mlruns").as_uri()).engine.dispose()

    def contents(name: str) -> list[object]:
        tables = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name"
        with closing(sqlite3.connect(root / name)) as database:
            # MLflow itself gives a table's constraints in any order.
            made = [(*names, sorted(re.findall(r"\w+", sql))) for *names, sql in database.execute(tables)]
            version, experiments = "SELECT * FROM alembic_version", "SELECT experiment_id, name FROM experiments"
            return [made, *(database.execute(query).fetchall() for query in (version, experiments))]

    assert contents("mlflow.db") == contents("own.db")
    assert contents("mlflow.db")[2] == [(0, "Default")]


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        (0.693147180559945, 0.693147),
        (0.98764999999, 0.98765),
        (1234.56789, 1234.57),
        (1.23456789e-9, 1.23457e-9),
        (14_714_688, 14_714_688),
        (-0.012345678, -0.0123457),
    ],
)
def test_mlflow_s_table_gets_six_digits_and_whole_numbers_as_they_are(root: Path, logged: float, shown: float) -> None:
    with tracked_run("short", tracking(), root, params={}, system_metrics=False) as run:
        run.log_metrics({"rounded": logged})
        run.log_exact_metrics({"exact": logged})
    metrics = client(tracking(), root).get_run(run.id).data.metrics
    assert (metrics["rounded"], metrics["exact"]) == (shown, logged)


def test_everything_logged_is_in_the_run(
    root: Path, commit: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from matplotlib.figure import Figure

    mpl.use("Agg")
    monkeypatch.setenv("DVC_EXP_NAME", "wavy-newt")
    monkeypatch.setenv("DVC_STAGE", "train_scratch")
    (root / "report.html").write_text("<p>")
    with tracked_run(
        "scratch", tracking(), root, params=PARAMS, tags={"kind": "cnn"}, dataset=("drawn", "ab" * 32)
    ) as run:
        for epoch, loss in enumerate([0.7, 0.5, float("nan"), float("inf")]):
            run.log_metrics({"loss": loss, "accuracy": 0.5}, epoch)
        run.log_metrics({"best_epoch": 1})
        run.log_artifact(root / "report.html")
        (root / "report.html").write_text("changed after it was logged")
        run.log_figure(Figure(), "curves.png")
        run.log_text("summary", "model/summary.txt")
    assert capfd.readouterr() == ("", "")

    mlflow = client(tracking(), root)
    found = mlflow.get_run(run.id)
    assert (found.info.run_name, found.info.status) == ("scratch", "FINISHED")
    assert found.data.params == {
        "network.dense": "[64]",
        "network.convolutions.0.filters": "32",
        "network.convolutions.1.filters": "64",
        "loss": "null",
    }
    losses = [metric.value for metric in mlflow.get_metric_history(run.id, "loss")]
    assert losses[:2] == [0.7, 0.5]
    assert np.isnan(losses[2])
    assert losses[3] > 1e300
    assert found.data.metrics["best_epoch"] == 1
    assert found.data.metrics["duration_seconds"] > 0
    assert 0 <= found.data.metrics["system/cpu_utilization_percentage"] <= 100
    assert found.data.metrics["system/system_memory_usage_megabytes"] > 0
    expected = {
        "kind": "cnn",
        "dvc_experiment": "wavy-newt",
        "dvc_stage": "train_scratch",
        "mlflow.source.git.commit": commit,
        "git_dirty": "true",
    }
    assert expected.items() <= found.data.tags.items()
    assert {"cpu", "device", "keras", "tensorflow", "mlflow.user"} <= found.data.tags.keys()
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("drawn", "ab" * 6)
    assert {file.path for file in mlflow.list_artifacts(run.id)} == {"report.html", "curves.png", "model"}
    assert Path(mlflow.download_artifacts(run.id, "report.html")).read_text() == "<p>"
    # Where plain ``mlflow ui`` in this folder looks.
    assert str(found.info.artifact_uri).startswith((root / "mlruns").as_uri())


class TrialPruned(Exception):  # noqa: N818 - Optuna's name
    """What ends a pruned trial."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no photos"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(1), "KILLED"),
        (TrialPruned("at epoch 3"), "KILLED"),
    ],
)
def test_a_run_ends_as_its_training_did(error: BaseException, status: str, root: Path) -> None:
    with pytest.raises(type(error)), tracked_run("ends", tracking(), root, params={}, system_metrics=False) as run:
        raise error
    found = client(tracking(), root).get_run(run.id)
    assert found.info.status == status
    assert found.info.end_time is not None
    assert found.data.tags["error"] == f"{type(error).__name__}: {error}"
    assert not any(name.startswith("system/") for name in found.data.metrics)


def test_a_cut_off_run_goes_on_as_the_same_run(root: Path) -> None:
    with suppress(KeyboardInterrupt), tracked_run("first", tracking(), root, params={"a": 1}) as run:
        run.log_metrics({"loss": 1}, 0)
        raise KeyboardInterrupt
    with tracked_run("first", tracking(), root, params={"a": 1}, resume=run.id) as again:
        again.log_metrics({"loss": 0.5}, 1)
    mlflow = client(tracking(), root)
    assert again.id == run.id
    assert mlflow.get_run(run.id).info.status == "FINISHED"
    assert [metric.step for metric in mlflow.get_metric_history(run.id, "loss")] == [0, 1]
    mlflow.delete_run(run.id)
    with tracked_run("first", tracking(), root, params={"a": 1}, resume=run.id) as new:
        pass
    assert new.id != run.id
    assert mlflow.get_run(new.id).info.status == "FINISHED"


def test_a_trial_belongs_to_its_study(root: Path) -> None:
    with (
        tracked_run("study", tracking(), root, params={}) as study,
        tracked_run("trial", tracking(), root, params={}, parent=study.id) as trial,
    ):
        pass
    parent = client(tracking(), root).get_parent_run(trial.id)
    assert parent is not None
    assert parent.info.run_id == study.id


def test_what_mlflow_refuses_is_told_of_and_the_rest_is_kept(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tracked_run("refused", tracking(), root, params={}) as run:
        run.log_metrics({"val/loss?": 1.0})
        run._outbox.wait()
        run.log_metrics({"loss": 1.0})
    assert "tracking: MLflow refused a record" in capsys.readouterr().err
    found = client(tracking(), root).get_run(run.id)
    assert (found.info.status, found.data.metrics["loss"]) == ("FINISHED", 1.0)
    assert not (root / "mlruns" / "unsent").exists()


def test_more_parameters_and_longer_ones_than_mlflow_takes_at_once(root: Path) -> None:
    params = {f"layer_{number}": "x" * 7000 for number in range(250)}
    with tracked_run("many", tracking(), root, params=params) as run:
        pass
    found = client(tracking(), root).get_run(run.id)
    assert found.data.params.keys() == params.keys()
    assert set(map(len, found.data.params.values())) == {6000}


LOAD = """
import sys
import mlflow
import numpy as np
mlflow.set_tracking_uri(sys.argv[1])
photos = np.load("photos.npy")
model = mlflow.pyfunc.load_model("models:/pets@champion")
np.save("predicted.npy", model.predict(photos))
loaded = mlflow.keras.load_model("models:/pets/1")
np.save("loaded.npy", loaded.predict(photos, verbose=0))
assert not any(name.startswith("dogs_vs_cats") for name in sys.modules)
"""


def test_a_logged_model_loads_in_a_process_of_its_own(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import keras

    inputs = keras.Input((8, 8, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    outputs = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(scaled))
    model = keras.Model(inputs, outputs)
    photos = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    capfd.readouterr()
    tags = {"weights_sha256": "abc"}
    with tracked_run("scratch", tracking(), root, params={}) as run:
        run.log_model(model, "scratch", card="not compared yet", registered_model="pets", version_tags=tags)
    set_alias(tracking(), root, "champion", tags)
    with reopened_run(tracking(), root, tags) as again:
        again.log_metrics({"test_accuracy": 0.9})
        again.log_text("now compared", "README.md", beside_model=True)
    assert capfd.readouterr() == ("", "")

    mlflow = client(tracking(), root)
    champion = mlflow.get_model_version_by_alias("pets", "champion")
    assert (champion.run_id, champion.tags["weights_sha256"]) == (run.id, "abc")
    found = mlflow.get_run(run.id)
    assert (found.data.metrics["test_accuracy"], found.info.status) == (0.9, "FINISHED")
    (logged,) = found.outputs.model_outputs
    model_of_run = mlflow.get_logged_model(logged.model_id)
    assert model_of_run.status == "READY"
    card = Path(local_file_uri_to_path(model_of_run.artifact_location)) / "README.md"
    assert card.read_text(encoding="utf-8") == "now compared"

    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    np.save(elsewhere / "photos.npy", photos)
    command = [sys.executable, "-c", LOAD, tracking_uri(tracking(), root)]
    subprocess.run(command, cwd=elsewhere, check=True, timeout=300)
    expected = model.predict(photos, verbose=0)
    for name in ("predicted", "loaded"):
        np.testing.assert_allclose(np.load(elsewhere / f"{name}.npy"), expected, atol=1e-6)


CREATE = """
import sys
from pathlib import Path
from tests.mlflow_server import tracking
from dogs_vs_cats.tracking.tracked_runs import tracked_run
with tracked_run(sys.argv[2], tracking(), Path(sys.argv[1]), params={}) as run:
    run.log_metrics({"loss": 1})
"""


def test_two_first_runs_at_once_share_one_new_database(tmp_path: Path) -> None:
    names = ["one", "two"]
    started = [
        subprocess.Popen([sys.executable, "-c", CREATE, str(tmp_path), name], stderr=subprocess.PIPE) for name in names
    ]
    for process in started:
        _, told = process.communicate(timeout=300)
        assert (process.returncode, told) == (0, b"")
    mlflow = client(tracking(), tmp_path)
    experiment = mlflow.get_experiment_by_name("cats")
    assert experiment is not None
    assert {run.info.run_name for run in mlflow.search_runs([experiment.experiment_id])} == set(names)


def test_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(tracking(), tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking_uri(tracking(), tmp_path) == "http://tracker:5000"
    assert tracking_uri(tracking("sqlite:///runs/mine.db"), tmp_path) == f"sqlite:///{tmp_path}/runs/mine.db"
    assert tracking_uri(tracking("sqlite:////data/mine.db"), tmp_path) == "sqlite:////data/mine.db"
    for folder in ("mlruns", "./mlruns", "file:///data/mlruns"):
        with pytest.raises(WorkflowError, match=r"^tracking.uri: .*MLflow no longer keeps runs in a folder"):
            tracking_uri(tracking(folder), tmp_path)


def test_settings_become_flat_parameters() -> None:
    nested = {"a": {"b": {"c": 1.5}}, "d": [1, 2], "e": [{"f": True}], "g": [], "h": "text"}
    assert flattened(nested) == {"a.b.c": "1.5", "d": "[1, 2]", "e.0.f": "true", "g": "[]", "h": "text"}


def test_a_new_database_is_made_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "mlflow.db").symlink_to("large disk/mlflow.db")
    client(tracking(), tmp_path).search_experiments()
    assert (tmp_path / "mlflow.db").is_symlink()
    assert (tmp_path / "large disk" / "mlflow.db").stat().st_size


def test_a_killed_run_leaves_nothing_that_the_next_does_not_remove(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    subprocess.run([sys.executable, "-c", KILLED, root], env=os.environ | {"TMPDIR": str(temporary)}, check=False)
    (left,) = temporary.iterdir()
    os.utime(left, (0, 0))
    with tracked_run("scratch", tracking(), root, params={}) as run:
        run.log_text("summary", "summary.txt")
    assert [*temporary.iterdir()] == []


def test_an_error_is_kept_without_the_passwords_in_it(root: Path) -> None:
    with suppress(RuntimeError), tracked_run("scratch", tracking(), root, params={}) as run:
        raise RuntimeError("no answer from postgresql://me:p/w@host/db?password=hunter2")
    found = client(tracking(), root).get_run(run.id)
    assert found.data.tags["error"] == "RuntimeError: no answer from postgresql://***@host/db?***"
