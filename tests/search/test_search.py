"""Searches as a user runs them: processes, a database, kills, on few small pictures."""

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
import yaml
from mlflow.utils.file_utils import local_file_uri_to_path
from optuna.study import Study

from dogs_vs_cats.data.arrays import open_split
from dogs_vs_cats.models.saved import load_predictor
from dogs_vs_cats.search.command import search
from dogs_vs_cats.search.plan import RUN
from dogs_vs_cats.search.studies import elapsed, why_failed
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.operations import identity_of
from dogs_vs_cats.tracking.tracked_runs import client
from tests.conftest import answers_elsewhere
from tests.search.conftest import Project


def states(project: Project, study: str) -> Counter[str]:
    loaded = optuna.load_study(study_name=study, storage=project.storage)
    return Counter(trial.state.name for trial in loaded.trials)


def runs(project: Project, study: str) -> dict[str, str]:
    """The status of each trial's MLflow run, by the trial's number."""
    mlflow = client(load_settings(project.folder / "params.yaml").tracking, project.folder)
    experiment = mlflow.get_experiment_by_name("dogs-vs-cats")
    assert experiment is not None
    found = mlflow.search_runs([experiment.experiment_id], f"tags.study = '{study}'")
    return {run.data.tags["trial"]: run.info.status for run in found if "trial" in run.data.tags}


def names(project: Project, study: str) -> set[str]:
    """What the runs of a study and of its trials are called in MLflow."""
    mlflow = client(load_settings(project.folder / "params.yaml").tracking, project.folder)
    found = mlflow.search_runs(["1"], f"tags.study = '{study}'")
    return {str(run.info.run_name) for run in found}


def test_a_search_finishes_as_many_trials_as_asked_for_and_goes_on_to_more(project: Project) -> None:
    output = project.search("vgg16", "--trials", "3", "--jobs", "2")
    assert "3 finished, 0 pruned, 0 failed" in output
    assert "best: trial" in output
    loaded = optuna.load_study(study_name="vgg16", storage=project.storage)
    assert loaded.trials[0].params["optimizer"] == "rmsprop"
    assert runs(project, "vgg16") == {"0": "FINISHED", "1": "FINISHED", "2": "FINISHED"}
    trials = {f"trial {number} · rung 2 of 2 · study vgg16 · all photos" for number in range(3)}
    assert names(project, "vgg16") == {"study vgg16 · transfer vgg16 · all photos", *trials}
    assert "best: trial" in project.search("vgg16", "--trials", "2")
    project.search("vgg16", "--trials", "4")
    assert states(project, "vgg16") == {"COMPLETE": 4}
    assert len({trial.user_attrs["owner"]["pid"] for trial in loaded.trials}) == 4  # a process each
    best = loaded.best_trial
    kept = project.folder / "models" / "search" / "vgg16"
    assert {file.name for file in kept.iterdir()} == {f"trial-{best.number}.json", f"trial-{best.number}.weights.h5"}
    mlflow = client(load_settings(project.folder / "params.yaml").tracking, project.folder)
    of_study = mlflow.get_run(loaded.user_attrs["mlflow_run_id"])
    models = {output.model_id for output in of_study.outputs.model_outputs}
    assert {mlflow.get_logged_model(model).name for model in models} == {"best"}
    assert of_study.data.tags["best_trial"] == str(best.number)
    note = of_study.data.tags["mlflow.note.content"]
    assert note.startswith("Search for transfer vgg16: ")
    assert f"- best: trial {best.number}, val_loss {best.values[0]:.4f}" in note
    assert "- made by `python search/optuna_vgg16.py --trials 4`" in note
    # All commands' together, where the run's own duration is the last one's.
    assert of_study.data.metrics["trials/finished"] == 4
    spent = sum(elapsed(trial) for trial in loaded.trials)
    assert of_study.data.metrics["trials/seconds"] == pytest.approx(spent, rel=1e-5)


def test_two_objectives_give_a_pareto_front_and_a_best_model_that_answers_elsewhere(project: Project) -> None:
    output = project.search("scratch", "--trials", "3", "--jobs", "2", "--objectives", "val_loss,parameters")
    study = optuna.load_study(study_name="scratch", storage=project.storage)
    assert output.count("best: trial") == len(study.best_trials)
    assert all(len(trial.values) == 2 for trial in study.trials)
    page = (project.folder / "reports" / "search" / "scratch.html").read_text()
    assert "<h2>Pareto front</h2>" in page
    assert "src=" not in page.split("</script>")[-1]
    facts = json.loads((project.folder / "reports" / "search" / "scratch.json").read_text())
    assert facts["pareto_front"] == [trial.number for trial in study.best_trials]
    mlflow = client(load_settings(project.folder / "params.yaml").tracking, project.folder)
    run = study.user_attrs["mlflow_run_id"]
    assert {"search/pareto_front.png", "search/history.png", "search/timeline.png", "search/scratch.html"} <= {
        file.path for file in mlflow.list_artifacts(run, "search")
    }
    best = min(study.trials, key=lambda trial: trial.values[0])
    (model,) = {output.model_id for output in mlflow.get_run(run).outputs.model_outputs}
    card = Path(local_file_uri_to_path(mlflow.get_logged_model(model).artifact_location)) / "README.md"
    told = card.read_text(encoding="utf-8")
    accuracy = facts["best"]["accuracy"]
    assert yaml.safe_load(told.split("---\n")[1])["model-index"][0]["results"][0]["metrics"][0]["value"] == accuracy
    assert f"of trial {best.number}, the best one of the study `scratch`: 3 finished, 0 pruned, 0 failed." in told
    assert f"On {best.user_attrs['validation_photos']} drawn validation pictures:" in told
    assert "- The test split is unseen: no trial was measured on it." in told
    images = open_split(project.folder / "data" / "arrays", "validation").images
    learned = load_predictor(project.folder / f"models/search/scratch/trial-{best.number}.weights.h5")
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    tracker = f"sqlite:///{project.folder}/mlflow.db"
    (answers,) = answers_elsewhere(elsewhere, images, f"models:/{model}", tracker=tracker)
    assert answers == pytest.approx(learned.predict(images)[:, 1], abs=1e-5)


def test_a_study_that_has_beaten_nothing_yet_says_so(project: Project) -> None:
    page = project.folder / "reports" / "search" / "vgg16.html"
    refused = project.search("vgg16", "--trials", "1", "--epochs", "1", "--confirm", "1", status=1)
    assert "has the article's own settings: there is nothing to confirm" in refused
    assert "No trial has beaten the article\N{RIGHT SINGLE QUOTATION MARK}s settings yet" in page.read_text()


def test_one_worker_with_the_same_seed_tries_the_same(project: Project) -> None:
    for name in ("one", "two"):
        project.search("scratch", "--trials", "2", "--study", name, "--images", "40", "--epochs", "1")
    first, second = (optuna.load_study(study_name=name, storage=project.storage).trials for name in ("one", "two"))
    assert [trial.params for trial in first] == [trial.params for trial in second]
    assert [trial.values for trial in first] == [trial.values for trial in second]


def test_a_killed_search_goes_on_and_its_cut_off_trials_run_again(project: Project) -> None:
    options = ("--trials", "3", "--jobs", "2", "--epochs", "60")
    process = project.start("vgg16", *options)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if sum(trial.state.name == "RUNNING" for trial in project.trials("vgg16")) == 2:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = states(project, "vgg16")
    assert before["RUNNING"] == 2
    project.search("vgg16", *options)
    after = states(project, "vgg16")
    assert after["COMPLETE"] + after["PRUNED"] == 3
    assert after["FAIL"] == 2
    assert not after["RUNNING"]
    trials = optuna.load_study(study_name="vgg16", storage=project.storage).trials
    status = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
    agreed = runs(project, "vgg16")
    assert agreed == {str(trial.number): status[trial.state.name] for trial in trials if str(trial.number) in agreed}
    assert {str(trial.number) for trial in trials if trial.state.name != "FAIL"} <= {*agreed}
    # One that was killed before it had said whose it is, Optuna ends by its heartbeat.
    assert {trial.number for trial in trials if why_failed(trial).startswith("cut off")} == {0, 1}


def test_a_search_cut_off_before_its_run_was_noted_goes_on_in_the_same_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = Study.set_user_attr

    def interrupted(study: Study, key: str, value: object) -> None:
        if key == RUN and identity_of(str(value)) is None:
            raise KeyboardInterrupt
        noted(study, key, value)

    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(sys, "argv", ["optuna_vgg16.py", "--trials", "1", "--epochs", "1"])
    with monkeypatch.context() as patch:
        patch.setattr(Study, "set_user_attr", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search("vgg16")
    project.search("vgg16", "--trials", "1", "--epochs", "1")
    found = client(load_settings(project.folder / "params.yaml").tracking, project.folder).search_runs(["1"])
    assert [run.info.status for run in found if "trial" not in run.data.tags] == ["FINISHED"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--trials", "0"), "--trials 0: it has to be 1 at least"),
        (("--trials", "1", "--objectives", "beauty"), "--objectives beauty: there are val_loss"),
        (("--trials", "1", "--study", "../cats"), "--study ../cats: a name has letters"),
        (("--trials", "1", "--images", "1000"), "--images 1000: there are 80 training photos"),
        (("--trials", "1", "--storage", "postgresql://me@127.0.0.1:9/x"), "storage does not answer"),
    ],
)
def test_bad_input_is_one_clear_line(project: Project, options: tuple[str, ...], words: str) -> None:
    output = project.search("scratch", *options, status=1)
    assert words in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) == 1
