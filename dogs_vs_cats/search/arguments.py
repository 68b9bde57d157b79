"""What the user asked for: the command line of both searches, checked, and the study it stands for."""

import argparse
import re
import uuid
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.paths import Prepared
from dogs_vs_cats.search.examples import open_parts
from dogs_vs_cats.search.plan import DIRECTIONS, Fidelity, Kind, Plan
from dogs_vs_cats.search.rungs import fidelities
from dogs_vs_cats.search.storage import storage_url
from dogs_vs_cats.settings.params import load_settings

_LEAST = {
    "trials": 1,
    "jobs": 1,
    "epochs": 1,
    "images": 10,
    "size": 16,
    "seed": 0,
    "timeout": 1,
    "confirm": 1,
    "experiments": 1,
    "gpus_per_trial": 0,
}


def parse_arguments(kind: Kind) -> argparse.Namespace:
    """Parse and check the command line.

    Raises:
        WorkflowError: for a value that makes no sense, which it names.
    """
    what = "CNN" if kind == "scratch" else "head on the backbone's features"
    parser = argparse.ArgumentParser(description=f"Search for a better {what}; what is varied stands in params.yaml.")
    study = parser.add_argument_group("the study")
    study.add_argument("--trials", type=int, help="trials that the study is to have finished")
    study.add_argument("--study", default=kind, help="its name (%(default)s)")
    study.add_argument("--storage", help="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE (search.storage)")
    study.add_argument("--images", type=int, help=f"training photos a trial sees (search.{kind}.images)")
    study.add_argument("--epochs", type=int, help=f"of the full training, at most (train_{kind}.epochs)")
    if kind == "scratch":
        study.add_argument("--size", type=int, help="pixels a side, at most (train_scratch.size)")
    study.add_argument("--objectives", default="val_loss", help=f"one or more of {', '.join(DIRECTIONS)}, with commas")
    study.add_argument("--seed", type=int, help="of what is sampled (search.seed)")
    study.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    workers = parser.add_argument_group("who runs it")
    workers.add_argument("--jobs", type=int, help="trials at a time (1; on Ray: as many as there is room for)")
    workers.add_argument("--timeout", type=float, help="seconds after which it stops, to be gone on with (no limit)")
    workers.add_argument("--ray", metavar="ADDRESS", help="run the trials on this Ray cluster, HOST:PORT")
    workers.add_argument("--gpus-per-trial", type=float, default=0, help="on Ray, a fraction shares one (%(default)g)")
    after = parser.add_argument_group("afterwards")
    after.add_argument(
        "--confirm",
        type=int,
        metavar="K",
        help="train the best trial and the article's settings on K new splits, each with a seed of its own",
    )
    after.add_argument(
        "--confirm-fidelity",
        choices=["full", "study"],
        default="full",
        help="confirm on all photos, as decoded, or as cheaply as the study's trials (%(default)s)",
    )
    after.add_argument("--promote", action="store_true", help="write the confirmed settings into params.yaml")
    after.add_argument("--experiments", type=int, metavar="K", help="queue the K best trials as DVC experiments")
    arguments = parser.parse_args()
    if not any((arguments.trials is not None, arguments.confirm, arguments.promote, arguments.experiments)):
        parser.error("nothing to do: give --trials, --confirm, --promote or --experiments")
    _check(arguments)
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    for name, least in _LEAST.items():
        value = getattr(arguments, name, None)
        if value is not None and not value >= least:  # so that NaN is refused too
            raise WorkflowError(f"--{name.replace('_', '-')} {value:g}: it has to be {least} at least")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", arguments.study):
        raise WorkflowError(
            f"--study {arguments.study}: a name has letters, digits, dots, hyphens and underscores only"
        )
    for objective in _objectives(arguments):
        if objective not in DIRECTIONS:
            raise WorkflowError(f"--objectives {objective}: there are {', '.join(DIRECTIONS)}")
    if arguments.gpus_per_trial and not arguments.ray:
        raise WorkflowError("--gpus-per-trial is for --ray; here, TensorFlow uses the GPUs it finds")


def _objectives(arguments: argparse.Namespace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in arguments.objectives.split(",")))


def build_plan(kind: Kind, arguments: argparse.Namespace) -> Plan:
    """The study that the command line and ``params.yaml`` stand for, its data checked and cut down where it is cheap.

    Raises:
        WorkflowError: if the settings or the data do not fit.
    """
    settings, root = load_settings(arguments.params), arguments.params.resolve().parent
    section = KINDS[kind].search_settings(settings)
    dataset = KINDS[kind].check_prepared(settings, Prepared.of(root))
    images = arguments.images or section.images
    if arguments.images is None and images is not None and images > dataset.counts["train"]:
        images = None
    full = Fidelity(
        images=images,
        epochs=arguments.epochs or KINDS[kind].training_settings(settings).epochs,
        size=getattr(arguments, "size", None),
    )
    open_parts(kind, root, settings, full)
    side = KINDS[kind].of(settings, Prepared.of(root)).side
    ladder = fidelities(f"{arguments.params.name}: search.{kind}.rungs", section.rungs, full, side)
    for fidelity in ladder:
        open_parts(kind, root, settings, fidelity)
    return Plan(
        kind=kind,
        study=arguments.study,
        storage=storage_url(settings.search.storage if arguments.storage is None else arguments.storage, root),
        root=root,
        settings=settings,
        fidelity=ladder[-1],
        rungs=ladder[:-1],
        objectives=_objectives(arguments),
        seed=settings.search.seed if arguments.seed is None else arguments.seed,
        trials=arguments.trials or 0,
        digest=dataset.digest,
        driver=uuid.uuid4().hex,
    )
