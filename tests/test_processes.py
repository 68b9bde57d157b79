import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib
import psutil
import pytest

from dogs_vs_cats.processes import fitting_processes, worker_processes
from tests.conftest import ROOT

PARENT = """
import os, time
from dogs_vs_cats.processes import worker_processes

if __name__ == "__main__":
    with worker_processes(1, PRELOAD) as submit:
        print(submit(os.getpid).result(), flush=True)
        submit(time.sleep, 600).result()
"""


def _gone(worker: psutil.Process) -> bool:
    try:
        worker.wait(timeout=60)
    except psutil.TimeoutExpired:
        # Nobody may be there to reap an orphan.
        return bool(worker.status() == psutil.STATUS_ZOMBIE)
    return True


@pytest.mark.parametrize("preload", [None, "colorsys"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_at_once_with_their_parent(how: signal.Signals, preload: str | None, tmp_path: Path) -> None:
    # Not below tmp_path, whose path may be too long for the fork server's socket.
    temporary = Path(tempfile.mkdtemp())
    (tmp_path / "parent.py").write_text(PARENT.replace("PRELOAD", repr(preload)), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        started = psutil.Process(parent.pid).children(recursive=True)
        assert worker in [process.pid for process in started]
        if how is signal.SIGINT:  # what a terminal does: to the parent and to everything it started
            os.killpg(parent.pid, how)
        else:
            parent.send_signal(how)
        assert parent.wait(timeout=60) != 0
        assert all(_gone(process) for process in started)
    temporary.rmdir()  # nothing was left in it


def test_workers_start_where_the_temporary_folder_has_a_long_path(tmp_path: Path) -> None:
    temporary = tmp_path / ("long" * 25)
    temporary.mkdir()
    program = "from dogs_vs_cats.processes import worker_processes\n"
    program += "if __name__ == '__main__':\n    with worker_processes(1, 'colorsys') as submit:\n"
    program += "        print(submit(divmod, 7, 2).result())\n"
    (tmp_path / "parent.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, str(tmp_path / "parent.py")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "(3, 1)\n"


def test_a_worker_finds_a_preloaded_module_imported() -> None:
    module = "colorsys"
    with worker_processes(1, module) as submit:
        assert submit(eval, f"{module!r} in __import__('sys').modules").result()
    with worker_processes(1) as submit:
        assert not submit(eval, f"{module!r} in __import__('sys').modules").result()


KILLED = """
import os, threading, time
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.forkserver import _forkserver
from pathlib import Path
from dogs_vs_cats.processes import worker_processes

def kill():
    while not Path("begun").exists():
        time.sleep(0.01)
    os.kill(_forkserver._forkserver_pid, 9)
    Path("killed").touch()

if __name__ == "__main__":
    threading.Thread(target=kill).start()
    with worker_processes(1, "slow") as submit:
        try:
            submit(divmod, 7, 2).result(60)
        except BrokenProcessPool as error:
            print(error)
    with worker_processes(1, "slow") as submit:
        print(submit(divmod, 7, 2).result(60))
"""
SLOW = """
import time
from pathlib import Path
Path("begun").touch()
while not Path("killed").exists():
    time.sleep(0.01)
"""


def test_a_fork_server_killed_while_it_starts_is_a_dead_worker_and_the_next_has_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "program.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    command = [sys.executable, str(tmp_path / "program.py")]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("the process that forks workers died\n(3, 1)\n", "")


def test_an_error_in_a_worker_arrives_and_the_worker_lives_on() -> None:
    with worker_processes(1) as submit:
        before = submit(os.getpid).result()
        with pytest.raises(ZeroDivisionError):
            submit(divmod, 1, 0).result()
        assert submit(os.getpid).result() == before
    assert not psutil.pid_exists(before)


@pytest.mark.parametrize("seconds", [0.05, 0.15, 0.3])
def test_a_worker_killed_while_its_result_is_on_the_way_is_no_wait_without_end(seconds: float) -> None:
    with worker_processes(1) as submit:
        worker = psutil.Process(submit(os.getpid).result())
        large = submit(bytes, 300_000_000)
        time.sleep(seconds)
        worker.kill()
        try:
            assert large.result(60) == bytes(300_000_000)  # it was there before
        except BrokenProcessPool:
            assert _gone(worker)


def test_a_dead_worker_is_an_error_in_the_calls_under_way() -> None:
    with pytest.raises(BrokenProcessPool), worker_processes(2) as submit:
        submit(os._exit, 3).result()


def test_processes_are_as_many_as_cores_and_memory_allow() -> None:
    free = psutil.virtual_memory().available
    assert fitting_processes(10 * free) == 1
    assert fitting_processes(1) == joblib.cpu_count()
    assert fitting_processes(free // 3) == 1
