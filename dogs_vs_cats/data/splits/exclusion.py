"""The list of photos to leave out of every split: a CSV file that a person wrote or picked from the audit's."""

import csv
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dogs_vs_cats.data.raw.raw_photos import Photos
from dogs_vs_cats.data.splits.dictionary_encoding import DictionaryEncoded
from dogs_vs_cats.data.splits.intake import TakenPhoto
from dogs_vs_cats.data.spreadsheets import from_cell
from dogs_vs_cats.errors import WorkflowError


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
                name = from_cell((row["file"] or "").strip())
                if not name:
                    raise WorkflowError(f"{path}: line {reader.line_num} names no file; correct or remove it")
                listed.setdefault(name, Listed(reader.line_num, from_cell((row.get("reason") or "").strip())))
    except (UnicodeDecodeError, csv.Error) as error:
        raise WorkflowError(f"{path}: not a CSV file in UTF-8 ({error}); correct it") from None
    return listed


def find_listed(photos: Photos, listed: Mapping[str, Listed], shown: Path) -> dict[str, str]:
    """The photos that a list means.

    Args:
        photos: a source's labelled photos.
        listed: the names to leave out: a photo's path inside its source, or the end of it, such as ``cat.7.jpg``, where
            no other photo's ends so.
        shown: the list's name in messages.

    Returns:
        The reason why it is left out, by the photo's path inside its source; in the photos' order.

    Raises:
        WorkflowError: if a name is no photo's, or more than one's.
    """
    by_ending: defaultdict[str, list[str]] = defaultdict(list)
    for photo in photos:
        parts = PurePosixPath(photo.name).parts
        for start in range(len(parts)):
            ending = "/".join(parts[start:])
            if ending in listed:
                by_ending[ending].append(photo.name)
    unknown = [name for name in listed if name not in by_ending]
    if unknown:
        more = f" (nor {', '.join(unknown[1:3])}{', ...' if len(unknown) > 3 else ''})" if unknown[1:] else ""  # noqa: PLR2004
        raise WorkflowError(
            f"{shown}: line {listed[unknown[0]].number}: no labelled photo is called {unknown[0]}{more}, "
            f"{len(unknown)} such in all; correct or remove them"
        )
    reasons: dict[str, str] = {}
    for name, line in listed.items():
        meant = [name] if name in by_ending[name] else by_ending[name]
        if len(meant) > 1:
            raise WorkflowError(
                f"{shown}: line {line.number}: {name} may be {meant[0]} or {meant[1]}; give the path inside the source"
            )
        reasons.setdefault(meant[0], f"excluded by {shown}" + (f": {line.reason}" if line.reason else ""))
    return {photo.name: reasons[photo.name] for photo in photos if photo.name in reasons}


def leave_out(
    taken: Iterable[TakenPhoto], splits: Sequence[str | None], names: Container[str], shown: Path
) -> Sequence[str | None]:
    """Take photos out of their splits; all others stay where they are, so that results before and after compare.

    Args:
        taken: the photos that decode.
        splits: the split of each.
        names: of the labelled photos to leave out.
        shown: the list's name in messages.

    Returns:
        The splits, None for photos that are left out.

    Raises:
        WorkflowError: if a split has no photo of a class left.
    """
    left = DictionaryEncoded(splits)
    before, after = set(), set()
    for place, photo in enumerate(taken):
        before.add((left[place], photo.label))
        if photo.label is not None and photo.name in names:
            left[place] = None
        after.add((left[place], photo.label))
    for split, label in sorted(before - after, key=str):
        if split is not None:
            raise WorkflowError(f"{shown}: leaves no photo of class {label} in {split}; remove some of its lines")
    return left
