"""What the names of a source's photos say: which class each is of, and which photos have none."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import filterfalse, pairwise
from posixpath import splitext
from unicodedata import normalize

from dogs_vs_cats.data.raw.left_out import PHOTO_EXTENSIONS, LeftOut, breaks_lists, count_reasons
from dogs_vs_cats.data.spool import Names
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.sections import Layout

CLASSES = 2

_ANIMALS = {"cats", "dogs"}
_KAGGLE_NAME = re.compile(r"(cat|dog)\.\d+\.[a-z0-9]+", re.IGNORECASE)
_SPLIT_FOLDER = re.compile(
    r"(?:(train)(?:ing)?|(val)(?:id|idation)?|(test)(?:ing)?\d*)(?:[ _-]?(?:set|data))?", re.IGNORECASE
)
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_LAYOUTS = "name photos cat.N.jpg and dog.N.jpg, or put each class in a folder of its own"
_MOST_LISTED = 10


@dataclass(frozen=True)
class Reading:
    """One way to tell the classes of photos.

    Attributes:
        layout: its name, a value of ``download.layout`` other than auto.
        tell: from a photo's name to its class as it is spelled there; None where it says none.
        counts: photos of each of those.
    """

    layout: str
    tell: Callable[[str], str | None]
    counts: Counter[str | None]

    @cached_property
    def spelled(self) -> set[str]:
        """The classes, with one spelling of cats and dogs."""
        return {_spell(found) for found in self.counts if found is not None}

    @property
    def complete(self) -> bool:
        """Whether it gives each photo one of two classes."""
        return len(self.spelled) == CLASSES and None not in self.counts and not self.of_splits

    @property
    def of_splits(self) -> bool:
        """Whether what it takes for classes are train, validation and test folders."""
        return all(found is not None and _SPLIT_FOLDER.fullmatch(found) for found in self.counts)

    def label(self, name: str) -> str:
        """Return a photo's class: cats or dogs where these are the two, otherwise as it is spelled."""
        told = str(self.tell(name))
        return _spell(told) if self.spelled == _ANIMALS else told

    def __str__(self) -> str:
        totals: Counter[str] = Counter()
        for found, count in self.counts.items():
            totals["of no class" if found is None else _spell(found)] += count
        return f"by {self.layout.replace('_', ' ')} {' and '.join(f'{n} {name}' for name, n in sorted(totals.items()))}"


def divide(names: Names | list[str]) -> tuple[Names | list[str], Names | list[str]]:
    """Labelled and unlabelled names: Kaggle's train and test folders may come in one zip or folder."""
    level = _common_level(names)
    tops = {parts[level] for parts in map(_folders, names) if len(parts) > level}
    tests = {top for top in tops if _split_named(top) == "test"}
    if not {"train"} <= {_split_named(top) for top in tops - tests} <= {"train", "validation"} or not tests:
        return names, []

    def of_test(name: str) -> bool:
        return not tests.isdisjoint(_folders(name)[level : level + 1])

    test = Names(filter(of_test, names))
    if not all(splitext(_base(name))[0].isdecimal() and len(_folders(name)) == level + 1 for name in test):
        return names, []
    return Names(filterfalse(of_test, names)), test


def own_splits(names: Names | list[str]) -> Callable[[str], str] | None:
    """Find the train, validation and test folders that a source came with.

    Args:
        names: of the labelled photos.

    Returns:
        From a photo's name to its split; None where the source is not divided so.
    """
    paths = set(map(_folders, names))
    for level in range(min(map(len, paths), default=0)):
        splits = {path[level]: _split_named(path[level]) for path in paths}
        if None not in splits.values() and len(set(splits.values())) > 1:
            return lambda name, level=level, splits=splits: str(splits[_folders(name)[level]])  # type: ignore[misc]
    return None


def _split_named(folder: str) -> str | None:
    match = _SPLIT_FOLDER.fullmatch(folder)
    return _SPLITS[match[match.lastindex or 0].lower()] if match else None


def read_classes(names: Names | list[str], shown: str, layout: Layout, left_out: LeftOut | None = None) -> Reading:
    """Find how a source's photos tell their classes. Folders win where the names of files could be meant as well.

    Args:
        names: of the labelled photos.
        shown: what to call the source in error messages.
        layout: ``download.layout``.
        left_out: the source's other files.

    Returns:
        A complete reading.

    Raises:
        WorkflowError: naming the photo that is of no class, how many classes there are, why no file of a class is read,
            or both readings where one contradicts the other and ``layout`` is auto.
    """
    if not names:
        endings = ", ".join(sorted(PHOTO_EXTENSIONS))
        raise WorkflowError(f"{shown}: no photos ({endings}) in it{left_out or ''}; {_LAYOUTS}")
    tells = _tells(names)
    told = Counter(tuple(tell(name) for tell in tells.values()) for name in names)
    readings = {key: Reading(key, tell, _marginal(told, place)) for place, (key, tell) in enumerate(tells.items())}
    folders, inner, by_name = readings.values()
    if layout != "auto":
        _check_nothing_is_lost(readings[layout], names, left_out, shown)
        return _complete(readings[layout], names, f"{shown}: by download.layout {layout}: ", _LAYOUTS)
    for place, other in ((2, by_name), (1, inner)):
        pairs: Counter[tuple[str | None, str | None]] = Counter()
        for labels, count in told.items():
            pairs[labels[0], labels[place]] += count
        if (pair := _contradiction(pairs, folders, other)) is not None:
            photo = next(name for name in names if (folders.tell(name), other.tell(name)) == pair)
            raise WorkflowError(
                f"{shown}: its photos are {folders}, but {other}: {photo} is {' or '.join(map(_spell, pair))}; "
                f"say which is meant with download.layout: folders or {other.layout}"
            )
    some_by_name = by_name.spelled and len(folders.counts.keys() - {None}) != CLASSES
    reading = by_name if not folders.complete and (by_name.complete or some_by_name) else folders
    _check_nothing_is_lost(reading, names, left_out, shown)
    inner_too = f", or set download.layout to inner_folders ({inner})" if inner.complete else ""
    return _complete(reading, names, f"{shown}: ", f"{_LAYOUTS}{inner_too}")


def _tells(names: Iterable[str]) -> dict[str, Callable[[str], str | None]]:
    return {
        "folders": partial(_class_folder, level=_class_level(names)),
        "inner_folders": _inner_folder,
        "names": _animal_named,
    }


def _check_nothing_is_lost(reading: Reading, names: Iterable[str], left_out: LeftOut | None, shown: str) -> None:
    """Raise a WorkflowError that names the classes of which no file is read, where the photos are all of one class."""
    if len(reading.spelled) != 1 or left_out is None:
        return
    depth = min(len(_folders(name)) for name in names)
    others = [(name, reason) for name, reason in left_out.files if len(_folders(name)) >= depth]
    tell = _tells([*names, *(name for name, _ in others)])[reading.layout]
    kept = {_spell(str(tell(name))) for name in names}
    lost: dict[str, list[str]] = {}
    for name, reason in others:
        if (label := tell(name)) is not None and _spell(label) not in kept:
            lost.setdefault(_spell(label), []).append(reason)
    if lost:
        told = ", nor ".join(
            f"of the {len(reasons)} files of {repr(label) if breaks_lists(label) else label} ({count_reasons(reasons)})"
            for label, reasons in sorted(lost.items())
        )
        raise WorkflowError(f"{shown}: none {told} is read; convert them to JPEG or PNG")


def _marginal(told: Counter[tuple[str | None, ...]], place: int) -> Counter[str | None]:
    counts: Counter[str | None] = Counter()
    for labels, count in told.items():
        counts[labels[place]] += count
    return counts


def _contradiction(
    pairs: Counter[tuple[str | None, str | None]], folders: Reading, other: Reading
) -> tuple[str, str] | None:
    """The classes by folder and by another reading of a photo that is a cat or a dog by that one and not by its folder.

    Where a folder is named after a split, as train beside dev, a photo may be of any other class. Of several such pairs
    it is the one of the fewest photos.

    None where it is no contradiction: the other reading's cats and dogs are the folders' classes under other words, or
    not all photos have such names.
    """
    if len(folders.spelled) < CLASSES or folders.of_splits:
        return None
    said = sorted((folder, told) for folder, told in pairs if folder is not None and told is not None)
    differing = [(folder, told) for folder, told in said if _spell(told) in _ANIMALS - {_spell(folder)}]
    both_meant = other.complete and (folders.complete or folders.spelled > _ANIMALS)
    divided_otherwise = both_meant and len({(_spell(folder), _spell(told)) for folder, told in said}) > CLASSES
    wrong = [pair for pair in differing if divided_otherwise or _spell(pair[0]) in _ANIMALS]
    if divided_otherwise and any(map(_split_named, folders.spelled)):
        wrong = [pair for pair in said if pair[0] != pair[1]]
    return min(wrong, key=lambda pair: pairs[pair], default=None)


def _complete(reading: Reading, names: Iterable[str], where: str, advice: str) -> Reading:
    """The reading; WorkflowError if it does not give each photo one of two classes."""
    if None in reading.counts:
        lost = next(name for name in names if reading.tell(name) is None)
        raise WorkflowError(f"{where}{lost} is of no class ({reading.counts[None]} such in all); {advice}")
    classes = sorted(map(str, reading.counts))
    listed = ", ".join(classes[:_MOST_LISTED]) + (", ..." if len(classes) > _MOST_LISTED else "")
    if len(reading.spelled) != CLASSES:
        counted = "only one class" if len(reading.spelled) == 1 else f"{len(reading.spelled)} classes"
        raise WorkflowError(f"{where}{counted} of photos ({listed}), two are needed; {advice}")
    if reading.of_splits:
        raise WorkflowError(f"{where}its folders ({listed}) are named after splits, not classes; {advice}")
    return reading


def _class_folder(name: str, level: int) -> str | None:
    folders = _folders(name)
    return folders[level] if len(folders) > level else None


def _inner_folder(name: str) -> str | None:
    return next(reversed(_folders(name)), None)


def _animal_named(name: str) -> str | None:
    match = _KAGGLE_NAME.fullmatch(_base(name))
    return match[1].lower() if match else None


def _spell(name: str) -> str:
    return {"cat": "cats", "cats": "cats", "dog": "dogs", "dogs": "dogs"}.get(name.lower(), name)


# Not pathlib, which puts the parts of every path it sees into Python's table of interned texts; that is copied whenever
# it has filled up, and each thread keeps the room of a copy.
def _folders(name: str) -> tuple[str, ...]:
    # macOS writes an accent as a letter of its own: the same class by another spelling.
    return tuple(normalize("NFC", name).split("/")[:-1])


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
