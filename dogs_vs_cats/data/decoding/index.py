"""The images folder: the used photos by split and class, unchanged, and the index that says what each is."""

import csv
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.data.decoding.photos import Fingerprint
from dogs_vs_cats.data.spool import open_on_disk
from dogs_vs_cats.data.spreadsheets import as_cell, from_cell
from dogs_vs_cats.errors import WorkflowError

COLUMNS = ("file", "class", "split", "sha256", "perceptual_hash", "width", "height")
SPLITS = ("train", "validation", "test", "unlabelled")
INDEX = "index.csv"
REPAIR = "make it again with: dvc repro -f split"

# Bytes in a file's name that every file system takes, with room for a number to tell it from others.
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class IndexedPhoto:
    """A line of the index.

    Attributes:
        file: relative to the images folder, with forward slashes.
        label: the class; None for an unlabelled photo.
        split: train, validation, test or unlabelled.
        fingerprint: of the file's bytes.
    """

    file: str
    label: str | None
    split: str
    fingerprint: Fingerprint


@dataclass(frozen=True)
class ImagesFacts:
    """What the images folder was made from.

    Attributes:
        source: ``download.source`` of the photos.
        classes: the two classes; the second is the positive one.
        unlabelled_rejected: ids of the unlabelled photos that do not decode.
    """

    source: str
    classes: list[str]
    unlabelled_rejected: list[str]


def name_files(photos: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Where in the images folder each photo goes: its own name, made safe for any file system and unique.

    Args:
        photos: each one's path inside its source, and the folder it goes to, relative to the images folder.

    Yields:
        Paths relative to the images folder, with forward slashes.
    """
    with closing(open_on_disk()) as database:
        database.execute("CREATE TABLE taken (file PRIMARY KEY) WITHOUT ROWID")
        for name, folder in photos:
            stem, extension = safe_name(name)
            file, number = f"{folder}/{stem}{extension}", 1
            # Some file systems take "A.jpg" and "a.jpg" for one.
            while not database.execute("INSERT OR IGNORE INTO taken VALUES (?)", (file.casefold(),)).rowcount:
                number += 1
                file = f"{folder}/{stem}-{number}{extension}"
            yield file


def safe_name(name: str) -> tuple[str, str]:
    """Stem and extension of a photo's path, as any file system takes them."""
    base = unicodedata.normalize("NFC", name.rpartition("/")[2])
    # What Windows or a URL would take for something else, and bytes of a name that are no text.
    base = re.sub(r'[\x00-\x1f\x7f<>:"\\|?*\ud800-\udfff]', "_", base).lstrip(".")
    stem, dot, extension = base.rpartition(".")
    if not stem:
        stem, dot, extension = extension or "photo", "", ""
    return stem.encode()[:LONGEST_NAME].decode(errors="ignore"), dot + extension


def write_facts(images: Path, facts: ImagesFacts) -> None:
    """Write what the images folder was made from, as ``dataset.json``."""
    (images / "dataset.json").write_text(json.dumps(vars(facts), indent=2) + "\n", encoding="utf-8")


def read_facts(images: Path) -> ImagesFacts:
    """Read what the images folder was made from.

    Raises:
        WorkflowError: if that is missing or damaged.
    """
    path = images / "dataset.json"
    try:
        return ImagesFacts(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        raise WorkflowError(f"{path}: missing or damaged; {REPAIR}") from None


def write_index(images: Path, photos: Iterable[IndexedPhoto]) -> None:
    """Write the index, sorted by file, so that the order of the photos never depends on the order they were read in."""
    with (images / INDEX).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        with closing(open_on_disk()) as database:
            # In order from the start: to sort them at the end, SQLite would map a file of them all into memory.
            database.execute(f"CREATE TABLE photos ({', '.join(COLUMNS)}, PRIMARY KEY (file)) WITHOUT ROWID")
            database.executemany("INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?, ?)", map(_line, photos))
            writer.writerows(database.execute("SELECT * FROM photos ORDER BY file"))


def _line(photo: IndexedPhoto) -> tuple[str | int, ...]:
    known = photo.fingerprint
    perceptual_hash = f"{known.perceptual_hash:016x}"
    return photo.file, as_cell(photo.label or ""), photo.split, known.sha256, perceptual_hash, known.width, known.height


def read_index(images: Path) -> Iterator[IndexedPhoto]:
    """Read the index, a line at a time.

    Yields:
        The photos in the index's order, which is the order of everything made from them.

    Raises:
        WorkflowError: if it is missing or damaged; with the line's number.
    """
    path, number = images / INDEX, 1
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, strict=True)
            if tuple(next(lines, ())) != COLUMNS:
                raise WorkflowError(f"{path}: does not begin with the columns {','.join(COLUMNS)}; {REPAIR}")
            for number, line in enumerate(lines, start=2):
                try:
                    photo = _read_line(*line)
                except (TypeError, ValueError):
                    raise WorkflowError(f"{path}: line {number} is damaged; {REPAIR}") from None
                yield photo
    except (FileNotFoundError, UnicodeDecodeError, csv.Error):
        raise WorkflowError(f"{path}: missing or damaged; {REPAIR}") from None
    if number == 1:
        raise WorkflowError(f"{path}: lists no photos; {REPAIR}")


def _read_line(
    file: str, label: str, split: str, sha256: str, perceptual_hash: str, width: str, height: str
) -> IndexedPhoto:
    if split not in SPLITS or (split == "unlabelled") != (not label):
        raise ValueError(split)
    # One text for all photos of a class or split, not one each.
    return IndexedPhoto(
        file,
        sys.intern(from_cell(label)) or None,
        sys.intern(split),
        Fingerprint(sha256, int(perceptual_hash, 16), int(width), int(height)),
    )


def write_rejected(path: Path, rejected: Iterable[tuple[str, str]]) -> None:
    """Write the list of refused or doubtful photos.

    Args:
        path: the CSV file to write.
        rejected: the photos' paths inside their source, and the reasons.
    """
    with path.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "reason"))
        writer.writerows((as_cell(name), as_cell(reason)) for name, reason in rejected)
