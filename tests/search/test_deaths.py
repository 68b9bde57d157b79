"""Deaths of a search's helpers."""

import time

import psutil

from tests.search.conftest import Project
from tests.search.test_endings import states, wait_for_running


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
