"""Pictures of sixteen bits a channel, whose values may use fewer, as eight bits a channel."""

import re
import sys
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from PIL import Image, ImageFile

# What cameras and scanners measure that write sixteen bits.
BITS = (8, 10, 12, 14, 16)
_BYTE = 8
_STRIP = 2**20  # pixels that are converted at a time
_TIFF_BITS = 258
# Pillow's names for sixteen bits a channel in a file, of which it decodes the high bytes alone.
_SIXTEEN = re.compile(r"(RGB|RGBA|RGBX|RGBa|CMYK|LA);16([BLN])")


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that cover a picture from top to bottom, each of a million pixels or one row."""
    width, height = size
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def grey_bits(image: ImageFile.ImageFile) -> int | None:
    """Find how many bits the values of a picture's only channel use, where the file says so.

    Args:
        image: opened, not yet decoded.

    Returns:
        The bits; None: the file only says that they are sixteen.
    """
    if image.tile and image.tile[0].codec_name in ("ppm", "ppm_plain", "jpeg2k"):
        return BITS[-1]  # Pillow scales them from what the file says
    bits = int(getattr(image, "tag_v2", {}).get(_TIFF_BITS, BITS[-1:])[0])
    return bits if _BYTE < bits < BITS[-1] else None


def grey_as_rgb(image: Image.Image, bits: int | None) -> tuple[Image.Image, int | None]:
    """Scale a picture of one channel to bytes.

    Args:
        image: decoded, of values from 0 to 65535.
        bits: from ``grey_bits``; None: the fewest of ``BITS`` that hold the largest value.

    Returns:
        The picture, and how many bits its values were taken to use; None: ``bits`` said it.
    """
    if image.mode not in ("I", "I;16"):
        image = image.convert("I")  # Pillow cannot crop those of other orders of bytes
    used = None if bits else _fewest(_largest(image)[0])
    shift = (bits or used or 0) - _BYTE
    rgb = Image.new("RGB", image.size)
    for box in strips(image.size):
        rgb.paste(Image.fromarray((np.asarray(image.crop(box)) >> shift).astype(np.uint8)).convert("RGB"), box)
    return rgb, used


def colour_name(image: ImageFile.ImageFile) -> str | None:
    """Find Pillow's name for a file's sixteen bits a channel of colour; None: it is another picture.

    Args:
        image: opened, not yet decoded.
    """
    names = (name for tile in image.tile for name in _arguments(tile) if isinstance(name, str))
    return next(filter(_SIXTEEN.fullmatch, names), None) if image.mode in ("RGB", "RGBA", "CMYK") else None


def scale_colour(high: Image.Image, low: ImageFile.ImageFile, name: str) -> int:
    """Scale a picture of sixteen bits a channel to bytes where its values use fewer, as ``grey_as_rgb`` does.

    Args:
        high: decoded by Pillow, which keeps the high byte of each value; it is changed in place.
        low: the same file, opened and not yet decoded.
        name: from ``colour_name``.

    Returns:
        How many bits the values of its colours were taken to use.
    """
    largest = _largest(high)
    # Transparency is measured by itself.
    of_channels = [max(largest[:3])] * 3 + largest[3:] if high.mode == "RGBA" else [max(largest)] * len(largest)
    shifts = np.array([_fewest((value << _BYTE) + 2**_BYTE - 1) - _BYTE for value in of_channels], dtype=np.uint16)
    bits = int(shifts[0]) + _BYTE
    if (shifts == _BYTE).all():
        return bits
    kind, order = name.split(";16")
    # Read in the other order of bytes, the low ones are what Pillow takes for the high ones.
    big = order == "B" or (order == "N" and sys.byteorder == "big")
    # Pillow has no other order of grey with transparency: as four bytes they are grey's two and transparency's two.
    other = "RGBA" if kind == "LA" else f"{kind};16{'L' if big else 'B'}"
    low.tile = [_renamed(tile, name, other) for tile in low.tile]
    low.load()
    for box in strips(high.size):
        lower = np.asarray(low.crop(box))
        if kind == "LA":
            lower = lower[..., (1, 1, 1, 3)]
        values = (np.asarray(high.crop(box)).astype(np.uint16) << _BYTE) | lower
        high.paste(Image.fromarray((values >> shifts).astype(np.uint8), high.mode), box)
    return bits


def _arguments(tile: Any) -> tuple[Any, ...]:
    return tile.args if isinstance(tile.args, tuple) else (tile.args,)


def _renamed(tile: Any, name: str, other: str) -> Any:
    return tile._replace(args=tuple(other if argument == name else argument for argument in _arguments(tile)))


def _fewest(largest: int) -> int:
    return next(bits for bits in BITS if largest < 1 << bits)


def _largest(image: Image.Image) -> list[int]:
    """The largest value of each channel."""
    return [int(largest) for _, largest in np.reshape(cast("Any", image.getextrema()), (-1, 2))]
