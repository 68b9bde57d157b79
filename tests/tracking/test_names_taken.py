"""An experiment that was deleted in MLflow, a registry name of another project: told in a line, and nothing is lost."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.tracking import outbox
from dogs_vs_cats.tracking.tracked_runs import client, set_alias, tracked_run
from dogs_vs_cats.tracking.unsent import send
from tests.mlflow_server import put_database, tracking

TAGS = {"weights_sha256": "ab" * 32}


def write_model(folder: Path) -> None:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """MLflow with an empty database in the project's folder, which answers, and of which nothing was told."""
    monkeypatch.setattr(outbox, "_told", set())
    monkeypatch.setattr(outbox, "_silent_since", {})
    put_database(tmp_path)
    return client(tracking(), tmp_path)


def record(root: Path) -> None:
    with tracked_run("training", tracking(), root, params={"a": 1}, system_metrics=False) as run:
        run.log_metrics({"val/accuracy": 0.9})
        run.log_folder(write_model, "model", registered_model="pets", version_tags=TAGS)
        run.log_metrics({"train/seconds": 3})


def assert_recorded(mlflow: MlflowClient, registered_model: str) -> None:
    (run,) = mlflow.search_runs(["1"], "attributes.run_name = 'training'")
    assert run.info.status == "FINISHED"
    assert (run.data.metrics["val/accuracy"], run.data.metrics["train/seconds"]) == (0.9, 3)
    (version,) = mlflow.search_model_versions(f"name = '{registered_model}'")
    assert (version.run_id, version.tags["weights_sha256"]) == (run.info.run_id, TAGS["weights_sha256"])


def test_a_deleted_experiment_is_told_with_what_restores_it_and_takes_the_run_then(
    mlflow: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = mlflow.create_experiment("cats", (tmp_path / "mlruns" / "artifacts").as_uri())
    mlflow.delete_experiment(experiment)
    record(tmp_path)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"experiment cats was deleted there; restore it (mlflow experiments restore -x {experiment})" in told
    with pytest.raises(WorkflowError, match=r"experiment cats was deleted there; restore it .*; 1 run still in"):
        list(send(tmp_path))
    mlflow.restore_experiment(experiment)
    assert len(list(send(tmp_path))) == 1
    assert_recorded(mlflow, "pets")


def test_a_name_of_another_project_is_left_alone_and_another_one_takes_the_version(
    mlflow: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.create_registered_model("pets")
    mlflow.create_model_version("pets", tmp_path.as_uri(), tags={"team": "birds"})
    mlflow.set_registered_model_alias("pets", "champion", "1")
    record(tmp_path)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert (
        "registered model pets is another project's: set tracking.registered_model to another name, then make send "
        "MODEL=NAME"
    ) in told
    set_alias(tracking(), tmp_path, "champion", TAGS, rule="merit")
    with pytest.raises(WorkflowError, match="registered model pets is another project's"):
        list(send(tmp_path))
    list(send(tmp_path, registered_model="cats"))
    assert_recorded(mlflow, "cats")
    assert {str(number) for number in mlflow.get_registered_model("cats").aliases.values()} == {"1"}
    (theirs,) = mlflow.search_model_versions("name = 'pets'")
    assert theirs.tags == {"team": "birds"}
