"""Figures of what a network sees: Grad-CAM, feature maps, filters, and what kernels make of a photo."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from dogs_vs_cats.models.probabilities import class_probabilities, predicted
from dogs_vs_cats.numerals import percent
from dogs_vs_cats.reports.figures import GREY, new_figure, plain, shorten
from dogs_vs_cats.reports.overlays import HEAT, OPACITY, reach_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from dogs_vs_cats.explanation.feature_maps import Block

_SHOWN_MAPS = 8
_BRIGHTEST = 255
_GAP = 0.06  # between pictures side by side, as a share of a picture's width
_HEAT_SCALE = "Grad-CAM, as a share of\nthe strongest places"
_WRONG = "#B00020"


def saying(probability: float, classes: Sequence[str]) -> str:
    """The class that a probability of the second one stands for, and its own probability: ``dogs 97.3 %``."""
    second = predicted_class(probability)
    return f"{shorten(classes[second], 18)} {percent(probability if second else 1 - probability)}"


def predicted_class(probability: float) -> int:
    """0 or 1, from P(second class)."""
    return int(predicted(class_probabilities(np.array([[probability]])))[0])


def grad_cam(
    photo: NDArray[np.uint8], evidence: NDArray[np.float32], probability: float, classes: Sequence[str], name: str
) -> Figure:
    """Where a model looks in one photo: what speaks for its class, and what for the other one.

    Args:
        photo: (height, width, 3) uint8 RGB, in any shape; the evidence is laid over all of it.
        evidence: (rows, columns), above 0 for the second class, below 0 for the first.
        probability: P(second class).
        classes: the two names.
        name: the model's, for the title.

    Returns:
        The photo, and beside it both classes' Grad-CAM on one scale, whose 1 is the strongest places of either.
    """
    shape = photo.shape[:2]
    width, height = _panel(shape, 3.1)
    figure = new_figure(width * 3.1 + 1.2, height + 0.9, f"{name}: {saying(probability, classes)}")
    axes = figure.subplots()
    says = predicted_class(probability)
    order = (says, 1 - says)
    _strip(axes, shape, ["the photo", *(f"what speaks for {shorten(classes[one], 18)}" for one in order)])
    _place(axes, photo, shape)
    reach = reach_of(evidence)
    for column, one in enumerate(order, start=1):
        heat = _lay_over(axes, photo, evidence if one else -evidence, reach, column)
    _scale(figure, heat, axes, _HEAT_SCALE)
    return figure


def where_models_look(
    photos: NDArray[np.uint8],
    labels: NDArray[Any],
    classes: Sequence[str],
    found: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float64]]],
    title: str,
) -> Figure:
    """Grad-CAM of several photos and models: a column a photo, a row a model.

    Args:
        photos: (n, size, size, 3) uint8 RGB, n at least 1.
        labels: (n,) their classes, 0 or 1.
        classes: the two names.
        found: by the model's name, its evidence (n, rows, columns) and P(second class) (n,).
        title: above the figure.

    Returns:
        The photos with their true class, and below them each model's Grad-CAM for the class that it says.
    """
    shape = photos.shape[1:3]
    figure = new_figure(1.6 * len(photos) + 1.6, 1.75 * (1 + len(found)) + 0.5, title)
    shown, *rows = figure.subplots(1 + len(found), 1)
    _strip(shown, shape, [shorten(classes[int(label)], 18) for label in labels], "true\nclass")
    for column, photo in enumerate(photos):
        _place(shown, photo, shape, column)
    for axes, (name, (evidence, probabilities)) in zip(rows, found.items(), strict=True):
        said = [predicted_class(float(probability)) for probability in probabilities]
        _strip(axes, shape, [saying(float(probability), classes) for probability in probabilities], fill(name, 12))
        for column, (photo, one, label) in enumerate(zip(photos, said, labels, strict=True)):
            signed = evidence[column] if one else -evidence[column]
            heat = _lay_over(axes, photo, signed, reach_of(np.maximum(signed, 0)), column)
            if one != label:
                axes.get_xticklabels()[column].set_color(_WRONG)
    _scale(figure, heat, [shown, *rows], _HEAT_SCALE)
    return figure


def feature_maps(block: Block, shape: tuple[int, int], title: str) -> Figure:
    """The maps of one convolution and of what follows it, of the channels that differ most from place to place.

    Args:
        block: the convolution and its steps.
        shape: height and width of the photo, whose shape the maps are shown in.
        title: above the figure.

    Returns:
        A row a step, a column a channel; each row has one scale.
    """
    channels = liveliest_channels(block)
    width, height = _panel(shape, 1.35)
    figure = new_figure(width * (1 + _GAP) * len(channels) + 2.6, (height + 0.12) * len(block.steps) + 0.9, title)
    rows = figure.subplots(len(block.steps), 1, squeeze=False)[:, 0]
    for axes, step in zip(rows, block.steps, strict=True):
        high, wide, count = step.maps.shape
        names = [f"map {channel + 1}" for channel in channels] if axes is rows[0] else [""] * len(channels)
        _strip(axes, shape, names, f"{step.name}\n{high} x {wide} x {count}")
        maps = step.maps[:, :, channels]
        signed = maps.min() < 0
        reach = reach_of(maps)
        for column, channel in enumerate(channels):
            shown = _place(
                axes,
                step.maps[:, :, channel],
                shape,
                column,
                cmap="RdBu_r" if signed else "viridis",
                vmin=-reach if signed else 0,
                vmax=reach,
            )
        _scale(figure, shown, axes, "", extend="both" if signed else "max")
    return figure


def liveliest_channels(block: Block) -> list[int]:
    """The channels, at most 8, that differ most from place to place after the block's last step, in their order."""
    spread = block.steps[-1].maps.std(axis=(0, 1))
    return sorted(int(channel) for channel in np.argsort(-spread, kind="stable")[:_SHOWN_MAPS])


def filters(kernel: NDArray[np.float32], name: str) -> Figure:
    """A first convolution's filters as small pictures of their red, green and blue weights.

    Args:
        kernel: (rows, columns, 3, filters), red, green, blue.
        name: the model's, for the title.

    Returns:
        A square a filter: middle grey where weights are 0, brighter in a colour where its weight is above 0.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    count, columns = kernel.shape[-1], 16
    rows = -(-count // columns)
    reach = float(np.abs(kernel).max()) or 1.0
    title = f"{name}: the {count} filters of its first convolution"
    figure = new_figure(0.62 * columns + 1.2, 0.63 * rows + 0.5, title)
    grid = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for row, axes in enumerate(grid):
        _strip(axes, kernel.shape[:2], [""] * columns)
        axes.set_xticks([])
        for column, one in enumerate(range(row * columns, min((row + 1) * columns, count))):
            _place(axes, 0.5 + kernel[..., one] / (2 * reach), kernel.shape[:2], column, interpolation="nearest")
    _scale(figure, ScalarMappable(Normalize(-reach, reach), "gray"), list(grid), "weight of a colour")
    return figure


def kernels(made: Mapping[str, NDArray[Any]], shape: tuple[int, int], title: str) -> Figure:
    """What kernels make of a photo in grey.

    Args:
        made: by its title, each picture (rows, columns): in two colours where values are below 0, else grey, 0 to 255.
        shape: height and width of the photo, whose shape the pictures are shown in.
        title: above the figure.

    Returns:
        The pictures, three a row, each with its scale.
    """
    width, height = _panel(shape, 2.9)
    rows = -(-len(made) // 3)
    figure = new_figure(width * 3 + 2.3, (height + 0.4) * rows + 0.4, title)
    for axes, (name, picture) in zip(figure.subplots(rows, 3, squeeze=False).flat, made.items(), strict=False):
        signed = picture.min() < 0
        reach = float(np.abs(picture).max()) if signed else float(_BRIGHTEST)
        _strip(axes, shape, [name])
        colours = "RdBu_r" if signed else "gray"
        shown = _place(axes, picture, shape, cmap=colours, vmin=-reach if signed else 0, vmax=reach)
        _scale(figure, shown, axes, "")
    return figure


def _panel(shape: tuple[int, ...], longer: float) -> tuple[float, float]:
    """Width and height in inches of the room for a picture whose longer side has so many; titles need a third of it."""
    height, width = shape
    inches = longer / max(height, width)
    return max(width * inches, longer / 3), max(height * inches, longer / 3)


def _strip(axes: Axes, shape: tuple[int, ...], titles: Sequence[str], name: str = "") -> None:
    """Make room for a picture a title, side by side: one set of axes, since laying out many takes seconds."""
    height, width = shape
    step = width * (1 + _GAP)
    axes.set(xlim=(0, step * len(titles) - width * _GAP), ylim=(height, 0), yticks=[])
    axes.set_xticks([step * column + width / 2 for column in range(len(titles))], [plain(title) for title in titles])
    axes.tick_params(top=False, bottom=False, labeltop=True, labelbottom=False, labelsize=10, pad=3)
    axes.set_ylabel(plain(name), fontsize=10, rotation=0, ha="right", va="center")
    axes.spines[:].set_visible(False)
    axes.set_aspect("equal")


def _place(axes: Axes, picture: NDArray[Any], shape: tuple[int, ...], column: int = 0, **options: Any) -> AxesImage:
    """Show a picture in the shape of the photo it was made from; networks see it squashed to a square."""
    height, width = shape
    left = column * width * (1 + _GAP)
    bounds = axes.axis()
    image = axes.imshow(picture, extent=(left, left + width, height, 0), **options)
    axes.axis(bounds)
    return image


def _lay_over(
    axes: Axes, photo: NDArray[np.uint8], evidence: NDArray[np.float32], reach: float, column: int
) -> AxesImage:
    """Lay the positive part over the photo in grey, as a share of ``reach``."""
    shape = photo.shape[:2]
    _place(axes, photo.mean(axis=2), shape, column, cmap="gray", vmin=0, vmax=_BRIGHTEST)
    heat = np.maximum(evidence, 0) / reach
    return _place(axes, heat, shape, column, cmap=HEAT, vmin=0, vmax=1, alpha=OPACITY, interpolation="bilinear")


def _scale(figure: Figure, shown: Any, beside: Any, text: str, extend: str = "neither") -> None:
    bar = figure.colorbar(shown, ax=beside, fraction=0.05, pad=0.015, aspect=25, extend=extend)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2, color=GREY)
    bar.set_label(text, fontsize=8)
