"""Names in the images folder are safe and unique, and the index is read back as written."""

import csv
from pathlib import Path

import pytest

from dogs_vs_cats.data.decoding.index import IndexedPhoto, name_files, read_index, write_index, write_rejected
from dogs_vs_cats.data.decoding.photos import Fingerprint


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("train/cat.0.jpg", "cat.0.jpg"),
        ("PetImages/Cat/12.JPG", "12.JPG"),
        ("a:b*c?.jpg", "a_b_c_.jpg"),
        ("line\nbreak.jpg", "line_break.jpg"),
        (".jpg", "jpg"),
        ("...", "photo"),
        ("no extension", "no extension"),
        ("caf\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}.png", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png"),
        ("bytes \udcff.jpg", "bytes _.jpg"),
    ],
)
def test_names_are_kept_as_far_as_they_are_safe(name: str, file: str) -> None:
    assert list(name_files([(name, "train/cats")])) == [f"train/cats/{file}"]


def test_long_names_fit_every_file_system() -> None:
    (file,) = name_files([("\N{CAT}" * 200 + ".jpg", "x")])
    assert len(file.encode()) < 255
    assert file.endswith("\N{CAT}.jpg")


def test_equal_names_in_a_folder_are_told_apart_whatever_their_case() -> None:
    names = ["a/1.jpg", "b/1.jpg", "c/1.JPG", "d/1-2.jpg", "e/1.jpg"]
    assert list(name_files(zip(names, "xxxxy", strict=True))) == [
        "x/1.jpg",
        "x/1-2.jpg",
        "x/1-3.JPG",
        "x/1-2-2.jpg",
        "y/1.jpg",
    ]


def test_the_index_is_read_back_sorted_by_file(tmp_path: Path) -> None:
    photos = [
        IndexedPhoto("unlabelled/1.jpg", None, "unlabelled", Fingerprint("f" * 64, 2**64 - 1, 3, 4)),
        IndexedPhoto('train/cats/a, "b".jpg', "cats", "train", Fingerprint("0" * 64, 1, 1, 2)),
    ]
    write_index(tmp_path, photos)
    assert list(read_index(tmp_path)) == photos[::-1]
    assert (tmp_path / "index.csv").read_text().splitlines()[2].split(",")[4] == "f" * 16


def test_a_class_that_a_spreadsheet_would_run_is_neutralised_and_read_back(tmp_path: Path) -> None:
    labels = ["'=1", "+cmd|x", "=1+1", "cats"]
    photos = [IndexedPhoto(f"train/{label}/1.jpg", label, "train", Fingerprint("0" * 64, 1, 1, 2)) for label in labels]
    write_index(tmp_path, photos)
    assert list(read_index(tmp_path)) == photos
    with (tmp_path / "index.csv").open(newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)] == ["''=1", "'+cmd|x", "'=1+1", "cats"]


def test_rejected_names_that_are_no_text_are_listed_all_the_same(tmp_path: Path) -> None:
    write_rejected(tmp_path / "rejected.csv", [("bytes \udcff.jpg", "no bytes")])
    assert (tmp_path / "rejected.csv").read_text() == "file,reason\nbytes \\udcff.jpg,no bytes\n"
