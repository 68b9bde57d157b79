"""What a run was made by: code, experiment, packages."""

import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


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
    return tags | {"tensorflow": tensorflow_version(), "keras": version("keras")}


def tensorflow_version() -> str:
    """The installed version: the build for processors alone is a package of another name."""
    try:
        return version("tensorflow")
    except PackageNotFoundError:
        return version("tensorflow-cpu")
