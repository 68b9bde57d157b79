"""Affine maps of image batches, interpolated bilinearly."""

from collections.abc import Callable
from typing import Any

from keras import ops

_LARGEST = 3.4028234663852886e38  # of float32


def affine_transform(images: Any, transforms: Any, dtype: str, size: int | None = None) -> Any:
    """Resample images bilinearly; beyond the edges the nearest pixel repeats.

    The values are those of ``keras.ops.image.affine_transform``, which makes no images of another size.

    Args:
        images: ``(n, height, width, channels)`` of any type. Pixels of 8 bits are a quarter of the memory to read.
        transforms: ``(n, 8)`` float32, from output to input pixel: x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2, 0, 0.
        dtype: the float type of the result.
        size: pixels a side of the result; None: those of ``images``.

    Returns:
        ``(n, size, size, channels)``.
    """
    return resample(images, transforms, dtype, (size, size) if size else images.shape[1:3])


def _gather(pixels: Any, places: Any) -> Any:
    return ops.take_along_axis(pixels, places[..., None], axis=1)


def resample(
    images: Any, transforms: Any, dtype: str, sides: tuple[int, int], gather: Callable[[Any, Any], Any] = _gather
) -> Any:
    """Do what ``affine_transform`` does.

    Args:
        images: as there.
        transforms: as there.
        dtype: as there.
        sides: rows and columns of the result.
        gather: takes pixels ``(n, height * width, channels)`` and which of them ``(n, m)``, and returns these.
    """
    height, width, channels = images.shape[1:]
    rows, columns = sides
    x = ops.arange(columns, dtype="float32")
    y = ops.arange(rows, dtype="float32")[:, None]
    a0, a1, a2, b0, b1, b2 = (transforms[:, column, None, None] for column in range(6))
    across = ops.clip(rounded(a0 * x) + rounded(a1 * y) + a2, 0.0, width - 1.0)
    down = ops.clip(rounded(b0 * x) + rounded(b1 * y) + b2, 0.0, height - 1.0)
    left, top = ops.floor(across), ops.floor(down)
    pixels = ops.reshape(images, (-1, height * width, channels))

    def pixel(row: Any, column: Any) -> Any:
        row = ops.minimum(ops.cast(row, "int32"), height - 1)
        column = ops.minimum(ops.cast(column, "int32"), width - 1)
        found = gather(pixels, ops.reshape(row * width + column, (-1, rows * columns)))
        return ops.cast(ops.reshape(found, (-1, rows, columns, channels)), "float32")

    def between(before: Any, after: Any, place: Any, start: Any) -> Any:
        place, start = place[..., None], start[..., None]
        return rounded((start + 1 - place) * before) + rounded((place - start) * after)

    upper = between(pixel(top, left), pixel(top, left + 1), across, left)
    lower = between(pixel(top + 1, left), pixel(top + 1, left + 1), across, left)
    return ops.cast(between(upper, lower, down, top), dtype)


def rounded(product: Any) -> Any:
    """Keep XLA from multiplying and adding in one instruction, which rounds once less than Keras's own kernels."""
    return ops.minimum(product, _LARGEST)
