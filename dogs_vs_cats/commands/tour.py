"""``dogs-vs-cats tour``: the pictures of ``docs/tour.md``, from what the workflow left."""

from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.data.arrays import read_dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.paths import ARRAYS, PLOTS
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import Settings

COMMITTED = Path("docs/pictures/tour")
FROM_THE_COMPARISON = ("curves_scratch", "curves_vgg16", "accuracy", "grad_cam")


@click.command()
@click.option("--output", type=PATH, default=COMMITTED, show_default=True, help="Folder for the pictures.")
@settings_option
def main(output: Path, settings: Settings) -> None:
    """Make the pictures of docs/tour.md from the trained models."""
    dataset = read_dataset(ARRAYS)
    if dataset.source != "drawn" and output == COMMITTED:
        raise WorkflowError(
            f"{ARRAYS}: these photos are not the drawn sample, and {COMMITTED} is for its pictures; "
            "name another folder with --output"
        )
    plots = [PLOTS / f"{name}.png" for name in FROM_THE_COMPARISON]
    for plot in plots:
        if not plot.is_file():
            raise WorkflowError(f"{plot}: no such picture; run dvc repro compare")
    import_backend()
    from dogs_vs_cats.reports import tour

    for path in tour.make(dataset, settings.train_scratch, plots, output):
        print(path)
