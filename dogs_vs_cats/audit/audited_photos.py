"""Every labelled photo that the workflow left, in one order: its name in the source, its label, features and print."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dogs_vs_cats.audit.auditing import pool
from dogs_vs_cats.data.arrays import has_split, open_split, read_dataset
from dogs_vs_cats.data.decoding.index import INDEX, REPAIR, IndexedPhoto, read_index, safe_name
from dogs_vs_cats.data.decoding.many import in_threads
from dogs_vs_cats.data.raw.raw_photos import Photos, labelled
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of
from dogs_vs_cats.models.features import open_features

LABELLED = ("train", "validation", "test")


@dataclass(frozen=True)
class AuditedPhotos:
    """The labelled photos, a row each.

    Attributes:
        source: ``download.source`` of the photos.
        classes: the two classes' names.
        names: (n) the photos' paths inside their source.
        indexed: (n) what the index says of them.
        labels: (n,) 0 or 1.
        features: (n, 512) float32, VGG16's, averaged over the photo.
    """

    source: str
    classes: list[str]
    names: list[str]
    indexed: list[IndexedPhoto]
    labels: NDArray[np.uint8]
    features: NDArray[np.float32]


def open_audited(raw: Path, images: Path, arrays: Path, features: Path) -> AuditedPhotos:
    """Gather what stages left of the labelled photos.

    Args:
        raw: the source as it came.
        images: the photos by split and class.
        arrays: what the decode stage left.
        features: what the bottleneck stage left.

    Raises:
        WorkflowError: if any of it is missing, damaged, or of other photos than the rest.
    """
    splits = [name for name in LABELLED if name == "train" or has_split(arrays, name)]
    opened = {name: open_split(arrays, name) for name in splits}
    bottleneck = [open_features(features, name, len(split.files)) for name, split in opened.items()]
    dataset, by_file = read_dataset(arrays), {photo.file: photo for photo in read_index(images)}
    if dataset.digest != digest_of(images / INDEX):
        raise WorkflowError(f"{arrays}: made from other photos than {images} holds now; run: dvc repro bottleneck")
    indexed = [by_file[file] for split in opened.values() for file in split.files]
    return AuditedPhotos(
        dataset.source,
        dataset.classes,
        source_names(indexed, labelled(raw), images),
        indexed,
        np.concatenate([np.asarray(split.labels) for split in opened.values()]),
        np.concatenate([pool(split) for split in bottleneck]),
    )


def source_names(indexed: list[IndexedPhoto], photos: Photos, images: Path) -> list[str]:
    """The photos' names in their source, which stay when the split changes.

    Args:
        indexed: photos of the index.
        photos: the source's labelled photos.
        images: the images folder, for messages.

    Returns:
        (n) the name of the source's photo of the same class and bytes, and of the same file name where there are such.

    Raises:
        WorkflowError: if the source has no such photo.
    """
    digests = in_threads(lambda photo: hashlib.sha256(photo.read()).hexdigest(), photos)
    left: defaultdict[tuple[str | None, str], list[str]] = defaultdict(list)
    for photo, digest in zip(photos, digests, strict=True):
        left[photo.label, digest].append(photo.name)
    names = []
    for taken in indexed:
        same = left[taken.label, taken.fingerprint.sha256]
        if not same:
            raise WorkflowError(f"{images / taken.file}: no such photo in the source; {REPAIR}")
        base = PurePosixPath(taken.file).name
        name = next((name for name in same if "".join(safe_name(name)) == base), same[0])
        same.remove(name)
        names.append(name)
    return names
