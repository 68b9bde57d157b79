"""``dogs-vs-cats kit``: what a machine without a network needs for a training, in parts that can be carried there."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections import defaultdict
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import click
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from dogs_vs_cats.commands import run_kit
from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.data.arrays import read_dataset, write_dataset
from dogs_vs_cats.data.scaling import open_scaled
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import temporary_folder, whole_folder
from dogs_vs_cats.paths import ARRAYS, BACKBONE_WEIGHTS
from dogs_vs_cats.runtime import BACKENDS
from dogs_vs_cats.settings.params import Settings, load_settings

PACKAGE = "dogs-vs-cats"
_CODE = ("dogs_vs_cats", "stages", "search")
_BOTTLENECK = (
    "-m stages.bottleneck --arrays data/arrays --weights data/weights/backbone.weights.h5 --features data/features"
)
_HEAD = (
    "-m stages.train_vgg16 --arrays data/arrays --features data/features --backbone data/weights/backbone.weights.h5 "
    "--model models/vgg16.weights.h5 --reports reports/vgg16"
)
_SCRATCH = "-m stages.train_scratch --arrays data/arrays --model models/scratch.weights.h5 --reports reports/scratch"
_COMMANDS = {"scratch": [_SCRATCH], "vgg16": [_BOTTLENECK, _HEAD]}
"""What trains each model there, as ``dvc.yaml`` has it. Features are larger than the backbone that gives them."""
_UNUSED = {"dvc", "pip", "onnx", "ncnn"}
"""What a training there does without."""
_NOWHERE = "http://127.0.0.1:9"
"""A tracker that never answers: runs then wait on disk, from where they are imported."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


@click.command()
@click.argument("folder", type=PATH, metavar="OUT")
@click.option("--has", type=PATH, required=True, help="What pip freeze says on the machine.")
@click.option(
    "--model",
    "kinds",
    type=click.Choice([*_COMMANDS]),
    multiple=True,
    default=["scratch"],
    show_default=True,
    help="What is trained there; give it twice for both.",
)
@click.option("--size", type=click.IntRange(8), help="Pixels a side of the photos that it gets; without it, as stored.")
@click.option("--backend", type=click.Choice([*BACKENDS]), default="jax", show_default=True, help="Keras's there.")
@click.option("--python", default=run_kit.RUNNING, show_default=True, help="Python's version there.")
@click.option("--part-mib", type=click.IntRange(1, 60), default=60, show_default=True, help="The largest part's size.")
@settings_option
def main(
    folder: Path,
    has: Path,
    kinds: tuple[str, ...],
    size: int | None,
    part_mib: int,
    settings: Settings,
    **machine: str,
) -> None:
    """Write the wheels that a Linux machine lacks, the code and the photos into the new folder OUT.

    Copy OUT there, and run: python run_kit.py. It leaves the folder results, for dogs-vs-cats import-runs.
    """
    if folder.exists():
        raise WorkflowError(f"{folder}: is there already; name a new folder")
    if "vgg16" in kinds and not BACKBONE_WEIGHTS.exists():
        raise WorkflowError(f"{BACKBONE_WEIGHTS}: no backbone there; fetch it with: dvc repro weights")
    wanted = lacking(frozen(has), machine["backend"])
    with whole_folder(folder) as out, temporary_folder() as made:
        _download(wanted, machine["python"], made / "wheels")
        _write_project(made / "project", size or settings.decode.size)
        if "vgg16" in kinds:
            (made / "project" / BACKBONE_WEIGHTS).parent.mkdir()
            shutil.copy(BACKBONE_WEIGHTS, made / "project" / BACKBONE_WEIGHTS)
        parts = _split(made, out, part_mib << 20)
        shutil.copy(run_kit.__file__, out / "run_kit.py")
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        commands = [command.split() for kind in _COMMANDS if kind in kinds for command in _COMMANDS[kind]]
        kit = {"version": version(PACKAGE), **machine, "commands": commands}
        (out / run_kit.KIT).write_text(json.dumps(kit | {"digest": digest, "parts": parts}, indent=2) + "\n")
    print(f"{folder}: {len(parts)} parts, {len(wanted)} wheels; copy it there, and run: python run_kit.py")


def frozen(file: Path) -> dict[str, str]:
    """Read the packages and versions that pip freeze listed; lines of another form name no version, and are left out.

    Raises:
        WorkflowError: if no line has the form NAME==VERSION.
    """
    lines = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    if not lines:
        raise WorkflowError(f"{file}: no line is NAME==VERSION; write it there with: pip freeze")
    return {canonicalize_name(name): number for name, number in lines}


def lacking(there: dict[str, str], backend: str) -> dict[str, str]:
    """Find the packages that this project needs and a machine lacks, or has in a version that does not do.

    Args:
        there: the versions of the machine's packages, by name.
        backend: of Keras's, which the machine is to compute with.

    Returns:
        This environment's versions of them, by name.
    """
    asked: dict[str, SpecifierSet] = defaultdict(SpecifierSet)
    waiting = [Requirement(line) for line in requires(PACKAGE) or [] if "extra ==" not in line] + [Requirement(backend)]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in _UNUSED or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        asked[name] &= requirement.specifier
        if name not in seen:
            seen.add(name)
            try:
                waiting += [Requirement(line) for line in requires(name) or [] if "extra ==" not in line]
            except PackageNotFoundError:
                if name not in there:
                    raise WorkflowError(f"{name}: installed neither here nor there; run pip install {name}") from None
    return {
        name: version(name)
        for name, specifier in sorted(asked.items())
        if name not in there or not specifier.contains(there[name], prereleases=True)
    }


def _download(wanted: dict[str, str], python: str, folder: Path) -> None:
    folder.mkdir()
    if not wanted:
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, "--dest", str(folder)]
    command += [option for platform in _PLATFORMS for option in ("--platform", platform)]
    done = subprocess.run(
        [*command, *(f"{name}=={number}" for name, number in wanted.items())],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise WorkflowError(f"pip could not download the wheels that the machine lacks: {lines[-1]}")


def _write_project(folder: Path, size: int) -> None:
    from dvc.utils.hydra import apply_overrides

    for name in _CODE:
        shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy("params.yaml", folder)
    changes = [f"decode.size={size}", f"tracking.uri='{_NOWHERE}'", "bottleneck.engine=tensorflow"]
    apply_overrides(folder / "params.yaml", changes)
    load_settings(folder / "params.yaml")  # a size that does not do is told here, not there
    dataset, arrays = read_dataset(ARRAYS), folder / ARRAYS
    shutil.copytree(ARRAYS, arrays, ignore=shutil.ignore_patterns("*_images.npy", "unlabelled*"))
    for split in dataset.counts:
        if split != "unlabelled":
            import numpy as np

            np.save(arrays / f"{split}_images.npy", open_scaled(ARRAYS, split, size))
    write_dataset(arrays, replace(dataset, size=size))


def _split(made: Path, out: Path, most: int) -> dict[str, str]:
    """Pack what was made, and write it in parts; return their digests by their names."""
    archive = made / "kit.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("wheels", "project"):
            tar.add(made / name, name)
    parts: dict[str, str] = {}
    with archive.open("rb") as file:
        while content := file.read(most):
            name = f"kit.part{len(parts) + 1:03}"
            (out / name).write_bytes(content)
            parts[name] = hashlib.sha256(content).hexdigest()
    return parts
