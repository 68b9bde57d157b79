"""From a source's photos to the images folder: checked, given a split, laid out."""

import os
import shutil
from array import array
from collections import Counter, defaultdict
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
from dogs_vs_cats.data.splits.splitting import assign_splits, group_duplicates, keep_splits
from dogs_vs_cats.data.spool import Spool
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.photo_settings import SplitSettings


@dataclass(frozen=True, slots=True)
class TakenPhoto:
    """A photo that decodes.

    Attributes:
        name: its path inside the source.
        label: its class; None for an unlabelled photo.
        fingerprint: of its bytes.
        number: its place in the source's order, from 0; the name of the file that its bytes are in for now.
        split: that the source came with, if any.
    """

    name: str
    label: str | None
    fingerprint: Fingerprint
    number: int
    split: str | None = None


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
        return TakenPhoto(photo.name, photo.label, result, number, photo.split)

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


@dataclass(frozen=True)
class ChosenSplits:
    """The split of each photo.

    Attributes:
        splits: of each; None for one that is not used.
        groups: (n,) the labelled photos' groups of duplicates.
        own: the splits that the source came with and that were kept.
    """

    splits: Sequence[str | None]
    groups: np.ndarray
    own: list[str]


def choose_splits(taken: Spool[TakenPhoto], settings: SplitSettings) -> ChosenSplits:
    """Choose the split of each photo; the unlabelled ones are a split of their own, never compared with the others.

    Args:
        taken: the photos that decode: labelled ones, some of each class, in the order of their names; then the others.
        settings: the ``split`` section.

    Returns:
        The split of each photo, and which are duplicates.

    Raises:
        WorkflowError: if there are too few photos for the settings, or a split of the source's own lacks a class.
    """
    hashes = array("Q", (photo.fingerprint.perceptual_hash for photo in taken if photo.label is not None))
    groups = group_duplicates(np.frombuffer(hashes, dtype=np.uint64), settings.near_duplicate_bits)
    del hashes
    # Read anew, now that the hashes have made room.
    labels = DictionaryEncoded(photo.label for photo in taken if photo.label is not None)
    given: DictionaryEncoded[str | None] = DictionaryEncoded(photo.split for photo in taken if photo.label is not None)
    own = sorted({split for split in given if split is not None}) if settings.own == "auto" else []
    splits = keep_splits(labels, given, groups, settings) if own else assign_splits(labels, groups, settings)
    unlabelled = repeat("unlabelled", len(taken) - len(splits))
    return ChosenSplits(DictionaryEncoded(chain(splits, unlabelled)), groups, own)


def find_across(taken: Iterable[TakenPhoto], splits: Sequence[str | None], groups: np.ndarray) -> list[tuple[str, str]]:
    """Find the photos with a duplicate in another split.

    Args:
        taken: the photos, the labelled ones first.
        splits: of each; None for one that is not used.
        groups: (n,) the labelled photos' groups of duplicates.

    Returns:
        The name of each, and what to say of it.
    """
    several = np.bincount(groups) > 1
    members: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for photo, split, group in zip(taken, splits, groups.tolist(), strict=False):  # the unlabelled are in no group
        if split is not None and several[group]:
            members[group].append((photo.name, split))
    told = []
    for group in members.values():
        for name, split in group:
            other = next(((name, split_) for name, split_ in group if split_ != split), None)
            if other is not None:
                told.append((name, f"kept in {split}, though nearly equal to {other[0]} in {other[1]}"))
    return told


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
