"""Photos as people have them: files in, classes with calibrated probabilities out."""

import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.data.decoding.many import in_threads
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, decode
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.probabilities import apply_temperature, class_probabilities, predicted
from dogs_vs_cats.settings.sections import Resampling

Compute: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""From decoded photos (n, size, size, 3) to P(second class), (n,), as the model gives it."""

# No photo of up to photos.PIXEL_LIMIT pixels is larger, and each core holds one.
LARGEST_FILE = 300_000_000  # bytes
# What others send, to a model server or to the page, is held in memory before it is looked at.
MOST_SENT = 64  # photos at a time
LARGEST_SENT = 20_000_000  # bytes each
_BATCH_BYTES = 2**24  # of decoded photos: 248 of 150 pixels a side


@dataclass(frozen=True)
class Answer:
    """What a model says of a photo.

    Attributes:
        photo: its path.
        label: the class.
        probability: of that class, calibrated.
        second: probability of the second class, calibrated.
    """

    photo: str
    label: str
    probability: float
    second: float


@dataclass(frozen=True)
class Unread:
    """A photo without an answer.

    Attributes:
        photo: its path.
        reason: why it could not be decoded.
    """

    photo: str
    reason: str


def read_photo(file: Path) -> bytes:
    """Read a photo's file.

    Raises:
        RefusedPhotoError: if it is no file that a photo can be in.
        OSError: if it cannot be read.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefusedPhotoError("not a regular file")  # a pipe would be waited for
    if status.st_size > LARGEST_FILE:
        raise RefusedPhotoError(f"more than {LARGEST_FILE // 10**6} MB")
    return file.read_bytes()


@dataclass(frozen=True)
class Classifier:
    """A trained model, ready for photos.

    Attributes:
        name: which model it is.
        classes: the two classes.
        size: pixels a side of the photos it takes.
        resampling: how they are resized to that.
        temperature: calibrates its probabilities; None: not known, they stay as they are.
        compute: runs it.
    """

    name: str
    classes: tuple[str, ...]
    size: int
    resampling: Resampling
    temperature: float | None
    compute: Compute

    def classify(self, files: Iterable[Path]) -> Iterator[Answer | Unread]:
        """Classify photos, a batch at a time; memory does not grow with their number.

        Args:
            files: in any number; they may change or vanish meanwhile.

        Yields:
            An answer or a reason for each, in their order.

        Raises:
            WorkflowError: if the model's output is no number.
        """
        loaded = in_threads(self._load, files)
        photos_a_batch = max(1, _BATCH_BYTES // (3 * self.size**2))
        while batch := list(islice(loaded, photos_a_batch)):
            decoded = [item for item in batch if not isinstance(item, Unread)]
            probabilities = iter(self.probabilities(np.stack([pixels for _, pixels in decoded])) if decoded else ())
            for item in batch:
                yield item if isinstance(item, Unread) else self.answer(str(item[0]), float(next(probabilities)))

    def probabilities(self, photos: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated P(second class), (n,), of decoded photos (n, size, size, 3).

        Raises:
            WorkflowError: if the model's output is no number.
        """
        given = np.asarray(self.compute(photos), dtype=np.float64)
        if not np.isfinite(given).all():
            raise WorkflowError(f"the model {self.name} gives no numbers; its training diverged: lower learning_rate")
        if self.temperature is None:
            return given
        return apply_temperature(class_probabilities(given[:, None]), self.temperature)[:, 1]

    def _load(self, file: Path) -> tuple[Path, NDArray[np.uint8]] | Unread:
        try:
            return file, decode(read_photo(file), self.size, self.resampling)
        except RefusedPhotoError as error:
            return Unread(str(file), str(error))
        except OSError as error:
            return Unread(str(file), error.strerror or str(error))

    def answer(self, photo: str, second: float) -> Answer:
        """What a calibrated P(second class) says of a photo."""
        position = int(predicted(class_probabilities(np.array([[second]])))[0])
        return Answer(photo, self.classes[position], max(second, 1 - second), second)
