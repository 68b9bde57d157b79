"""Figures: learning curves, confusion, reliability, accuracies, networks, mistakes; in colours told apart by everyone.

Each function returns a ``matplotlib.figure.Figure`` that no global state knows of, so drawing works in threads, in
worker processes and without a screen. ``save_png`` and ``png_bytes`` give equal bytes for equal figures.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from dogs_vs_cats.evaluation.metrics import confusion_matrix
from dogs_vs_cats.files import whole_file
from dogs_vs_cats.numerals import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dogs_vs_cats.evaluation.comparison import ReliabilityBin

# Okabe and Ito's palette, which holds for every common kind of colour blindness (jfly.uni-koeln.de/color, 2008).
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6B6B6B"
_DOTS_PER_INCH = 130


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty white figure of so many inches; the title may hold any text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(plain(title), fontsize=12, fontweight="bold")
    return figure


def plain(text: str) -> str:
    """Class and file names are the user's: a dollar in one must not start a formula."""
    return text.replace("$", r"\$")


def _soften(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)


def _ink_on(share: float) -> str:
    """Text colour legible on the ``Blues`` map at a value between 0 and 1."""
    return "white" if share > 0.5 else "black"  # noqa: PLR2004


def learning_curves(history: pd.DataFrame, title: str) -> Figure:
    """Loss and accuracy by epoch, training beside validation.

    Args:
        history: a row an epoch, with the columns epoch, loss, accuracy, val_loss, val_accuracy; a column kept, where
            there is one, marks the epochs whose weights were kept.
        title: above the whole figure.

    Returns:
        Two panels side by side.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(10, 4, title)
    epochs = history["epoch"].to_numpy()
    marker = "o" if len(epochs) <= 25 else None  # noqa: PLR2004 - more dots than this hide the lines
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        lines = (("", "training", BLUE, "--"), ("val_", "validation", ORANGE, "-"))
        for prefix, label, colour, style in lines:
            values = history[prefix + name].to_numpy(dtype=float)
            axes.plot(epochs, values, style, color=colour, label=label, marker=marker, markersize=3.5, linewidth=1.8)
        kept = epochs[history["kept"].to_numpy(dtype=bool)] if "kept" in history else epochs[:0]
        if len(kept) == 1:
            axes.axvline(kept[0], color=GREY, linestyle=":", linewidth=1.5, label=f"weights kept: epoch {kept[0]}")
        elif len(kept):
            label = f"weights averaged: epochs {kept[0]} to {kept[-1]}"
            axes.axvspan(kept[0], kept[-1], color=GREY, alpha=0.12, linewidth=0, label=label)
        axes.set(title=name, xlabel="epoch", ylabel=name)
        axes.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
        _soften(axes)
    return figure


def confusion(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """What was taken for what: counts, and the share of each true class.

    Args:
        labels: (n,) class numbers.
        probabilities: (n, classes).
        classes: their names.
        title: above the figure.

    Returns:
        A row a true class, a column a predicted one.
    """
    counts = np.asarray(confusion_matrix(labels, probabilities))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(4.6, 4.4, title)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = float(shares[row, column])
        text = f"{count:,}\n{percent(share)}"
        axes.text(column, row, text, ha="center", va="center", fontsize=13, color=_ink_on(share))
    names = [plain(shorten(name, 18)) for name in classes]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names, rotation=90, va="center")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def reliability(curves: Mapping[str, Sequence[ReliabilityBin]], title: str, classes: int = 2) -> Figure:
    """How often a model is right when it says it is so sure.

    Args:
        curves: a curve a name (``evaluation.reliability_curve``), at most four, drawn into one panel.
        title: above the figure.
        classes: how many there are; no confidence is below one over that.

    Returns:
        The curves over the diagonal of a calibrated model; below, how many photos each confidence has.
    """
    figure = new_figure(5.4, 5.6, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    least = 1 / classes
    upper.plot([least, 1], [least, 1], color=GREY, linestyle=":", linewidth=1.5, label="perfectly calibrated")
    styles = zip((BLUE, ORANGE, GREEN, PURPLE), ("o", "s", "^", "D"), ("-", "--", "-.", ":"), strict=True)
    widest = 0.0
    for (name, bins), (colour, marker, line) in zip(curves.items(), styles, strict=False):
        filled = [group for group in bins if group.count]
        confidences = [group.confidence for group in filled]
        accuracies = [group.accuracy for group in filled]
        upper.plot(confidences, accuracies, line, color=colour, marker=marker, markersize=5, label=plain(name))
        edges = [bins[0].lower, *(group.upper for group in bins)]
        lower.stairs([group.count for group in bins], edges, color=colour, linestyle=line, linewidth=1.6)
        widest = max(widest, *(float(group.count) for group in bins))
    upper.set(ylabel="share of them right", ylim=(-0.03, 1.03))
    upper.legend(frameon=False, loc="lower right")
    # Most photos are in the last bin; a linear scale would hide all others.
    lower.set_yscale("symlog", linthresh=1)
    lower.set(
        xlabel="confidence in the predicted class", ylabel="photos", xlim=(least - 0.01, 1.01), ylim=(0, widest * 2 + 1)
    )
    _soften(upper)
    _soften(lower)
    return figure


def accuracies(ours: Mapping[str, tuple[float, float, float]], marks: Mapping[str, float], title: str) -> Figure:
    """Each model's accuracy with its interval, beside a figure published elsewhere.

    Args:
        ours: by model, accuracy and its interval's lower and upper bound, each 0 to 1.
        marks: by model, the published accuracy to mark; models without one are left out.
        title: above the figure.

    Returns:
        A row a model.
    """
    from matplotlib.ticker import PercentFormatter

    figure = new_figure(8, 1.3 + 0.75 * len(ours), title)
    axes = figure.subplots()
    for row, (name, (accuracy, lower, upper)) in enumerate(ours.items()):
        spread = [[max(accuracy - lower, 0)], [max(upper - accuracy, 0)]]
        label = "ours, with its interval" if row == 0 else None
        axes.errorbar(accuracy, row, xerr=spread, fmt="o", color=BLUE, capsize=5, markersize=7, label=label)
        axes.annotate(
            percent(accuracy, 2), (accuracy, row), (0, 8), textcoords="offset points", ha="center", fontsize=9
        )
        if name in marks:
            label = None if axes.get_legend_handles_labels()[1].count("the article's") else "the article's"
            axes.plot(marks[name], row, "D", color=ORANGE, markersize=7, label=label, markerfacecolor="white")
    axes.set_yticks(range(len(ours)), [plain(name) for name in ours])
    axes.set_ylim(len(ours) - 0.4, -0.7)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.margins(x=0.08)
    axes.set_xlabel("accuracy")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _soften(axes)
    return figure


def _kind_colour(name: str) -> tuple[str, str]:
    kinds = (
        (("conv",), BLUE, "#D6E8F5"),
        (("pool",), GREEN, "#D5EFE6"),
        (("dense", "softmax", "sigmoid"), ORANGE, "#FBE3D3"),
    )
    for words, line, fill in kinds:
        if any(word in name.lower() for word in words):
            return line, fill
    return GREY, "#F0F0F0"


def shorten(text: str, limit: int) -> str:
    """The text, its middle left out when it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"


def network(layers: Sequence[tuple[str, Sequence[int | None], int]], title: str) -> Figure:
    """A network as a column of boxes: each layer's name, what comes out of it, how many parameters it has.

    Args:
        layers: name, output shape (a leading None, the batch, is not shown), number of parameters; input first.
        title: above the figure.

    Returns:
        A box a layer, coloured by its kind, and the total.
    """
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    step = 0.42  # inches a layer
    figure = new_figure(7.2, 1.1 + step * (len(layers) + 1), title)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(layers) + 1.1, -0.9))
    columns = ((0.03, "layer", "left"), (0.69, "output", "right"), (0.97, "parameters", "right"))
    for x, heading, side in columns:
        axes.text(x, -0.6, heading, ha=side, va="center", fontsize=9, color=GREY)
    for row, (name, shape, parameters) in enumerate(layers):
        line, fill = _kind_colour(name)
        box = FancyBboxPatch(
            (0.005, row - 0.33), 0.99, 0.66, boxstyle="round,pad=0,rounding_size=0.01", ec=line, fc=fill
        )
        axes.add_patch(box)
        size = " x ".join(f"{side:,}" for side in shape if side is not None)
        cells = (plain(shorten(name, 44)), size, f"{parameters:,}" if parameters else "-")
        for (x, _, side), text in zip(columns, cells, strict=True):
            axes.text(x, row, text, ha=side, va="center", fontsize=10)
        if row:
            arrow = FancyArrowPatch(
                (0.5, row - 0.69), (0.5, row - 0.31), arrowstyle="-|>", mutation_scale=9, color=GREY
            )
            axes.add_patch(arrow)
    total = sum(parameters for *_, parameters in layers)
    axes.text(0.03, len(layers) + 0.2, "all layers", va="center", fontsize=10, fontweight="bold")
    axes.text(0.97, len(layers) + 0.2, f"{total:,}", ha="right", va="center", fontsize=10, fontweight="bold")
    return figure


def photos(images: np.ndarray, captions: Sequence[str], title: str, columns: int = 4) -> Figure:
    """Photos in a grid, each with a caption below it.

    Args:
        images: (n, height, width, 3) uint8 RGB; n may be 0.
        captions: n texts of one to three short lines.
        title: above the figure.
        columns: photos a row.

    Returns:
        The grid; a line that says there are none when n is 0.
    """
    rows = max(-(-len(captions) // columns), 1)
    # One row for a line of text is enough; a grid of one photo still needs a photo's height.
    figure = new_figure(2.3 * columns, 0.5 + (2.85 * rows if len(captions) else 1.0), title)
    if not len(captions):
        axes = figure.subplots()
        axes.set_axis_off()
        axes.text(0.5, 0.5, "none", ha="center", va="center", fontsize=12, color=GREY)
        return figure
    for cell, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if cell < len(captions):
            axes.imshow(np.asarray(images[cell]))
            lines = "\n".join(shorten(line, 30) for line in captions[cell].split("\n"))
            axes.text(0.5, -0.04, plain(lines), transform=axes.transAxes, ha="center", va="top", fontsize=9)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes, without the library's version and date, so equal figures give equal bytes."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Software": None}
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata=metadata)
    # Laid out again, a figure with colour bars would shrink a little each time.
    figure.set_layout_engine("none")
    return buffer.getvalue()


def save_png(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG file, whole or not at all; its folder is made when missing."""
    with whole_file(path) as partial:
        partial.write_bytes(png_bytes(figure))
