"""A server that wants a login (MLflow's basic-auth on PostgreSQL): a training without one loses nothing."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from pytest_httpserver import HTTPServer

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.tracking.tracked_runs import client, tracked_run
from dogs_vs_cats.tracking.unsent import send, unsent_folder
from tests.mlflow_server import free_port, tracking
from tests.search.servers import Postgresql, postgresql

PASSWORD = "first-password"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's address."""
    if importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("mlflow[auth] is not installed")
    folder = tmp_path_factory.mktemp("server")
    with postgresql(folder) as database:
        _create(database, "mlflow", "accounts")
        (folder / "auth.ini").write_text(
            f"[mlflow]\ndefault_permission = EDIT\ndatabase_uri = {_url(database, 'accounts')}\n"
            f"admin_username = admin\nadmin_password = {PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        port = free_port()
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--port", str(port)]
        stores = ["--backend-store-uri", _url(database, "mlflow"), "--artifacts-destination", str(folder / "artifacts")]
        environment = os.environ | {
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-long-secret",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *stores, "--workers", "1"],
                env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 800
            while True:
                with suppress(requests.RequestException):
                    if requests.get(f"{address}/health", timeout=10).ok:
                        break
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.5)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _create(database: Postgresql, *names: str) -> None:
    import psycopg

    with psycopg.connect(f"host=127.0.0.1 port={database.port} user=me dbname=postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")


def _url(database: Postgresql, name: str) -> str:
    return f"postgresql+psycopg://me@127.0.0.1:{database.port}/{name}"


def test_a_refused_login_is_one_line_without_the_password_and_the_run_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], httpserver: HTTPServer
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_data("You are not authenticated.", status=401)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not-mine")
    with tracked_run("scratch", tracking(httpserver.url_for("")), tmp_path, params={}, system_metrics=False) as run:
        run.log_metrics({"loss": 0.5}, 0)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "it wants a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or correct them" in told
    assert "not-mine" not in told
    with pytest.raises(WorkflowError, match=r"it wants a login: .*; 1 run still in"):
        list(send(tmp_path))
    assert len(list(unsent_folder(tmp_path).iterdir())) == 1


# Of one address only the first silence is told.
@pytest.mark.parametrize(("password", "host"), [(None, "127.0.0.1"), ("wrong", "localhost")])
def test_a_login_that_is_missing_or_wrong_is_one_line_and_the_run_is_sent_once_it_is_right(
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    password: str | None,
    host: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # MLflow reads ~/.mlflow/credentials
    settings = tracking(server.replace("127.0.0.1", host), 60)
    if password is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    with tracked_run("scratch", settings, tmp_path, params={"login": host}, system_metrics=False) as run:
        run.log_metrics({"loss": 0.5}, 0)
    told = [line for line in capsys.readouterr().err.splitlines() if "login" in line]
    assert len(told) == 1, told
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in told[0]
    assert str(password) not in told[0]
    assert list(unsent_folder(tmp_path).iterdir())

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert list(send(tmp_path))
    mlflow = client(settings, tmp_path)
    (experiment,) = [found for found in mlflow.search_experiments() if found.name == settings.experiment]
    runs = mlflow.search_runs([experiment.experiment_id])
    (sent,) = [found for found in runs if found.data.params.get("login") == host]
    assert sent.data.metrics["loss"] == 0.5
    assert sent.info.status == "FINISHED"
    assert not list(unsent_folder(tmp_path).iterdir())
