"""What every stage's command line shares: the settings file and the paths."""

import argparse
import os
from pathlib import Path

from dogs_vs_cats.workflow.settings import load_settings


def parse_arguments(description: str, **paths: str) -> argparse.Namespace:
    """Parse a stage's command line.

    Args:
        description: what the stage does.
        paths: an option for each path the stage reads or writes, with its help text.

    Returns:
        A ``pathlib.Path`` for each of ``paths``, and ``settings``, the checked ``params.yaml``.

    Raises:
        WorkflowError: if ``params.yaml`` has any fault.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    for name, text in paths.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=text)
    arguments = parser.parse_args()
    arguments.settings = load_settings(arguments.params)
    return arguments


def project_root() -> Path:
    """The folder whose tracker and resumable trainings this run uses.

    DVC runs queued experiments in a temporary copy of the project and names the real one in ``DVC_ROOT``.
    """
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
