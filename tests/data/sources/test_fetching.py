"""Fetching photos from each kind of source, and reading them back."""

import io
import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dogs_vs_cats.data.raw.left_out import PHOTO_EXTENSIONS
from dogs_vs_cats.data.raw.raw_photos import labelled, read_facts, read_source, unlabelled
from dogs_vs_cats.data.sources.fetching import fetch
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.photo_settings import DownloadSettings

KAGGLE = ["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "train/dog.10.jpg", "train/dog.2.jpg"]
MICROSOFT = ["PetImages/Cat/0.jpg", "PetImages/Cat/1.JPG", "PetImages/Dog/0.jpg"]
CLUTTER = [
    ".DS_Store",
    "PetImages/Cat/Thumbs.db",
    "readme[1].txt",
    "__MACOSX/._0.jpg",
    "__MACOSX/Cat/0.jpg",
    "train/.hidden.jpg",
    "sample_submission.csv",
    ".cache/dog.9.jpg",
]

Make = Callable[[Path, Iterable[str]], Path]


def _photo(name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (sum(name.encode()) % 256, 80, 120)).save(file, "PNG")
    return file.getvalue()


def make_zip(path: Path, names: Iterable[str]) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, _photo(name))
    return path


def make_folder(path: Path, names: Iterable[str]) -> Path:
    path.mkdir()
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(_photo(name))
    return path


@pytest.fixture(params=[make_zip, make_folder], ids=["zip", "folder"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "data" / "raw"


@pytest.fixture
def download(settings: Settings) -> Callable[..., DownloadSettings]:
    def change(path: Path | None, **changes: Any) -> DownloadSettings:
        source = "folder" if path is not None and path.is_dir() else "zip"
        return settings.download.model_copy(update={"source": source, "path": str(path), **changes})

    return change


Download = Callable[..., DownloadSettings]


def assert_nothing_is_left(raw: Path) -> None:
    assert not raw.parent.exists() or list(raw.parent.iterdir()) == []


# ---------------------------------------------------------------- layouts


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (KAGGLE, ["cats", "cats", "dogs", "dogs", "dogs"]),
        (["cat.0.jpg", "dog.0.jpg"], ["cats", "dogs"]),
        (MICROSOFT, ["cats", "cats", "dogs"]),
        (["a/b/c/Cats/x.png", "a/b/c/DOG/y.webp"], ["cats", "dogs"]),
        (["cats/cat.0.jpg", "dogs/dog.0.jpg"], ["cats", "dogs"]),
        (["wolf/1.jpg", "fox/1.jpg"], ["wolf", "fox"]),
        (["Cat/1.jpg", "wolf/1.jpg"], ["Cat", "wolf"]),
        (["indoors/cat.0.jpg", "outdoors/cat.1.jpg"], ["indoors", "outdoors"]),
        (["train/fox/1.jpg", "train/wolf/1.jpg", "validation/fox/1.jpg"], ["fox", "wolf", "fox"]),
        (["animals/train/x.jpg", "animals/bus/y.jpg"], ["train", "bus"]),
        (["fox/old/1.jpg", "fox/new/1.jpg", "wolf/1.jpg"], ["fox", "fox", "wolf"]),
    ],
)
def test_every_layout_gives_its_two_classes(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], labels: list[str]
) -> None:
    fetch(download(make(tmp_path / "photos", [*names, *CLUTTER])), raw)
    photos = labelled(raw)
    assert [photo.name for photo in photos] == sorted(names)
    assert [photo.label for photo in photos] == [label for _, label in sorted(zip(names, labels, strict=True))]
    assert [photo.read() for photo in photos] == [_photo(name) for name in sorted(names)]
    assert len(unlabelled(raw)) == 0


def test_clutter_is_not_copied_from_a_folder(tmp_path: Path, raw: Path, download: Download) -> None:
    fetch(download(make_folder(tmp_path / "photos", [*MICROSOFT, *CLUTTER])), raw)
    copied = {str(path.relative_to(raw)) for path in raw.rglob("*") if path.is_file()}
    assert copied == {"source.json", *(f"train/{name}" for name in MICROSOFT)}


def test_every_file_that_is_no_photo_is_kept_in_mind_with_its_reason(
    tmp_path: Path, raw: Path, make: Make, download: Download
) -> None:
    others = {
        "cats/1.cr2": "the ending .cr2 is not read",
        "dogs/2.PSD": "the ending .psd is not read",
        "dogs/3": "no ending, such as .jpg",
        "cats/more.zip": "an archive within the source; unpack it",
        "notes.tar.gz": "an archive within the source; unpack it",
        "readme[1].txt": "the ending .txt is not read",
        "cats/.hidden.jpg": "hidden: its name, or a folder's, begins with a dot",
        ".cache/dogs/9.jpg": "hidden: its name, or a folder's, begins with a dot",
    }
    system = [
        ".DS_Store",
        "cats/.DS_Store",
        "cats/Thumbs.db",
        "dogs/desktop.ini",
        "__MACOSX/cats/1.jpg",
        "cats/._1.jpg",
    ]
    system += [".git/config", "dogs/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg"]
    path = make(tmp_path / "photos", ["cats/1.jpg", "dogs/1.jpg", *others, *system])
    fetch(download(path), raw)
    facts = read_facts(raw)
    assert dict(facts.left_out) == others
    assert facts.system_files == len(system)
    assert [photo.name for photo in labelled(raw)] == ["cats/1.jpg", "dogs/1.jpg"]


def test_what_is_in_a_folder_and_no_file_is_told(tmp_path: Path, raw: Path, download: Download) -> None:
    folder = make_folder(tmp_path / "photos", MICROSOFT)
    os.mkfifo(folder / "PetImages" / "pipe")
    (folder / "PetImages" / ".locked").mkdir(mode=0)
    fetch(download(folder), raw)
    assert read_facts(raw).left_out == [("PetImages/pipe", "not a regular file")]


@pytest.mark.parametrize("ending", sorted(PHOTO_EXTENSIONS))
def test_every_ending_of_a_photo_is_read(
    tmp_path: Path, raw: Path, make: Make, download: Download, ending: str
) -> None:
    fetch(download(make(tmp_path / "photos", [f"cats/1{ending}", f"dogs/1{ending.upper()}"])), raw)
    assert (len(labelled(raw)), read_facts(raw).left_out) == (2, [])
    (tmp_path / "named").mkdir()
    fetch(download(make(tmp_path / "named" / "photos", [f"cat.1{ending}", f"dog.1{ending}"])), raw)
    assert [photo.label for photo in labelled(raw)] == ["cats", "dogs"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["cats/1.jpg", "cats/2.jpg", "dogs/1.cr2", "dogs/2.cr2", "dogs/3", "a.txt"],
            ": none of the 3 files of dogs (the ending .cr2 is not read: 2, no ending, such as .jpg: 1) is read",
        ),
        (["train/cat.0.cr2", "train/dog.0.jpg"], ": none of the 1 files of cats (the ending .cr2 is not read: 1) is"),
        (
            ["a/fox/1.jpg", "a/wolf/1.nef", "a/yak/1.nef"],
            "none of the 1 files of wolf (the ending .nef is not read: 1), nor of the 1 files of yak (",
        ),
        (["train/fox/1.jpg", "train/wolf/1.nef", "val/fox/2.jpg"], "none of the 1 files of wolf"),
        (["cats/1.cr2", "dogs/1.cr2"], "no photos (.apng, "),
        (["cats/1.cr2", "dogs/1.cr2"], ") in it; not read: the ending .cr2 is not read: 2; name photos cat.N.jpg"),
    ],
)
def test_a_class_of_which_no_file_is_read_is_named_with_the_reason(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], told: str
) -> None:
    path = make(tmp_path / "photos", names)
    with pytest.raises(WorkflowError) as caught:
        fetch(download(path), raw)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
    assert "only one class" not in str(caught.value)
    assert_nothing_is_left(raw)


def test_unlabelled_photos_that_others_replace_are_told(
    tmp_path: Path, raw: Path, make: Make, download: Download
) -> None:
    path = make(tmp_path / "photos", [*KAGGLE, "test/2.jpg", "a.csv"])
    fetch(download(path, test_path=str(make_zip(tmp_path / "unlabelled", ["1.jpg", "b.csv"]))), raw)
    assert read_facts(raw).left_out == [
        ("a.csv", "the ending .csv is not read"),
        ("b.csv", "the ending .csv is not read"),
        ("test/2.jpg", "download.test_path is used instead"),
    ]
    assert [photo.name for photo in unlabelled(raw)] == ["1.jpg"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no photos"),
        (["readme.txt", "Cat/Thumbs.db"], "no photos"),
        (["train/cat.0.jpg", "train/cat.1.jpg"], r"only one class of photos \(cat\)"),
        (["PetImages/Dog/1.jpg"], r"only one class of photos \(Dog\)"),
        (["cat/1.jpg", "Cats/2.jpg"], r"only one class of photos \(Cats, cat\)"),
        (["bird/1.jpg", "cat/1.jpg", "dog/1.jpg"], r"3 classes of photos \(bird, cat, dog\)"),
        (["train/cat.0.jpg", "train/dog.0.jpg", "train/stray.jpg"], r"train/stray\.jpg is of no class"),
        (["fox/1.jpg", "wolf/1.jpg", "stray.jpg"], r"stray\.jpg is of no class"),
        (["train/a.jpg", "validation/b.jpg"], r"\(train, validation\) are named after splits"),
    ],
)
def test_photos_that_are_not_of_two_classes_are_refused(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], message: str
) -> None:
    path = make(tmp_path / "photos", names)
    with pytest.raises(WorkflowError, match=message) as caught:
        fetch(download(path), raw)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert_nothing_is_left(raw)


IN_AND_OUT = ["in/cat.0.jpg", "in/dog.0.jpg", "out/cat.1.jpg", "out/dog.1.jpg"]
MOVED = ["cats/cat.0.jpg", "cats/dog.7.jpg", "dogs/dog.0.jpg"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            IN_AND_OUT,
            "by folders 2 in and 2 out, but by names 2 cats and 2 dogs: in/cat.0.jpg is in or cats; say which is meant",
        ),
        (MOVED, "by folders 2 cats and 1 dogs, but by names 1 cats and 2 dogs: cats/dog.7.jpg is cats or dogs; say"),
        ([*MOVED, "dogs/other.jpg"], "but by names 1 cats and 2 dogs and 1 of no class: cats/dog.7.jpg is"),
        (["Cat/dog.1.jpg", "Dog/cat.1.jpg"], "Cat/dog.1.jpg is cats or dogs"),
        (["cats/dog.7.jpg", "wolves/1.jpg"], "cats/dog.7.jpg is cats or dogs"),
        (["train/cats/dog.7.jpg", "train/dogs/1.jpg", "val/cats/2.jpg"], "train/cats/dog.7.jpg is cats or dogs"),
        (["birds/cat.0.jpg", "cats/cat.1.jpg", "dogs/dog.1.jpg"], "birds/cat.0.jpg is birds or cats"),
        (
            ["in/cats/0.jpg", "in/dogs/0.jpg", "out/cats/1.jpg", "out/dogs/1.jpg"],
            "in/cats/0.jpg is in or cats; say which is meant with download.layout: folders or inner_folders",
        ),
        (
            ["train/fox/0.jpg", "train/wolf/0.jpg", "dev/fox/1.jpg", "dev/wolf/1.jpg"],
            "dev/fox/1.jpg is dev or fox; say which is meant with download.layout: folders or inner_folders",
        ),
        (
            ["a/cat.0.jpg", "a/cat.1.jpg", "b/dog.0.jpg", "b/dog.1.jpg", "b/cat.7.jpg"],
            "but by names 3 cats and 2 dogs: b/cat.7.jpg is b or cats; say",
        ),
    ],
)
def test_folders_and_names_that_contradict_each_other_are_told_with_both_readings(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], told: str
) -> None:
    path = make(tmp_path / "photos", names)
    with pytest.raises(WorkflowError) as caught:
        fetch(download(path), raw)
    assert str(caught.value).startswith(f"{path}: its photos are by folders ")
    assert told in str(caught.value)
    assert_nothing_is_left(raw)


@pytest.mark.parametrize(
    ("names", "layout", "labels"),
    [
        (IN_AND_OUT, "folders", ["in", "in", "out", "out"]),
        (IN_AND_OUT, "names", ["cats", "dogs", "cats", "dogs"]),
        (MOVED, "folders", ["cats", "cats", "dogs"]),
        (MOVED, "names", ["cats", "dogs", "dogs"]),
        (["a/fox/1.jpg", "a/wolf/1.jpg", "b/fox/2.jpg"], "folders", ["a", "a", "b"]),
        (["a/fox/1.jpg", "a/wolf/1.jpg", "b/fox/2.jpg"], "inner_folders", ["fox", "wolf", "fox"]),
    ],
)
def test_the_layout_that_is_set_decides(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], layout: str, labels: list[str]
) -> None:
    fetch(download(make(tmp_path / "photos", names), layout=layout), raw)
    assert [photo.label for photo in labelled(raw)] == labels


@pytest.mark.parametrize(
    ("names", "labels", "told"),
    [
        (["felines/cat.0.jpg", "hounds/dog.0.jpg"], ["felines", "hounds"], "by folders 1 felines and 1 hounds"),
        (["a/cat.0.jpg", "a/x.jpg", "b/dog.0.jpg"], ["a", "a", "b"], "by folders 2 a and 1 b"),
        (["control/a/1.jpg", "test/b/1.jpg"], ["control", "test"], "by folders 1 control and 1 test"),
        (["cats/a/1.jpg", "cats/b/1.jpg", "dogs/a/1.jpg"], ["cats", "cats", "dogs"], "by folders 2 cats and 1 dogs"),
        (["dogs/cat.1.jpg", "dogs/dog.0.jpg"], ["cats", "dogs"], "by names 1 cats and 1 dogs"),
        (["d1/cat.0.jpg", "d2/dog.0.jpg", "d3/cat.1.jpg"], ["cats", "dogs", "cats"], "by names 2 cats and 1 dogs"),
        (["train/cat.0.jpg", "val/dog.0.jpg"], ["cats", "dogs"], "by names 1 cats and 1 dogs"),
        # One class, spelled as Linux and as macOS write it.
        (
            ["caf\u00e9/1.jpg", "cafe\u0301/2.jpg", "tea/1.jpg"],
            ["caf\u00e9", "caf\u00e9", "tea"],
            "by folders 2 caf\u00e9 and 1 tea",
        ),
    ],
)
def test_readings_that_do_not_contradict_each_other_are_no_error(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], labels: list[str], told: str
) -> None:
    fetch(download(make(tmp_path / "photos", names)), raw)
    photos = labelled(raw)
    assert ([photo.label for photo in photos], photos.told) == (labels, told)


@pytest.mark.parametrize(
    ("names", "layout", "told"),
    [
        (KAGGLE, "folders", "by download.layout folders: only one class of photos (train)"),
        (MICROSOFT, "names", "by download.layout names: PetImages/Cat/0.jpg is of no class (3 such in all)"),
        (["a/fox/1.jpg", "b/wolf/1.jpg", "c/fox/1.jpg"], "auto", "set download.layout to inner_folders (by inner fold"),
    ],
)
def test_a_layout_that_does_not_fit_is_named(
    tmp_path: Path, raw: Path, make: Make, download: Download, names: list[str], layout: str, told: str
) -> None:
    with pytest.raises(WorkflowError) as caught:
        fetch(download(make(tmp_path / "photos", names), layout=layout), raw)
    assert told in str(caught.value)
    assert_nothing_is_left(raw)


# ---------------------------------------------------------------- unlabelled photos


@pytest.mark.parametrize("make_test", [make_zip, make_folder], ids=["test zip", "test folder"])
def test_unlabelled_photos_come_in_the_order_of_their_ids(
    tmp_path: Path, raw: Path, make: Make, download: Download, make_test: Make
) -> None:
    path = make(tmp_path / "photos", KAGGLE)
    test_path = make_test(tmp_path / "unlabelled", ["test/10.jpg", "test/9.jpg", "test/1.png", ".DS_Store"])
    fetch(download(path, test_path=str(test_path)), raw)
    photos = unlabelled(raw)
    assert [photo.name for photo in photos] == ["test/1.png", "test/9.jpg", "test/10.jpg"]
    assert {photo.label for photo in photos} == {None}
    assert next(iter(photos)).read() == _photo("test/1.png")
    assert len(labelled(raw)) == len(KAGGLE)


def test_train_and_test_folders_may_come_together(tmp_path: Path, raw: Path, make: Make, download: Download) -> None:
    names = [*KAGGLE, "test/2.jpg", "test/1.jpg"]
    fetch(download(make(tmp_path / "photos", [f"dogs-vs-cats/{name}" for name in names])), raw)
    assert [photo.name for photo in labelled(raw)] == [f"dogs-vs-cats/{name}" for name in KAGGLE]
    assert [photo.name for photo in unlabelled(raw)] == ["dogs-vs-cats/test/1.jpg", "dogs-vs-cats/test/2.jpg"]


def test_a_zips_encoding_is_kept_for_later_stages(tmp_path: Path, raw: Path, download: Download) -> None:
    kinds = {"кошки": "AAAAA", "собаки": "BBBBBB"}
    path = make_zip(tmp_path / "photos", [f"{kind}/1.png" for kind in kinds.values()])
    data = path.read_bytes()
    for kind, placeholder in kinds.items():
        data = data.replace(placeholder.encode(), kind.encode("cp866"))
    path.write_bytes(data)
    with pytest.raises(WorkflowError, match=r"photos\.zip: the names of 2 entries are not in UTF-8"):
        fetch(download(path), raw)
    assert_nothing_is_left(raw)
    fetch(download(path, zip_encoding="cp866"), raw)
    assert [photo.label for photo in labelled(raw)] == ["кошки", "собаки"]


def test_a_zip_of_zips_is_taken_apart(tmp_path: Path, raw: Path, download: Download) -> None:
    train, test = make_zip(tmp_path / "train", KAGGLE), make_zip(tmp_path / "test", ["test/1.jpg"])
    path = tmp_path / "competition.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for inner in (train, test):
            archive.write(inner, inner.name)
        archive.writestr("sample_submission.csv", "id,label\n1,0.5\n")
        archive.writestr("test2.zip", b"")
    fetch(download(path), raw)
    assert sorted(path.name for path in raw.iterdir()) == ["source.json", "test.zip", "train.zip"]
    assert len(labelled(raw)) == len(KAGGLE)
    assert [photo.name for photo in unlabelled(raw)] == ["test/1.jpg"]
    assert read_facts(raw).left_out == [
        ("sample_submission.csv", "the ending .csv is not read"),
        ("test2.zip", "an archive within the source; unpack it"),
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["test/1.jpg", "test/two.jpg"], r"test/two\.jpg is not named by an integer id"),
        (["test/1.jpg", "test/-2.jpg"], r"test/-2\.jpg is not named by an integer id"),
        (["test/1.jpg", "more/01.png"], r"more/01\.png and test/1\.jpg have the same id"),
        (["readme.txt"], r"no photos in it; correct download\.test_path"),
    ],
)
@pytest.mark.parametrize("make_test", [make_zip, make_folder], ids=["test zip", "test folder"])
def test_bad_names_of_unlabelled_photos_are_refused(
    tmp_path: Path, raw: Path, download: Download, make_test: Make, names: list[str], message: str
) -> None:
    path, test_path = make_zip(tmp_path / "photos", KAGGLE), make_test(tmp_path / "unlabelled", names)
    with pytest.raises(WorkflowError, match=message) as caught:
        fetch(download(path, test_path=str(test_path)), raw)
    assert str(caught.value).startswith(str(test_path))
    assert_nothing_is_left(raw)


# ---------------------------------------------------------------- paths


def test_a_missing_path_is_named(tmp_path: Path, raw: Path, download: Download) -> None:
    for changes in ({}, {"source": "folder"}):
        with pytest.raises(WorkflowError, match=r"nowhere: no such file or folder; correct download\.path"):
            fetch(download(tmp_path / "nowhere", **changes), raw)
    path = make_zip(tmp_path / "photos", KAGGLE)
    with pytest.raises(WorkflowError, match=r"nowhere: no such file or folder; correct download\.test_path"):
        fetch(download(path, test_path=str(tmp_path / "nowhere")), raw)
    assert_nothing_is_left(raw)


def test_what_is_no_file_and_no_folder_is_refused_at_once(tmp_path: Path, raw: Path, download: Download) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (Path("/dev/zero"), Path("/dev/null"), pipe, tmp_path / "socket"):
            for source in ("zip", "folder"):
                with pytest.raises(WorkflowError, match=r"is a device, a pipe or a socket.*; correct download\.path"):
                    fetch(download(path, source=source), raw)
            photos = tmp_path / "photos.zip"
            make_zip(photos, KAGGLE)
            with pytest.raises(WorkflowError, match=r"a pipe or a socket.*; correct download\.test_path"):
                fetch(download(photos, test_path=str(path)), raw)
    assert_nothing_is_left(raw)


def test_a_home_folder_is_expanded(
    tmp_path: Path, raw: Path, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_folder(tmp_path / "photos", MICROSOFT)
    make_zip(tmp_path / "test", ["1.jpg"])
    fetch(download(Path("~/photos"), source="folder", test_path="~/test.zip"), raw)
    assert (len(labelled(raw)), len(unlabelled(raw))) == (3, 1)


def test_a_folder_for_a_zip_or_the_reverse_says_what_to_set(tmp_path: Path, raw: Path, download: Download) -> None:
    with pytest.raises(WorkflowError, match=r"photos: is a folder; set download\.source to folder"):
        fetch(download(make_folder(tmp_path / "photos", KAGGLE), source="zip"), raw)
    with pytest.raises(WorkflowError, match=r"photos\.zip: is a file; set download\.source to zip"):
        fetch(download(make_zip(tmp_path / "photos", KAGGLE), source="folder"), raw)
    assert_nothing_is_left(raw)


def test_a_folder_of_zips_says_which_zip_to_set(tmp_path: Path, raw: Path, download: Download) -> None:
    folder = make_folder(tmp_path / "photos", ["sample_submission.csv"])
    make_zip(folder / "test", ["test/1.jpg"])
    make_zip(folder / "train", KAGGLE)
    with pytest.raises(WorkflowError, match=r"download\.path to .*train\.zip"):
        fetch(download(folder), raw)


def test_a_folder_around_the_output_is_refused(raw: Path, download: Download) -> None:
    raw.parent.mkdir()
    make_folder(raw, MICROSOFT)
    for path in (raw, raw.parent, raw / "PetImages"):
        with pytest.raises(WorkflowError, match="they cannot lie there"):
            fetch(download(path), raw)
    assert (raw / MICROSOFT[0]).exists()


def test_links_in_a_folder_are_refused_by_name(tmp_path: Path, raw: Path, download: Download) -> None:
    outside = make_folder(tmp_path / "outside", ["secret.jpg"])
    for target in (outside / "secret.jpg", outside):
        folder = make_folder(tmp_path / f"photos-{target.name}", MICROSOFT)
        (folder / "PetImages" / "Cat" / "7.jpg").symlink_to(target)
        with pytest.raises(WorkflowError, match=r"PetImages/Cat/7\.jpg: is a link"):
            fetch(download(folder), raw)
    assert_nothing_is_left(raw)


def test_a_link_that_leads_nowhere_is_left_out_and_told(tmp_path: Path, raw: Path, download: Download) -> None:
    folder = make_folder(tmp_path / "photos", MICROSOFT)
    (folder / "PetImages" / "Cat" / "7.jpg").symlink_to(tmp_path / "missing")
    (folder / "PetImages" / "Cat" / "8.jpg").symlink_to("8.jpg")
    fetch(download(folder), raw)
    assert read_facts(raw).left_out == [
        ("PetImages/Cat/7.jpg", "a link that leads nowhere"),
        ("PetImages/Cat/8.jpg", "a link that leads nowhere"),
    ]
    assert len(labelled(raw)) == len(MICROSOFT)


def test_a_copied_photo_whose_link_leads_nowhere_is_an_error(tmp_path: Path, raw: Path, download: Download) -> None:
    fetch(download(make_folder(tmp_path / "photos", MICROSOFT)), raw)
    path = raw / "train" / MICROSOFT[0]
    path.unlink()
    path.symlink_to(tmp_path / "an emptied cache")
    with pytest.raises(WorkflowError, match=r"Cat/0\.jpg: a link that leads nowhere; .*dvc repro -f download"):
        labelled(raw)


def test_photos_that_dvc_replaced_by_links_are_read(tmp_path: Path, raw: Path, download: Download) -> None:
    fetch(download(make_folder(tmp_path / "photos", MICROSOFT)), raw)
    for number, name in enumerate(MICROSOFT):
        path = raw / "train" / name
        path.rename(tmp_path / str(number))
        path.symlink_to(tmp_path / str(number))
    assert [photo.read() for photo in labelled(raw)] == [_photo(name) for name in MICROSOFT]


def test_a_pipe_named_like_a_photo_is_refused(tmp_path: Path, raw: Path, download: Download) -> None:
    folder = make_folder(tmp_path / "photos", MICROSOFT)
    os.mkfifo(folder / "PetImages" / "Dog" / "1.jpg")
    with pytest.raises(WorkflowError, match=r"PetImages/Dog/1\.jpg: is not a regular file"):
        fetch(download(folder), raw)


def test_names_that_cannot_be_said_cost_no_other_photo(tmp_path: Path, raw: Path, download: Download) -> None:
    folder = make_folder(tmp_path / "photos", [*MICROSOFT, "PetImages/Dog/new\nline.jpg"])
    (folder / "PetImages/Dog" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"dog")
    fetch(download(folder), raw)
    assert [photo.name for photo in labelled(raw)] == MICROSOFT
    reason = "its name has characters that cannot be printed; rename the photo"
    assert read_facts(raw).left_out == [
        ("PetImages/Dog/caf\udce9.jpg", reason),
        ("PetImages/Dog/new\nline.jpg", reason),
    ]


def test_a_class_that_cannot_be_said_is_told_in_one_line(tmp_path: Path, raw: Path, download: Download) -> None:
    folder = make_folder(tmp_path / "photos", ["cats/0.jpg", "do\ngs/0.jpg"])
    with pytest.raises(
        WorkflowError, match=r"none of the 1 files of 'do\\ngs' \(its name has char.*; rename the photo"
    ):
        fetch(download(folder), raw)


def test_spaces_and_joiners_of_any_script_are_names_like_others(
    tmp_path: Path, raw: Path, make: Make, download: Download
) -> None:
    spaced = ["cats/Screenshot 3.04\u202fPM.png", "cats/\u732b\u3000\u00e9\u00a0(1).jpg"]
    joined = ["dogs/\U0001f469\u200d\u2695\ufe0f.jpg", "dogs/\u05db\u200f1.jpg"]
    fetch(download(make(tmp_path / "photos", [*spaced, *joined])), raw)
    assert sorted(photo.name for photo in labelled(raw)) == sorted([*spaced, *joined])
    assert read_facts(raw).left_out == []


# ---------------------------------------------------------------- bad zips


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def _damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"IDAT", b"IDOT", 1))


def _replace_by_text(path: Path) -> None:
    path.write_text("not a zip")


def _climb(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.jpg", b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, "truncated"),
        (_damage, r"train/cat\.0\.jpg is damaged|test/1\.jpg is damaged"),
        (_replace_by_text, "not a zip file"),
        (_climb, "leaves the folder"),
    ],
)
@pytest.mark.parametrize("spoilt", ["path", "test_path"])
def test_a_bad_zip_leaves_nothing(
    tmp_path: Path, raw: Path, download: Download, spoil: Callable[[Path], None], message: str, spoilt: str
) -> None:
    paths = {
        "path": make_zip(tmp_path / "photos", KAGGLE),
        "test_path": make_zip(tmp_path / "unlabelled", ["test/1.jpg"]),
    }
    spoil(paths[spoilt])
    with pytest.raises(WorkflowError, match=message) as caught:
        fetch(download(paths["path"], test_path=str(paths["test_path"])), raw)
    assert str(caught.value).startswith(str(paths[spoilt]))
    assert_nothing_is_left(raw)
    assert not (tmp_path.parent / "evil.jpg").exists()


def test_a_zip_over_the_limit_leaves_nothing(tmp_path: Path, raw: Path, download: Download) -> None:
    with pytest.raises(WorkflowError, match=r"photos\.zip: .*download\.unpacked_limit_gb"):
        fetch(download(make_zip(tmp_path / "photos", KAGGLE), unpacked_limit_gb=1e-7), raw)
    assert_nothing_is_left(raw)


def test_a_failed_fetch_keeps_what_was_there(tmp_path: Path, raw: Path, download: Download) -> None:
    fetch(download(make_zip(tmp_path / "photos", KAGGLE)), raw)
    with pytest.raises(WorkflowError):
        fetch(download(make_zip(tmp_path / "other", ["train/cat.0.jpg"])), raw)
    assert len(labelled(raw)) == len(KAGGLE)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]


def test_a_new_fetch_replaces_all_of_the_old_one(tmp_path: Path, raw: Path, download: Download) -> None:
    test_path = make_zip(tmp_path / "unlabelled", ["test/1.jpg"])
    fetch(download(make_zip(tmp_path / "photos", KAGGLE), test_path=str(test_path)), raw)
    fetch(download(make_folder(tmp_path / "folder", MICROSOFT)), raw)
    assert read_source(raw) == "folder"
    assert sorted(path.name for path in raw.iterdir()) == ["source.json", "train"]


# ---------------------------------------------------------------- drawn


def test_drawn_pictures_are_laid_out_like_kaggles(raw: Path, settings: Settings) -> None:
    drawn = settings.download.drawn.model_copy(update={"images": 21, "test_images": 4, "size": 64})
    fetch(settings.download.model_copy(update={"drawn": drawn}), raw)
    photos = labelled(raw)
    assert [photo.label for photo in photos] == ["cats"] * 11 + ["dogs"] * 10
    assert {photo.name for photo in photos} == {f"cat.{n}.jpg" for n in range(11)} | {f"dog.{n}.jpg" for n in range(10)}
    assert [photo.name for photo in unlabelled(raw)] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert read_source(raw) == "drawn"
    for photo in [*photos, *unlabelled(raw)]:
        with Image.open(io.BytesIO(photo.read())) as image:
            assert (image.format, max(image.size)) == ("JPEG", 64)


def test_no_test_images_are_drawn_where_none_are_wanted(raw: Path, settings: Settings) -> None:
    drawn = settings.download.drawn.model_copy(update={"images": 20, "test_images": 0, "size": 64})
    fetch(settings.download.model_copy(update={"drawn": drawn}), raw)
    assert len(unlabelled(raw)) == 0
    assert not (raw / "test").exists()


# ---------------------------------------------------------------- what was fetched is damaged later


def test_reading_what_was_not_fetched_says_how_to_fetch(raw: Path) -> None:
    raw.mkdir(parents=True)
    for read in (labelled, read_source):
        with pytest.raises(WorkflowError, match="dvc repro -f download"):
            read(raw)
    (raw / "source.json").write_text(json.dumps(["zip"]))
    with pytest.raises(WorkflowError, match=r"source\.json: missing or unreadable"):
        read_source(raw)


# ---------------------------------------------------------------- disk full

LIMITED = """
import resource, signal, sys
from pathlib import Path
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import DownloadSettings
from dogs_vs_cats.data.sources.fetching import fetch
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    fetch(DownloadSettings.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
except WorkflowError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("source", ["drawn", "folder", "zip", "zip of zips"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, raw: Path, settings: Settings, source: str) -> None:
    path = (make_folder if source == "folder" else make_zip)(tmp_path / "train", KAGGLE)
    if source == "zip of zips":
        with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
            archive.write(path, "train.zip")
        path = tmp_path / "outer.zip"
    changed = settings.download.model_copy(update={"source": source.removesuffix(" of zips"), "path": str(path)})
    limit = 50 if source == "folder" else 500
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, changed.model_dump_json(), str(raw), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr.strip()) == (1, f"{raw}: the disk is full; make room and run it again")
    assert_nothing_is_left(raw)
