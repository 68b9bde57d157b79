"""SIGKILLs at random moments of a study: ``python benchmarks/kills.py``, where the workflow has run.

A search with two workers is killed with all its processes again and again, and goes on each time. Printed are the
trials before and after each kill. It fails if a finished trial is lost or changed, if one too many finishes, or if
MLflow and the study do not agree in the end.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna

from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.tracked_runs import client

ROOT = Path(__file__).resolve().parent.parent
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}


def trials(study: str) -> list[optuna.trial.FrozenTrial]:
    """The study's trials; none before there is one."""
    try:
        return optuna.load_study(study_name=study, storage="sqlite:///optuna.db").trials
    except KeyError:
        return []


def done(found: list[optuna.trial.FrozenTrial]) -> dict[int, tuple[object, ...]]:
    """What must never change: of each trial that has finished or was pruned, its outcome."""
    ended = (trial for trial in found if trial.state.name in ("COMPLETE", "PRUNED"))
    return {trial.number: (trial.state, trial.values, sorted(trial.params.items())) for trial in ended}


def main() -> None:
    """Kill, go on, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance, study = random.Random(arguments.seed), f"kills-{time.time_ns()}"  # noqa: S311 - no secret
    command = [sys.executable, str(ROOT / "search" / "optuna_scratch.py"), "--study", study, "--jobs", "2"]
    command += ["--trials", str(arguments.trials), "--images", "400", "--epochs", "4", "--size", "32"]
    for kill in range(1, arguments.kills + 1):
        before = done(trials(study))
        search = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        seconds = chance.uniform(2, 60)
        time.sleep(seconds)
        assert search.poll() is None, "the study ended before it could be killed: give it more --trials"
        os.killpg(search.pid, signal.SIGKILL)
        search.wait()
        found = trials(study)
        after = done(found)
        assert after.items() >= before.items(), "a finished trial was lost"
        states = dict(Counter(trial.state.name for trial in found))
        print(
            f"kill {kill:2} after {seconds:4.1f} s: {len(before):2} done before, {len(after):2} after; {states}",
            flush=True,
        )
    subprocess.run(command, check=True)
    found = trials(study)
    assert len(done(found)) == arguments.trials, f"{len(done(found))} finished, not {arguments.trials}"
    assert not {trial.state.name for trial in found} & {"RUNNING", "WAITING"}
    settings = load_settings(Path("params.yaml")).tracking
    mlflow = client(settings, Path())
    experiment = mlflow.get_experiment_by_name(settings.experiment)
    runs = mlflow.search_runs([experiment.experiment_id], f"tags.study = '{study}'", max_results=1000)
    status = {run.data.tags["trial"]: run.info.status for run in runs if "trial" in run.data.tags}
    for trial in found:
        recorded = status.get(str(trial.number))
        # A trial killed before it reached MLflow has no run.
        assert recorded == STATUS[trial.state.name] or (recorded is None and trial.state.name == "FAIL"), trial
    print(
        f"all accounted for: {dict(Counter(trial.state.name for trial in found))}, MLflow agrees on {len(status)} runs"
    )


if __name__ == "__main__":
    main()
