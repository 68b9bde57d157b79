"""Batches for Keras from memory-mapped arrays, in an order that depends on the seed and the epoch alone."""

import math
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import release
from dogs_vs_cats.data.examples import Examples
from dogs_vs_cats.runtime import free_gpu_memory
from dogs_vs_cats.settings.training_settings import AugmentationSettings

if keras.backend.backend() == "tensorflow":
    from dogs_vs_cats.training.tensorflow_only import dataset, gather
else:
    from dogs_vs_cats.training.gathering import gather

AHEAD = 2
"""Batches that are read while the model trains on another one."""
_KEPT_SHARE = 0.25
"""Of a GPU's free memory: inputs that take no more are kept there."""
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
        self._on_gpu: list[Any] | None = None
        # With alternating flips a random half is flipped in even epochs, the other one in odd epochs (Jordan, "94% on
        # CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498, section 3.6).
        self._half = np.random.default_rng([shuffle_seed or 0]).random(len(inputs)) < 0.5  # noqa: PLR2004

    def __len__(self) -> int:
        return math.ceil(len(self._inputs) / self._batch)

    def _drawn(self, index: int) -> "_Drawn":
        where = self._order[index * self._batch : (index + 1) * self._batch]
        flipped = self._half[where] != bool(self._epoch % 2)
        if self._changes is None:
            return _Drawn(where, flipped, mirror=False, mixture=None)
        random = np.random.default_rng([self._shuffle_seed or 0, self._epoch, index])
        mixture = draw_mixture(len(where), self._inputs.shape[1:3], self._changes, random)
        return _Drawn(where, flipped, mirror=self._changes.flip == "alternating", mixture=mixture)

    def _labels(self, drawn: "_Drawn") -> tuple[NDArray[np.float32], ...]:
        targets = self._targets[drawn.where]
        weights = None if self._weights is None else self._weights[drawn.where]
        if drawn.mixture is not None:
            targets, weights = mix_labels(targets, weights, drawn.mixture)
        return (targets,) if weights is None else (targets, weights)

    def _read(self, index: int, buffers: "Buffers") -> tuple[NDArray[Any], ...]:
        drawn = self._drawn(index)
        where, flipped = drawn.where, drawn.flipped
        inputs = buffers.unused()[: len(where)]
        if self._shuffle_seed is not None:
            # In the mode "clip" NumPy writes there at once, in its default into an array of its own first.
            np.take(self._inputs, where, axis=0, out=inputs, mode="clip")
        else:
            # A slice is one read of consecutive pages, an index array one for each row.
            inputs[:] = self._inputs[where[0] : where[-1] + 1]
        if self._mirrored is not None:
            inputs[flipped] = self._mirrored[where[flipped]]
            release(self._mirrored)
        # After every batch: with one photo the system may map two megabytes around it, all of the file before long.
        release(self._inputs)
        if drawn.mirror:
            inputs[flipped] = inputs[flipped, :, ::-1]
        if drawn.mixture is not None:
            inputs = mix_images(inputs, drawn.mixture)
        return inputs, *self._labels(drawn)

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
        """What Keras's ``fit`` and ``evaluate`` take; each pass over it reads the batches of the epoch by then.

        With TensorFlow on a GPU it is a ``Reader``, of which ``tensorflow_only.fed`` makes what they take.
        """
        memory = free_gpu_memory()
        if keras.backend.backend() == "tensorflow" and not memory:
            like = (self._inputs, self._targets, *([] if self._weights is None else [self._weights]))
            return dataset(self._all, like, len(self), AHEAD)
        arrays = (self._inputs, self._mirrored)
        if sum(array.nbytes for array in arrays if array is not None) <= memory * _KEPT_SHARE:
            # In memory of their own: a backend warns of read-only arrays, and may keep the file open for its tensor.
            self._on_gpu = [None if array is None else ops.convert_to_tensor(np.array(array)) for array in arrays]
        return Reader(self)

    def _all(self) -> Iterator[tuple[NDArray[Any], ...]]:
        buffers = Buffers(self._batch, self._inputs)
        return (self._read(index, buffers) for index in range(len(self)))

    def read(self, index: int) -> tuple[Any, ...]:
        """Bring one batch to the device that the model computes on."""
        if self._on_gpu is None:
            # Into memory that nothing else uses: a backend may keep the array itself for its tensor.
            return tuple(map(ops.convert_to_tensor, self._read(index, Buffers(self._batch, self._inputs))))
        drawn = self._drawn(index)
        flipped = drawn.flipped.reshape(-1, *[1] * (self._inputs.ndim - 1))
        mixture = None if drawn.mixture is None else drawn.mixture.as_arrays(self._inputs.shape[1:3])
        inputs = gather(*self._on_gpu, drawn.where, flipped, mixture, mirror=drawn.mirror)
        return inputs, *map(ops.convert_to_tensor, self._labels(drawn))


class Reader(keras.utils.PyDataset):  # type: ignore[misc]
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
        last, begun = min(index + AHEAD, len(self) - 1), self._batches.begun
        wanted = [(begun, place) for place in range(index, last + 1)]
        read = self._batches.read
        self._coming = {key: self._coming.get(key) or self._thread.submit(read, key[1]) for key in wanted}
        return self._coming.pop((begun, index)).result()


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


class Mixture(NamedTuple):
    """How each image of a batch is mixed with another one of it.

    Attributes:
        share: an image's own.
        partner: ``(b,)`` the other one's place in the batch.
        box: rows and columns that are the other one's alone; None: all of the image is mixed by the share.
    """

    share: float
    partner: NDArray[np.int64]
    box: tuple[slice, slice] | None

    def as_arrays(self, sides: tuple[int, ...]) -> tuple[NDArray[Any] | None, ...]:
        """Return both shares, the partners and whose each pixel is, for ``gather``, given images' height and width."""
        shares, others = np.array([self.share, 1 - self.share], np.float32), None
        if self.box is not None:
            others = np.zeros((*sides, 1), bool)
            others[self.box] = True
        return shares, self.partner, others


class _Drawn(NamedTuple):
    """What is read for a batch: which inputs, those in their mirrored form, whether by mirroring them, and mixtures."""

    where: NDArray[np.int64]
    flipped: NDArray[np.bool]
    mirror: bool
    mixture: Mixture | None


def draw_mixture(
    count: int, sides: tuple[int, ...], changes: AugmentationSettings, random: np.random.Generator
) -> Mixture | None:
    """Draw how a batch is mixed: by MixUp or CutMix, either of them where both are set.

    Args:
        count: images in the batch.
        sides: height and width of each.
        changes: ``mixup`` and ``cutmix``, each the parameter of the Beta distribution of an image's own share; 0: none.
        random: draws the shares and the places.

    Returns:
        The mixture; None where neither is set.

    Source: Zhang et al., "mixup: Beyond empirical risk minimization", arXiv 1710.09412; Yun et al., "CutMix", arXiv
    1905.04899.
    """
    kinds = [name for name in ("mixup", "cutmix") if getattr(changes, name)]
    if not kinds:
        return None
    kind = kinds[random.integers(len(kinds))]
    share = random.beta(getattr(changes, kind), getattr(changes, kind))
    partner = random.permutation(count)
    if kind == "mixup":
        return Mixture(share, partner, None)
    height, width = sides
    top, left = (int(random.integers(side)) for side in (height, width))
    rows, columns = (round(side * np.sqrt(1 - share) / 2) for side in (height, width))
    box = slice(max(top - rows, 0), min(top + rows, height)), slice(max(left - columns, 0), min(left + columns, width))
    pasted = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    return Mixture(1 - pasted / (height * width), partner, box)


def mix_images(images: NDArray[Any], mixture: Mixture) -> NDArray[Any]:
    """Mix the images of a batch ``(b, height, width, channels)`` of any type, which the result has too."""
    share, partner, box = mixture
    if box is None:
        mixed = share * images.astype(np.float32) + (1 - share) * images[partner].astype(np.float32)
        return (np.rint(mixed) if np.issubdtype(images.dtype, np.integer) else mixed).astype(images.dtype)
    images[:, *box] = images[partner][:, *box]
    return images


def mix_labels(
    targets: NDArray[np.float32], weights: NDArray[np.float32] | None, mixture: Mixture
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Mix the labels of a batch as its images are.

    Args:
        targets: (b, 1) or (b, 2).
        weights: (b,) of the images' losses. A mixture's loss is then the mean of both labels' weighted losses, each by
            its share, where the loss is linear in the label as cross-entropy is. None: all count alike.
        mixture: of the images.

    Returns:
        Both, of the same types.
    """
    share, partner, _ = mixture
    if weights is None:
        return (share * targets + (1 - share) * targets[partner]).astype(np.float32), None
    first, second = share * weights, (1 - share) * weights[partner]
    weighted = first[:, None] * targets + second[:, None] * targets[partner]
    mixed_weights = first + second
    return (weighted / mixed_weights[:, None]).astype(np.float32), mixed_weights.astype(np.float32)
