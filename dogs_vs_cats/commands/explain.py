"""What the trained models see in a photo, as a folder of pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, load, squash
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.kinds import KINDS
from dogs_vs_cats.paths import BACKBONE_WEIGHTS, MODELS
from dogs_vs_cats.settings.params import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dogs_vs_cats.models.kinds import Description
    from dogs_vs_cats.models.opened import OpenNetwork

REPORTS = Path("reports/explain")


def main(arguments: list[str]) -> None:
    """Draw what both models, or one, see in a photo, and what the article's kernels make of it."""
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats explain",
        description="Where the trained models look in a photo (Grad-CAM), what their convolutions make of it, "
        "and what the article's kernels do.",
    )
    parser.add_argument("photo", type=Path, help="the photo")
    parser.add_argument("--model", choices=KINDS, action="append", help="this model alone; without it, both")
    parser.add_argument("--output", type=Path, help=f"folder for the pictures (without it, {REPORTS}/PHOTO-NAME)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    given = parser.parse_args(arguments)
    folder = given.output or REPORTS / given.photo.stem
    settings = load_settings(given.params).decode
    try:
        photo = load(given.photo.read_bytes())
    except RefusedPhotoError as error:
        raise WorkflowError(f"{given.photo}: {error}; give a photo that other programs can open") from None

    # Here, not above: TensorFlow takes seconds to import.
    from dogs_vs_cats.runtime import import_tensorflow

    import_tensorflow()
    import numpy as np

    from dogs_vs_cats.explanation.kernels import article_pictures, brightness
    from dogs_vs_cats.models.saved import load_predictor
    from dogs_vs_cats.reports import explanation_figures as explaining_pictures
    from dogs_vs_cats.reports.figures import save_png

    predictors = [load_predictor(MODELS / f"{kind}.weights.h5") for kind in given.model or KINDS]
    whole = np.asarray(photo)
    grey = brightness(squash(photo, settings.size, settings.resampling))
    drawn = explaining_pictures.kernels(article_pictures(grey), whole.shape[:2], "The article's kernels")
    save_png(drawn, folder / "kernels.png")
    print(f"{folder / 'kernels.png'}: what the article's kernels make of the photo in grey")
    for predictor in predictors:
        described = predictor.description
        network = predictor.open(BACKBONE_WEIGHTS)
        if not network.convolutions:
            print(f"the {described.name} has no convolution to look into")
            continue
        squashed = squash(photo, described.size, described.resampling)
        for name, what, figure in _figures(network, described, whole, squashed):
            save_png(figure, folder / name)
            print(f"{folder / name}: {what}")


def _figures(
    network: OpenNetwork, description: Description, photo: NDArray[np.uint8], squashed: NDArray[np.uint8]
) -> Iterator[tuple[str, str, Figure]]:
    """Every picture of one model: its file, what it shows, the figure."""
    from dogs_vs_cats.explanation.feature_maps import feature_maps
    from dogs_vs_cats.explanation.grad_cam import first_filters, grad_cam
    from dogs_vs_cats.reports import explanation_figures as pictures

    name, kind, classes, shape = description.name, description.kind, description.classes, photo.shape[:2]
    evidence, probabilities = grad_cam(network, squashed[None])
    said = pictures.saying(float(probabilities[0]), classes)
    heat = pictures.grad_cam(photo, evidence[0], float(probabilities[0]), classes, name)
    yield f"{kind}_grad_cam.png", f"where the {name} looks; it says {said}", heat
    weights = pictures.filters(first_filters(network), name)
    yield f"{kind}_filters.png", "the filters of its first convolution", weights
    blocks = feature_maps(network, squashed)
    for number, block in enumerate(blocks, start=1):
        steps = ", ".join(step.name for step in block.steps)
        maps = pictures.feature_maps(block, shape, f"{name}: convolution {number} of {len(blocks)}")
        yield f"{kind}_maps_{number:02}.png", f"maps after {steps}", maps
