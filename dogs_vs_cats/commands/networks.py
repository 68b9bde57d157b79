"""``dogs-vs-cats networks``: every network by name, with its cost, and a picture of each."""

from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.catalogue import NETWORKS
from dogs_vs_cats.settings.params import Settings

_MOST_PIXELS = 1024


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@settings_option
@click.option("--size", type=int, help="Pixels a side of the photos; without it, decode.size.")
@click.option("--pictures", type=PATH, metavar="FOLDER", help="Draw each network into FOLDER/NAME.png.")
def main(names: tuple[str, ...], settings: Settings, size: int | None, pictures: Path | None) -> None:
    """List every network, or those named, with its parameters, multiply-adds and memory."""
    if unknown := [name for name in names if name not in NETWORKS]:
        raise WorkflowError(f"{', '.join(unknown)}: no such network; there are {', '.join(NETWORKS)}")
    if size is not None and not 1 <= size <= _MOST_PIXELS:
        raise WorkflowError(f"--size is {size}: it has to be from 1 to {_MOST_PIXELS} pixels")
    import_backend()
    from dogs_vs_cats.reports.networks import print_networks

    chosen = [name for name in NETWORKS if name in (names or NETWORKS)]
    print_networks(chosen, settings.train_scratch.network, size or settings.decode.size, pictures)
