"""Where labelled photos come from: drawn, a folder, a zip, Microsoft or Kaggle.

``fetch`` leaves ``raw/source.json``, ``raw/train`` or ``raw/train.zip`` with the labelled photos, and, where there are
any, ``raw/test`` or ``raw/test.zip`` with the unlabelled ones. ``raw_photos`` reads them back.
"""

import contextlib
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dogs_vs_cats.data.downloads import DISK_FULL, download
from dogs_vs_cats.data.drawn.drawing import ANIMALS, Job, draw_files
from dogs_vs_cats.data.raw.archives import Archive, check_photo_size
from dogs_vs_cats.data.raw.layouts import divide, order_by_id, read_classes
from dogs_vs_cats.data.raw.left_out import LeftOut, merged
from dogs_vs_cats.data.raw.raw_photos import SourceFacts, Store, folder_store, write_facts, zip_store
from dogs_vs_cats.data.sources.kaggle import WITHOUT_NETWORK, download_competition
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import whole_folder
from dogs_vs_cats.settings.photo_settings import DownloadSettings
from dogs_vs_cats.settings.sections import Layout

_TEST_ZIP = re.compile(r"test\d*\.zip", re.IGNORECASE)


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
    downloads = downloads or raw.with_name(".downloads")
    try:
        with whole_folder(raw) as folder:
            left_out: list[LeftOut] = []
            if settings.source == "drawn":
                _fetch_drawn(settings, folder)
            elif settings.source == "microsoft":
                left_out = _fetch_microsoft(settings, folder, downloads)
            elif settings.source == "kaggle":
                left_out = _fetch_kaggle(settings, folder, downloads)
            else:
                left_out = _fetch_local(settings, folder, raw)
            others = merged(left_out)
            facts = SourceFacts(settings.source, settings.layout, settings.zip_encoding, others.files, others.system)
            write_facts(folder, facts)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise WorkflowError(f"{raw}: the disk is full; make room and run it again") from None
        raise
    finally:
        remove_empty(downloads)


def remove_empty(folder: Path) -> None:
    """Remove a folder for downloads, and those in it, if no part of a download is kept there."""
    if folder.is_dir():
        for inner in folder.iterdir():
            remove_empty(inner)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _fetch_local(settings: DownloadSettings, target: Path, raw: Path) -> list[LeftOut]:
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
        store = _copy_folder(path, target / "train", partial(_check_labelled, layout=settings.layout))
        left_out, own_test = [store.left_out], [*divide(store.names)[1]]
    else:
        left_out, own_test = _copy_zip(path, target, settings)
    for test in given[1:]:
        left_out.append(LeftOut([(name, "download.test_path is used instead") for name in own_test]))
        (target / "test.zip").unlink(missing_ok=True)
        if test.is_dir():
            store = _copy_folder(test, target / "test", _check_unlabelled)
        else:
            store = _check_zip(
                Archive(test, encoding=settings.zip_encoding), settings.unpacked_limit_gb, _check_unlabelled
            )
            shutil.copyfile(test, target / "test.zip")
        left_out.append(store.left_out)
    return left_out


def _existing(path: str | None, key: str) -> Path:
    found = Path(path or "").expanduser()
    if path is None or not found.exists():
        raise WorkflowError(f"{path}: no such file or folder; correct {key}")
    if not (found.is_file() or found.is_dir()):
        raise WorkflowError(f"{path}: is a device, a pipe or a socket, no file or folder; correct {key}")
    return found


def _check_labelled(store: Store, layout: Layout) -> None:
    names, test_names = divide(store.names)
    read_classes(names, store.shown, layout, store.left_out)
    order_by_id(test_names, store.shown)


def _check_unlabelled(store: Store) -> None:
    if not store.names:
        raise WorkflowError(
            f"{store.shown}: no photos in it; correct download.test_path, or set it to null{store.left_out}"
        )
    order_by_id(store.names, store.shown)


def _copy_folder(folder: Path, target: Path, check: Callable[[Store], None]) -> Store:
    store = folder_store(folder)
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
    return store


def _copy_zip(
    path: Path, target: Path, settings: DownloadSettings, *, move: bool = False
) -> tuple[list[LeftOut], list[str]]:
    """Leave a zip as ``train.zip``; or the train.zip and test.zip within it, as Kaggle packs them.

    Returns:
        Its other files, and the names of its unlabelled photos.
    """
    encoding, limit_gb = settings.zip_encoding, settings.unpacked_limit_gb
    archive = Archive(path, encoding=encoding)
    check = partial(_check_labelled, layout=settings.layout)
    outer = zip_store(archive)
    inner = {PurePosixPath(name).name.lower(): name for name in archive.names if name.lower().endswith(".zip")}
    if "train.zip" not in inner or outer.names:
        store = _check_zip(archive, limit_gb, check)
        if move:
            path.replace(target / "train.zip")
        else:
            shutil.copyfile(path, target / "train.zip")
        return [store.left_out], [*divide(store.names)[1]]
    archive.check_size(limit_gb)
    archive.extract(inner["train.zip"], target / "train.zip")
    stores = [_check_zip(Archive(target / "train.zip", f"{path}: {inner['train.zip']}", encoding), limit_gb, check)]
    tests = sorted(filter(_TEST_ZIP.fullmatch, inner))[:1]
    for name in tests:
        archive.extract(inner[name], target / "test.zip")
        test = Archive(target / "test.zip", f"{path}: {inner[name]}", encoding)
        stores.append(_check_zip(test, limit_gb, _check_unlabelled))
    taken = {inner[name] for name in ("train.zip", *tests)}
    others = [(name, reason) for name, reason in outer.left_out.files if name not in taken]
    left_out = [LeftOut(others, outer.left_out.system), *(store.left_out for store in stores)]
    return left_out, [name for store in stores[1:] for name in store.names]


def _check_zip(archive: Archive, limit_gb: float, check: Callable[[Store], None]) -> Store:
    archive.check_size(limit_gb)
    store = zip_store(archive)
    check(store)
    archive.verify(store.names)
    return store


def _fetch_microsoft(settings: DownloadSettings, target: Path, downloads: Path) -> list[LeftOut]:
    path = download(settings.microsoft.url, settings.microsoft.sha256, downloads, advice=WITHOUT_NETWORK)
    return _copy_zip(path, target, settings, move=True)[0]


def _fetch_kaggle(settings: DownloadSettings, target: Path, downloads: Path) -> list[LeftOut]:
    path = download_competition(settings.kaggle.competition, downloads)
    try:
        return _copy_zip(path, target, settings, move=True)[0]
    finally:
        # What is wrong with it would still be wrong, and the client does not fetch again what is there.
        path.unlink(missing_ok=True)


def _fetch_drawn(settings: DownloadSettings, target: Path) -> None:
    drawn = settings.drawn
    jobs: list[Job] = []
    for i in range(drawn.images):
        animal = ANIMALS[i % 2]
        jobs.append((animal, i, target / "train" / f"{animal}.{i // 2}.jpg"))
    jobs += [(None, i, target / "test" / f"{i}.jpg") for i in range(1, drawn.test_images + 1)]
    draw_files(jobs, drawn.seed, drawn.size)
