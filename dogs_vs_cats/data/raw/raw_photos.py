"""Reading a fetched source: its labelled and unlabelled photos, whatever the layout they came in.

``data/raw`` holds ``source.json``, ``train`` or ``train.zip`` with the labelled photos, and, where there are any,
``test`` or ``test.zip`` with the unlabelled ones, as ``sources.fetch`` left them.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from dogs_vs_cats.data.raw.archives import Archive
from dogs_vs_cats.data.raw.layouts import divide, order_by_id, own_splits, read_classes
from dogs_vs_cats.data.raw.left_out import LeftOut, breaks_lists, is_system, why_left_out
from dogs_vs_cats.data.spool import Names
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.sections import Layout


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a source.

    Attributes:
        name: its path inside the source, with forward slashes.
        label: its class; None for an unlabelled photo.
        read: returns the bytes of the file; raises WorkflowError if the source is damaged there.
        split: train, validation or test, where the source came divided so.
    """

    name: str
    label: str | None
    read: Callable[[], bytes]
    split: str | None = None


class Photos:
    """The photos of a source in order; in memory is the one that is looked at.

    Attributes:
        told: how their classes are told, for people.
    """

    def __init__(
        self,
        names: Names | list[str],
        label: Callable[[str], str | None],
        read: Callable[[str], bytes],
        told: str = "",
        split: Callable[[str], str | None] | None = None,
    ) -> None:
        self.told = told
        self._split = split or (lambda _: None)
        self._names, self._label, self._read = names, label, read

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Photo]:
        for name in self._names:
            yield Photo(name, self._label(name), partial(self._read, name), self._split(name))


@dataclass(frozen=True)
class Store:
    """Photos in one place, a folder or a zip, whatever they mean.

    Attributes:
        shown: what to call the place in messages.
        names: of its photos.
        read: from a name to the file's bytes.
        left_out: its other files.
    """

    shown: str
    names: Names | list[str]
    read: Callable[[str], bytes]
    left_out: LeftOut


@dataclass(frozen=True)
class SourceFacts:
    """What ``fetch`` knew of a source and reading it takes.

    Attributes:
        source: ``download.source``.
        layout: ``download.layout``.
        zip_encoding: ``download.zip_encoding``.
        left_out: name and reason of each file that is not taken for a photo.
        system_files: how many hidden ones of operating systems there are.
    """

    source: str
    layout: Layout = "auto"
    zip_encoding: str = "auto"
    left_out: Sequence[tuple[str, str]] = ()
    system_files: int = 0


def write_facts(raw: Path, facts: SourceFacts) -> None:
    """Write what reading a source takes, as ``source.json``; what is as by default is left out."""
    default = asdict(SourceFacts(facts.source)) | {"source": None}
    said = {key: value for key, value in asdict(facts).items() if value and value != default[key]}
    (raw / "source.json").write_text(json.dumps(said) + "\n", encoding="utf-8")


def read_facts(raw: Path) -> SourceFacts:
    """Read what ``write_facts`` wrote.

    Raises:
        WorkflowError: if ``raw`` holds no complete download.
    """
    path = raw / "source.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        left_out = [(name, reason) for name, reason in values.get("left_out", ())]
        return SourceFacts(**values | {"left_out": left_out})
    except (AttributeError, OSError, ValueError, TypeError):
        raise WorkflowError(f"{path}: missing or unreadable; fetch the photos with: dvc repro -f download") from None


def read_source(raw: Path) -> str:
    """The name of the source that ``raw`` was fetched from.

    Raises:
        WorkflowError: if ``raw`` holds no complete download.
    """
    return read_facts(raw).source


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
    reading = read_classes(names, store.shown, read_facts(raw).layout)
    return Photos(names, reading.label, store.read, str(reading), own_splits(names))


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


def _stored_training(raw: Path) -> Store:
    store = _stored(raw, "train")
    if store is None:
        raise WorkflowError(f"{raw}: no train folder or train.zip; fetch the photos with: dvc repro -f download")
    return store


def _stored(raw: Path, name: str) -> Store | None:
    if (raw / name).is_dir():
        # Where DVC can make no other kind, it replaces the files by links into its cache.
        store = folder_store(raw / name, links=True)
        if store.left_out.files:
            file, reason = store.left_out.files[0]
            raise WorkflowError(f"{raw / name / file}: {reason}; fetch the photos with: dvc repro -f download")
        return store
    if (raw / f"{name}.zip").is_file():
        return zip_store(Archive(raw / f"{name}.zip", encoding=read_facts(raw).zip_encoding))
    return None


def zip_store(archive: Archive) -> Store:
    """The photos in a zip, and its other files."""
    left_out = LeftOut()
    return Store(archive.shown, list(filter(left_out.takes, archive.names)), archive.read, left_out)


def folder_store(folder: Path, *, links: bool = False) -> Store:
    """The photos in a folder and in folders in it, and its other files.

    Args:
        folder: where to look.
        links: whether to follow links. Those that lead nowhere are left out in any case.

    Returns:
        The photos, sorted by name, and the others.

    Raises:
        WorkflowError: naming a link that must not be followed, or a photo that is no file.
        OSError: if a folder cannot be listed.
    """
    left_out = LeftOut()

    def read(name: str) -> bytes:
        # Not by pathlib: see layouts.
        with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123
            return file.read()

    return Store(str(folder), Names(_walk(folder, "", left_out, links=links)), read, left_out)


def _walk(folder: Path, prefix: str, left_out: LeftOut, *, links: bool) -> Iterator[str]:
    """Names of the photos in a folder, in no order."""
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            reason = why_left_out(name)
            if entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110 - see layouts
                left_out.add(name, "a link that leads nowhere")
            elif entry.is_symlink() and not links and not is_system(name):
                raise WorkflowError(f"{folder / name}: is a link; put the photos themselves into the folder")
            elif entry.is_dir():
                try:
                    yield from _walk(folder, f"{name}/", left_out, links=links)
                except PermissionError:
                    if not is_system(name):
                        raise
                    left_out.add(name, "not readable")
            elif reason is not None:
                left_out.add(name, reason if entry.is_file() else "not a regular file")
            elif not entry.is_file():
                raise WorkflowError(f"{folder / name}: is not a regular file; remove it from the folder")
            elif breaks_lists(name):
                left_out.add(name, "its name has characters that cannot be printed; rename the photo")
            else:
                yield name
