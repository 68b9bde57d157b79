"""Where labelled photos come from: drawn, a folder, a zip, Microsoft or Kaggle; and reading them once they are there.

``fetch`` leaves ``raw/source.json``, ``raw/train`` or ``raw/train.zip`` with the labelled photos, and, where there are
any, ``raw/test`` or ``raw/test.zip`` with the unlabelled ones. ``labelled`` and ``unlabelled`` read them back.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dogs_vs_cats.archives import Archive, check_photo_size
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.outputs import whole_folder
from dogs_vs_cats.settings import DownloadSettings

CLASSES = 2
PHOTO_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

_KAGGLE_NAME = re.compile(r"(cat|dog)\.\d+\.[a-z]+", re.IGNORECASE)
_SPLIT_FOLDER = re.compile(r"train(ing)?|val(id|idation)?|test(ing)?\d*", re.IGNORECASE)
_TEST_ZIP = re.compile(r"test\d*\.zip", re.IGNORECASE)
_LAYOUTS = "name photos cat.N.jpg and dog.N.jpg, or put each class in a folder of its own"


@dataclass(frozen=True)
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
class _Store:
    """Photos in one place, a folder or a zip, whatever they mean."""

    shown: str
    names: list[str]
    read: Callable[[str], bytes]


# ---------------------------------------------------------------- reading


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
    labels = _labels(_divide(store.names)[0], store.shown)
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
        names = _divide(store.names)[1] if store is not None else []
    if store is None or not names:
        return []
    ids = _ids(names, store.shown)
    return [Photo(name, None, partial(store.read, name)) for name in sorted(names, key=ids.__getitem__)]


def _is_photo(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in PHOTO_EXTENSIONS


def _stored(raw: Path, name: str) -> _Store | None:
    if (raw / name).is_dir():
        return _folder_store(raw / name)
    if (raw / f"{name}.zip").is_file():
        return _zip_store(Archive(raw / f"{name}.zip"))
    return None


def _zip_store(archive: Archive) -> _Store:
    return _Store(archive.shown, [name for name in archive.names if _is_photo(name)], archive.read)


def _folder_store(folder: Path) -> _Store:
    def read(name: str) -> bytes:
        return (folder / name).read_bytes()

    return _Store(str(folder), [name for name in _walk(folder, "") if _is_photo(name)], read)


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    """Names of the regular files in a folder, sorted; hidden ones are left out and links are refused."""
    for entry in sorted(os.scandir(folder / prefix), key=lambda entry: entry.name):
        name = f"{prefix}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            raise WorkflowError(f"{folder / name}: is a link; put the photos themselves into the folder")
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, f"{name}/")
        elif not _is_photo(name):
            continue
        elif not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            raise WorkflowError(f"{folder / name}: is not a regular file; remove it from the folder")
        elif not name.isprintable():
            raise WorkflowError(f"{folder}: the name {name!r} has characters that cannot be printed; rename the photo")
        else:
            yield name


# ---------------------------------------------------------------- layouts


def _divide(names: list[str]) -> tuple[list[str], list[str]]:
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


def _labels(names: list[str], shown: str) -> dict[str, str]:
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


def _ids(names: list[str], shown: str) -> dict[str, int]:
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


# ---------------------------------------------------------------- fetching


def fetch(settings: DownloadSettings, raw: Path, downloads: Path | None = None) -> None:
    """Bring the photos of the chosen source into ``raw``, whole or not at all.

    Args:
        settings: the ``download`` section.
        raw: the folder to leave the photos in; replaced if it exists.
        downloads: where a cut-off download is kept to go on from; ``.downloads`` beside ``raw`` by default.

    Raises:
        WorkflowError: if the source is missing, damaged, unsafe, out of reach, or not of two classes. ``raw`` is then
            as it was before.
    """
    from dogs_vs_cats.downloads import DISK_FULL, remove_empty

    downloads = downloads or raw.with_name(".downloads")
    try:
        with whole_folder(raw) as folder:
            if settings.source == "drawn":
                _fetch_drawn(settings, folder)
            elif settings.source == "microsoft":
                _fetch_microsoft(settings, folder, downloads)
            elif settings.source == "kaggle":
                _fetch_kaggle(settings, folder, downloads)
            else:
                _fetch_local(settings, folder, raw)
            facts = json.dumps({"source": settings.source}) + "\n"
            (folder / "source.json").write_text(facts, encoding="utf-8")
    except OSError as error:
        if error.errno in DISK_FULL:
            raise WorkflowError(f"{raw}: the disk is full; make room and run it again") from None
        raise
    finally:
        remove_empty(downloads)


def _fetch_local(settings: DownloadSettings, target: Path, raw: Path) -> None:
    path = _existing(settings.path, "download.path")
    if settings.source == "zip" and path.is_dir():
        raise WorkflowError(f"{path}: is a folder; set download.source to folder, or download.path to a zip")
    if settings.source == "folder" and not path.is_dir():
        raise WorkflowError(f"{path}: is a file; set download.source to zip, or download.path to a folder")
    given = [path]
    if settings.test_path is not None:
        given.append(_existing(settings.test_path, "download.test_path"))
    for place in given:
        if raw.resolve().is_relative_to(place.resolve()) or place.resolve().is_relative_to(raw.resolve()):
            raise WorkflowError(f"{place}: the photos are copied to {raw}, so they cannot lie there; move them")
    if path.is_dir():
        _copy_folder(path, target / "train", _check_labelled)
    else:
        _copy_zip(path, target, settings.unpacked_limit_gb)
    for test in given[1:]:
        (target / "test.zip").unlink(missing_ok=True)
        if test.is_dir():
            _copy_folder(test, target / "test", _check_unlabelled)
        else:
            _check_zip(Archive(test), settings.unpacked_limit_gb, _check_unlabelled)
            shutil.copyfile(test, target / "test.zip")


def _existing(path: str | None, key: str) -> Path:
    found = Path(path or "").expanduser()
    if path is None or not found.exists():
        raise WorkflowError(f"{path}: no such file or folder; correct {key}")
    return found


def _check_labelled(store: _Store) -> None:
    names, test_names = _divide(store.names)
    _labels(names, store.shown)
    _ids(test_names, store.shown)


def _check_unlabelled(store: _Store) -> None:
    if not store.names:
        raise WorkflowError(f"{store.shown}: no photos in it; correct download.test_path, or set it to null")
    _ids(store.names, store.shown)


def _copy_folder(folder: Path, target: Path, check: Callable[[_Store], None]) -> None:
    store = _folder_store(folder)
    if not store.names and (zips := sorted(folder.glob("*.zip"))):
        raise WorkflowError(
            f"{folder}: zips, no photos, in it; set download.source to zip, download.path to {zips[-1]}"
        )
    check(store)
    for name in store.names:
        check_photo_size(f"{folder / name}", (folder / name).stat().st_size)
    for name in tqdm(store.names, desc=f"copying {folder.name}", unit="photo", disable=None, leave=False):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name, follow_symlinks=False)


def _copy_zip(path: Path, target: Path, limit_gb: float, *, move: bool = False) -> None:
    """Leave a zip as ``train.zip``; or the train.zip and test.zip within it, as Kaggle packs them."""
    archive = Archive(path)
    inner = {PurePosixPath(name).name.lower(): name for name in archive.names if name.lower().endswith(".zip")}
    if "train.zip" not in inner or any(map(_is_photo, archive.names)):
        _check_zip(archive, limit_gb, _check_labelled)
        if move:
            path.replace(target / "train.zip")
        else:
            shutil.copyfile(path, target / "train.zip")
        return
    archive.check_size(limit_gb)
    archive.extract(inner["train.zip"], target / "train.zip")
    _check_zip(Archive(target / "train.zip", f"{path}: {inner['train.zip']}"), limit_gb, _check_labelled)
    for name in sorted(filter(_TEST_ZIP.fullmatch, inner))[:1]:
        archive.extract(inner[name], target / "test.zip")
        _check_zip(Archive(target / "test.zip", f"{path}: {inner[name]}"), limit_gb, _check_unlabelled)


def _check_zip(archive: Archive, limit_gb: float, check: Callable[[_Store], None]) -> None:
    archive.check_size(limit_gb)
    store = _zip_store(archive)
    check(store)
    archive.verify(store.names)


def _fetch_microsoft(settings: DownloadSettings, target: Path, downloads: Path) -> None:
    from dogs_vs_cats.downloads import download

    path = download(settings.microsoft.url, settings.microsoft.sha256, downloads)
    _copy_zip(path, target, settings.unpacked_limit_gb, move=True)


def _fetch_kaggle(settings: DownloadSettings, target: Path, downloads: Path) -> None:
    from dogs_vs_cats.downloads import download_competition

    path = download_competition(settings.kaggle.competition, downloads)
    try:
        _copy_zip(path, target, settings.unpacked_limit_gb, move=True)
    finally:
        # What is wrong with it would still be wrong, and the client does not fetch again what is there.
        path.unlink(missing_ok=True)


def _fetch_drawn(settings: DownloadSettings, target: Path) -> None:
    from dogs_vs_cats.drawing import ANIMALS, Job, draw_files

    drawn = settings.drawn
    jobs: list[Job] = []
    for i in range(drawn.images):
        animal = ANIMALS[i % 2]
        jobs.append((animal, i, target / "train" / f"{animal}.{i // 2}.jpg"))
    jobs += [(None, i, target / "test" / f"{i}.jpg") for i in range(1, drawn.test_images + 1)]
    draw_files(jobs, drawn.seed, drawn.size)
