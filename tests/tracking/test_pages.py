"""MLflow's pages as they open, in a real browser: which runs, in which order, with which columns and charts."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import TrackingSettings
from dogs_vs_cats.tracking.notes import VERSION
from dogs_vs_cats.tracking.pages import page_addresses, page_lines
from dogs_vs_cats.tracking.tracked_runs import client, set_alias, show_compared, tracked_run
from dogs_vs_cats.tracking.views import COMPARED, RANK, RESULTS, compared_view, metric, study_view
from tests.browser import BROWSER, Browser
from tests.conftest import ROOT
from tests.mlflow_server import free_port, put_database, tracking

ACCURACIES = {"scratch": 0.81, "transfer": 0.97}
SETTINGS = TrackingSettings(uri=None, experiment="dogs-vs-cats", registered_model="pets", timeout_seconds=20)


def write_model(folder: Path) -> None:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two trainings that were compared, the better one first, and a study of two trials."""
    root = tmp_path_factory.mktemp("project")
    put_database(root)
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for kind in ("transfer", "scratch"):
        with tracked_run(kind, SETTINGS, root, params={"epochs": 2}, system_metrics=False) as run:
            for epoch in (1, 2):
                run.log_metrics({"epoch/val/accuracy": 0.3 * epoch, "epoch/val/log_loss": 1 / epoch}, epoch)
            run.log_metrics({"test/accuracy": ACCURACIES[kind], "test/log_loss": 0.25, "val/accuracy": 0.62})
            run.log_folder(write_model, kind, registered_model="pets", version_tags={"kind": kind})
    show_compared(SETTINGS, root, compared_view("test"), [{"kind": kind} for kind in ACCURACIES])
    with tracked_run("study", SETTINGS, root, params={}, tags={"study": "s"}, system_metrics=False) as study:
        for trial, (loss, rank) in enumerate([(0.3, 2), (0.7, 1)]):  # the second is of a later rung
            tags = {"study": "s", "trial": str(trial)}
            name = f"trial {trial}"
            with tracked_run(name, SETTINGS, root, params={}, tags=tags, parent=study.id, system_metrics=False) as run:
                run.log_metrics({"val/log_loss": loss, RANK: rank})
        study.show("study-s", study_view("s", metric("val/log_loss")))
    return root


def test_an_experiment_says_where_its_pages_are(root: Path, tmp_path: Path) -> None:
    found = page_addresses(SETTINGS, root, 5001)
    assert set(found) == {RESULTS, COMPARED, "study-s"}
    assert all(address.startswith("http://localhost:5001/#/experiments/1/runs?") for address in found.values())
    assert page_lines(SETTINGS, root, {RESULTS: "all", "study-t": "none"}) == [
        f"all, after make ui: {page_addresses(SETTINGS, root)[RESULTS]}"
    ]
    put_database(tmp_path)
    assert page_addresses(SETTINGS, tmp_path) == {}
    dead = tracking("http://someone:secret@127.0.0.1:9", 1)
    assert page_lines(dead, root, {RESULTS: "all"}) == []
    with pytest.raises(WorkflowError, match=r"^MLflow at http://[^:]*127.0.0.1:9: connection refused$"):
        page_addresses(dead, root)


def test_why_there_are_no_pages_is_told(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_data("You are not authenticated.", status=401)
    with pytest.raises(WorkflowError, match="it wants a login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASS"):
        page_addresses(tracking(httpserver.url_for("")), tmp_path)
    put_database(tmp_path)
    mlflow = client(SETTINGS, tmp_path)
    mlflow.delete_experiment(mlflow.create_experiment("dogs-vs-cats"))
    told = r"experiment dogs-vs-cats was deleted there; restore it \(mlflow experiments restore -x 1\), or name another"
    with pytest.raises(WorkflowError, match=told):
        page_addresses(SETTINGS, tmp_path)
    assert page_lines(SETTINGS, tmp_path, {RESULTS: "all"}) == []


def test_charts_of_compared_models_are_wide_enough_for_their_titles() -> None:
    sections = json.loads(compared_view("val"))["compareRunSections"]
    assert {section["name"]: section["columns"] for section in sections} == {
        "Validation": 2,
        "Epochs": 2,
        "Differences": 1,
    }


def test_a_description_that_somebody_wrote_stays(root: Path, tmp_path: Path) -> None:
    put_database(tmp_path)
    mlflow = client(SETTINGS, tmp_path)
    experiment = mlflow.create_experiment("dogs-vs-cats", tags={"mlflow.note.content": "Ask Kim."})
    with tracked_run("run", SETTINGS, tmp_path, params={}, system_metrics=False):
        pass
    tags = mlflow.get_experiment(experiment).tags
    assert tags["mlflow.note.content"] == "Ask Kim."
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    note = client(SETTINGS, root).get_experiment("1").tags["mlflow.note.content"]
    assert "viewStateShareKey=results" in note
    assert "viewStateShareKey=compared" in note


def test_a_registered_model_says_what_its_aliases_name_unless_somebody_described_it(tmp_path: Path) -> None:
    put_database(tmp_path)
    for kind, accuracy in ACCURACIES.items():
        with tracked_run(kind, SETTINGS, tmp_path, params={}, system_metrics=False) as run:
            note = f"**{kind}** reaches {accuracy}: models:/pets/{VERSION}"
            tags = {"kind": kind}
            run.log_folder(write_model, kind, registered_model="pets", version_tags=tags, description=note)
    for alias, kind in (("latest-scratch", "scratch"), ("latest-transfer", "transfer"), ("champion", "transfer")):
        set_alias(SETTINGS, tmp_path, alias, {"kind": kind})
    mlflow = client(SETTINGS, tmp_path)
    assert mlflow.get_registered_model("pets").description == (
        "What each alias names:\n\n### Version 2: `champion`, `latest-transfer`\n\n**transfer** reaches 0.97: "
        "models:/pets/2\n\n### Version 1: `latest-scratch`\n\n**scratch** reaches 0.81: models:/pets/1"
    )
    mlflow.update_registered_model("pets", "Ask Kim.")
    set_alias(SETTINGS, tmp_path, "champion", {"kind": "scratch"})
    assert mlflow.get_registered_model("pets").description == "Ask Kim."
    assert mlflow.get_model_version_by_alias("pets", "champion").version == 1


@pytest.fixture(scope="module")
def pages(root: Path) -> Iterator[dict[str, str]]:
    """The addresses that ``make ui`` prints, once MLflow serves them."""
    command = [sys.executable, "-m", "dogs_vs_cats.tracking", "ui", "--root", str(root), "--port", str(free_port())]
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    printed: dict[str, str] = {}
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.match("([a-z-]+): (http.*)", line):
                printed[match[1]] = match[2]
            assert "DeprecationWarning" not in line
            if "startup complete" in line:
                break
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_pages_open_at_the_answer(pages: dict[str, str]) -> None:
    with Browser(1600, 1000) as browser:
        browser.open(pages[RESULTS])
        # MLflow counts the runs before it draws them.
        drawn = "['2 matching runs', 'transfer', 'scratch', '0.62']"
        browser.wait(f"{drawn}.every(text => document.body?.innerText.includes(text))")
        text = browser.evaluate("document.body.innerText")
        assert text.index("transfer") < text.index("scratch")  # the better one first
        assert re.search(r"0\.97\s+0\.25\s+0\.62\b.*0\.81\s+0\.25\s+0\.62\b", text, re.DOTALL)
        columns = browser.evaluate("[...document.querySelectorAll('[role=columnheader]')].map(e => e.innerText.trim())")
        shown = [column for column in columns if column]
        assert shown.index("test/accuracy") < shown.index("test/log_loss") < shown.index("val/accuracy")
        assert "trial" not in text

        browser.open(pages[COMPARED])
        browser.wait("document.body?.innerText.includes('epoch/val/accuracy')")
        text = browser.evaluate("document.body.innerText")
        assert text.index("Test\n(") < text.index("Epochs\n(")
        assert "test/accuracy" in text

        browser.open(pages["study-s"])
        browser.wait("['trial 0', 'trial 1'].every(name => document.body?.innerText.includes(name))")
        text = browser.evaluate("document.body.innerText")
        assert text.index("trial 1") < text.index("trial 0")
        assert "Error" not in text
