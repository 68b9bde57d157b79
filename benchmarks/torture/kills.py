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
from typing import Any

import numpy as np
import yaml
from optuna.trial import FrozenTrial

from benchmarks.torture.cases import Case, Task, told_fault
from dogs_vs_cats.models.pretrained.weights import write_weights
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.tracked_runs import client
from dogs_vs_cats.tracking.unsent import send
from tests.conftest import ROOT
from tests.search.conftest import Project as Searched
from tests.search.conftest import prepare
from tests.test_pipeline import Project
from tests.vgg16 import random_tensors

WORKFLOW = ["dvc", "repro"]
TRIALS = 12
MOST_SECONDS = 1800
"""What a command may take that nobody kills."""
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
LOCK = ".dvc/tmp/rwlock"
CUT_LOCK = f"Unable to read RWLock-file '{LOCK}'. JSON structure is corrupted"
"""What DVC says after a kill while it wrote that file. docs/reliability.md has the way out."""
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
    """Run the workflow once, with backbone weights that are fetched once for all."""
    folder = Path(tempfile.mkdtemp(prefix="undisturbed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    weights = folder / "vgg16.weights.h5"
    subprocess.run([sys.executable, "-m", "stages.weights", "--weights", str(weights)], cwd=ROOT, check=True)
    project, begun = fresh(folder, "project", weights), time.monotonic()
    project.run(*WORKFLOW)
    seconds = time.monotonic() - begun
    print(f"an undisturbed run: {seconds:.0f} s", flush=True)
    return Undisturbed(project, seconds, outputs(project), runs(project))


def fresh(folder: Path, name: str, weights: Path) -> Project:
    """Make a project in which nothing has run."""
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    project = Project(folder / name)
    for place in places(project):
        place.unlink(missing_ok=True)  # results that git has
    project.set(**{"weights.path": str(weights)})
    project.commit("weights")
    return project


def copy_of(project: Project, folder: Path) -> Project:
    """Copy a project in which the workflow has run."""
    copied = Project.__new__(Project)
    copied.folder = folder
    shutil.copytree(project.folder, folder, symlinks=True)
    return copied


def places(project: Project) -> list[Path]:
    """Return where the stages leave their results."""
    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    paths = [path for stage in stages for kind in ("outs", "metrics", "plots") for path in stage.get(kind, [])]
    return [project.folder / (path if isinstance(path, str) else next(iter(path))) for path in paths]


def outputs(project: Project) -> dict[str, str]:
    """Digest each file that the stages left and that is the same in every run."""
    found = places(project)
    files = [file for place in found for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    return {
        str(file.relative_to(project.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if not any(part in TIMED for part in file.parts)
    }


def runs(project: Project) -> Counter[tuple[str, str]]:
    """Count the runs in MLflow by kind and status, and the versions of models, once all is sent."""
    [*send(project.folder)]  # on a busy machine MLflow's database may have been too slow
    settings = load_settings(project.folder / "params.yaml").tracking
    mlflow = client(settings, project.folder)
    experiment = mlflow.get_experiment_by_name(settings.experiment)
    found = [] if experiment is None else mlflow.search_runs([experiment.experiment_id], max_results=1000)
    counts = Counter((run.data.tags.get("kind", ""), run.info.status) for run in found)
    counts["versions", ""] = len(mlflow.search_model_versions(f"name = '{settings.registered_model}'"))
    return counts


def begin(project: Project, command: list[str], log: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, with these variables beside a user's."""
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=project.folder,
            env=project.variables | variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: subprocess.Popen[Any], seconds: float) -> bool:
    """Kill a command with all its processes after so long; return whether it had not ended by itself."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        return True
    return False


def stages(task: Task) -> Iterator[Case]:
    """Kill ``dvc repro`` again and again: what is there is whole at any time, and equal in the end."""
    whole, log = undisturbed(), task.folder / "log"
    weights = whole.project.folder.parent / "vgg16.weights.h5"
    project = fresh(task.folder, "killed", weights)
    for number in task.numbers():
        seconds = task.chance.uniform(0, whole.seconds / 2)
        is_killed = end(process := begin(project, WORKFLOW, log), seconds)
        printed = log.read_text(encoding="utf-8", errors="replace")
        last = next((line for line in reversed(printed.splitlines()) if line.startswith("Running stage")), "before any")
        name = f"kill {number} after {seconds:.1f} s: {last}"
        if is_killed:
            found = outputs(project)
            broken = [path for path, digest in found.items() if whole.outputs.get(path) != digest]
            yield name, f"half-written or of another result: {', '.join(broken[:5])}" if broken else ""
        elif CUT_LOCK in printed:
            (project.folder / LOCK).unlink()
            yield f"end {number}: DVC's own lock file was cut off", ""
        else:
            yield f"end {number}", _end_fault(project, process.returncode, printed, whole)
            project = fresh(task.folder, "killed", weights)
    (project.folder / LOCK).unlink(missing_ok=True)
    process = begin(project, WORKFLOW, log)
    end(process, MOST_SECONDS)
    printed = log.read_text(encoding="utf-8", errors="replace")
    yield "the end", _end_fault(project, process.returncode, printed, whole)


def _end_fault(project: Project, status: int, printed: str, whole: Undisturbed) -> str:
    if fault := ended_fault(status, printed):
        return fault
    found, expected = outputs(project), whole.outputs
    if found != expected:
        other = {path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)}
        return f"not what an undisturbed run leaves: {', '.join(sorted(other)[:5])}"
    if (counts := runs(project)) != whole.runs:
        return f"other runs in MLflow: {dict(counts)}, not {dict(whole.runs)}"
    left = [str(path.relative_to(project.folder)) for path in project.folder.rglob("*.partial")]
    return f"left over: {', '.join(left)}" if left else ""


def prepared(folder: Path) -> Searched:
    """Make a project to search in: 80 training pictures and their features."""
    folder.mkdir(exist_ok=True)
    labels = (np.arange(120) % 2).astype(np.uint8)
    images = np.random.default_rng(7).integers(0, 180, (120, 32, 32, 3)).astype(np.uint8)
    images[labels == 0, :16] += 75
    images[labels == 1, 16:] += 75
    write_weights(random_tensors(), folder / "vgg16.weights.h5")
    (folder / "project").mkdir()
    project = prepare(folder / "project", images, labels, folder / "vgg16.weights.h5")
    project.set(**{"train_scratch.epochs": 3, "train_vgg16.epochs": 3, "search.heartbeat_seconds": 5})
    return project


def _ended(found: list[FrozenTrial]) -> dict[int, tuple[object, ...]]:
    """What must never change: of each trial that has finished or was pruned, its outcome."""
    ended = (trial for trial in found if trial.state.name in ("COMPLETE", "PRUNED"))
    return {trial.number: (trial.state, trial.values, sorted(trial.params.items())) for trial in ended}


def searches(task: Task) -> Iterator[Case]:
    """Kill both searches, with two workers each: no finished trial is lost, and MLflow agrees with the study."""
    project = prepared(task.folder)
    for kind in ("scratch", "vgg16"):
        options = ("--jobs", "2", "--trials", str(TRIALS))
        for number in task.numbers():
            if number >= task.most // 2:
                break
            before, seconds = _ended(project.trials(kind)), task.chance.uniform(1, 60)
            if not end(project.start(kind, *options), seconds):
                break
            lost = not _ended(project.trials(kind)).items() >= before.items()
            yield f"{kind}: kill after {seconds:.1f} s", "a finished trial is lost or changed" if lost else ""
        fault = ended_fault(*_to_its_end(project, kind, *options))
        yield f"{kind}: the end", fault or _study_fault(project, kind)


def _to_its_end(project: Searched, kind: str, *options: str) -> tuple[int, str]:
    process = project.start(kind, *options)
    try:
        printed, _ = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        return 1, f"{printed}\nstill running after {MOST_SECONDS} seconds"
    return process.returncode, printed


def ended_fault(status: int, printed: str) -> str:
    """Return what is wrong with how a command ended that should have done its work."""
    return told_fault(status, printed) or (f"ended with {status}: {printed.strip()[-300:]}" if status else "")


def _study_fault(project: Searched, study: str) -> str:
    found = project.trials(study)
    if len(_ended(found)) != TRIALS:
        return f"{len(_ended(found))} trials finished, not {TRIALS}"
    states = Counter(trial.state.name for trial in found)
    if states["RUNNING"] or states["WAITING"]:
        return f"trials that nobody runs: {dict(states)}"
    [*send(project.folder)]  # on a busy machine MLflow's database may have been too slow
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
    project = prepared(task.folder)
    # Features so small that the article's learning rate gets nowhere in three epochs: there is something to promote.
    for file in (project.folder / "data" / "features").glob("*.npy"):
        np.save(file, np.load(file) * np.float32(0.003))
    rates = {"rmsprop": {"learning_rate": {"low": 0.001, "high": 0.05}}}
    space = {"optimizers": rates, "losses": ["binary_crossentropy"], "weight_decay": [0.0]}
    project.set(**{f"search.vgg16.space.{key}": value for key, value in space.items()})
    yield "the search before", ended_fault(*_to_its_end(project, "vgg16", "--trials", "4"))
    other = Searched(task.folder / "undisturbed")
    shutil.copytree(project.folder, other.folder, symlinks=True)
    options = ("--confirm", "3", "--promote")
    begun = time.monotonic()
    yield "undisturbed", ended_fault(*_to_its_end(other, "vgg16", *options))
    whole = time.monotonic() - begun
    old, new = ((one.folder / "params.yaml").read_bytes() for one in (project, other))
    yield "the promotion", "nothing was promoted" if old == new else ""
    for number in task.numbers():
        # Once all is confirmed, a kill hits the promotion.
        seconds = task.chance.uniform(0, whole * 1.1)
        is_killed = end(process := project.start("vgg16", *options), seconds)
        fault = "" if is_killed or not process.returncode else f"ended with {process.returncode}"
        if (project.folder / "params.yaml").read_bytes() not in (old, new):
            fault = "params.yaml is neither the old one nor the promoted one"
        yield f"{number}: {'killed' if is_killed else 'ended'} after {seconds:.1f} s", fault
        (project.folder / "params.yaml").write_bytes(old)
    fault = ended_fault(*_to_its_end(project, "vgg16", *options))
    if not fault and (project.folder / "params.yaml").read_bytes() != new:
        fault = "params.yaml is not as an undisturbed run promotes"
    reports = [json.loads((one.folder / "reports/search/vgg16.json").read_text()) for one in (project, other)]
    if not fault and reports[0]["confirmation"]["log_loss"] != reports[1]["confirmation"]["log_loss"]:
        fault = "other results than an undisturbed run's"
    yield "the end", fault
