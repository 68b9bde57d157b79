"""Kernels that people designed, to see what a convolution does before a network learns its own."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

RISE_TO_THE_RIGHT = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
"""Sobel's Gx: positive where it gets brighter from left to right."""
RISE_UPWARDS = ((1, 2, 1), (0, 0, 0), (-1, -2, -1))
"""Sobel's Gy as the article has it: positive where it gets brighter from bottom to top."""

BRIGHTEST = 255


def brightness(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo (height, width, 3) in grey, (height, width) 0 to 255: 0.299 red, 0.587 green, 0.114 blue (ITU-R 601)."""
    return np.asarray(Image.fromarray(photo).convert("L"))


def convolve(grey: NDArray[np.number], kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    """Slide a kernel over a picture, as a network's convolution does: the kernel is not turned around first.

    Args:
        grey: (height, width) brightness.
        kernel: (rows, columns) weights.

    Returns:
        (height, width): at each pixel the weighted sum of its neighbours; beyond an edge its nearest pixel repeats.
    """
    found: NDArray[np.float64] = ndimage.correlate(
        np.asarray(grey, dtype=np.float64), np.asarray(kernel, dtype=np.float64), mode="nearest"
    )
    return found


def box(side: int) -> NDArray[np.float64]:
    """The kernel of a box blur: the mean of ``side`` x ``side`` pixels."""
    return np.full((side, side), 1 / side**2)


def sobel_magnitude(grey: NDArray[np.number]) -> NDArray[np.float64]:
    """How steep brightness is in any direction, sqrt(Gx^2 + Gy^2), scaled so that the steepest place has 255.

    Args:
        grey: (height, width) brightness.

    Returns:
        (height, width), 0 to 255; all 0 for a picture of one brightness.

    Source: Sobel and Feldman, "A 3x3 isotropic gradient operator for image processing" (1968).
    """
    across = convolve(grey, np.array(RISE_TO_THE_RIGHT, dtype=np.float64))
    upwards = convolve(grey, np.array(RISE_UPWARDS, dtype=np.float64))
    magnitude = np.hypot(across, upwards)
    steepest = magnitude.max()
    return magnitude * (BRIGHTEST / steepest) if steepest > 0 else magnitude


def article_pictures(grey: NDArray[np.number]) -> dict[str, NDArray[np.float64]]:
    """What the article's five kernels make of a picture.

    Args:
        grey: (height, width) brightness, 0 to 255.

    Returns:
        By title, (height, width) each: the picture itself and box blurs (0 to 255), Gx and Gy (-1020 to 1020), Sobel's
        magnitude (0 to 255).
    """
    return {
        "in grey": np.asarray(grey, dtype=np.float64),
        "box blur 3x3": convolve(grey, box(3)),
        "box blur 8x8": convolve(grey, box(8)),
        "Gx: brighter to the right": convolve(grey, np.array(RISE_TO_THE_RIGHT, dtype=np.float64)),
        "Gy: brighter upwards": convolve(grey, np.array(RISE_UPWARDS, dtype=np.float64)),
        "Sobel magnitude, scaled to 255": sobel_magnitude(grey),
    }
