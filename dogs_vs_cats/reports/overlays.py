"""Where a model looks in a photo, as a picture without a figure's frame, titles and scale."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Of the figures in explaining_pictures too, so that one photo looks the same everywhere.
HEAT = "inferno"
OPACITY = 0.6
# Zero padding makes a few pixels at the edges far stronger than all others, which one scale for all would hide.
_PERCENTILE = 99.5
_BRIGHTEST = 255


def reach_of(values: NDArray[np.float32]) -> float:
    """The size of evidence, or of a map, that its scale of colours ends at."""
    return float(np.percentile(np.abs(values), _PERCENTILE)) or float(np.abs(values).max()) or 1.0


def overlay(photo: NDArray[np.uint8], evidence: NDArray[np.float32], says: int) -> NDArray[np.uint8]:
    """Lay what speaks for one class over a photo in grey.

    Args:
        photo: (height, width, 3) uint8 RGB, in any shape; the evidence is laid over all of it.
        evidence: (rows, columns), above 0 for the second class, below 0 for the first, as of ``explaining.grad_cam``.
        says: the class, 0 or 1.

    Returns:
        (height, width, 3) uint8 RGB, the strongest places brightest.
    """
    from matplotlib import colormaps

    heat = np.maximum(evidence if says else -evidence, 0).astype(np.float32)
    height, width = photo.shape[:2]
    shares = Image.fromarray(heat / np.float32(reach_of(heat))).resize((width, height), Image.Resampling.BILINEAR)
    colours = colormaps[HEAT](np.asarray(shares))[..., :3]
    mixed = OPACITY * _BRIGHTEST * colours + (1 - OPACITY) * photo.mean(axis=2, keepdims=True)
    return np.asarray(mixed.round(), dtype=np.uint8)
