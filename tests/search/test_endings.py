"""How a search ends when not left to its end: Ctrl-C, time, errors, NaN, a full disk, deaths; what a terminal shows."""

import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import psutil
import pytest
from optuna.trial import FrozenTrial

from tests.conftest import ROOT
from tests.search.conftest import Project


def trials(project: Project) -> list[FrozenTrial]:
    return project.trials("vgg16")


def states(project: Project) -> Counter[str]:
    return Counter(trial.state.name for trial in trials(project))


def wait_for_running(project: Project, count: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.5)
        running = [one for one in trials(project) if one.state.name == "RUNNING" and one.intermediate_values]
        if len(running) == count:
            return
    pytest.fail(f"not {count} trials run: {[(one.state.name, one.user_attrs) for one in trials(project)]}")


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
    assert "time is up" in project.search("vgg16", *options, "--timeout", "1")
    assert not states(project)["RUNNING"]
    assert [one.params for one in trials(project)[2:4]] == [one.params for one in trials(project)[:2]]


def test_a_loss_that_is_not_a_number_fails_its_trial_with_the_reason(project: Project) -> None:
    for file in (project.folder / "data" / "features").glob("*.npy"):
        np.save(file, np.full_like(np.load(file), np.nan))
    project.set(**{"search.vgg16.space.pooling": ["flatten"]})
    project.search("vgg16", "--trials", "6", "--jobs", "2", status=None)
    # With a layer of ReLU between, what becomes of NaN differs between processors.
    hopeless = [one for one in trials(project) if one.params.get("dense") == 0]
    assert hopeless
    assert {one.state.name for one in hopeless} == {"FAIL"}
    assert all("the loss was not a number in epoch 1" in one.user_attrs["reason"] for one in hopeless)


def test_want_of_memory_fails_its_trial_and_the_search_goes_on(project: Project) -> None:
    project.set(**{"search.vgg16.space.units": [256, 512, 1_000_000_000]})
    output = project.search("vgg16", "--trials", "3", "--jobs", "2")
    failed = [one for one in trials(project) if one.state.name == "FAIL"]
    assert failed
    assert all(1_000_000_000 in one.params.values() for one in failed)
    assert all(one.user_attrs["reason"] for one in failed)
    counts = states(project)
    assert counts["COMPLETE"] + counts["PRUNED"] == 3
    assert f"{len(failed)} failed" in output


def test_a_trial_whose_process_dies_again_and_again_is_given_up(project: Project) -> None:
    process = project.start("vgg16", "--trials", "2", "--epochs", "2000", "--timeout", "1000")
    for death in range(3):
        wait_for_running(project, 1)
        running = next(one for one in trials(project) if one.state.name == "RUNNING")
        assert running.user_attrs.get("deaths", 0) == death
        assert running.user_attrs["article"]
        psutil.Process(running.user_attrs["owner"]["pid"]).kill()
        # None are read while the database is busy.
        while not (found := trials(project)) or found[running.number].state.name == "RUNNING":
            time.sleep(0.2)
    wait_for_running(project, 1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    found = trials(project)
    assert [one.user_attrs["reason"] for one in found[:2]] == ["cut off: its process ended"] * 2
    assert found[2].user_attrs["reason"] == "its process died 3 times: killed, perhaps for want of memory"
    # The next one tries something else.
    assert found[3].params != found[0].params
    assert "article" not in found[3].user_attrs


def test_a_trial_that_slept_too_long_runs_again_and_the_search_goes_on(project: Project) -> None:
    project.set(**{"search.heartbeat_seconds": 1})
    process = project.start("vgg16", "--trials", "1", "--epochs", "300")
    wait_for_running(project, 1)
    asleep = psutil.Process(trials(project)[0].user_attrs["owner"]["pid"])
    asleep.suspend()
    deadline = time.monotonic() + 60
    while trials(project)[0].state.name == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.2)
    asleep.resume()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "1 finished, 0 pruned, 1 failed" in output
    slept, again = trials(project)
    assert (slept.state.name, again.state.name) == ("FAIL", "COMPLETE")
    assert slept.params == again.params
    assert "cut off: no sign of life from its process" in output


def test_ten_failures_in_a_row_stop_it_with_the_reason(project: Project) -> None:
    project.set(
        **{
            "search.vgg16.space.units": [256, 512, *range(1_000_000_000, 1_000_001_000)],
            "search.vgg16.space.dense": {"low": 1, "high": 2},
        }
    )
    output = project.search("vgg16", "--trials", "3", "--jobs", "2", status=1)
    assert "error: 10 trials in a row failed, the last one with: " in output
    assert "run the same command again to go on" in output
    assert states(project)["FAIL"] >= 10
    assert states(project)["COMPLETE"] == 1


def test_a_full_disk_is_one_clear_line_and_the_study_is_intact(project: Project) -> None:
    project.search("vgg16", "--trials", "1")
    before = trials(project)
    most = (project.folder / "optuna.db").stat().st_size
    done = subprocess.run(
        [sys.executable, str(ROOT / "search" / "optuna_vgg16.py"), "--trials", "5"],
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
    project.search("vgg16", "--trials", "5")
    counts = states(project)
    assert counts["COMPLETE"] + counts["PRUNED"] == 5
    assert not counts["RUNNING"]


def test_a_terminal_shows_a_live_table(project: Project) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "search" / "optuna_vgg16.py"), "--trials", "2", "--epochs", "60"],
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
    assert "2 finished, 0 pruned, 0 failed of 2" in text
    for words in ("trial", "val_loss", "epoch", "best", "0 finished, 0 pruned, 0 failed of 2; 1 running"):
        assert words in text


def kill_fork_server(search: int) -> None:
    """Kill the process that trials are forked from, once there is one."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        for child in psutil.Process(search).children():
            if any("forkserver" in part for part in child.cmdline()):
                child.kill()
                return
        time.sleep(0.02)


def test_a_search_goes_on_when_its_fork_server_is_killed(project: Project) -> None:
    process = project.start("vgg16", "--trials", "2", "--jobs", "2", "--epochs", "60")
    kill_fork_server(process.pid)  # while it imports TensorFlow for the first trial
    wait_for_running(project, 2)
    kill_fork_server(process.pid)
    output, _ = process.communicate(timeout=400)
    assert "Traceback" not in output
    assert process.returncode == 0, output
    assert "failed: its process died" in output
    assert states(project)["COMPLETE"] == 2
    assert not states(project)["RUNNING"]
