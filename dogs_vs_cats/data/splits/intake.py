"""From a source's photos to the images folder: checked, given a split, laid out."""

import os
import shutil
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat, tee
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dogs_vs_cats.data.decoding.index import IndexedPhoto, name_files
from dogs_vs_cats.data.decoding.many import in_threads
from dogs_vs_cats.data.decoding.photos import Fingerprint, Refusal, inspect
from dogs_vs_cats.data.raw.raw_photos import Photo, Photos
from dogs_vs_cats.data.splits.dictionary_encoding import DictionaryEncoded
from dogs_vs_cats.data.splits.splitting import assign_splits, group_duplicates
from dogs_vs_cats.data.spool import Spool
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import SplitSettings


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


def take_in(sources: Sequence[Photos], folder: Path) -> tuple[Spool[TakenPhoto], list[RefusedPhoto]]:
    """Copy each photo that decodes into a folder; a few at a time are in memory.

    Args:
        sources: the labelled photos and the unlabelled ones.
        folder: a folder to make, for photos named by number.

    Returns:
        The photos that decode, on disk in that folder, and those that do not, in the source's order.
    """
    folder.mkdir()

    def take_in_one(numbered: tuple[int, Photo]) -> TakenPhoto | RefusedPhoto:
        number, photo = numbered
        data = photo.read()
        result = inspect(data)
        if isinstance(result, Refusal):
            return RefusedPhoto(photo.name, photo.label, result.reason)
        # Not by pathlib, whose table of texts each thread would come to hold a copy of: see raw_photos.
        with open(f"{folder}/{number}", "wb") as file:  # noqa: PTH123
            file.write(data)
        return TakenPhoto(photo.name, photo.label, result, number)

    refused = []

    def take_in_all() -> Iterator[TakenPhoto]:
        results = in_threads(take_in_one, enumerate(chain.from_iterable(sources)))
        for result in tqdm(results, total=sum(map(len, sources)), desc="checking photos", unit="photo", disable=None):
            if isinstance(result, TakenPhoto):
                yield result
            else:
                refused.append(result)

    return Spool(folder / "taken", take_in_all()), refused


def check_classes(taken: Iterable[TakenPhoto], refused: Sequence[RefusedPhoto]) -> None:
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


def choose_splits(taken: Spool[TakenPhoto], settings: SplitSettings) -> tuple[Sequence[str | None], np.ndarray]:
    """Choose the split of each photo; the unlabelled ones are a split of their own, never compared with the others.

    Args:
        taken: the photos that decode: labelled ones, some of each class, in the order of their names; then the others.
        settings: the ``split`` section.

    Returns:
        The split of each photo, None for one that is not used; and the sizes of the groups of duplicates, from 2.

    Raises:
        WorkflowError: if there are too few photos for the settings.
    """
    hashes = array("Q", (photo.fingerprint.perceptual_hash for photo in taken if photo.label is not None))
    groups = group_duplicates(np.frombuffer(hashes, dtype=np.uint64), settings.near_duplicate_bits)
    del hashes
    # Read anew, now that the hashes have made room.
    labels = DictionaryEncoded(photo.label for photo in taken if photo.label is not None)
    splits = assign_splits(labels, groups, settings)
    sizes = np.bincount(groups)
    return DictionaryEncoded(chain(splits, repeat("unlabelled", len(taken) - len(splits)))), sizes[sizes > 1]


def lay_out(
    taken: Iterable[TakenPhoto], splits: Sequence[str | None], folder: Path, images: Path
) -> Iterator[IndexedPhoto]:
    """Move photos to their places in the images folder.

    Args:
        taken: the photos.
        splits: the split of each, None for one that is not used.
        folder: the folder that ``take_in`` made; it is gone afterwards.
        images: the images folder.

    Yields:
        What the index is to say of those that are used.
    """
    used, named = tee((photo, split) for photo, split in zip(taken, splits, strict=True) if split is not None)
    files = name_files(
        (photo.name, split if photo.label is None else f"{split}/{photo.label}") for photo, split in named
    )
    for (photo, split), file in zip(used, files, strict=True):
        (images / file.rpartition("/")[0]).mkdir(parents=True, exist_ok=True)
        os.rename(f"{folder}/{photo.number}", f"{images}/{file}")  # noqa: PTH104
        yield IndexedPhoto(file, photo.label, split, photo.fingerprint)
    shutil.rmtree(folder)  # with the photos that are not used
