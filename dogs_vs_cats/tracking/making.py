"""How a comparison came about: code, settings, packages and machine, and the command that makes it again."""

import json
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.runtime import backend
from dogs_vs_cats.settings.addresses import redacted
from dogs_vs_cats.settings.reading import parse_yaml, read_text
from dogs_vs_cats.tracking.devices import device_tags

_LIBRARIES = ("keras", "numpy", "scipy", "scikit-learn", "pillow", "dvc", "mlflow")


@dataclass(frozen=True)
class Making:
    """How a comparison came about, so that it can be made again.

    Attributes:
        commit: the project's commit, or None outside a git repository.
        changed: whether the code differed from that commit.
        command: the command that makes the results again at that commit.
        settings: every setting that results depend on.
        versions: of Python and the libraries.
        machine: what the times were measured on.
        counts: photos in each split.
    """

    commit: str | None
    changed: bool
    command: str
    settings: Mapping[str, object]
    versions: Mapping[str, str]
    machine: str
    counts: Mapping[str, int]


def made_from(params: Path, counts: Mapping[str, int]) -> Making:
    """How results of this working tree came about, from git, the settings file and the installed packages.

    Args:
        params: ``params.yaml``.
        counts: photos in each split.
    """
    settings = parse_yaml(read_text(params), str(params))
    commit, changed, committed = None, False, settings
    with suppress(OSError, subprocess.SubprocessError, WorkflowError):
        commit = _git("rev-parse", "HEAD").strip()
        changed = bool(_git("status", "--porcelain", "--untracked-files=no", "--", "dogs_vs_cats", "stages").strip())
        committed = parse_yaml(_git("show", f"HEAD:./{params.name}"), params.name)
    tags = device_tags()
    # No result depends on these two.
    kept = {section: _shown(values) for section, values in settings.items() if section not in ("tracking", "search")}
    return Making(
        commit=commit,
        changed=changed,
        command=repeating_command(changed_settings(_shown(committed), kept)),
        settings=kept,
        versions=packages(),
        machine=tags.get("gpu", tags["cpu"]),
        counts=counts,
    )


def _shown(values: object) -> object:
    """Return settings with every address in them redacted."""
    if isinstance(values, dict):
        return {key: _shown(value) for key, value in values.items()}
    return redacted(values) if isinstance(values, str) and "://" in values else values


def packages(more: Sequence[str] = ()) -> dict[str, str]:
    """The versions of Python and of the libraries that results depend on, as far as they are installed.

    Args:
        more: packages to add.
    """
    versions = {"python": platform.python_version()}
    for library in (backend(), f"{backend()}-cpu", *_LIBRARIES, *more):
        with suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=30).stdout


def flattened(settings: object, prefix: str = "") -> dict[str, object]:
    """Return settings by their dotted names; lists and empty mappings are values."""
    if not isinstance(settings, Mapping) or not settings:
        return {prefix: settings}
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= flattened(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def changed_settings(committed: object, current: object, prefix: str = "") -> dict[str, object]:
    """The settings that differ, by their dotted names; what the committed ones lack is not among them."""
    if not (isinstance(committed, dict) and isinstance(current, dict)):
        return {prefix: current} if committed != current else {}
    changed: dict[str, object] = {}
    for key, value in current.items():
        if key in committed:
            changed |= changed_settings(committed[key], value, f"{prefix}.{key}" if prefix else str(key))
    return changed


def repeating_command(changed: Mapping[str, object]) -> str:
    """The DVC command that makes results with these settings changed from the committed ones."""
    if not changed:
        return "dvc repro"
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(override)}" for override in overrides(changed))])


def overrides(changed: Mapping[str, object]) -> list[str]:
    """Settings as ``dvc exp run`` takes them after ``-S``."""
    return [f"{key}={_override(value)}" for key, value in changed.items()]


def _override(value: object) -> str:
    """A value in the grammar of ``dvc exp run -S``, where commas, braces and spaces separate unless quoted."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_override(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_override(item) for item in value) + "]"
    # A plain word needs no quotes, unless Hydra would read it as something else.
    if isinstance(value, str) and re.fullmatch(r"(?!(?i:true|false|null|inf|nan)$)[A-Za-z_/][\w./-]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)
