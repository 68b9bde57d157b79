"""A trial's settings in ``params.yaml``, and as DVC experiments beside the committed one."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from optuna.trial import FrozenTrial

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.search.plan import Plan
from dogs_vs_cats.search.sampling import tried
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.reading import parse_yaml, read_text
from dogs_vs_cats.tracking.making import changed_settings, overrides


def changes(plan: Plan, trial: FrozenTrial) -> dict[str, object]:
    """What a trial's settings differ in from those of its stage, by dotted names; epochs and seed stay the stage's."""
    section = "train_scratch" if plan.kind == "scratch" else "train_vgg16"
    wanted = tried(plan, trial).model_dump(mode="json")
    return changed_settings(plan.base.model_dump(mode="json"), wanted, section)


def promote(params: Path, changed: Mapping[str, object]) -> None:
    """Write settings into ``params.yaml`` as ``dvc exp run -S`` does; comments, order and mode stay as they are.

    Args:
        params: the file; where it is a link, the file that it leads to is written.
        changed: values by dotted names.

    Raises:
        WorkflowError: if the file would not be valid; it is left as it was.
    """
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    text = read_text(params)
    parse_yaml(text, str(params))  # in whose words a fault is told
    document = parse_yaml_for_update(text, str(params))
    for name, value in changed.items():
        *path, key = name.split(".")
        section = document
        for part in path:
            section = section[part]
        section[key] = value
    with whole_file(params.resolve()) as file:
        file.write_text(dumps_yaml(document), encoding="utf-8")
        shutil.copymode(params, file)
        load_settings(file)


def queue_experiment(root: Path, name: str, changed: Mapping[str, object]) -> None:
    """Queue settings as a DVC experiment.

    Args:
        root: the project's folder.
        name: the experiment's.
        changed: values by dotted names.

    Raises:
        WorkflowError: if DVC refuses, with its reason.
    """
    command = [sys.executable, "-m", "dvc", "exp", "run", "--queue", "--name", name]
    for override in overrides(changed):
        command += ["-S", override]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise WorkflowError(f"{shlex.join(command)}: {said[0] if said else 'failed'}")


def experiments(root: Path) -> set[str]:
    """The names of the project's DVC experiments, queued ones included.

    Raises:
        WorkflowError: if ``root`` is not a DVC project in git with a commit.
    """
    from dvc.api import exp_show
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    try:
        return {row["Experiment"] for row in exp_show(str(root)) if row.get("Experiment")}
    except (DvcException, SCMError) as error:
        raise WorkflowError(f"{root}: DVC cannot tell its experiments: {error}") from None
