"""How a search ends when not left to its end: Ctrl-C, time, errors, NaN, a full disk; what a terminal shows."""

import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import optuna
import psutil
import pytest

from tests.conftest import ROOT
from tests.search.conftest import Project


def trials(project: Project) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="vgg16", storage=project.storage).trials


def states(project: Project) -> Counter[str]:
    return Counter(trial.state.name for trial in trials(project))


def wait_for_running(project: Project, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if (project.folder / "optuna.db").exists() and "vgg16" in optuna.get_all_study_names(project.storage):
            running = [one for one in trials(project) if one.state.name == "RUNNING" and one.intermediate_values]
            if len(running) == count:
                return
    pytest.fail("no trial runs")


def test_ctrl_c_stops_cleanly_and_the_study_goes_on(project: Project) -> None:
    options = ("--trials", "3", "--jobs", "2", "--epochs", "300")
    process = project.start("vgg16", *options)
    wait_for_running(project, 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert output.strip().splitlines()[-1] == "error: interrupted; run it again to go on"
    assert "Traceback" not in output
    psutil.wait_procs(workers, timeout=10)
    assert not [worker for worker in workers if worker.is_running()]
    assert states(project) == {"FAIL": 2, "WAITING": 2}
    assert [one.user_attrs["reason"] for one in trials(project)[:2]] == ["cut off: its process ended"] * 2
    # What was cut off is what runs next, from its beginning.
    project.search("vgg16", *options, "--timeout", "1")
    assert [one.params for one in trials(project)[2:4]] == [one.params for one in trials(project)[:2]]


def test_when_time_is_up_it_says_so_and_nothing_is_left_running(project: Project) -> None:
    output = project.search("vgg16", "--trials", "2", "--epochs", "3000", "--timeout", "25")
    assert "time is up" in output
    assert not states(project)["RUNNING"]


def test_a_training_that_diverges_fails_its_trial_and_the_search_goes_on(project: Project) -> None:
    project.set(
        **{
            "search.vgg16.space.optimizers": {
                "rmsprop": {"learning_rate": {"low": 0.001, "high": 0.001}},
                "sgd": {"learning_rate": {"low": 1e25, "high": 1e30}},
            },
            "search.vgg16.space.losses": ["binary_crossentropy", "squared"],
        }
    )
    output = project.search("vgg16", "--trials", "3")
    found = trials(project)
    failed = [one for one in found if one.state.name == "FAIL"]
    assert failed
    assert {one.params["optimizer"] for one in failed} == {"sgd"}
    assert all("not finite" in one.user_attrs["reason"] or "nan" in one.user_attrs["reason"].lower() for one in failed)
    assert sum(one.state.name in ("COMPLETE", "PRUNED") for one in found) == 3
    assert f"3 finished, 0 pruned, {len(failed)} failed" in output or "pruned" in output


def test_ten_failures_in_a_row_stop_it_with_the_reason(project: Project) -> None:
    for file in (project.folder / "data" / "features").glob("*.npy"):
        np.save(file, np.full_like(np.load(file), np.nan))
    output = project.search("vgg16", "--trials", "3", "--jobs", "2", status=1)
    assert "error: 10 trials in a row failed, the last one with: " in output
    assert "run the same command again to go on" in output
    assert states(project)["FAIL"] >= 10
    assert not states(project)["COMPLETE"]


def test_a_full_disk_is_one_clear_line_and_the_study_is_intact(project: Project) -> None:
    project.search("vgg16", "--trials", "1")
    before = trials(project)
    most = (project.folder / "optuna.db").stat().st_size
    done = subprocess.run(
        [sys.executable, str(ROOT / "search" / "optuna_vgg16.py"), "--trials", "40"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert done.returncode == 1
    assert "optuna.db: the study's storage does not answer" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert trials(project)[0] == before[0]
    assert "2 finished" in project.search("vgg16", "--trials", "2")


def test_a_terminal_shows_a_live_table(project: Project) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "search" / "optuna_vgg16.py"), "--trials", "2", "--epochs", "20"],
        cwd=project.folder,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break  # the other end is closed
        if not part:
            break
        shown += part
    assert process.wait(60) == 0
    text = shown.decode()
    assert "1 running; about" in text
    assert "2 finished, 0 pruned, 0 failed of 2" in text or "1 finished, 1 pruned, 0 failed of 2" in text
    for words in ("trial", "val_loss", "epoch", "best", "0 finished, 0 pruned, 0 failed of 2; 1 running"):
        assert words in text
