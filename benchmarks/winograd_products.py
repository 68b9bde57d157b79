"""What the matrix products of VGG16's convolutions by Winograd take alone, by OpenBLAS.

F(4x4, 3x3) makes of a 3x3 convolution 36 products a tile of 4x4 pixels (Lavin and Gray, "Fast algorithms for
convolutional neural networks", arXiv 1509.09308). Transforming maps into tiles and back, biases, ReLU and pooling
are left out, and nothing comes from memory but the matrices.
"""

from functools import cache
from math import ceil

import numpy as np
from threadpoolctl import threadpool_limits

from dogs_vs_cats.models.ncnn.stacking import FIRST_STACKED, STACKED, TILE
from dogs_vs_cats.models.pretrained.weights import LAYERS

_POSITIONS = (TILE + 2) ** 2  # products a tile


def multiply(size: int) -> None:
    """Make the products of ``STACKED`` photos of so many pixels a side, on one core."""
    with threadpool_limits(1):
        for times, tiles, weights, products in _matrices(size):
            for _ in range(times):
                np.matmul(tiles, weights, out=products)


@cache
def _matrices(size: int) -> list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """For each layer how often, and the two factors and their product, made once a process."""
    random = np.random.default_rng(1)
    found = []
    for name, (channels, filters) in LAYERS.items():
        block = int(name[len("block")]) - 1
        together = STACKED if block >= FIRST_STACKED else 1
        rows = together * ceil((size >> block) / TILE) ** 2
        tiles = random.random((_POSITIONS, rows, channels), np.float32)
        weights = random.random((_POSITIONS, channels, filters), np.float32)
        found.append((STACKED // together, tiles, weights, np.empty((_POSITIONS, rows, filters), np.float32)))
    return found
