"""The pictures of ``docs/tour.md``, from what the workflow left."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats.data.arrays import has_split, open_split, read_dataset
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.paths import ARRAYS, BACKBONE_WEIGHTS, IMAGES, MODELS, PLOTS, Prepared
from dogs_vs_cats.settings.params import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from dogs_vs_cats.data.arrays import Dataset
    from dogs_vs_cats.settings.params import TrainScratchSettings

COMMITTED = Path("docs/pictures/tour")

FROM_THE_COMPARISON = ("curves_scratch", "curves_vgg16", "accuracy", "grad_cam")
_WIDEST, _COLOURS = 900, 256
_SHOWN = 8
_CHANGED = 4


def main(arguments: list[str]) -> None:
    """Draw the tour's pictures, and take those over that the comparison drew."""
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats tour", description="Make the pictures of docs/tour.md from the trained models."
    )
    parser.add_argument("--output", type=Path, default=COMMITTED, help="folder for the pictures (%(default)s)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="the settings (%(default)s)")
    given = parser.parse_args(arguments)
    settings = load_settings(given.params).train_scratch
    dataset = read_dataset(ARRAYS)
    if dataset.source != "drawn" and given.output == COMMITTED:
        raise WorkflowError(
            f"{ARRAYS}: these photos are not the drawn sample, and {COMMITTED} is for its pictures; "
            "name another folder with --output"
        )
    for name in FROM_THE_COMPARISON:
        plot = PLOTS / f"{name}.png"
        if not plot.is_file():
            raise WorkflowError(f"{plot}: no such picture; run dvc repro compare")
        _write_small(plot.read_bytes(), given.output / plot.name)

    # Here, not above: TensorFlow takes seconds to import.
    from dogs_vs_cats.runtime import import_tensorflow

    import_tensorflow()
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.reports.figures import png_bytes

    prepare(settings.seed)
    for name, figure in _figures(dataset, settings):
        _write_small(png_bytes(figure), given.output / f"{name}.png")


def _figures(dataset: Dataset, settings: TrainScratchSettings) -> Iterator[tuple[str, Figure]]:
    """The pictures that only the tour has, by name."""
    import numpy as np

    from dogs_vs_cats.data.decoding.photos import load
    from dogs_vs_cats.evaluation.predicting import load_predictors
    from dogs_vs_cats.explanation.feature_maps import feature_maps
    from dogs_vs_cats.explanation.grad_cam import first_filters, grad_cam, telling_photos
    from dogs_vs_cats.explanation.kernels import article_pictures, brightness
    from dogs_vs_cats.models.networks.building import describe_layers
    from dogs_vs_cats.reports import explanation_figures as explaining_pictures
    from dogs_vs_cats.reports import figures as pictures
    from dogs_vs_cats.training.augmentation import build_augmentation

    training = open_split(ARRAYS, "train")
    assert training.labels is not None
    some = np.concatenate([np.flatnonzero(training.labels == label)[: _SHOWN // 2] for label in (0, 1)])
    names = [dataset.classes[int(label)] for label in training.labels[some]]
    yield "sample", pictures.photos(training.images[some], names, "Eight pictures to learn from")

    split = "test" if has_split(ARRAYS, "test") else "validation"
    shown, predictors = open_split(ARRAYS, split), load_predictors(MODELS, dataset)
    assert shown.labels is not None
    said = {kind: predictor.probabilities(Prepared(), split) for kind, predictor in predictors.items()}
    one = telling_photos(shown.labels, said)[0]
    squashed = np.array(shown.images[one])
    photo = np.asarray(load((IMAGES / shown.files[one]).read_bytes()))
    shape = photo.shape[:2]
    yield "kernels", explaining_pictures.kernels(article_pictures(brightness(squashed)), shape, "The article's kernels")
    layer = build_augmentation(settings.augmentation, settings.seed)
    if layer is not None:
        changed = np.asarray(layer(np.repeat(squashed[None], _CHANGED, axis=0).astype(np.float32), training=True))
        title = "One picture, as the training sees it in four epochs"
        yield "augmentation", pictures.photos(changed.clip(0, 255).astype(np.uint8), [""] * _CHANGED, title)
    for kind, predictor in predictors.items():
        network, name = predictor.open(BACKBONE_WEIGHTS), predictor.description.name
        yield f"filters_{kind}", explaining_pictures.filters(first_filters(network), name)
        (evidence,), (probability,) = grad_cam(network, squashed[None])
        yield f"look_{kind}", explaining_pictures.grad_cam(photo, evidence, float(probability), dataset.classes, name)
        if kind == "scratch":
            yield "network", pictures.network(describe_layers(predictor.model), f"{name}: its layers")
            blocks = feature_maps(network, squashed)
            for number in sorted({1, len(blocks)}):
                title = f"{name}: convolution {number} of {len(blocks)}"
                maps = explaining_pictures.feature_maps(blocks[number - 1], shape, title)
                yield f"convolution_{number}", maps


def _write_small(png: bytes, path: Path) -> None:
    """Write a picture in few colours and no wider than a page shows it; it is kept in git."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)), Image.Resampling.LANCZOS)
    with whole_file(path) as partial:
        picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1).save(partial, format="PNG", optimize=True)
    print(path)
