"""``dogs-vs-cats explain``: what the trained models see in a photo, as a folder of pictures."""

from pathlib import Path

import click

from dogs_vs_cats.commands.options import PATH, settings_option
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, load
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.paths import MODELS
from dogs_vs_cats.runtime import import_tensorflow
from dogs_vs_cats.settings.params import Settings

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
        decoded = load(photo.read_bytes(), settings.decode.size)
    except RefusedPhotoError as error:
        raise WorkflowError(f"{photo}: {error}; give a photo that other programs can open") from None
    import_tensorflow()
    from dogs_vs_cats.models.saved import trained_kinds
    from dogs_vs_cats.reports.explanation import explain

    weights = [MODELS / f"{kind}.weights.h5" for kind in kinds or trained_kinds(MODELS)]
    for line in explain(decoded, weights, settings.decode, output or REPORTS / photo.stem):
        print(line)
