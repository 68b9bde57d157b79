"""What trained models see in one photo, and what the article's kernels make of it: a folder of pictures."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dogs_vs_cats.data.decoding.photos import squash
from dogs_vs_cats.explanation.feature_maps import feature_maps
from dogs_vs_cats.explanation.grad_cam import first_filters, grad_cam
from dogs_vs_cats.explanation.kernels import article_pictures, brightness
from dogs_vs_cats.models.kinds.description import Description
from dogs_vs_cats.models.opened import OpenNetwork
from dogs_vs_cats.models.saved import load_predictor
from dogs_vs_cats.paths import BACKBONE_WEIGHTS
from dogs_vs_cats.reports import explanation_figures
from dogs_vs_cats.reports.figures import save_png
from dogs_vs_cats.settings.photo_settings import DecodeSettings

# Pixels of the longer side of a photo in a figure, for which Matplotlib takes many times a photo's memory.
_SHOWN = 2048


def explain(photo: Image.Image, models: Mapping[Path, float], decoding: DecodeSettings, folder: Path) -> Iterator[str]:
    """Draw a photo as the article's kernels and as trained models see it.

    Args:
        photo: RGB, upright.
        models: by each model's ``.weights.h5``, P(second class) that it says of the photo.
        decoding: how the photo is squashed for the kernels.
        folder: where the pictures go.

    Yields:
        A line for each picture, once it is written, and for each model that has nothing to show.

    Raises:
        WorkflowError: if weights are missing or damaged; then no picture was written.
    """
    predictors = {load_predictor(weights): said for weights, said in models.items()}
    whole = _shown(photo)
    grey = brightness(squash(photo, decoding.size, decoding.resampling))
    kernels = explanation_figures.kernels(article_pictures(grey), whole.shape[:2], "The article's kernels")
    save_png(kernels, folder / "kernels.png")
    yield f"{folder / 'kernels.png'}: what the article's kernels make of the photo in grey"
    for predictor, said in predictors.items():
        described, network = predictor.description, predictor.open(BACKBONE_WEIGHTS)
        if not network.convolutions:
            yield f"the {described.name} has no convolution to look into"
            continue
        for name, shown, figure in _figures(network, described, photo, said):
            save_png(figure, folder / name)
            yield f"{folder / name}: {shown}"


def _shown(photo: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(ImageOps.contain(photo, (_SHOWN, _SHOWN)) if max(photo.size) > _SHOWN else photo)


def _figures(
    network: OpenNetwork, description: Description, photo: Image.Image, second: float
) -> Iterator[tuple[str, str, Figure]]:
    """Yield each picture of a model: its file, what it shows, the figure."""
    name, kind, classes, whole = description.name, description.kind, description.classes, _shown(photo)
    squashed = squash(photo, description.size, description.resampling)
    said = explanation_figures.saying(second, classes)
    evidence, _ = grad_cam(network, squashed[None])
    heat = explanation_figures.grad_cam(whole, evidence[0], second, classes, name)
    yield f"{kind}_grad_cam.png", f"where the {name} looks; it says {said}", heat
    weights = explanation_figures.filters(first_filters(network), name)
    yield f"{kind}_filters.png", "the filters of its first convolution", weights
    blocks = feature_maps(network, squashed)
    for number, block in enumerate(blocks, start=1):
        steps = ", ".join(step.name for step in block.steps)
        title = f"{name}: convolution {number} of {len(blocks)}"
        maps = explanation_figures.feature_maps(block, whole.shape[:2], title)
        yield f"{kind}_maps_{number:02}.png", f"maps after {steps}", maps
