"""The article's kernels give what a hand computes."""

import numpy as np
import pytest

from dogs_vs_cats.explanation.kernels import article_pictures, box, brightness, convolve, sobel_magnitude

EDGE = np.array([[0, 0, 0, 10, 10, 10]] * 5, dtype=np.uint8)
"""Dark to the left, bright to the right."""


def test_constant_picture_stays_as_it_is_and_has_no_edges() -> None:
    made = article_pictures(np.full((9, 12), 77, np.uint8))
    for name, picture in made.items():
        expected = 77 if name == "in grey" or name.startswith("box") else 0
        assert picture == pytest.approx(np.full((9, 12), expected)), name


def test_step_edge_is_where_brightness_rises() -> None:
    made = article_pictures(EDGE)
    # Gx: (1 + 2 + 1) * 10 on both sides of the step. Nothing changes upwards.
    assert made["Gx: brighter to the right"].tolist() == [[0, 0, 40, 40, 0, 0]] * 5
    assert made["Gy: brighter upwards"].tolist() == [[0] * 6] * 5
    assert made["Sobel magnitude, scaled to 255"].tolist() == [[0, 0, 255, 255, 0, 0]] * 5
    upwards = article_pictures(EDGE.T[::-1])
    assert upwards["Gy: brighter upwards"].T.tolist() == [[0, 0, 40, 40, 0, 0]] * 5
    assert article_pictures(EDGE[:, ::-1])["Gx: brighter to the right"].min() == -40


def test_magnitude_takes_both_directions() -> None:
    corner = np.zeros((5, 5))
    corner[:3, 2:] = 1
    # At (2, 2) Gx = 1 * 1 + 2 * 1 and Gy = 2 * 1 + 1 * 1, at (0, 2) Gx = 4 alone: 3 * sqrt(2) to 4.
    magnitude = sobel_magnitude(corner)
    assert magnitude[2, 2] / magnitude[0, 2] == pytest.approx(3 * np.sqrt(2) / 4)
    assert magnitude.max() == pytest.approx(255)


def test_box_blur_is_the_mean_of_its_neighbours() -> None:
    point = np.zeros((17, 17))
    point[8, 8] = 9
    blurred = convolve(point, box(3))
    assert blurred[7:10, 7:10] == pytest.approx(np.ones((3, 3)))
    assert blurred.sum() == pytest.approx(9)
    wide = convolve(point, box(8))
    assert (wide > 0).sum() == 64
    assert wide.max() == pytest.approx(9 / 64)


def test_brightness_weighs_the_colours() -> None:
    photo = np.zeros((1, 4, 3), np.uint8)
    photo[0, 0], photo[0, 1], photo[0, 2], photo[0, 3] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    assert brightness(photo).tolist() == [[76, 150, 29, 255]]
