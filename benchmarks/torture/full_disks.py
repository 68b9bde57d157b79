"""Disks that fill up while a stage writes: a small file system of its own, or files that may not grow."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.torture.cases import Case, Task, told_fault
from benchmarks.torture.kills import MOST_SECONDS, begin, copy_of, end, ended_fault, outputs, undisturbed
from tests.conftest import no_file_larger_than
from tests.test_pipeline import Project

MEGABYTE = 1_000_000
ROOM = 500 * MEGABYTE
"""What the largest stage writes besides its outputs, and more: models in MLflow, temporary files."""

FULL = re.compile(r"^error: .*\S/\S.*: (No space left on device|File too large|the disk is full)", re.MULTILINE)


def disks(task: Task) -> Iterator[Case]:
    """Run stages where the disk is full before they end: one line, nothing half-written, and well afterwards."""
    whole = undisturbed()
    stages = yaml.safe_load((whole.project.folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    size = _bytes(whole.project.folder) + ROOM
    with _small_disk(task.folder / "disk", size) as is_disk:
        for number in task.numbers():
            shutil.rmtree(task.folder / "disk" / "project", ignore_errors=True)
            project = copy_of(whole.project, task.folder / "disk" / "project")
            name = [*stages][number % len(stages)]
            own = [
                project.folder / path for kind in ("outs", "metrics", "plots") for path in _paths(stages[name], kind)
            ]
            # Its model in MLflow has the whole backbone, and is most of what MLflow has.
            places = [*own, project.folder / "mlruns"] if name == "train_vgg16" else own
            written = sum(_bytes(place) for place in places)
            for place in own:
                shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            room = int(task.chance.uniform(0, 1.2) * (written + MEGABYTE))
            with _little_room(project.folder, room) if is_disk else no_file_larger_than(room):
                status, printed = _run(project, stages[name]["cmd"])
            fault = told_fault(status, printed)
            if not fault and status and not FULL.search(printed):
                fault = f"another reason than a full disk, or no file's name: {printed.strip()[-200:]}"
            if not fault and (broken := _broken(project, whole.outputs, own, status)):
                fault = f"half-written or wrong: {broken}"
            if not fault and [*project.folder.rglob("*.partial")]:
                fault = "a part is left over"
            if status and not fault:
                status, printed = _run(project, stages[name]["cmd"])
                fault = ended_fault(status, printed) or _broken(project, whole.outputs, own, status)
                fault = fault and f"with room again: {fault}"
            yield f"{number}: {name} with {room} bytes {'of disk' if is_disk else 'a file'}", fault


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in (place, *place.rglob("*")) if file.is_file())


def _paths(stage: dict[str, Any], kind: str) -> list[str]:
    return [path if isinstance(path, str) else next(iter(path)) for path in stage.get(kind, [])]


def _run(project: Project, command: str) -> tuple[int, str]:
    filled = re.sub(r"\$\{.*?\}", "", command)  # in a comment alone, for DVC
    temporary, log = project.folder / "tmp", project.folder.parents[1] / "log"
    temporary.mkdir(exist_ok=True)
    process = begin(project, ["sh", "-c", filled], log, TMPDIR=str(temporary), MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    end(process, MOST_SECONDS)
    return process.returncode, log.read_text(encoding="utf-8", errors="replace")


def _broken(project: Project, expected: dict[str, str], own: list[Path], status: int) -> str:
    """Name what a stage left that is not as it must be, or what is missing where it says that all is well."""
    found = outputs(project)
    if wrong := [path for path, digest in found.items() if expected.get(path) != digest]:
        return ", ".join(wrong[:5])
    missing = [str(place) for place in own if not place.exists()]
    return "" if status or not missing else f"{', '.join(missing[:5])} missing"


@contextmanager
def _small_disk(place: Path, size: int) -> Iterator[bool]:
    """Mount a file system of a size, in memory; nothing where that is not allowed."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def _little_room(folder: Path, room: int) -> Iterator[None]:
    """Leave so many bytes on the disk."""
    filler = folder.parent / "filler"
    free = shutil.disk_usage(folder).free
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - room, 1))
    try:
        yield
    finally:
        filler.unlink()
