"""The pictures of ``docs/tour.md``, small enough to be kept in git."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from keras import ops
from matplotlib.figure import Figure
from PIL import Image

from dogs_vs_cats.data.arrays import Dataset, has_split, open_split
from dogs_vs_cats.data.decoding.photos import load
from dogs_vs_cats.data.examples import open_images
from dogs_vs_cats.evaluation.predicting import load_predictors
from dogs_vs_cats.explanation.feature_maps import feature_maps
from dogs_vs_cats.explanation.grad_cam import first_filters, grad_cam, telling_photos
from dogs_vs_cats.explanation.kernels import article_pictures, brightness
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.models.networks.building import describe_layers
from dogs_vs_cats.models.reproducibility import prepare
from dogs_vs_cats.paths import ARRAYS, BACKBONE_WEIGHTS, IMAGES, MODELS, Prepared
from dogs_vs_cats.reports import explanation_figures, figures
from dogs_vs_cats.settings.training_settings import TrainScratchSettings
from dogs_vs_cats.training.augmentation import build_augmentation

_WIDEST, _COLOURS = 900, 256
_SHOWN, _CHANGED = 8, 4  # pictures to learn from; of one picture as augmentation changes it


def make(dataset: Dataset, training: TrainScratchSettings, plots: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Make every picture of the tour.

    Args:
        dataset: the decoded photos.
        training: its augmentation and seed.
        plots: the comparison's pictures that the tour shows too.
        folder: where the pictures go.

    Yields:
        Each picture's path, once it is written.

    Raises:
        WorkflowError: if a model is missing, damaged, or of other photos.
    """
    for plot in plots:
        yield _write_small(plot.read_bytes(), folder / plot.name)
    prepare(training.seed)
    for name, figure in _figures(dataset, training):
        yield _write_small(figures.png_bytes(figure), folder / f"{name}.png")


def _figures(dataset: Dataset, training: TrainScratchSettings) -> Iterator[tuple[str, Figure]]:
    """Yield the pictures that only the tour has, by name."""
    learned = open_images(ARRAYS, "train")
    some = np.concatenate([np.flatnonzero(learned.labels == label)[: _SHOWN // 2] for label in (0, 1)])
    names = [dataset.classes[int(label)] for label in learned.labels[some]]
    yield "sample", figures.photos(learned.inputs[some], names, "Eight pictures to learn from")

    split = "test" if has_split(ARRAYS, "test") else "validation"
    shown, predictors = open_split(ARRAYS, split), load_predictors(MODELS, dataset)
    said = {kind: predictor.probabilities(Prepared(), split) for kind, predictor in predictors.items()}
    chosen = telling_photos(open_images(ARRAYS, split).labels, said)[0]
    squashed = np.array(shown.images[chosen])
    photo = np.asarray(load((IMAGES / shown.files[chosen]).read_bytes(), dataset.size))
    shape = photo.shape[:2]
    kernels = article_pictures(brightness(squashed))
    yield "kernels", explanation_figures.kernels(kernels, shape, "The article's kernels")
    layer = build_augmentation(training.augmentation, training.seed)
    if layer is not None:
        copies = np.repeat(squashed[None], _CHANGED, axis=0).astype(np.float32)
        changed = ops.convert_to_numpy(layer(copies, training=True))
        title = "One picture, as the training sees it in four epochs"
        yield "augmentation", figures.photos(changed.clip(0, 255).astype(np.uint8), [""] * _CHANGED, title)
    for kind, predictor in predictors.items():
        network, name = predictor.open(BACKBONE_WEIGHTS), predictor.description.name
        yield f"filters_{kind}", explanation_figures.filters(first_filters(network), name)
        ((evidence,), _), second = grad_cam(network, squashed[None]), float(said[kind][chosen, 1])
        yield f"look_{kind}", explanation_figures.grad_cam(photo, evidence, second, dataset.classes, name)
        if network.deciding is None:  # all of it was trained here
            yield "network", figures.network(describe_layers(predictor.model), f"{name}: its layers")
            blocks = feature_maps(network, squashed)
            for number in sorted({1, len(blocks)}):
                title = f"{name}: convolution {number} of {len(blocks)}"
                yield f"convolution_{number}", explanation_figures.feature_maps(blocks[number - 1], shape, title)


def _write_small(png: bytes, path: Path) -> Path:
    """Write a picture in few colours, and no wider than a page shows it."""
    with Image.open(io.BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)), Image.Resampling.LANCZOS)
    with whole_file(path) as partial:
        picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1).save(partial, format="PNG", optimize=True)
    return path
