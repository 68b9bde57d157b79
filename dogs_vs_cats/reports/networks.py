"""Networks with their costs as a table, and a picture of each."""

from collections.abc import Sequence
from pathlib import Path

import keras
from rich.table import Table

from dogs_vs_cats.models.costs import cost, without_weights
from dogs_vs_cats.models.networks.building import build_cnn, describe_stages
from dogs_vs_cats.models.pretrained.backbones import untrained_backbone
from dogs_vs_cats.reports import figures
from dogs_vs_cats.settings.catalogue import BACKBONES, NETWORKS, SCRATCH
from dogs_vs_cats.settings.training_settings import CnnSettings
from dogs_vs_cats.tables import console

_MILLION = 1_000_000
_COSTS = ("parameters", "multiply-adds\na photo, M", "weights,\nMB", "activations\na photo, MB")


def print_networks(names: Sequence[str], shape: CnnSettings, size: int, pictures: Path | None) -> None:
    """Build each network without weights, and print what it costs.

    Args:
        names: keys of ``NETWORKS``.
        shape: of the network ``cnn``.
        size: pixels a side of the photos.
        pictures: a folder for a picture of each; None: none is drawn.
    """
    table = Table(title=f"Networks at {size}x{size} pixels", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("network")
    for heading in _COSTS:
        table.add_column(heading, justify="right")
    table.add_column("source")
    drawn = 0
    for name, following in zip(names, [*names[1:], ""], strict=True):
        about = NETWORKS[name]
        minimum = about.minimum if name != "cnn" else 2 ** len(shape.convolutions)
        cells = [f"takes {minimum} pixels and more"]
        if size >= minimum:
            with without_weights():
                model = _build(name, shape, size)
                costs = cost(model)
                if pictures is not None:
                    title = f"{about.title} at {size}x{size} pixels"
                    figures.save_png(figures.network(describe_stages(model), title), pictures / f"{name}.png")
                    drawn += 1
            millions = (costs.multiply_adds, costs.weight_bytes, costs.activation_bytes)
            cells = [f"{costs.parameters:,}", *(f"{number / _MILLION:,.1f}" for number in millions), about.paper]
        table.add_row(name, about.title, *cells, end_section=name in SCRATCH and following in BACKBONES)
    console().print(table)
    print(
        "From cnn to wide_residual: train_scratch.network.name, whole."
        " From vgg16 on: bottleneck.backbone, without its top."
    )
    if pictures is not None:
        print(f"{pictures}: {drawn} pictures")


def _build(name: str, shape: CnnSettings, size: int) -> keras.Model:
    if name in SCRATCH:
        return build_cnn(shape.model_copy(update={"name": name}), size)
    return untrained_backbone(name, size)  # type: ignore[arg-type]
