"""Addresses that are none are told by their setting, and no address shows its password."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.search.storage import storage_url
from dogs_vs_cats.settings.addresses import redacted, storage_fault, tracking_fault, without_secrets
from dogs_vs_cats.settings.params import parse_settings
from dogs_vs_cats.tracking.making import made_from
from dogs_vs_cats.tracking.tracked_runs import tracking_uri
from dogs_vs_cats.tracking.unsent import send
from tests.conftest import ROOT, changed
from tests.mlflow_server import tracking

SECRETS = ["p/w", "p#w", "p?w", "p@w", "p@w?x", "1/?w", "5432/w", "p%40w"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "postgresql+psycopg", "mysql+pymysql"])
def test_no_address_shows_its_password(scheme: str, secret: str) -> None:
    assert secret not in redacted(f"{scheme}://me:{secret}@host/place")
    assert secret not in redacted(f"{scheme}://host:5432/place?password={secret}&sslpassword={secret}")
    assert secret not in redacted(f"{scheme}://me:{secret}@host/place?password={secret}")
    text = without_secrets(f"could not open {scheme}://me:{secret}@host/place?password={secret}, sorry")
    assert secret not in text
    assert text.startswith(f"could not open {scheme}://")
    assert text.endswith(" sorry")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=h user=me password=hunter2 dbname=x", "host=h user=me password=*** dbname=x"),
        ("host=h password='hunter2 x' dbname=x", "host=h password=*** dbname=x"),
        ("PGPASSWORD=hunter2; Pwd = hunter2", "PGPASSWORD=***; Pwd = ***"),
        ("passwords, tokens = 5", "passwords, tokens = 5"),
    ],
)
def test_no_password_of_another_library_s_words_is_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("repeated", ["x", "x-", "?", "a?b=", "x:", "x://", "password", "password='"])
def test_a_server_s_long_answer_takes_no_time(repeated: str) -> None:
    begun = time.process_time()
    text = without_secrets(f"{repeated * 200_000} http://me:secret@host")
    assert time.process_time() - begun < 5
    assert text.endswith("http://***@host")


def test_of_an_address_everything_else_is_shown() -> None:
    assert redacted("postgresql://me:p/w@host:5432/studies") == "postgresql://***@host:5432/studies"
    assert redacted("postgresql://me:p?w@host/studies") == "postgresql://***@host/studies"
    assert redacted("postgresql://host/studies?sslpassword=x") == "postgresql://host/studies?***"
    assert redacted("http://host:5000/mlflow") == "http://host:5000/mlflow"
    assert redacted("sqlite:////data/a@b.db") == "sqlite:////data/a@b.db"
    assert redacted("mlruns") == "mlruns"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("http://[::1", "not an address: half of an IPv6 address"),
        ("http://host:99999", "its port is no number from 1 to 65535"),
        ("http://host:port", "its port is no number from 1 to 65535"),
        ("http://host:0", "not an address: port 0"),
        ("http://me:p/w@host", r"its port is no number .* write / # \? @ \[ as %2F"),
        ("http://my host:5000", "not an address: it has blanks"),
        (" http://host", "it has blanks or control characters"),
        ("http://", "it names no host"),
        ("http://..", "a part of its host's name is empty or too long"),
        (f"http://{'a' * 64}.org", "a part of its host's name is empty or too long"),
        ("ftp://host", "MLflow knows no ftp:// addresses"),
        ("postgres://me@host/db", "MLflow knows no postgres:// addresses"),
        ("postgresql://me@[::1/db", "not a database's address"),
        ("postgresql://me@host:99999/db", "port 99999"),
        ("postgresql+nothing://host/db", "there is no kind of database postgresql.nothing"),
        ("sqlite:mlflow.db", "not a database's address"),
        ("sqlite://mlflow.db", "it names no file"),
        ("databricks", "Databricks is not supported"),
        ("databricks://profile", "Databricks is not supported"),
        ("databricks-uc", "Databricks is not supported"),
        ("uc:https://host", "Databricks is not supported"),
        ("localhost:5000", "keeps runs in a folder; use null .* http://HOST:PORT"),
    ],
)
def test_a_tracker_that_is_none_is_told_by_what_set_it(
    uri: str, told: str, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkflowError, match=rf"^params\.yaml: tracking\.uri.*{told}"):
        parse_settings(changed(values, **{"tracking.uri": uri}))
    with pytest.raises(WorkflowError, match=rf"^tracking\.uri: .*{told}"):
        tracking_uri(tracking(uri), tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(WorkflowError, match=rf"^MLFLOW_TRACKING_URI: .*{told}"):
        tracking_uri(tracking(), tmp_path)
    with pytest.raises(WorkflowError, match=rf"^--uri .*{told}"):
        list(send(tmp_path, uri))


@pytest.mark.parametrize(
    "uri",
    ["http://[::1]:5000", f"http://{'a' * 63}.org.:80", "https://me:secret@host/mlflow", "sqlite:///my runs/mlflow.db", "postgresql://me@host:5432/db"],
)  # fmt: skip
def test_what_mlflow_takes_is_no_fault(uri: str, values: dict[str, Any]) -> None:
    assert tracking_fault(uri) == ""
    assert parse_settings(changed(values, **{"tracking.uri": uri})).tracking.uri == uri


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("journal.log", "not a database's address; write sqlite:///FILE or postgresql"),
        ("studies/", "not a database's address; write sqlite:///FILE or postgresql"),
        ("", "not a database's address; write sqlite:///FILE or postgresql"),  # --storage "$NOT_SET"
        ("http://[::1", "not a database's address"),
        ("redis://host", "there is no kind of database redis"),
        ("postgresql://me@host:99999/db", "port 99999"),
        ("postgresql://me@my host/db", "it has blanks"),
        ("sqlite:///", "it names no file"),
    ],
)
def test_a_storage_that_is_none_is_told_by_what_set_it(
    url: str, told: str, values: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(WorkflowError, match=rf"^--storage .*{told}"):
        storage_url(url, tmp_path)
    with pytest.raises(WorkflowError, match=rf"^params\.yaml: search\.storage: .*{told}"):
        parse_settings(changed(values, **{"search.storage": url}))
    assert storage_fault("sqlite:///my studies/optuna.db") == ""


def test_a_database_in_the_home_folder_lies_there(tmp_path: Path) -> None:
    assert storage_url("sqlite:///~/my studies.db", tmp_path) == f"sqlite:///{Path.home()}/my studies.db"
    assert tracking_uri(tracking("sqlite:///~/runs.db"), tmp_path) == f"sqlite:///{Path.home()}/runs.db"


@pytest.mark.parametrize("secret", ["hunter2", "p/w", "p?w"])
def test_settings_in_errors_and_reports_hide_passwords(secret: str, values: dict[str, Any], tmp_path: Path) -> None:
    for key, uri in (
        ("tracking.uri", f"http://me:{secret}@host:99999"),
        ("tracking.uri", f"http://me:{secret}@host\n"),
        ("search.storage", f"redis://me:{secret}@host?password={secret}"),
        ("download.microsoft.url", f"ftp://me:{secret}@host"),
    ):
        with pytest.raises(WorkflowError) as refusal:
            parse_settings(changed(json.loads(json.dumps(values)), **{key: uri}))
        assert key in str(refusal.value)
        assert secret not in str(refusal.value)
    text = (ROOT / "params.yaml").read_text()
    text = text.replace("  storage: ", f"  storage: postgresql://me:{secret}@host/db", 1)
    text = text.replace("https://download.microsoft", f"https://me:{secret}@download.microsoft", 1)
    (tmp_path / "params.yaml").write_text(text)
    made = made_from(tmp_path / "params.yaml", {})
    assert secret not in str(made)
    assert "https://***@download.microsoft.com/" in str(made.settings)
