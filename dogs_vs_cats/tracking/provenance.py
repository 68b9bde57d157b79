"""What a run was made by: code, experiment, packages."""

import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from dogs_vs_cats.runtime import backend, backend_version

SEPARATOR = " · "
_SHORT = 7  # digits of a commit


def source_tags() -> dict[str, str]:
    """The code that runs, and the DVC experiment that it runs for."""
    specification = getattr(sys.modules.get("__main__"), "__spec__", None)
    source = f"python -m {specification.name}" if specification else Path(sys.argv[0]).name
    tags = {"mlflow.source.name": source, "mlflow.source.type": "LOCAL"}
    with suppress(OSError, subprocess.SubprocessError):
        commit, changes = (
            subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
        tags |= {"mlflow.source.git.commit": commit, "git_dirty": str(bool(changes)).lower()}
    variables = {"DVC_EXP_NAME": "dvc_experiment", "DVC_STAGE": "dvc_stage", "DVC_EXP_BASELINE_REV": "dvc_baseline"}
    tags |= {tag: os.environ[variable] for variable, tag in variables.items() if os.environ.get(variable)}
    return tags | {"backend": backend(), backend(): backend_version(), "keras": version("keras")}


def run_name(model: str, photos: str) -> str:
    """Name a training's run so that a table of runs says what each is.

    Args:
        model: in few words.
        photos: that it learns from, in few words.

    Returns:
        Both, with the DVC experiment or else the commit between them; ``+`` after a commit stands for changes since.
    """
    tags = source_tags()
    commit = tags.get("mlflow.source.git.commit", "")[:_SHORT] + "+" * (tags.get("git_dirty") == "true")
    return SEPARATOR.join(filter(None, (model, tags.get("dvc_experiment") or commit, photos)))
