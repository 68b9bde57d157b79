"""Reading a fetched source: its labelled and unlabelled photos, whatever the layout they came in.

``data/raw`` holds ``source.json``, ``train`` or ``train.zip`` with the labelled photos, and, where there are any,
``test`` or ``test.zip`` with the unlabelled ones, as ``sources.fetch`` left them.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from dogs_vs_cats.archives import Archive
from dogs_vs_cats.errors import WorkflowError

CLASSES = 2
PHOTO_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

_KAGGLE_NAME = re.compile(r"(cat|dog)\.\d+\.[a-z]+", re.IGNORECASE)
_SPLIT_FOLDER = re.compile(r"train(ing)?|val(id|idation)?|test(ing)?\d*", re.IGNORECASE)
_LAYOUTS = "name photos cat.N.jpg and dog.N.jpg, or put each class in a folder of its own"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a source.

    Attributes:
        name: its path inside the source, with forward slashes.
        label: its class; None for an unlabelled photo.
        read: returns the bytes of the file; raises WorkflowError if the source is damaged there.
    """

    name: str
    label: str | None
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Store:
    """Photos in one place, a folder or a zip, whatever they mean."""

    shown: str
    names: list[str]
    read: Callable[[str], bytes]


def read_source(raw: Path) -> str:
    """The name of the source that ``raw`` was fetched from.

    Raises:
        WorkflowError: if ``raw`` holds no complete download.
    """
    path = raw / "source.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError):
        raise WorkflowError(f"{path}: missing or unreadable; fetch the photos with: dvc repro -f download") from None


def labelled(raw: Path) -> list[Photo]:
    """The labelled photos of a fetched source.

    Args:
        raw: the folder that ``fetch`` filled.

    Returns:
        The photos sorted by name. Their labels are two: "cats" and "dogs" for any spelling of cat and dog, otherwise
        the names of the class folders.

    Raises:
        WorkflowError: if there are none, or not exactly two classes of them.
    """
    store = _stored(raw, "train")
    if store is None:
        raise WorkflowError(f"{raw}: no train folder or train.zip; fetch the photos with: dvc repro -f download")
    labels = label_names(divide(store.names)[0], store.shown)
    return [Photo(name, labels[name], partial(store.read, name)) for name in sorted(labels)]


def unlabelled(raw: Path) -> list[Photo]:
    """The unlabelled photos of a fetched source, empty where it has none.

    Args:
        raw: the folder that ``fetch`` filled.

    Returns:
        The photos sorted by their id, which is the name without its folder and extension.

    Raises:
        WorkflowError: if a name is not an integer id, or an id is there twice.
    """
    store = _stored(raw, "test")
    if store is not None:
        names = store.names
    else:
        store = _stored(raw, "train")
        names = divide(store.names)[1] if store is not None else []
    if store is None or not names:
        return []
    ids = read_ids(names, store.shown)
    return [Photo(name, None, partial(store.read, name)) for name in sorted(names, key=ids.__getitem__)]


def is_photo(name: str) -> bool:
    """Whether a name has a photo's extension and is not hidden."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in PHOTO_EXTENSIONS


def _stored(raw: Path, name: str) -> Store | None:
    if (raw / name).is_dir():
        # Where DVC can make no other kind, it replaces the files by links into its cache.
        return folder_store(raw / name, links=True)
    if (raw / f"{name}.zip").is_file():
        return zip_store(Archive(raw / f"{name}.zip"))
    return None


def zip_store(archive: Archive) -> Store:
    """The photos in a zip."""
    return Store(archive.shown, [name for name in archive.names if is_photo(name)], archive.read)


def folder_store(folder: Path, *, links: bool = False) -> Store:
    """The photos in a folder; links in it are refused unless ``links``."""

    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    return Store(str(folder), list(_walk(folder, "", links=links)), read)


def _walk(folder: Path, prefix: str, *, links: bool) -> Iterator[str]:
    """Names of the photos in a folder, sorted; hidden files and other kinds are left out."""
    for entry in sorted(os.scandir(folder / prefix), key=lambda entry: entry.name):
        name = f"{prefix}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not links:
            raise WorkflowError(f"{folder / name}: is a link; put the photos themselves into the folder")
        if entry.is_dir():
            yield from _walk(folder, f"{name}/", links=links)
        elif not is_photo(name):
            continue
        elif not entry.is_file():
            raise WorkflowError(f"{folder / name}: is not a regular file; remove it from the folder")
        elif not name.isprintable():
            raise WorkflowError(f"{folder}: the name {name!r} has characters that cannot be printed; rename the photo")
        else:
            yield name


# ---------------------------------------------------------------- layouts


def divide(names: list[str]) -> tuple[list[str], list[str]]:
    """Labelled and unlabelled names: Kaggle's train and test folders may come in one zip or folder."""
    level = _common_level(names)
    tops = {parts[level] for parts in map(_folders, names) if len(parts) > level}
    is_test = re.compile(r"test\d*", re.IGNORECASE).fullmatch
    tests = {top for top in tops if is_test(top)}
    if {top.lower() for top in tops - tests} != {"train"} or not tests:
        return names, []
    test = [name for name in names if _folders(name)[level:] and _folders(name)[level] in tests]
    if not all(PurePosixPath(name).stem.isdecimal() and len(_folders(name)) == level + 1 for name in test):
        return names, []
    return sorted(set(names) - set(test)), test


def label_names(names: list[str], shown: str) -> dict[str, str]:
    """The class of each name; WorkflowError names what is of no class, or how many classes there are."""
    if not names:
        raise WorkflowError(f"{shown}: no photos ({', '.join(sorted(PHOTO_EXTENSIONS))}) in it; {_LAYOUTS}")
    level = _class_level(names)
    found = {name: _folders(name)[level] for name in names if len(_folders(name)) > level}
    by_name = {name: match[1].lower() for name in names if (match := _KAGGLE_NAME.fullmatch(PurePosixPath(name).name))}
    both_by_name = len(by_name) == len(names) and len(set(by_name.values())) == CLASSES
    if both_by_name or (by_name and len(set(found.values())) != CLASSES):
        found = by_name
    lost = [name for name in names if name not in found]
    if lost:
        raise WorkflowError(f"{shown}: {lost[0]} is of no class ({len(lost)} such in all); {_LAYOUTS}")
    classes = sorted(set(found.values()))
    spelled = {_animal(name) for name in classes}
    listed = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")  # noqa: PLR2004
    if len(spelled) != CLASSES:
        counted = "only one class" if len(spelled) == 1 else f"{len(spelled)} classes"
        raise WorkflowError(f"{shown}: {counted} of photos ({listed}), two are needed; {_LAYOUTS}")
    if spelled == {"cats", "dogs"}:
        return {name: _animal(label) for name, label in found.items()}
    if all(map(_SPLIT_FOLDER.fullmatch, classes)):
        raise WorkflowError(f"{shown}: its folders ({listed}) are named after splits, not classes; {_LAYOUTS}")
    return found


def _animal(name: str) -> str:
    return {"cat": "cats", "cats": "cats", "dog": "dogs", "dogs": "dogs"}.get(name.lower(), name)


def _folders(name: str) -> tuple[str, ...]:
    return PurePosixPath(name).parts[:-1]


def _common_level(names: list[str]) -> int:
    """How many leading folders all names share, at least one folder a name being left."""
    paths = set(map(_folders, names))
    level = 0
    while all(len(path) > level + 1 for path in paths) and len({path[level] for path in paths}) == 1:
        level += 1
    return level


def _class_level(names: list[str]) -> int:
    """The depth of the class folders: below folders that all share, and below train, validation and test folders."""
    paths = set(map(_folders, names))
    level = 0
    while all(len(path) > level + 1 for path in paths):
        tops = {path[level] for path in paths}
        if len(tops) > 1 and not all(map(_SPLIT_FOLDER.fullmatch, tops)):
            break
        level += 1
    return level


def read_ids(names: list[str], shown: str) -> dict[str, int]:
    """The integer id of each unlabelled name; WorkflowError names one that has none, or two of one id."""
    ids: dict[str, int] = {}
    seen: dict[int, str] = {}
    for name in sorted(names):
        stem = PurePosixPath(name).stem
        if not (stem.isascii() and stem.isdecimal()):
            raise WorkflowError(f"{shown}: {name} is not named by an integer id, such as 17.jpg; rename or remove it")
        ids[name] = int(stem)
        if ids[name] in seen:
            raise WorkflowError(f"{shown}: {seen[ids[name]]} and {name} have the same id; keep one of them")
        seen[ids[name]] = name
    return ids
