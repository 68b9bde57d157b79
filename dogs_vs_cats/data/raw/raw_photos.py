"""Reading a fetched source: its labelled and unlabelled photos, whatever the layout they came in.

``data/raw`` holds ``source.json``, ``train`` or ``train.zip`` with the labelled photos, and, where there are any,
``test`` or ``test.zip`` with the unlabelled ones, as ``sources.fetch`` left them.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import filterfalse, pairwise
from pathlib import Path
from posixpath import splitext

from dogs_vs_cats.data.raw.archives import Archive
from dogs_vs_cats.data.spool import Names
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


class Photos:
    """The photos of a source in order; in memory is the one that is looked at."""

    def __init__(
        self, names: Names | list[str], label: Callable[[str], str | None], read: Callable[[str], bytes]
    ) -> None:
        self._names, self._label, self._read = names, label, read

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Photo]:
        for name in self._names:
            yield Photo(name, self._label(name), partial(self._read, name))


@dataclass(frozen=True)
class Store:
    """Photos in one place, a folder or a zip, whatever they mean."""

    shown: str
    names: Names | list[str]
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


def labelled(raw: Path) -> Photos:
    """The labelled photos of a fetched source.

    Args:
        raw: the folder that ``fetch`` filled.

    Returns:
        The photos sorted by name. Their labels are two: "cats" and "dogs" for any spelling of cat and dog, otherwise
        the names of the class folders.

    Raises:
        WorkflowError: if there are none, or not exactly two classes of them.
    """
    store = _stored_training(raw)
    names = Names(divide(store.names)[0])
    return Photos(names, labelling(names, store.shown), store.read)


def unlabelled(raw: Path) -> Photos:
    """The unlabelled photos of a fetched source, empty where it has none.

    Args:
        raw: the folder that ``fetch`` filled.

    Returns:
        The photos sorted by their id, which is the name without its folder and extension.

    Raises:
        WorkflowError: if a name is not an integer id, or an id is there twice.
    """
    if (store := _stored(raw, "test")) is not None:
        names: Iterable[str] = store.names
    else:
        store = _stored_training(raw)
        names = divide(store.names)[1]
    return Photos(order_by_id(names, store.shown), lambda _: None, store.read)


def is_photo(name: str) -> bool:
    """Whether a name has a photo's extension and is not hidden."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    return not hidden and splitext(name)[1].lower() in PHOTO_EXTENSIONS


def _stored_training(raw: Path) -> Store:
    store = _stored(raw, "train")
    if store is None:
        raise WorkflowError(f"{raw}: no train folder or train.zip; fetch the photos with: dvc repro -f download")
    return store


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
        # Not by pathlib: see _folders.
        with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123
            return file.read()

    return Store(str(folder), Names(_walk(folder, "", links=links)), read)


def _walk(folder: Path, prefix: str, *, links: bool) -> Iterator[str]:
    """Names of the photos in a folder, in no order; hidden files and other kinds are left out."""
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
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
                raise WorkflowError(
                    f"{folder}: the name {name!r} has characters that cannot be printed; rename the photo"
                )
            else:
                yield name


# ---------------------------------------------------------------- layouts


def divide(names: Names | list[str]) -> tuple[Names | list[str], Names | list[str]]:
    """Labelled and unlabelled names: Kaggle's train and test folders may come in one zip or folder."""
    level = _common_level(names)
    tops = {parts[level] for parts in map(_folders, names) if len(parts) > level}
    is_test = re.compile(r"test\d*", re.IGNORECASE).fullmatch
    tests = {top for top in tops if is_test(top)}
    if {top.lower() for top in tops - tests} != {"train"} or not tests:
        return names, []

    def of_test(name: str) -> bool:
        return not tests.isdisjoint(_folders(name)[level : level + 1])

    test = Names(filter(of_test, names))
    if not all(splitext(_base(name))[0].isdecimal() and len(_folders(name)) == level + 1 for name in test):
        return names, []
    return Names(filterfalse(of_test, names)), test


def labelling(names: Names | list[str], shown: str) -> Callable[[str], str]:
    """What tells a name's class; WorkflowError names what is of no class, or how many classes there are."""
    if not names:
        raise WorkflowError(f"{shown}: no photos ({', '.join(sorted(PHOTO_EXTENSIONS))}) in it; {_LAYOUTS}")
    by_folder = partial(_class_folder, level=_class_level(names))
    animals, folders = Counter(map(_animal_named, names)), Counter(map(by_folder, names))
    both_by_name = None not in animals and len(animals) == CLASSES
    some_by_name = bool(animals.keys() - {None})
    if both_by_name or (some_by_name and len(folders.keys() - {None}) != CLASSES):
        tell, found = _animal_named, animals
    else:
        tell, found = by_folder, folders
    if None in found:
        lost = next(name for name in names if tell(name) is None)
        raise WorkflowError(f"{shown}: {lost} is of no class ({found[None]} such in all); {_LAYOUTS}")
    classes = sorted(map(str, found))
    spelled = {_spell(name) for name in classes}
    listed = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")  # noqa: PLR2004
    if len(spelled) != CLASSES:
        counted = "only one class" if len(spelled) == 1 else f"{len(spelled)} classes"
        raise WorkflowError(f"{shown}: {counted} of photos ({listed}), two are needed; {_LAYOUTS}")
    if spelled == {"cats", "dogs"}:
        return lambda name: _spell(str(tell(name)))
    if all(map(_SPLIT_FOLDER.fullmatch, classes)):
        raise WorkflowError(f"{shown}: its folders ({listed}) are named after splits, not classes; {_LAYOUTS}")
    return lambda name: str(tell(name))


def _class_folder(name: str, level: int) -> str | None:
    folders = _folders(name)
    return folders[level] if len(folders) > level else None


def _animal_named(name: str) -> str | None:
    match = _KAGGLE_NAME.fullmatch(_base(name))
    return match[1].lower() if match else None


def _spell(name: str) -> str:
    return {"cat": "cats", "cats": "cats", "dog": "dogs", "dogs": "dogs"}.get(name.lower(), name)


# Not pathlib, which puts the parts of every path it sees into Python's table of interned texts; that is copied whenever
# it has filled up, and each thread keeps the room of a copy.
def _folders(name: str) -> tuple[str, ...]:
    return tuple(name.split("/")[:-1])


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _common_level(names: Iterable[str]) -> int:
    """How many leading folders all names share, at least one folder a name being left."""
    paths = set(map(_folders, names))
    level = 0
    while all(len(path) > level + 1 for path in paths) and len({path[level] for path in paths}) == 1:
        level += 1
    return level


def _class_level(names: Iterable[str]) -> int:
    """The depth of the class folders: below folders that all share, and below train, validation and test folders."""
    paths = set(map(_folders, names))
    level = 0
    while all(len(path) > level + 1 for path in paths):
        tops = {path[level] for path in paths}
        if len(tops) > 1 and not all(map(_SPLIT_FOLDER.fullmatch, tops)):
            break
        level += 1
    return level


def order_by_id(names: Iterable[str], shown: str) -> Names:
    """Unlabelled names in the order of their ids; WorkflowError names one that has none, or two of one id."""
    if lost := min(filterfalse(_has_id, names), default=None):
        raise WorkflowError(f"{shown}: {lost} is not named by an integer id, such as 17.jpg; rename or remove it")
    ordered = Names(names, key=_id)
    for name, following in pairwise(ordered):
        if _id(name) == _id(following):
            raise WorkflowError(f"{shown}: {name} and {following} have the same id; keep one of them")
    return ordered


def _has_id(name: str) -> bool:
    stem = splitext(_base(name))[0]
    return stem.isascii() and stem.isdecimal()


def _id(name: str) -> str:
    """A text that sorts as the integer does, of any length: the number of its digits, then those."""
    digits = splitext(_base(name))[0].lstrip("0")
    return f"{len(digits):05} {digits}"
