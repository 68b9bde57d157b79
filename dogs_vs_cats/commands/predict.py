"""``dogs-vs-cats predict``: the class of photos, and how sure the model is of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dogs_vs_cats.commands.options import PATH

if TYPE_CHECKING:
    from dogs_vs_cats.serving.trained_models import Engine


@click.command()
@click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO_OR_FOLDER...")
@click.option(
    "--model",
    help="scratch, vgg16 or fine_tuned of the project in the current folder, or MLflow's models:/NAME@ALIAS or "
    "models:/NAME/VERSION; without it, the one that the comparison found best.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each photo as it is done.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "ncnn", "tensorflow"]),
    default="auto",
    show_default=True,
    help="What runs the project's models; auto is ncnn, which starts at once and needs no GPU.",
)
def main(photos: tuple[Path, ...], model: str | None, as_json: bool, as_csv: bool, engine: "Engine") -> None:  # noqa: FBT001
    """Say of which class photos are, with calibrated probabilities.

    The exit status is 1 if any could not be decoded, or a folder has files that are no photos.
    """
    if as_json and as_csv:
        raise click.UsageError("--csv is not allowed with --json")
    from dogs_vs_cats.serving.printing import print_answers

    if not print_answers(photos, model, engine, "csv" if as_csv else "json" if as_json else "table"):
        sys.exit(1)
