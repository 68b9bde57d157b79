"""Batches made on the device, where all inputs lie there."""

from typing import Any

import keras
from keras import ops

from dogs_vs_cats.training.affine import rounded


def gather(inputs: Any, mirrored: Any, where: Any, flipped: Any, mixture: Any, *, mirror: bool) -> Any:
    """Make a batch's inputs of tensors on a device, as they are read from arrays elsewhere.

    Args:
        inputs: ``(n, ...)``.
        mirrored: of the same shape; None: there are none.
        where: ``(b,)`` which of them.
        flipped: ``(b, 1, ...)`` whether its mirrored form is taken.
        mixture: shares ``(2,)`` float32, partners ``(b,)``, and ``(height, width, 1)`` where the partner's pixels are
            alone or None; None: nothing is mixed.
        mirror: mirror images here.
    """
    batch = ops.take(inputs, where, axis=0)
    if mirrored is not None:
        batch = ops.where(flipped, ops.take(mirrored, where, axis=0), batch)
    if mirror:
        batch = ops.where(flipped, ops.flip(batch, axis=2), batch)
    if mixture is None:
        return batch
    shares, partner, box = mixture
    others = ops.take(batch, partner, axis=0)
    if box is not None:
        return ops.where(box, others, batch)
    own, other = (rounded(shares[place] * ops.cast(of, "float32")) for place, of in enumerate((batch, others)))
    dtype = keras.backend.standardize_dtype(batch.dtype)
    return ops.cast(ops.round(own + other) if "int" in dtype else own + other, dtype)
