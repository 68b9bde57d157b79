"""Every network by name, with its cost, and a picture of each: ``dogs-vs-cats networks``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.catalogue import BACKBONES, SCRATCH, Backbone, Scratch
from dogs_vs_cats.settings.params import CnnSettings, load_settings

if TYPE_CHECKING:
    import keras

NETWORKS: dict[str, Scratch | Backbone] = {
    **{str(name): network for name, network in SCRATCH.items()},
    **{str(name): network for name, network in BACKBONES.items()},
}
"""Both kinds by name."""

_MILLION = 1_000_000
_MOST_PIXELS = 1024


def main(arguments: list[str]) -> None:
    """Build each network without weights, print what it costs, draw it."""
    parser = argparse.ArgumentParser(prog="dogs-vs-cats networks", description="List every network with its cost.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks to list (all)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    parser.add_argument("--size", type=int, help="pixels a side of the photos (decode.size)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw each network into FOLDER/NAME.png")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in NETWORKS]:
        raise WorkflowError(f"{', '.join(unknown)}: no such network; there are {', '.join(NETWORKS)}")
    if given.size is not None and not 1 <= given.size <= _MOST_PIXELS:
        raise WorkflowError(f"--size is {given.size}: it has to be from 1 to {_MOST_PIXELS} pixels")
    settings = load_settings(given.params)
    size = given.size or settings.decode.size

    # Here, not above: TensorFlow takes seconds to import, a wrong argument should not.
    from dogs_vs_cats.runtime import import_tensorflow

    import_tensorflow()
    names = [name for name in NETWORKS if name in (given.names or NETWORKS)]
    rows = [_row(name, settings.train_scratch.network, size, given.pictures) for name in names]
    _print(rows, size)
    if given.pictures is not None:
        print(f"{given.pictures}: {sum(len(row) > _REFUSED for row in rows)} pictures")


_REFUSED = 3
"""Cells of a network that does not take photos of this size."""


def _row(name: str, shape: CnnSettings, size: int, pictures: Path | None) -> list[str]:
    """One network's line in the table; its picture is drawn where a folder for it is given."""
    from dogs_vs_cats.models.costs import cost, without_weights

    about = NETWORKS[name]
    minimum = about.minimum if name != "cnn" else 2 ** len(shape.convolutions)
    if size < minimum:
        return [name, about.title, f"takes {minimum} pixels and more"]
    with without_weights():
        model = _build(name, shape, size)
        found = cost(model)
        if pictures is not None:
            _draw(model, f"{about.title} at {size}x{size} pixels", pictures / f"{name}.png")
    return [
        name,
        about.title,
        f"{found.parameters:,}",
        f"{found.multiply_adds / _MILLION:,.1f}",
        f"{found.weight_bytes / _MILLION:,.1f}",
        f"{found.activation_bytes / _MILLION:,.1f}",
        about.paper,
    ]


def _build(name: str, shape: CnnSettings, size: int) -> "keras.Model":
    from dogs_vs_cats.models.networks.building import build_cnn
    from dogs_vs_cats.models.pretrained.backbones import untrained_backbone

    if name in SCRATCH:
        return build_cnn(shape.model_copy(update={"name": name}), size)
    return untrained_backbone(name, size)  # type: ignore[arg-type]


def _draw(model: "keras.Model", title: str, path: Path) -> None:
    from dogs_vs_cats.models.networks.building import describe_stages
    from dogs_vs_cats.reports import figures as pictures

    pictures.save_png(pictures.network(describe_stages(model), title), path)


def _print(rows: list[list[str]], size: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Networks at {size}x{size} pixels", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("network")
    for heading in ("parameters", "multiply-adds\na photo, M", "weights,\nMB", "activations\na photo, MB"):
        table.add_column(heading, justify="right")
    table.add_column("source")
    for number, row in enumerate(rows):
        ends = row[0] in SCRATCH and number + 1 < len(rows) and rows[number + 1][0] in BACKBONES
        table.add_row(*row, end_section=ends)
    console = Console()
    # A file or a pipe has no width; nothing is broken for it.
    (console if console.is_terminal else Console(width=160)).print(table)
    print(
        "From cnn to residual: train_scratch.network.name, whole. From vgg16 on: bottleneck.backbone, without its top."
    )
