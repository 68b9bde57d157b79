"""Grad-CAM over a photo: the evidence is where the network found it, and as bright as in the figures."""

import numpy as np
import pytest

from dogs_vs_cats.reports.overlays import overlay

PHOTO = np.full((60, 90, 3), 128, np.uint8)
EVIDENCE = np.array([[3, 0, 0], [0, 0, -2]], np.float32)


@pytest.mark.parametrize(("says", "row", "column"), [(1, 0, 0), (0, -1, -1)])
def test_what_speaks_for_the_class_is_brightest_and_nothing_else_is_bright(says: int, row: int, column: int) -> None:
    drawn = overlay(PHOTO, EVIDENCE, says)
    assert drawn.shape == PHOTO.shape
    assert drawn.dtype == np.uint8
    brightness = drawn.sum(axis=2)
    assert brightness[row, column] == brightness.max()
    assert brightness[-1 - row, -1 - column] == brightness.min()
    assert brightness.max() > 2 * brightness.min()


def test_without_evidence_the_photo_is_all_dark() -> None:
    assert overlay(PHOTO, EVIDENCE * 0, 1).max() < 60
    assert overlay(PHOTO, np.array([[1]], np.float32), 0).max() < 60
