"""``dogs-vs-cats explain``: what the trained models see in a photo, as a folder of pictures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, decode, load
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.models.saved import trained_kinds
from dogs_vs_cats.paths import MODELS
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.serving.classifying import read_photo
from dogs_vs_cats.settings.params import Settings

if TYPE_CHECKING:
    from dogs_vs_cats.serving.trained_models import TrainedModel

REPORTS = Path("reports/explain")


@click.command()
@click.argument("photo", type=PATH)
@click.option("--model", "kinds", type=click.Choice([*KINDS]), multiple=True, help="This model alone; without it, all.")
@click.option("--output", type=PATH, help=f"Folder for the pictures; without it, {REPORTS}/PHOTO-NAME.")
@settings_option
def main(photo: Path, kinds: tuple[str, ...], output: Path | None, settings: Settings) -> None:
    """Show where the trained models look in a photo.

    One picture is Grad-CAM; others show what each convolution, and each of the article's kernels, makes of the photo.
    """
    try:
        data = read_photo(photo)
        decoded = load(data, settings.decode.size)
    except RefusedPhotoError as error:
        raise WorkflowError(f"{photo}: {error}; give a photo that other programs can open") from None
    said = {trained.weights: _say(trained, data) for trained in map(_find, kinds or trained_kinds(MODELS))}
    import_backend()
    from dogs_vs_cats.reports.explanation import explain

    for line in explain(decoded, said, settings.decode, output or REPORTS / photo.stem):
        print(line)


def _find(kind: str) -> "TrainedModel":
    from dogs_vs_cats.serving.trained_models import find_model, find_uncompared

    try:
        return find_model(Path(), kind)
    except WorkflowError as error:
        found = find_uncompared(Path(), kind)  # without a model there is nothing to explain
        print(f"the probability of the {found.description.name} is not calibrated: {error}", file=sys.stderr)
        return found


def _say(trained: "TrainedModel", data: bytes) -> float:
    """Return P(second class) of a photo, as ``predict`` gives it."""
    from dogs_vs_cats.serving.trained_models import open_trained

    with open_trained(trained) as classifier:
        photos = decode(data, classifier.size, classifier.resampling)[None]
        return float(classifier.probabilities(photos)[0])
