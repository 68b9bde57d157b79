"""A list of photos to leave out: what it may look like, which photo a name means, and what is refused."""

import csv
from pathlib import Path

import pytest

from dogs_vs_cats.data.decoding.index import write_rejected
from dogs_vs_cats.data.decoding.photos import Fingerprint
from dogs_vs_cats.data.raw.raw_photos import Photos
from dogs_vs_cats.data.splits.exclusion import find_list, find_listed, leave_out, read_list
from dogs_vs_cats.data.splits.intake import TakenPhoto
from dogs_vs_cats.errors import WorkflowError


def photos(*names: str) -> Photos:
    return Photos([*names], lambda name: "dogs" if "dog" in name else "cats", lambda _: b"")


def written(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


SOURCE = photos("train/cat.0.jpg", "train/cat.10.jpg", "train/dog.0.jpg", "train/dog.1.jpg")


def test_listed_photos_are_found_with_the_reason(tmp_path: Path) -> None:
    path = written(tmp_path, "class,file,reason\ncats,train/cat.10.jpg,a logo\ndogs,dog.1.jpg,\n")
    assert find_listed(SOURCE, read_list(path), path) == {
        "train/cat.10.jpg": f"excluded by {path}: a logo",
        "train/dog.1.jpg": f"excluded by {path}",
    }


def test_a_spreadsheets_list_with_a_photo_in_two_lines_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufefffile,reason\r\ntrain/cat.0.jpg,label\r\ncat.0.jpg,duplicate\r\n")
    assert find_listed(SOURCE, read_list(path), path) == {"train/cat.0.jpg": f"excluded by {path}: label"}


@pytest.mark.parametrize("first", [*"=+-@\t'", "'=", "''-"])
def test_names_that_a_spreadsheet_would_run_are_found_by_the_lists_that_are_written(tmp_path: Path, first: str) -> None:
    name, path = f"{first}cmd|x!A1.jpg", tmp_path / "list.csv"
    write_rejected(path, [(name, f"{first}why")])
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert all(cell[0] not in "=+-@\t\r" for cell in row.values())
    assert [*find_listed(photos("a.jpg", name), read_list(path), path)] == [name]


def test_a_name_with_the_end_of_a_line_keeps_its_line(tmp_path: Path) -> None:
    write_rejected(tmp_path / "list.csv", [("\r=1.jpg", "not\na picture")])
    with (tmp_path / "list.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file, strict=True)][1:] == [["\\r=1.jpg", "not\na picture"]]


def test_a_name_that_somebody_wrote_without_an_apostrophe_is_found(tmp_path: Path) -> None:
    path = written(tmp_path, "file\n=1.jpg\n'2.jpg\n")
    assert [*find_listed(photos("=1.jpg", "'2.jpg"), read_list(path), path)] == ["=1.jpg", "'2.jpg"]


def test_an_empty_list_leaves_nothing_out(tmp_path: Path) -> None:
    path = written(tmp_path, "file\n")
    assert find_listed(SOURCE, read_list(path), path) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column file in its first line (empty)"),
        ("photo;class\ncat.0.jpg;cats\n", "no column file in its first line (photo;class)"),
        ("class,file\ncats,\n", "line 2 names no file"),
        ('file\n"cat.0.jpg\n', "not a CSV file"),
        ("file\ncat.0.jpg\ncat.00.jpg\ncat.11.jpg\n", "line 3: no labelled photo is called cat.00.jpg"),
    ],
)
def test_a_bad_list_is_refused_by_its_name_and_fault(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(WorkflowError) as refusal:
        find_listed(SOURCE, read_list(path), path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert told in str(refusal.value)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"file\n\xff\xfe\n")
    with pytest.raises(WorkflowError, match="not a CSV file in UTF-8"):
        read_list(tmp_path / "list.csv")


def test_a_name_that_may_be_two_photos_needs_its_folder(tmp_path: Path) -> None:
    pets = photos("PetImages/cat/7.jpg", "PetImages/cat/8.jpg", "PetImages/dog/7.jpg", "PetImages/dog/8.jpg")
    path = written(tmp_path, "file\n7.jpg\n")
    with pytest.raises(WorkflowError, match=r"line 2: 7\.jpg may be PetImages/cat/7\.jpg or PetImages/dog/7\.jpg"):
        find_listed(pets, read_list(path), path)
    path = written(tmp_path, "file\ncat/7.jpg\n")
    assert list(find_listed(pets, read_list(path), path)) == ["PetImages/cat/7.jpg"]


def test_a_whole_path_means_that_photo_even_if_another_ends_so(tmp_path: Path) -> None:
    nested = photos("cat.1.jpg", "old/cat.1.jpg", "dog.1.jpg")
    path = written(tmp_path, "file\ncat.1.jpg\n")
    assert list(find_listed(nested, read_list(path), path)) == ["cat.1.jpg"]


def test_a_split_without_a_class_is_refused() -> None:
    taken = [TakenPhoto(photo.name, photo.label, Fingerprint("", 0, 1, 1), 0) for photo in SOURCE]
    splits = ["train", "test", "train", "test"]
    with pytest.raises(WorkflowError, match=r"mine\.csv: leaves no photo of class cats in test"):
        leave_out(taken, splits, {"train/cat.10.jpg"}, Path("mine.csv"))


def test_a_list_must_be_where_dvc_looks_for_changes(tmp_path: Path) -> None:
    lists = tmp_path / "exclude"
    lists.mkdir()
    mine = written(lists, "file\n")
    assert find_list(str(mine), lists) == mine
    with pytest.raises(WorkflowError, match=r"other\.csv: no such file; correct split\.exclude"):
        find_list(str(lists / "other.csv"), lists)
    with pytest.raises(WorkflowError, match="where DVC sees that a list has changed"):
        find_list(str(lists / "../list.csv"), lists)
