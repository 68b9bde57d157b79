"""``dogs-vs-cats import-runs``: the runs of a kit, into the project's MLflow."""

import json
from importlib.metadata import version
from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.paths import project_root
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.tracking.tracked_runs import tracking_uri
from dogs_vs_cats.tracking.unsent import send, take_in


@click.command()
@click.argument("folder", type=PATH)
@settings_option
def main(folder: Path, settings: Settings) -> None:
    """Take the runs that a kit left in FOLDER, its results, into the project's MLflow.

    A run that is there already is not taken twice.
    """
    file, here = folder / "kit.json", version("dogs-vs-cats")
    try:
        there = json.loads(file.read_text(encoding="utf-8"))["version"]
    except FileNotFoundError:
        raise WorkflowError(f"{file}: missing; name the folder results that run_kit.py left, whole") from None
    except (ValueError, KeyError, TypeError):
        raise WorkflowError(f"{file}: not what run_kit.py writes; copy it again") from None
    if there != here:
        raise WorkflowError(f"{folder}: of a kit of version {there}, this is {here}; import it with that version")
    root = project_root()
    if not take_in(folder, root, tracking_uri(settings.tracking, root)):
        raise WorkflowError(f"{folder}: has no runs; see whether the training there began")
    for line in send(root):
        print(line)
