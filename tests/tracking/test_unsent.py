"""A tracker that fails in every way: the training goes on, and all of it is in MLflow later, once."""

import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.torture.bad_tracker import Liar
from dogs_vs_cats.tracking.__main__ import main
from dogs_vs_cats.tracking.delivery import newest_version
from dogs_vs_cats.tracking.operations import Record, Start
from dogs_vs_cats.tracking.tracked_runs import Run, client, reopened_run, set_alias, tracked_run
from dogs_vs_cats.tracking.unsent import Journal, Sent, unsent_folder
from tests.mlflow_server import Gate, Server, free_port, put_database, tracking

if TYPE_CHECKING:
    import keras
    from mlflow.entities import Run as MlflowRun

LOSSES = [0.5, 0.4, float("nan"), 0.3]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.kill()


@pytest.fixture
def gate(server: Server) -> Iterator[Gate]:
    opened = Gate(server.port)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def model() -> "keras.Model":
    import keras

    inputs = keras.Input((8, 8, 3), dtype="uint8")
    outputs = keras.layers.Dense(1, activation="sigmoid")(
        keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    )
    return keras.Model(inputs, outputs)


def epochs(run: Run, numbers: range) -> None:
    for number in numbers:
        run.log_metrics({"loss": LOSSES[number]}, number)


def only_run(uri: str, root: Path, name: str) -> "MlflowRun":
    """The one run of that name, which must be there once."""
    mlflow = client(tracking(uri), root)
    experiment = mlflow.get_experiment_by_name("cats")
    assert experiment is not None
    (run,) = mlflow.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    return run


def assert_whole(uri: str, root: Path, name: str) -> None:
    """Every epoch is there once, in order, with its own time, and the run has ended as it did."""
    run = only_run(uri, root, name)
    losses = client(tracking(uri), root).get_metric_history(run.info.run_id, "loss")
    np.testing.assert_equal([metric.value for metric in losses], LOSSES)
    assert [metric.step for metric in losses] == [0, 1, 2, 3]
    times = [metric.timestamp for metric in losses]
    assert run.info.start_time <= times[0] <= times[-1] <= run.info.end_time
    assert run.info.status == "FINISHED"
    assert run.data.params == {"network.dense": "[64]"}


def send(root: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Run ``python -m dogs_vs_cats.tracking send``; return its exit status."""
    monkeypatch.setattr("sys.argv", ["tracking", "send", "--root", str(root), *options])
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def dead_server() -> str:
    """An address where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


def test_a_run_cut_off_at_its_very_end_and_gone_on_with_has_no_error_and_one_version(
    tmp_path: Path, model: "keras.Model"
) -> None:
    uri = put_database(tmp_path)
    settings, tags = tracking(uri), {"weights_sha256": "ab" * 32}
    resume = None
    for is_last in (False, True):
        with (
            suppress(KeyboardInterrupt),
            tracked_run("twice", settings, tmp_path, params={}, resume=resume, system_metrics=False) as run,
        ):
            run.log_model(model, "scratch", registered_model="pets", version_tags=tags)
            if not is_last:
                raise KeyboardInterrupt
        resume = run.id
        found = only_run(uri, tmp_path, "twice")
        assert (found.info.status, "error" in found.data.tags) == (("FINISHED", False) if is_last else ("KILLED", True))
    mlflow = client(settings, tmp_path)
    assert [version.run_id for version in mlflow.search_model_versions("name = 'pets'")] == [run.id]
    assert len(mlflow.search_logged_models([found.info.experiment_id])) == 1


def test_an_error_stays_however_often_its_run_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        suppress(RuntimeError),
        tracked_run("failed", tracking(dead_server()), tmp_path, params={}, system_metrics=False),
    ):
        raise RuntimeError("no room")
    uri = put_database(tmp_path)
    (journal,) = journals(tmp_path)
    kept = shutil.copytree(journal, tmp_path / "kept")
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    run = only_run(uri, tmp_path, "failed")
    # Killed before it could note that the last line was sent.
    shutil.copytree(kept, journal)
    lines = len((journal / "journal.jsonl").read_text().splitlines())
    (journal / "sent.json").write_text(Sent(lines=lines - 1, run_id=run.info.run_id).model_dump_json())
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    assert only_run(uri, tmp_path, "failed").data.tags["error"] == "RuntimeError: no room"


def test_a_server_that_lost_its_database_gets_all_of_the_run_as_a_new_one(
    tmp_path: Path, model: "keras.Model", capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Server(tmp_path / "server")
    lost.start()
    settings = tracking(lost.uri)
    try:
        with tracked_run("lost", settings, tmp_path, params={"network": {"dense": [64]}}, system_metrics=False) as run:
            epochs(run, range(2))
            run.log_text("early", "notes/early.txt")
            run.log_model(model, "scratch", registered_model="pets", version_tags={"weights_sha256": "lost"})
            run._outbox.wait()
            lost.kill()
            put_database(tmp_path / "server")
            lost.start()
            epochs(run, range(2, 4))
            run.log_text("late", "notes/late.txt")
        told = capsys.readouterr().err
        assert told == (
            f"tracking: {lost.uri}: it has no run {run.id} any more; all of it is recorded again, as a new run\n"
        )
        assert not unsent_folder(tmp_path).exists()
        assert_whole(lost.uri, tmp_path, "lost")
        found, mlflow = only_run(lost.uri, tmp_path, "lost"), client(settings, tmp_path)
        assert found.data.tags["replaces_run"] == run.id != found.info.run_id
        notes = [file.path for file in mlflow.list_artifacts(found.info.run_id, "notes")]
        assert notes == ["notes/early.txt", "notes/late.txt"]
        (version,) = mlflow.search_model_versions("name = 'pets'")
        assert (version.run_id, version.tags["weights_sha256"]) == (found.info.run_id, "lost")
    finally:
        lost.kill()


def test_what_was_kept_for_a_run_that_is_gone_by_then_is_sent_whole(
    server: Server, gate: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tracking(gate.uri)
    with tracked_run("gone", settings, tmp_path, params={"network": {"dense": [64]}}, system_metrics=False) as run:
        epochs(run, range(2))
        run.log_text("early", "notes/early.txt")
        run._outbox.wait()
        gate.mode = "shut"
        epochs(run, range(2, 4))
    client(tracking(server.uri), tmp_path).delete_run(run.id)
    capsys.readouterr()
    assert send(tmp_path, monkeypatch, "--uri", server.uri) == 0
    assert f"run {run.id} is there no more; all of it goes to a new one" in capsys.readouterr().out
    assert_whole(server.uri, tmp_path, "gone")
    found = only_run(server.uri, tmp_path, "gone")
    assert found.data.tags["replaces_run"] == run.id != found.info.run_id
    notes = client(tracking(server.uri), tmp_path).list_artifacts(found.info.run_id, "notes")
    assert [file.path for file in notes] == ["notes/early.txt"]


def test_a_deleted_run_is_recorded_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tracking(put_database(tmp_path))
    with tracked_run("deleted", settings, tmp_path, params={"network": {"dense": [64]}}, system_metrics=False) as run:
        epochs(run, range(2))
        run._outbox.wait()
        client(settings, tmp_path).delete_run(run.id)
        epochs(run, range(2, 4))
    assert f"it has no run {run.id} any more" in capsys.readouterr().err
    assert_whole(str(settings.uri), tmp_path, "deleted")
    assert only_run(str(settings.uri), tmp_path, "deleted").data.tags["replaces_run"] == run.id


@pytest.mark.parametrize("is_kept", [True, False])
def test_full_artifacts_cost_the_artifact_and_not_the_run(
    tmp_path: Path, is_kept: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tracking(put_database(tmp_path))
    (tmp_path / "mlruns").mkdir()
    blocking = [tmp_path / "mlruns" / "artifacts", *([] if is_kept else [unsent_folder(tmp_path)])]
    for file in blocking:
        file.touch()  # a file in the folder's place is as good as a full disk, also for root
    with tracked_run("full", settings, tmp_path, params={"network": {"dense": [64]}}, system_metrics=False) as run:
        epochs(run, range(2))
        run.log_text("early", "notes/early.txt")
        epochs(run, range(2, 4))
    assert_whole(str(settings.uri), tmp_path, "full")
    told = capsys.readouterr().err
    assert ("is kept in" in told, "not all kept" in told) == (is_kept, not is_kept)
    for file in blocking:
        file.unlink()
    assert send(tmp_path, monkeypatch) == 0
    assert capsys.readouterr().out.startswith("2" if is_kept else "nothing to send")
    assert_whole(str(settings.uri), tmp_path, "full")
    notes = client(settings, tmp_path).list_artifacts(run.id, "notes")
    assert [file.path for file in notes] == (["notes/early.txt"] if is_kept else [])


def assert_sent_whole_once_honest(
    liar: Liar, server: Server, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of a liar that lies no more is in the server behind it, with its note."""
    liar.how = ""
    assert send(tmp_path, monkeypatch) == 0
    liar.shutdown()
    liar.server_close()
    assert_whole(server.uri, tmp_path, name)
    found = only_run(server.uri, tmp_path, name)
    notes = client(tracking(server.uri), tmp_path).list_artifacts(found.info.run_id, "notes")
    assert [(file.path, file.file_size) for file in notes] == [("notes/early.txt", 5)]


def test_an_upload_that_is_answered_as_taken_but_is_not_there_is_sent_again(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = Liar(server.port)
    liar.how, liar.share, liar.only = "200 and nothing", 1.0, "PUT /api/2.0/mlflow-artifacts"
    settings = tracking(liar.uri)
    with tracked_run("polite", settings, tmp_path, params={"network": {"dense": [64]}}, system_metrics=False) as run:
        epochs(run, range(4))
        run.log_text("early", "notes/early.txt")
    assert "notes/early.txt is not there after its upload" in capsys.readouterr().err
    assert_sent_whole_once_honest(liar, server, tmp_path, "polite", monkeypatch)


@pytest.mark.parametrize("request_", ["GET /api/2.0/mlflow/runs/get", "POST /api/2.0/mlflow/runs/"])
def test_an_answer_without_content_is_none(
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request_: str,
) -> None:
    name = request_.split(maxsplit=1)[0]
    monkeypatch.chdir(tmp_path)
    liar = Liar(server.port)
    with tracked_run(
        name, tracking(liar.uri), tmp_path, params={"network": {"dense": [64]}}, system_metrics=False
    ) as run:
        liar.how, liar.share, liar.only = "200 and nothing", 1.0, request_
        epochs(run, range(4))
        run.log_text("early", "notes/early.txt")
    assert "it answers with nothing" in capsys.readouterr().err
    assert_sent_whole_once_honest(liar, server, tmp_path, name, monkeypatch)
    assert not (tmp_path / "notes").exists()


def journals(root: Path) -> list[Path]:
    return sorted(unsent_folder(root).iterdir())


def test_a_server_killed_in_the_middle_gets_the_rest_when_it_is_back(
    server: Server,
    tmp_path: Path,
    model: "keras.Model",
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = tracking(server.uri)
    with tracked_run("killed", settings, tmp_path, params={"network": {"dense": [64]}}) as run:
        epochs(run, range(2))
        run.log_text("early", "notes/early.txt")
        run._outbox.wait()
        server.kill()
        epochs(run, range(2, 4))
        run.log_text("late", "notes/late.txt")
        run.log_model(model, "scratch", registered_model="pets", version_tags={"weights_sha256": "killed"})
    with reopened_run(settings, tmp_path, {"weights_sha256": "killed"}) as later:
        later.log_metrics({"test_accuracy": 0.9})
    set_alias(settings, tmp_path, "champion", {"weights_sha256": "killed"})
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "connection refused" in told.err
    assert "python -m dogs_vs_cats.tracking send" in told.err
    assert send(tmp_path, monkeypatch) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {server.uri}: connection refused; 3 runs still in ")
    assert told.err.count("\n") == 1

    server.start()
    assert send(tmp_path, monkeypatch) == 0
    assert journals(tmp_path) == []
    assert_whole(server.uri, tmp_path, "killed")
    mlflow = client(settings, tmp_path)
    found = only_run(server.uri, tmp_path, "killed")
    assert found.info.run_id == run.id
    assert found.data.metrics["test_accuracy"] == 0.9
    assert [file.path for file in mlflow.list_artifacts(run.id, "notes")] == ["notes/early.txt", "notes/late.txt"]
    champion = mlflow.get_model_version_by_alias("pets", "champion")
    assert (champion.run_id, champion.tags["weights_sha256"]) == (run.id, "killed")
    capsys.readouterr()
    assert send(tmp_path, monkeypatch) == 0
    assert capsys.readouterr().out == "nothing to send\n"


def test_a_card_that_waited_for_mlflow_reaches_the_model_on_the_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, tags = tracking(dead_server()), {"weights_sha256": "carded"}
    with tracked_run("carded", away, tmp_path, params={}, system_metrics=False) as run:
        run.log_folder(write_mlmodel, "scratch", registered_model="pets", version_tags=tags)
    with reopened_run(away, tmp_path, tags) as again:
        again.log_text("a card", "README.md", beside_model=True)
    assert send(tmp_path, monkeypatch, "--uri", server.uri) == 0
    mlflow = client(tracking(server.uri), tmp_path)
    (logged,) = mlflow.get_run(newest_version(mlflow, "pets", tags).run_id).outputs.model_outputs
    there = {file.path: file.file_size for file in mlflow.list_logged_model_artifacts(logged.model_id)}
    assert there["README.md"] == len("a card")


def write_mlmodel(folder: Path) -> None:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")


def test_sending_that_is_cut_off_anywhere_doubles_nothing(
    gate: Gate, server: Server, tmp_path: Path, model: "keras.Model", monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.mode = "shut"
    with tracked_run("cut", tracking(gate.uri), tmp_path, params={"network": {"dense": [64]}}) as run:
        epochs(run, range(4))
        run.log_text("text", "notes.txt")
        run.log_model(model, "scratch", registered_model="pets", version_tags={"weights_sha256": "cut"})
    assert run.id.startswith("unsent-")
    gate.mode = "open"
    (journal,) = journals(tmp_path)
    progress, requests, cuts = "", 0, 0
    while journal.exists():
        requests += 1
        gate.requests = requests  # every request of every operation is once the one whose answer is lost
        cuts += send(tmp_path, monkeypatch)
        now = (journal / "sent.json").read_text() if (journal / "sent.json").exists() else ""
        progress, requests = now, 0 if now != progress else requests
    assert cuts > 20
    assert_whole(server.uri, tmp_path, "cut")
    mlflow = client(tracking(server.uri), tmp_path)
    found = only_run(server.uri, tmp_path, "cut")
    assert len(mlflow.search_logged_models([found.info.experiment_id], f"source_run_id = '{found.info.run_id}'")) == 1
    versions = mlflow.search_model_versions("name = 'pets'")
    assert len([version for version in versions if version.run_id == found.info.run_id]) == 1
    assert found.outputs is not None
    assert len(found.outputs.model_outputs) == 1


@pytest.mark.parametrize(
    ("mode", "words"),
    [("silent", "no answer in"), ("failing", "it answers with server errors"), ("shut", "connection closed")],
)
def test_a_tracker_that_does_not_take_the_start_is_told_of_once_and_left_alone(
    mode: Gate.Mode,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(mode=mode)
    settings = tracking(gate.uri, timeout_seconds=2)
    asked = []
    for name in ("first", "second"):
        with tracked_run(name, settings, tmp_path, params={"network": {"dense": [64]}}) as run:
            epochs(run, range(4))
            run.log_text("text", "notes.txt")
        asked.append(gate.connections)
    assert asked[0] == asked[1] > 0  # the second run did not wait for it
    gate.close()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert words in told
    assert len(journals(tmp_path)) == 2
    uri = put_database(tmp_path)
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    for name in ("first", "second"):
        assert_whole(uri, tmp_path, name)
        assert str(only_run(uri, tmp_path, name).info.artifact_uri).startswith((tmp_path / "mlruns").as_uri())


def test_a_parent_and_its_child_find_each_other_when_both_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tracking(dead_server(), timeout_seconds=2)
    uri = put_database(tmp_path)
    with tracked_run("study", settings, tmp_path, params={}) as study:
        with tracked_run("trial", settings, tmp_path, params={}, parent=study.id):
            pass
        capsys.readouterr()
        assert send(tmp_path, monkeypatch, "--uri", uri) == 0
        assert capsys.readouterr().out.count("still goes on; send it when that has ended") == 2
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    parent = only_run(uri, tmp_path, "study")
    assert only_run(uri, tmp_path, "trial").data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_a_run_kept_from_its_start_goes_on_after_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = put_database(tmp_path)
    away = tracking(dead_server(), timeout_seconds=2)
    params = {"network": {"dense": [64]}}

    def interrupted(numbers: range, resume: str | None) -> str:
        with suppress(KeyboardInterrupt), tracked_run("cut off", away, tmp_path, params=params, resume=resume) as run:
            epochs(run, numbers)
            raise KeyboardInterrupt
        return run.id

    first = interrupted(range(1), None)
    assert interrupted(range(1, 2), first) == first
    assert len(journals(tmp_path)) == 1
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    assert only_run(uri, tmp_path, "cut off").info.status == "KILLED"
    with tracked_run("cut off", tracking(uri), tmp_path, params=params, resume=first) as run:
        epochs(run, range(2, 4))
    assert_whole(uri, tmp_path, "cut off")


def test_a_locked_database_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = put_database(tmp_path)
    with tracked_run("locked", tracking(uri, 2), tmp_path, params={"network": {"dense": [64]}}) as run:
        epochs(run, range(2))
        run._outbox.wait()
        locking = sqlite3.connect(tmp_path / "mlflow.db")
        locking.execute("BEGIN EXCLUSIVE")
        epochs(run, range(2, 4))
    locking.close()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "no answer in 2 seconds" in told
    assert send(tmp_path, monkeypatch) == 0
    assert_whole(uri, tmp_path, "locked")


def test_a_damaged_database_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database " * 1000)
    with tracked_run("damaged", tracking(), tmp_path, params={}) as run:
        epochs(run, range(4))
    assert "the database file is damaged" in capsys.readouterr().err
    assert len(journals(tmp_path)) == 1


def test_a_journal_that_cannot_be_written_costs_the_record_not_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlruns").write_text("a file where the folder should be", encoding="utf-8")
    trained = False
    with tracked_run("nowhere", tracking(dead_server(), 2), tmp_path, params={}) as run:
        epochs(run, range(4))
        run.log_text("text", "notes.txt")
        trained = True
    assert trained
    told = capsys.readouterr().err
    assert told.count("\n") == 2
    assert "what MLflow misses is not all kept" in told


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    folder = tmp_path / "mlruns" / "unsent" / "run"
    journal = Journal(folder, "http://127.0.0.1:9")
    journal.append(Record(tags={"fits": "yes"}))
    whole = (folder / "journal.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.append(Record(tags={"fits": "no"}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (folder / "journal.jsonl").read_bytes() == whole
    journal.close()


def test_what_a_killed_process_kept_is_sent_and_its_run_ends_as_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_database(tmp_path)
    folder = unsent_folder(tmp_path) / "run"
    journal = Journal(folder, uri)
    tags = {"commit": "abc"}
    journal.append(Start(identity="i", experiment="cats", name="gone", parent=None, time=1000, tags=tags))
    journal.append(Record(metrics=[("loss", 0.5, 2000, 0)]))
    journal.close()
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind":"record","metrics":[["lo')  # the power went
    assert send(tmp_path, monkeypatch) == 0
    run = only_run(uri, tmp_path, "gone")
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("KILLED", 1000, 2000)
    assert run.data.metrics == {"loss": 0.5}


def test_a_journal_that_was_sent_but_not_removed_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_database(tmp_path)
    with tracked_run("sent", tracking(dead_server(), 2), tmp_path, params={"network": {"dense": [64]}}) as run:
        epochs(run, range(4))
    (journal,) = journals(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(journal, copy)
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    sent = Sent(lines=len((copy / "journal.jsonl").read_bytes().splitlines()), run_id="x")
    (copy / "sent.json").write_text(sent.model_dump_json())
    shutil.move(copy, journal)  # the power went in between
    assert send(tmp_path, monkeypatch, "--uri", uri) == 0
    assert_whole(uri, tmp_path, "sent")


def test_a_journal_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unsent_folder(tmp_path) / "run"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("{}\n")
    (folder / "uri").write_text("sqlite:////nowhere/mlflow.db")
    assert send(tmp_path, monkeypatch) == 1
    assert f"error: {folder}/journal.jsonl: not a journal" in capsys.readouterr().err


def test_a_promotion_that_waits_does_not_overtake_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = put_database(tmp_path)
    mlflow = client(tracking(uri), tmp_path)
    mlflow.create_registered_model("pets")
    for digest in ("old", "new"):
        mlflow.create_model_version("pets", tmp_path.as_uri(), tags={"weights_sha256": digest})
    set_alias(tracking(dead_server(), 2), tmp_path, "champion", {"weights_sha256": "old"})
    assert len(journals(tmp_path)) == 1
    set_alias(tracking(uri), tmp_path, "champion", {"weights_sha256": "new"})
    assert send(tmp_path, monkeypatch) == 0
    assert mlflow.get_model_version_by_alias("pets", "champion").tags == {"weights_sha256": "new"}
    capsys.readouterr()
    set_alias(tracking(uri), tmp_path, "champion", {"weights_sha256": "none"})
    assert "the registered model pets has no version with weights_sha256 none" in capsys.readouterr().err
