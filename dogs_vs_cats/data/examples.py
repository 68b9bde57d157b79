"""What models are trained and validated on: inputs with their labels."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.arrays import open_split, release

_HASHED_ROWS = 256


@dataclass(frozen=True)
class Examples:
    """What a model is trained or validated on.

    Attributes:
        inputs: ``(n, ...)`` images or features, usually memory-mapped.
        labels: ``(n,)`` 0 for the first class, 1 for the second.
        copies: how often each photo is among them: all photos once, then all of them again, and so on.
        mirrored: ``(n, ...)`` the inputs of the same photos' mirror images, of which every other epoch has each; None:
            there are none.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.uint8]
    copies: int = 1
    mirrored: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        for inputs in self._all_inputs:
            if len(inputs) != len(self.labels):
                raise ValueError(f"{len(inputs)} inputs have {len(self.labels)} labels")

    @property
    def _all_inputs(self) -> list[NDArray[Any]]:
        return [self.inputs] if self.mirrored is None else [self.inputs, self.mirrored]

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Add the examples to a digest, a part at a time, so that memory does not grow with them."""
        for inputs in self._all_inputs:
            digest.update(f"{inputs.dtype} {inputs.shape}".encode())
            for start in range(0, len(inputs), _HASHED_ROWS):
                digest.update(inputs[start : start + _HASHED_ROWS].tobytes())
                release(inputs)
        digest.update(self.labels.tobytes())


@dataclass(frozen=True)
class Parts:
    """What a training takes.

    Attributes:
        training: what the model learns from.
        validation: what its epochs are judged by.
        classes: names of the two classes, which weights may be set by.
    """

    training: Examples
    validation: Examples
    classes: tuple[str, ...] = ()


def open_images(arrays: Path, split: str) -> Examples:
    """The decoded photos of a labelled split.

    Args:
        arrays: the folder that the decode stage left.
        split: train, validation or test.

    Returns:
        ``(n, size, size, 3)`` uint8 images and their labels, memory-mapped.

    Raises:
        WorkflowError: if the arrays are missing or damaged.
    """
    opened = open_split(arrays, split)
    if opened.labels is None:
        raise ValueError(f"{split} photos have no labels")
    return Examples(opened.images, opened.labels)
