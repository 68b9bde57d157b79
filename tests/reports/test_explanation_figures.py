"""Figures of what networks see: drawn from small and odd input, in the photo's shape, told in titles."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dogs_vs_cats.explanation.feature_maps import Block, Step
from dogs_vs_cats.explanation.kernels import article_pictures
from dogs_vs_cats.reports import explanation_figures as pictures
from dogs_vs_cats.reports.figures import png_bytes

RANDOM = np.random.default_rng(1)
PHOTO = RANDOM.integers(0, 256, (30, 60, 3), dtype=np.uint8)
PHOTOS = RANDOM.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
EVIDENCE = np.array([[4, 0], [0, -2]], np.float32)
ODD = ("<b>$x_1$", "chats & chiens de très grande taille $")
SURE = np.array([0.02, 1.0])


def block(channels: int = 12) -> Block:
    """A convolution with ReLU and pooling; the last channels differ most from place to place."""
    maps = (RANDOM.standard_normal((8, 8, channels)) * np.arange(1, channels + 1)).astype(np.float32)
    relu = np.maximum(maps, 0)
    pooled = relu.reshape(4, 2, 4, 2, channels).max(axis=(1, 3))
    return Block("conv", [Step("convolution 3x3", maps), Step("ReLU", relu), Step("max pooling 2x2", pooled)])


BLOCK, NARROW = block(), block(1)
SILENT = Block("dead", [Step("ReLU", np.zeros((4, 4, 2), np.float32))])
DRAWINGS: dict[str, Callable[[], Figure]] = {
    "grad-cam": lambda: pictures.grad_cam(PHOTO, EVIDENCE, 0.9, ("cats", "dogs"), "CNN"),
    "grad-cam of odd names": lambda: pictures.grad_cam(PHOTO, EVIDENCE, 0.1, ODD, "$ \\frac{"),
    "grad-cam without evidence": lambda: pictures.grad_cam(PHOTO, EVIDENCE * 0, 0.5, ("cats", "dogs"), "CNN"),
    "where models look": lambda: pictures.where_models_look(
        PHOTOS,
        np.array([0, 1]),
        ODD,
        {"one": (np.stack([EVIDENCE] * 2), SURE), "a $ b c": ((-PHOTOS[..., 0] / 9).astype(np.float32), SURE)},
        "",
    ),
    "where one model looks in one photo": lambda: pictures.where_models_look(
        PHOTOS[:1], np.array([0]), ("cats", "dogs"), {"one": (EVIDENCE[None], SURE[1:])}, "one"
    ),
    "grad-cam of a narrow photo": lambda: pictures.grad_cam(PHOTO[:, :4], EVIDENCE, 0.9, ("cats", "dogs"), "CNN"),
    "kernels of a narrow photo": lambda: pictures.kernels(article_pictures(PHOTO[..., 0]), (250, 33), "kernels"),
    "maps of a narrow photo": lambda: pictures.feature_maps(BLOCK, (250, 33), "maps"),
    "maps of a wide photo": lambda: pictures.feature_maps(BLOCK, (20, 600), "maps"),
    "maps": lambda: pictures.feature_maps(BLOCK, (30, 60), "maps"),
    "one map": lambda: pictures.feature_maps(NARROW, (60, 30), "maps"),
    "maps that are all 0": lambda: pictures.feature_maps(SILENT, (30, 60), "maps"),
    "filters": lambda: pictures.filters(RANDOM.standard_normal((3, 3, 3, 20)).astype(np.float32), "filters"),
    "filters that are all 0": lambda: pictures.filters(np.zeros((11, 11, 3, 1), np.float32), "filters"),
    "kernels": lambda: pictures.kernels(article_pictures(PHOTO[..., 0]), (30, 60), "kernels"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_figure_is_drawn_without_a_warning(name: str) -> None:
    figure = DRAWINGS[name]()
    drawn = png_bytes(figure)
    assert png_bytes(figure) == drawn
    with Image.open(io.BytesIO(drawn)) as image:
        assert len(image.convert("L").getcolors(256) or []) > 2  # more than a blank sheet


def test_title_has_the_class_and_its_probability() -> None:
    classes = ("cats", "dogs")
    assert pictures.saying(0.913, classes) == "dogs 91.3 %"
    assert pictures.saying(0.087, classes) == "cats 91.3 %"
    assert pictures.saying(1 - 1e-12, classes) == "dogs over 99.9999 %"
    figure = pictures.grad_cam(PHOTO, EVIDENCE, 0.087, classes, "CNN")
    assert figure.get_suptitle() == "CNN: cats 91.3 %"
    panels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert panels == ["the photo", "what speaks for cats", "what speaks for dogs"]


def test_both_classes_heat_is_on_one_scale_over_the_whole_photo() -> None:
    axes = pictures.grad_cam(PHOTO, EVIDENCE, 0.9, ("cats", "dogs"), "CNN").axes[0]
    heats = [image for image in axes.images if np.asarray(image.get_array()).shape == (2, 2)]
    for_dogs, for_cats = (np.asarray(heat.get_array()) for heat in heats)
    # Of 4 and 2, by a scale that ends at the 99.5th percentile.
    assert for_dogs[0, 0] / for_cats[1, 1] == pytest.approx(2)
    assert (for_dogs > 0).tolist() == [[True, False], [False, False]]
    assert (for_cats > 0).tolist() == [[False, False], [False, True]]
    assert [image.get_extent()[1] - image.get_extent()[0] for image in axes.images] == pytest.approx([60] * 5)
    assert {tuple(image.get_extent()[2:]) for image in axes.images} == {(30, 0)}


def test_wrong_answers_are_red() -> None:
    looks = {"one": (np.stack([EVIDENCE] * 2), np.array([0.2, 0.3]))}
    figure = pictures.where_models_look(PHOTOS, np.array([0, 1]), ("cats", "dogs"), looks, "")
    right, wrong = figure.axes[1].get_xticklabels()
    assert (right.get_text(), wrong.get_text()) == ("cats 80.0 %", "cats 70.0 %")
    assert (right.get_color(), wrong.get_color()) == ("black", "#B00020")


def test_the_maps_shown_are_those_that_differ_most_from_place_to_place() -> None:
    shown = pictures.liveliest_channels(BLOCK)
    assert len(shown) == 8
    assert shown == sorted(shown)
    spread = BLOCK.steps[-1].maps.std(axis=(0, 1))
    assert spread[shown].min() >= np.delete(spread, shown).max()
    assert pictures.liveliest_channels(NARROW) == [0]
