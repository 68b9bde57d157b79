"""Several photos' maps below one another, as one map that a convolution takes at once.

The last blocks of VGG16 have many weights and small maps: a photo alone spends most of its time on bringing the weights
from memory. Below one another, photos share that. Rows of zeros between them are what a convolution would pad each one
with, so none sees its neighbours, and every photo begins where one of Winograd's tiles does, as it would alone.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STACKED = 8
"""Photos a stack; fewer leave the rest of it zero, so that all are computed alike."""
LARGEST_STACKED = 256
"""Pixels a side of the largest photos for which it is worth the memory: at 224 pixels it saves a tenth of the time."""
FIRST_STACKED = 3
"""The first of VGG16's blocks, from 0, that takes several: the maps before are large, their weights are few."""
TILE = 4
"""Rows of a tile of ncnn's Winograd convolutions; a multiple of them keeps each photo's rounding as it is alone."""


def pitch(side: int) -> int:
    """Rows from one map's first to the next one's, at least one of them of zeros.

    Args:
        side: rows of a map.
    """
    return -(-(side + 1) // TILE) * TILE


def stack(maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put maps below one another.

    Args:
        maps: at most ``STACKED`` of (channels, side, side).

    Returns:
        (channels, STACKED * pitch(side), side).
    """
    channels, side, _ = maps[0].shape
    stacked = np.zeros((channels, STACKED, pitch(side), side), np.float32)
    for position, one in enumerate(maps):
        stacked[:, position, :side] = one
    return stacked.reshape(channels, -1, side)


def inside(side: int) -> NDArray[np.float32]:
    """What a stack is multiplied by after a convolution that another one follows: 1 on the maps, 0 between them.

    Args:
        side: rows and columns of a map.

    Returns:
        (STACKED * pitch(side), side).
    """
    ones = np.ones((1, side, side), np.float32)
    return stack([ones] * STACKED).reshape(-1, side)


def cut(stacked: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
    """Take a stack apart.

    Args:
        stacked: (channels, STACKED * rows, side), where rows are at least side.
        count: maps to take.

    Returns:
        Maps of (channels, side, side).
    """
    channels, _, side = stacked.shape
    return list(stacked.reshape(channels, STACKED, -1, side)[:, :count, :side].swapaxes(0, 1))
