"""The list of photos to leave out of every split: a CSV file that a person wrote or picked from the audit's."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.raw_photos import Photo


@dataclass(frozen=True)
class Listed:
    """A line of the list.

    Attributes:
        number: of the line, from 1.
        reason: what the list's ``reason`` column says; empty where it has none.
    """

    number: int
    reason: str


def find_list(path: str, folder: Path) -> Path:
    """Where the list is.

    Args:
        path: ``split.exclude``.
        folder: the folder that lists must be in, since DVC looks for changes there.

    Raises:
        WorkflowError: if it is elsewhere, or is no file.
    """
    found = Path(path).expanduser()
    if not found.resolve().is_relative_to(folder.resolve()):
        raise WorkflowError(
            f"split.exclude: {path} is not in {folder}/, where DVC sees that a list has changed; put it there"
        )
    if not found.is_file():
        raise WorkflowError(f"{path}: no such file; correct split.exclude, or set it to null")
    return found


def read_list(path: Path) -> dict[str, Listed]:
    """Read the names of photos to leave out.

    Args:
        path: a CSV file with a column ``file``; a column ``reason`` is kept, others are ignored.

    Returns:
        By name, the first line it stands in.

    Raises:
        WorkflowError: if the file is no such CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if "file" not in columns:
                raise WorkflowError(
                    f"{path}: no column file in its first line ({','.join(columns) or 'empty'}); add it"
                )
            listed: dict[str, Listed] = {}
            for row in reader:
                name = (row["file"] or "").strip()
                if not name:
                    raise WorkflowError(f"{path}: line {reader.line_num} names no file; correct or remove it")
                listed.setdefault(name, Listed(reader.line_num, (row.get("reason") or "").strip()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise WorkflowError(f"{path}: not a CSV file in UTF-8 ({error}); correct it") from None
    return listed


def leave_out(
    photos: Sequence[Photo], listed: Mapping[str, Listed], shown: Path
) -> tuple[list[Photo], list[tuple[str, str]]]:
    """Part the listed photos from the others.

    Args:
        photos: a source's labelled photos.
        listed: the names to leave out: a photo's path inside its source, or the end of it, such as ``cat.7.jpg``, where
            no other photo's ends so.
        shown: the list's name in messages.

    Returns:
        The photos that stay, and the names of the others with the reason.

    Raises:
        WorkflowError: if a name is no photo's or more than one's, or a class has no photo left.
    """
    by_ending: defaultdict[str, list[str]] = defaultdict(list)
    for photo in photos:
        parts = PurePosixPath(photo.name).parts
        for start in range(len(parts)):
            by_ending["/".join(parts[start:])].append(photo.name)
    names = {photo.name for photo in photos}
    unknown = [name for name in listed if name not in by_ending]
    if unknown:
        more = f" (nor {', '.join(unknown[1:3])}{', ...' if len(unknown) > 3 else ''})" if unknown[1:] else ""  # noqa: PLR2004
        raise WorkflowError(
            f"{shown}: line {listed[unknown[0]].number}: no labelled photo is called {unknown[0]}{more}, "
            f"{len(unknown)} such in all; correct or remove them"
        )
    reasons: dict[str, str] = {}
    for name, line in listed.items():
        meant = [name] if name in names else by_ending[name]
        if len(meant) > 1:
            raise WorkflowError(
                f"{shown}: line {line.number}: {name} may be {meant[0]} or {meant[1]}; give the path inside the source"
            )
        reasons.setdefault(meant[0], f"excluded by {shown}" + (f": {line.reason}" if line.reason else ""))
    left = [photo for photo in photos if photo.name not in reasons]
    gone = {str(photo.label) for photo in photos} - {str(photo.label) for photo in left}
    if gone:
        raise WorkflowError(f"{shown}: lists every photo of class {min(gone)}; remove some lines")
    return left, [(photo.name, reasons[photo.name]) for photo in photos if photo.name in reasons]
