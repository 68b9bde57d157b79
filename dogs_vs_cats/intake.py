"""From a source's photos to the images folder: checked, given a split, laid out."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.images import IndexedPhoto, name_files
from dogs_vs_cats.photos import Fingerprint, Refusal, in_threads, inspect
from dogs_vs_cats.raw_photos import Photo
from dogs_vs_cats.settings import SplitSettings
from dogs_vs_cats.splitting import assign_splits, group_duplicates


@dataclass(frozen=True, slots=True)
class TakenPhoto:
    """A photo that decodes.

    Attributes:
        name: its path inside the source.
        label: its class; None for an unlabelled photo.
        fingerprint: of its bytes.
        number: its place in the source's order, from 0; the name of the file that its bytes are in for now.
    """

    name: str
    label: str | None
    fingerprint: Fingerprint
    number: int


@dataclass(frozen=True, slots=True)
class RefusedPhoto:
    """A photo that cannot be used, and why."""

    name: str
    label: str | None
    reason: str


def take_in(photos: Sequence[Photo], folder: Path) -> tuple[list[TakenPhoto], list[RefusedPhoto]]:
    """Copy each photo that decodes into a folder; a few at a time are in memory.

    Args:
        photos: a source's.
        folder: a folder to make, for photos named by number.

    Returns:
        The photos that decode and those that do not, in the source's order.
    """
    folder.mkdir()

    def take_in_one(number: int) -> TakenPhoto | RefusedPhoto:
        photo = photos[number]
        data = photo.read()
        result = inspect(data)
        if isinstance(result, Refusal):
            return RefusedPhoto(photo.name, photo.label, result.reason)
        (folder / str(number)).write_bytes(data)
        return TakenPhoto(photo.name, photo.label, result, number)

    results = in_threads(take_in_one, range(len(photos)))
    known = list(tqdm(results, total=len(photos), desc="checking photos", unit="photo", disable=None))
    refused = [photo for photo in known if isinstance(photo, RefusedPhoto)]
    return [photo for photo in known if isinstance(photo, TakenPhoto)], refused


def check_classes(taken: Sequence[TakenPhoto], refused: Sequence[RefusedPhoto]) -> None:
    """Stop where a class has no photo left.

    Raises:
        WorkflowError: naming the class, its first photo and why that was refused.
    """
    left = {photo.label for photo in taken}
    for photo in refused:
        if photo.label is not None and photo.label not in left:
            count = Counter(other.label for other in refused)[photo.label]
            raise WorkflowError(
                f"{photo.name}: {photo.reason}; none of the {count} photos of class {photo.label} can be used, "
                "put photos that decode into the source"
            )


def choose_splits(taken: Sequence[TakenPhoto], settings: SplitSettings) -> tuple[list[str | None], np.ndarray]:
    """Choose the split of each photo; the unlabelled ones are a split of their own, never compared with the others.

    Args:
        taken: the photos that decode, some of each class.
        settings: the ``split`` section.

    Returns:
        The split of each photo, None for one that is not used; and the sizes of the groups of duplicates, from 2.

    Raises:
        WorkflowError: if there are too few photos for the settings.
    """
    splits: list[str | None] = ["unlabelled"] * len(taken)
    numbers = [number for number, photo in enumerate(taken) if photo.label is not None]
    names = [taken[number].name for number in numbers]
    labels = [str(taken[number].label) for number in numbers]
    hashes = np.array([taken[number].fingerprint.perceptual_hash for number in numbers], dtype=np.uint64)
    groups = group_duplicates(hashes, settings.near_duplicate_bits)
    for number, split in zip(numbers, assign_splits(names, labels, groups, settings), strict=True):
        splits[number] = split
    sizes = np.bincount(groups)
    return splits, sizes[sizes > 1]


def lay_out(
    taken: Sequence[TakenPhoto], splits: Sequence[str | None], folder: Path, images: Path
) -> list[IndexedPhoto]:
    """Move photos to their places in the images folder.

    Args:
        taken: the photos.
        splits: the split of each, None for one that is not used.
        folder: the folder that ``take_in`` made; it is gone afterwards.
        images: the images folder.

    Returns:
        What the index is to say of those that are used.
    """
    used = [(photo, split) for photo, split in zip(taken, splits, strict=True) if split is not None]
    folders = [split if photo.label is None else f"{split}/{photo.label}" for photo, split in used]
    indexed = []
    for (photo, split), file in zip(used, name_files([photo.name for photo, _ in used], folders), strict=True):
        target = images / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / str(photo.number)).rename(target)
        indexed.append(IndexedPhoto(file, photo.label, split, photo.fingerprint))
    shutil.rmtree(folder)  # with the photos that are not used
    return indexed
