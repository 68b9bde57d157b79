"""Memory of a search's worker after each trial: ``python benchmarks/worker_memory.py``, where the workflow has run.

One worker runs small trials; printed is its private memory (USS) when each one has ended. Flat means that a study can
be as long as one likes.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import optuna
import psutil

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run the search, look at its worker after each trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--kind", choices=["scratch", "vgg16"], default="scratch")
    arguments = parser.parse_args()
    study = f"memory-{time.time_ns()}"
    small = ["--size", "32"] if arguments.kind == "scratch" else []
    command = [sys.executable, str(ROOT / "search" / f"optuna_{arguments.kind}.py"), "--trials", str(arguments.trials)]
    command += ["--images", "400", "--epochs", "2", "--study", study, *small]
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    used: dict[int, float] = {}
    while search.poll() is None:
        time.sleep(0.3)
        try:
            loaded = optuna.load_study(study_name=study, storage="sqlite:///optuna.db")
        except KeyError:
            continue  # not made yet
        ended = sum(trial.state.is_finished() for trial in loaded.get_trials(deepcopy=False))
        if ended not in used:
            used[ended] = max(_workers_memory(search.pid), default=0) / 1e6
    for ended, megabytes in used.items():
        print(f"after {ended:3} trials: {megabytes:6.0f} MB")
    if search.returncode:
        sys.exit(search.returncode)


def _workers_memory(search: int) -> Iterator[int]:
    for child in psutil.Process(search).children():
        with suppress(psutil.NoSuchProcess):  # it ended just now, or is about to
            if "spawn_main" in " ".join(child.cmdline()):
                yield child.memory_full_info().uss


if __name__ == "__main__":
    main()
