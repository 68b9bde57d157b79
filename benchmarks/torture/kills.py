"""Kills at random moments: of the workflow, of both searches, of confirmation and promotion."""

import atexit
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import optuna
import yaml
from optuna.trial import FrozenTrial

from benchmarks.torture.cases import Case, Task, told_fault
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.tracked_runs import client
from tests.test_pipeline import Project
from tests.vgg16 import random_tensors

TRIALS = 12
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
# What differs from run to run: the seconds that it took, and what the comparison and its pages say of them.
TIMED = ("timing.json", "comparison.json", "comparison.html", "comparison_metrics.json", "plots")


@dataclass(frozen=True)
class Undisturbed:
    """A project whose workflow has run, and what that took and left."""

    project: Project
    seconds: float
    outputs: dict[str, str]
    runs: Counter[tuple[str, str]]


@cache
def undisturbed() -> Undisturbed:
    """Run the workflow once, with random backbone weights that nothing has to be downloaded for."""
    folder = Path(tempfile.mkdtemp(prefix="undisturbed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_weights(random_tensors(), folder / "vgg16.weights.h5")
    project, begun = fresh(folder, "project", folder / "vgg16.weights.h5"), time.monotonic()
    project.run("dvc", "repro")
    seconds = time.monotonic() - begun
    print(f"an undisturbed run: {seconds:.0f} s", flush=True)
    return Undisturbed(project, seconds, outputs(project), runs(project))


def fresh(folder: Path, name: str, weights: Path) -> Project:
    """Make a project in which nothing has run."""
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    project = Project(folder / name)
    project.set(**{"weights.path": str(weights)})
    project.commit("weights")
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """Copy a project in which the workflow has run."""
    copied = Project.__new__(Project)
    copied.folder = folder
    shutil.copytree(project.folder, folder, symlinks=True)
    return copied


def outputs(project: Project) -> dict[str, str]:
    """Digest each file that the stages left and that is the same in every run."""
    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    paths = [path for stage in stages for kind in ("outs", "metrics", "plots") for path in stage.get(kind, [])]
    places = [project.folder / (path if isinstance(path, str) else next(iter(path))) for path in paths]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    return {
        str(file.relative_to(project.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if not any(part in TIMED for part in file.parts)
    }


def runs(project: Project) -> Counter[tuple[str, str]]:
    """Count the runs in MLflow by kind and status, and the versions of models."""
    settings = load_settings(project.folder / "params.yaml").tracking
    mlflow = client(settings, project.folder)
    experiment = mlflow.get_experiment_by_name(settings.experiment)
    found = [] if experiment is None else mlflow.search_runs([experiment.experiment_id], max_results=1000)
    counts = Counter((run.data.tags.get("kind", ""), run.info.status) for run in found)
    counts["versions", ""] = len(mlflow.search_model_versions(f"name = '{settings.registered_model}'"))
    return counts


def begin(project: Project, command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own."""
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=project.folder,
            env=project.variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill a command with all its processes after so long; return whether it had not ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def stages(task: Task) -> Iterator[Case]:
    """Kill ``dvc repro`` again and again: what is there is whole at any time, and equal in the end."""
    whole, log = undisturbed(), task.folder / "log"
    weights = whole.project.folder.parent / "vgg16.weights.h5"
    project = fresh(task.folder, "killed", weights)
    for number in task.numbers():
        seconds = task.chance.uniform(0, whole.seconds / 3)
        is_killed = end(process := begin(project, ["dvc", "repro"], log), seconds)
        printed = log.read_text(encoding="utf-8", errors="replace")
        last = next((line for line in reversed(printed.splitlines()) if line.startswith("Running stage")), "before any")
        name = f"kill {number} after {seconds:.1f} s: {last}"
        if is_killed:
            found = outputs(project)
            broken = [path for path, digest in found.items() if whole.outputs.get(path) != digest]
            yield name, f"half-written or of another result: {', '.join(broken[:5])}" if broken else ""
        else:
            yield f"end {number}", _end_fault(project, process.returncode, printed, whole)
            project = fresh(task.folder, "killed", weights)
    process = begin(project, ["dvc", "repro"], log)
    process.wait()
    printed = log.read_text(encoding="utf-8", errors="replace")
    yield "the end", _end_fault(project, process.returncode, printed, whole)


def _end_fault(project: Project, status: int, printed: str, whole: Undisturbed) -> str:
    if status or "Traceback" in printed:
        return told_fault(status, printed) or f"dvc repro ended with {status}: {printed.strip()[-300:]}"
    found, expected = outputs(project), whole.outputs
    if found != expected:
        other = {path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)}
        return f"not what an undisturbed run leaves: {', '.join(sorted(other)[:5])}"
    if (counts := runs(project)) != whole.runs:
        return f"other runs in MLflow: {dict(counts)}, not {dict(whole.runs)}"
    left = [str(path.relative_to(project.folder)) for path in project.folder.rglob("*.partial")]
    return f"left over: {', '.join(left)}" if left else ""


def _trials(project: Project, study: str) -> list[FrozenTrial]:
    try:
        return optuna.load_study(study_name=study, storage=f"sqlite:///{project.folder}/optuna.db").trials
    except KeyError:
        return []


def _ended(found: list[FrozenTrial]) -> dict[int, tuple[object, ...]]:
    """What must never change: of each trial that has finished or was pruned, its outcome."""
    ended = (trial for trial in found if trial.state.name in ("COMPLETE", "PRUNED"))
    return {trial.number: (trial.state, trial.values, sorted(trial.params.items())) for trial in ended}


def _search(kind: str, *options: str) -> list[str]:
    return [sys.executable, f"search/optuna_{kind}.py", "--study", kind, *options]


def searches(task: Task) -> Iterator[Case]:
    """Kill both searches, with two workers each: no finished trial is lost, and MLflow agrees with the study."""
    project, log = copy_of(undisturbed().project, task.folder / "project"), task.folder / "log"
    for kind in ("scratch", "vgg16"):
        command = _search(kind, "--jobs", "2", "--trials", str(TRIALS), "--epochs", "3")
        for _ in range(task.most // 2):
            if time.monotonic() > task.until:
                break
            before = _ended(_trials(project, kind))
            seconds = task.chance.uniform(1, 60)
            if not end(begin(project, command, log), seconds):
                break
            lost = not _ended(_trials(project, kind)).items() >= before.items()
            yield f"{kind}: kill after {seconds:.1f} s", "a finished trial is lost or changed" if lost else ""
        process = begin(project, command, log)
        process.wait()
        printed = log.read_text(encoding="utf-8", errors="replace")
        yield f"{kind}: the end", told_fault(process.returncode, printed) or _study_fault(project, kind)


def _study_fault(project: Project, study: str) -> str:
    found = _trials(project, study)
    if len(_ended(found)) != TRIALS:
        return f"{len(_ended(found))} trials finished, not {TRIALS}"
    states = Counter(trial.state.name for trial in found)
    if states["RUNNING"] or states["WAITING"]:
        return f"trials that nobody runs: {dict(states)}"
    settings = load_settings(project.folder / "params.yaml").tracking
    mlflow = client(settings, project.folder)
    experiment = mlflow.get_experiment_by_name(settings.experiment)
    recorded = mlflow.search_runs([experiment.experiment_id], f"tags.study = '{study}'", max_results=1000)
    status = {run.data.tags["trial"]: run.info.status for run in recorded if "trial" in run.data.tags}
    for trial in found:
        told = status.get(str(trial.number))
        # A trial killed before it reached MLflow has no run.
        if told != STATUS[trial.state.name] and not (told is None and trial.state.name == "FAIL"):
            return f"trial {trial.number} is {trial.state.name}, its run {told}"
    return ""


def confirmation(task: Task) -> Iterator[Case]:
    """Kill a confirmation that promotes: ``params.yaml`` is the old one or the new one, and the end is the same."""
    project, log = copy_of(undisturbed().project, task.folder / "project"), task.folder / "log"
    subprocess.run(
        _search("vgg16", "--trials", "3", "--epochs", "1"),
        cwd=project.folder,
        env=project.variables,
        check=True,
        capture_output=True,
    )
    other = copy_of(project, task.folder / "other")
    command = _search("vgg16", "--confirm", "1", "--promote", "--confirm-fidelity", "study", "--epochs", "1")
    begun = time.monotonic()
    begin(other, command, log).wait()
    whole = time.monotonic() - begun
    old, new = ((one.folder / "params.yaml").read_bytes() for one in (project, other))
    for number in task.numbers():
        # Once all is confirmed, a kill hits the promotion.
        seconds = task.chance.uniform(0, whole * 1.1)
        is_killed = end(begin(project, command, log), seconds)
        found = (project.folder / "params.yaml").read_bytes()
        fault = "" if found in (old, new) else "params.yaml is neither the old one nor the promoted one"
        yield f"{number}: {'killed' if is_killed else 'ended'} after {seconds:.1f} s", fault
        with whole_file(project.folder / "params.yaml") as file:
            file.write_bytes(old)
    process = begin(project, command, log)
    process.wait()
    printed = log.read_text(encoding="utf-8", errors="replace")
    reports = [json.loads((one.folder / "reports/search/vgg16.json").read_text()) for one in (project, other)]
    fault = told_fault(process.returncode, printed)
    if not fault and (project.folder / "params.yaml").read_bytes() != new:
        fault = "params.yaml is not as an undisturbed run promotes"
    if not fault and reports[0]["confirmation"]["log_loss"] != reports[1]["confirmation"]["log_loss"]:
        fault = "other results than an undisturbed run's"
    yield "the end", fault
