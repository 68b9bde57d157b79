"""Batches for Keras from memory-mapped arrays, in an order that depends on the seed and the epoch alone."""

import math
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.arrays import release


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of ``examples``; shuffled anew each epoch where a seed is given.

    Args:
        inputs: ``(n, ...)`` array.
        labels: ``(n,)`` of 0 and 1.
        batch: inputs a batch; the last one may be smaller.
        output: how labels are encoded: ``sigmoid`` ``(b, 1)``, ``softmax`` ``(b, 2)`` one-hot.
        shuffle_seed: the order of epoch e is drawn from this and e; None keeps the arrays' order.
        epoch: the first epoch, when a training goes on.
    """

    def __init__(
        self,
        inputs: NDArray[Any],
        labels: NDArray[np.uint8],
        batch: int,
        output: Literal["softmax", "sigmoid"],
        *,
        shuffle_seed: int | None = None,
        epoch: int = 0,
    ) -> None:
        # Two threads read ahead. With one, Keras leaves that to tf.data, whose tuning thread holds up the end of an epoch
        # again and again: the clock then waits for 10 ms times a power of two, up to twice the epoch, with idle cores.
        super().__init__(workers=2)
        self._inputs, self._batch, self._shuffle_seed = inputs, batch, shuffle_seed
        self._targets = encode(labels, output)
        self._epoch = epoch
        self._order = np.arange(len(inputs))

    def __len__(self) -> int:
        return math.ceil(len(self._inputs) / self._batch)

    def __getitem__(self, index: int) -> Any:
        where = self._order[index * self._batch : (index + 1) * self._batch]
        if self._shuffle_seed is not None:
            inputs = np.asarray(self._inputs[where])  # an index array copies
        else:
            # A slice is one read of consecutive pages, an index array one for each row.
            inputs = np.array(self._inputs[where[0] : where[-1] + 1])
        # After every batch: with one photo the system may map two megabytes around it, all of the file before long.
        release(self._inputs)
        return inputs, self._targets[where]

    def on_epoch_begin(self) -> None:
        """Draw the order of the epoch that begins."""
        if self._shuffle_seed is not None:
            self._order = np.random.default_rng([self._shuffle_seed, self._epoch]).permutation(len(self._inputs))
        self._epoch += 1


def encode(labels: NDArray[np.uint8], output: Literal["softmax", "sigmoid"]) -> NDArray[np.float32]:
    """Labels as the output layer gives them: ``(n, 2)`` one-hot for softmax, ``(n, 1)`` for sigmoid."""
    targets = labels.astype(np.float32)[:, None]
    return np.concatenate([1 - targets, targets], axis=1) if output == "softmax" else targets
