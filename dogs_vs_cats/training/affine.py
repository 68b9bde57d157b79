"""Affine maps of image batches, interpolated bilinearly."""

from typing import Any

import tensorflow as tf
from keras import ops


def affine_transform(images: Any, transforms: Any, dtype: str, size: int | None = None) -> Any:
    """Resample images bilinearly; beyond the edges the nearest pixel repeats.

    The values are those of ``keras.ops.image.affine_transform``, on a CPU to the last bit. TensorFlow's kernel behind
    that works out where a pixel comes from once for each channel; compiled by XLA the same takes a quarter of the time,
    after a quarter to half a second of compiling for each new shape of a batch.

    Args:
        images: ``(n, height, width, channels)`` of any type. Pixels of 8 bits are a quarter of the memory to read.
        transforms: ``(n, 8)`` float32, from output to input pixel: x' = a0 x + a1 y + a2, y' = b0 x + b1 y + b2, 0, 0.
        dtype: the float type of the result.
        size: pixels a side of the result; None: those of ``images``.

    Returns:
        ``(n, size, size, channels)``.
    """
    if size is None and tf.config.list_physical_devices("GPU"):
        return ops.image.affine_transform(ops.cast(images, dtype), transforms, "bilinear", "nearest")
    return _compiled(images, transforms, dtype, *((size, size) if size else images.shape[1:3]))


# XLA makes one loop over the pixels of this, which waits for nothing. Keep products, convolutions and FFTs out: what
# shares its work out to XLA's threads from one of them, and waits, can hang (PyAutoLabs/PyAutoFit#1530).
@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def _compiled(images: Any, transforms: Any, dtype: str, rows: int, columns: int) -> Any:
    height, width, channels = images.shape[1:]
    x = tf.range(columns, dtype=tf.float32)
    y = tf.range(rows, dtype=tf.float32)[:, None]
    a0, a1, a2, b0, b1, b2 = (transforms[:, column, None, None] for column in range(6))
    across = tf.clip_by_value(rounded(a0 * x) + rounded(a1 * y) + a2, 0.0, width - 1.0)
    down = tf.clip_by_value(rounded(b0 * x) + rounded(b1 * y) + b2, 0.0, height - 1.0)
    left, top = tf.floor(across), tf.floor(down)
    pixels = tf.reshape(images, (-1, height * width, channels))

    def pixel(row: Any, column: Any) -> Any:
        row = tf.minimum(tf.cast(row, tf.int32), height - 1)
        column = tf.minimum(tf.cast(column, tf.int32), width - 1)
        found = tf.gather(pixels, tf.reshape(row * width + column, (-1, rows * columns)), axis=1, batch_dims=1)
        return tf.cast(tf.reshape(found, (-1, rows, columns, channels)), tf.float32)

    def between(before: Any, after: Any, place: Any, start: Any) -> Any:
        place, start = place[..., None], start[..., None]
        return rounded((start + 1 - place) * before) + rounded((place - start) * after)

    upper = between(pixel(top, left), pixel(top, left + 1), across, left)
    lower = between(pixel(top + 1, left), pixel(top + 1, left + 1), across, left)
    return tf.cast(between(upper, lower, down, top), dtype)


def rounded(product: Any) -> Any:
    """Keeps XLA from multiplying and adding in one instruction, which rounds once less than TensorFlow's kernel."""
    return tf.minimum(product, product.dtype.max)
