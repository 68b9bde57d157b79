"""Batches for Keras from memory-mapped arrays, in an order that depends on the seed and the epoch alone."""

import math
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import release
from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.settings.params import AugmentationSettings

_AHEAD = 2
"""Batches that are read while the model trains on another one."""
_OWN_REFERENCES = 3
"""References to an array in ``Buffers.unused`` that nobody else has: the list's, the loop's and the call's."""


class Batches:
    """Batches of ``examples``; shuffled anew each epoch where a seed is given.

    Args:
        examples: inputs ``(n, ...)`` with their labels, 0 or 1; of mirrored ones, each photo's takes the place of its
            own in every other epoch.
        batch: inputs a batch; the last one may be smaller.
        output: how labels are encoded: ``sigmoid`` ``(b, 1)``, ``softmax`` ``(b, 2)`` one-hot.
        shuffle_seed: the order of epoch e is drawn from this and e; None keeps the arrays' order.
        changes: what is done to images as they are read: flips in every other epoch, and mixtures of two.
        class_weights: ``(2,)``, of the first and the second class; batches then have a weight for each image. None:
            batches have no weights.
    """

    def __init__(
        self,
        examples: Examples,
        batch: int,
        output: Literal["softmax", "sigmoid"],
        *,
        shuffle_seed: int | None = None,
        changes: AugmentationSettings | None = None,
        class_weights: NDArray[np.float64] | None = None,
    ) -> None:
        inputs, labels = examples.inputs, examples.labels
        self._inputs, self._mirrored, self._batch, self._shuffle_seed = inputs, examples.mirrored, batch, shuffle_seed
        self._targets = encode(labels, output)
        self._weights = None if class_weights is None else class_weights.astype(np.float32)[labels]
        self._order = np.arange(len(inputs))
        self._changes, self._epoch, self._begun = changes, 0, 0
        # With alternating flips a random half is flipped in even epochs, the other one in odd epochs (Jordan, "94% on
        # CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498, section 3.6).
        self._half = np.random.default_rng([shuffle_seed or 0]).random(len(inputs)) < 0.5  # noqa: PLR2004

    def __len__(self) -> int:
        return math.ceil(len(self._inputs) / self._batch)

    def _read(self, index: int, buffers: "Buffers") -> tuple[NDArray[Any], ...]:
        where = self._order[index * self._batch : (index + 1) * self._batch]
        inputs = buffers.unused()[: len(where)]
        if self._shuffle_seed is not None:
            # In the mode "clip" NumPy writes there at once, in its default into an array of its own first.
            np.take(self._inputs, where, axis=0, out=inputs, mode="clip")
        else:
            # A slice is one read of consecutive pages, an index array one for each row.
            inputs[:] = self._inputs[where[0] : where[-1] + 1]
        flipped = self._half[where] != bool(self._epoch % 2)
        if self._mirrored is not None:
            inputs[flipped] = self._mirrored[where[flipped]]
            release(self._mirrored)
        # After every batch: with one photo the system may map two megabytes around it, all of the file before long.
        release(self._inputs)
        targets = self._targets[where]
        weights = None if self._weights is None else self._weights[where]
        if self._changes is not None:
            if self._changes.flip == "alternating":
                inputs[flipped] = inputs[flipped, :, ::-1]
            random = np.random.default_rng([self._shuffle_seed or 0, self._epoch, index])
            inputs, targets, weights = mix(inputs, targets, weights, self._changes, random)
        return (inputs, targets) if weights is None else (inputs, targets, weights)

    @property
    def begun(self) -> int:
        """How many epochs were begun; batches that were read before the last one are of another order."""
        return self._begun

    def begin_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch, counted from 0; to be called before its first batch is read."""
        self._epoch = epoch
        self._begun += 1
        if self._shuffle_seed is not None:
            self._order = np.random.default_rng([self._shuffle_seed, epoch]).permutation(len(self._inputs))

    def as_dataset(self) -> Any:
        """What Keras's ``fit`` and ``evaluate`` take; each pass over it reads the batches of the epoch by then."""
        if keras.backend.backend() != "tensorflow":
            return _Reader(self)
        from dogs_vs_cats.training.tensorflow_only import dataset

        def read() -> Iterator[tuple[NDArray[Any], ...]]:
            buffers = Buffers(self._batch, self._inputs)
            return (self._read(index, buffers) for index in range(len(self)))

        arrays = (self._inputs, self._targets, *([] if self._weights is None else [self._weights]))
        return dataset(read, arrays, len(self), _AHEAD)

    def read(self, index: int) -> tuple[NDArray[Any], ...]:
        """Read one batch into memory that nothing else uses: a backend may keep the array itself for its tensor."""
        return self._read(index, Buffers(self._batch, self._inputs))


class _Reader(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches as Keras takes them with every backend, on its device; a thread brings the next ones there.

    Not Keras's own workers: they begin to read before the callbacks have begun the epoch, in the last one's order.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches
        self._thread = ThreadPoolExecutor(1, "batches")
        self._coming: dict[tuple[int, int], Future[tuple[Any, ...]]] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        last, begun = min(index + _AHEAD, len(self) - 1), self._batches.begun
        wanted = [(begun, place) for place in range(index, last + 1)]
        self._coming = {key: self._coming.get(key) or self._thread.submit(self._bring, key[1]) for key in wanted}
        return self._coming.pop((begun, index)).result()

    def _bring(self, index: int) -> tuple[Any, ...]:
        return tuple(keras.ops.convert_to_tensor(array) for array in self._batches.read(index))


class Buffers:
    """Arrays to read batches into: memory that is new for each batch takes longer to get than the batch to read.

    Args:
        batch: rows of each.
        like: an array whose rows and type they are to have.
    """

    def __init__(self, batch: int, like: NDArray[Any]) -> None:
        self._shape, self._dtype = (batch, *like.shape[1:]), like.dtype
        self._arrays: list[NDArray[Any]] = []

    def unused(self) -> NDArray[Any]:
        """An array that nothing refers to any more, no view of it and no tensor; a new one where there is none."""
        for array in self._arrays:
            if sys.getrefcount(array) == _OWN_REFERENCES:
                return array
        self._arrays.append(np.empty(self._shape, self._dtype))
        return self._arrays[-1]


def encode(labels: NDArray[np.uint8], output: Literal["softmax", "sigmoid"]) -> NDArray[np.float32]:
    """Labels as the output layer gives them: ``(n, 2)`` one-hot for softmax, ``(n, 1)`` for sigmoid."""
    targets = labels.astype(np.float32)[:, None]
    return np.concatenate([1 - targets, targets], axis=1) if output == "softmax" else targets


def mix(
    inputs: NDArray[Any],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    changes: AugmentationSettings,
    random: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32] | None]:
    """Mix each image of a batch with another one of it, and their labels alike; by MixUp or CutMix where both are set.

    Args:
        inputs: (b, height, width, channels) of any type.
        targets: (b, 1) or (b, 2).
        weights: (b,) of the images' losses. A mixture's loss is then the mean of both labels' weighted losses, each by
            its share, where the loss is linear in the label as cross-entropy is. None: all count alike.
        changes: ``mixup`` and ``cutmix``, each the parameter of the Beta distribution of an image's own share; 0: none.
        random: draws the shares and the places.

    Returns:
        All three, of the same types.

    Source: Zhang et al., "mixup: Beyond empirical risk minimization", arXiv 1710.09412; Yun et al., "CutMix", arXiv
    1905.04899.
    """
    kinds = [name for name in ("mixup", "cutmix") if getattr(changes, name)]
    if not kinds:
        return inputs, targets, weights
    kind = kinds[random.integers(len(kinds))]
    share = random.beta(getattr(changes, kind), getattr(changes, kind))
    partner = random.permutation(len(inputs))
    if kind == "mixup":
        mixed = share * inputs.astype(np.float32) + (1 - share) * inputs[partner].astype(np.float32)
        inputs = (np.rint(mixed) if np.issubdtype(inputs.dtype, np.integer) else mixed).astype(inputs.dtype)
    else:
        height, width = inputs.shape[1:3]
        top, left = (int(random.integers(side)) for side in (height, width))
        rows, columns = (round(side * np.sqrt(1 - share) / 2) for side in (height, width))
        box = np.s_[:, max(top - rows, 0) : top + rows, max(left - columns, 0) : left + columns]
        pasted = inputs[partner][box]
        inputs[box] = pasted
        share = 1 - pasted[0, ..., 0].size / (height * width)
    if weights is None:
        return inputs, (share * targets + (1 - share) * targets[partner]).astype(np.float32), None
    first, second = share * weights, (1 - share) * weights[partner]
    weighted = first[:, None] * targets + second[:, None] * targets[partner]
    mixed_weights = first + second
    return inputs, (weighted / mixed_weights[:, None]).astype(np.float32), mixed_weights.astype(np.float32)
