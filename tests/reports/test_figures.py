"""Figures are drawn from the smallest and the oddest input, and files of them are equal when the figures are."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dogs_vs_cats.evaluation.metrics import reliability_curve
from dogs_vs_cats.reports import figures as pictures
from tests.conftest import both_classes

LABELS = np.array([0, 0, 1, 1])
GIVEN = both_classes(np.array([0.0, 0.7, 0.9, 1.0]))
ODD = ("<script>$x_1$", "chats & chiens de très grande taille $")


def history(epochs: int) -> pd.DataFrame:
    """Losses that fall."""
    falling = 1 / np.arange(1, epochs + 1)
    columns = {"loss": falling, "accuracy": 1 - falling, "val_loss": falling, "val_accuracy": 1 - falling}
    return pd.DataFrame({"epoch": range(1, epochs + 1), **columns})


def photos(n: int) -> np.ndarray:
    """Photos of one grey each."""
    return np.full((n, 8, 8, 3), 128, np.uint8)


def curves() -> Figure:
    """Reliability before and after."""
    bins = reliability_curve(LABELS, GIVEN)
    return pictures.reliability({"as trained": bins, "temperature $2$": bins}, "reliability")


DRAWINGS: dict[str, Callable[[], Figure]] = {
    "learning curves": lambda: pictures.learning_curves(
        history(30).assign(kept=[False] * 18 + [True] * 12), "training"
    ),
    "learning curves of one epoch": lambda: pictures.learning_curves(history(1).assign(kept=True), "training"),
    "learning curves without a kept epoch": lambda: pictures.learning_curves(history(3), "training"),
    "learning curves of a training that diverged": lambda: pictures.learning_curves(
        history(3).assign(loss=[1, np.nan, np.nan]), "training"
    ),
    "confusion": lambda: pictures.confusion(LABELS, GIVEN, ("cats", "dogs"), "confusion"),
    "confusion with odd names": lambda: pictures.confusion(LABELS, GIVEN, ODD, "$ \\frac{"),
    "confusion of one photo": lambda: pictures.confusion(LABELS[:1], GIVEN[:1], ("cats", "dogs"), "confusion"),
    "reliability": curves,
    "reliability of one photo": lambda: pictures.reliability({"a": reliability_curve(LABELS[:1], GIVEN[:1])}, ""),
    "accuracies": lambda: pictures.accuracies({"a": (0.9, 0.8, 0.95), "b": (1, 0.9, 1)}, {"a": 0.894}, "accuracy"),
    "accuracies without marks": lambda: pictures.accuracies({"a": (0, 0, 0.4)}, {}, "accuracy"),
    "network": lambda: pictures.network([("input", (None, 150, 150, 3), 0), ("Dense" * 20, (None, 64), 1234)], "net"),
    "photos": lambda: pictures.photos(photos(5), [f"{ODD[0]}{'long' * 20}\nP 0.1"] * 5, "worst"),
    "no photos": lambda: pictures.photos(photos(0), [], "worst"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_figure_is_drawn_without_a_warning_and_twice_alike(name: str) -> None:
    figure = DRAWINGS[name]()
    first, again, second = (pictures.png_bytes(drawn) for drawn in (figure, figure, DRAWINGS[name]()))
    assert first == again == second
    with Image.open(io.BytesIO(first)) as image:
        assert image.format == "PNG"
        assert "Software" not in image.info
        assert len(image.convert("L").getcolors(256) or []) > 2  # more than a blank sheet


def test_curves_and_confusion_have_titles_and_labels() -> None:
    loss, accuracy = pictures.learning_curves(history(3).assign(kept=[False, True, False]), "training").axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    assert {axes.get_xlabel() for axes in (loss, accuracy)} == {"epoch"}
    assert loss.lines[1].get_ydata() == pytest.approx([1, 0.5, 1 / 3])
    legend = loss.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["training", "validation", "weights kept: epoch 2"]
    (axes,) = pictures.confusion(LABELS, GIVEN, ("cats", "dogs"), "confusion").axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [text.get_text() for text in axes.texts] == ["1\n50.0 %", "1\n50.0 %", "0\n0.0 %", "2\n100.0 %"]


def test_network_shows_every_layer_and_the_total() -> None:
    layers = [("conv", (None, 8, 8, 32), 896), ("dense", (None, 2), 130)]
    (axes,) = pictures.network(layers, "net").axes
    texts = [text.get_text() for text in axes.texts]
    assert {"conv", "8 x 8 x 32", "896", "dense", "2", "130", "1,026"} <= set(texts)


def test_drawing_leaves_pyplot_alone() -> None:
    pictures.png_bytes(curves())
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_picture_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pictures.learning_curves(history(3), "training")
    pictures.save_png(figure, tmp_path / "new" / "curves.png")
    assert (tmp_path / "new" / "curves.png").read_bytes() == pictures.png_bytes(figure)

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="No space"):
        pictures.save_png(figure, tmp_path / "new" / "other.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["curves.png"]


def test_long_texts_lose_their_middle() -> None:
    assert pictures.shorten("short", 5) == "short"
    assert pictures.shorten("abcdefghij", 7) == "abc…hij"
    assert len(pictures.shorten("abcdefghij", 6)) == 6
