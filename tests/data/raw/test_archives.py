"""Zips that must not be believed, and reading those that may."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dogs_vs_cats.data.raw import archives
from dogs_vs_cats.data.raw.archives import Archive
from dogs_vs_cats.errors import WorkflowError


def _zipped(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "photos.zip"


def test_entries_are_read_by_their_cleaned_names(path: Path) -> None:
    archive = Archive(_zipped(path, {"./train//cat.0.jpg": b"cat", "train/": b"", "train/dog.0.jpg": b"dog"}))
    assert archive.names == ["train/cat.0.jpg", "train/dog.0.jpg"]
    assert archive.read("train/cat.0.jpg") == b"cat"


def test_threads_read_one_archive_at_the_same_time(path: Path) -> None:
    entries = {f"{number}.jpg": bytes([number]) * 40_000 for number in range(200)}
    archive = Archive(_zipped(path, entries))
    with ThreadPoolExecutor(8) as pool:
        assert dict(zip(entries, pool.map(archive.read, entries), strict=True)) == entries


@pytest.mark.parametrize(
    "name",
    [
        *("../cat.0.jpg", "train/../../cat.0.jpg", "/etc/cat.0.jpg", "C:/cat.0.jpg", "C:cat.0.jpg"),
        *("..\\..\\cat.0.jpg", "train\\..\\..\\cat.0.jpg", "\\cat.0.jpg", "\\\\server\\cat.0.jpg", "C:\\cat.0.jpg"),
    ],
)
def test_names_that_leave_the_folder_are_refused(path: Path, name: str) -> None:
    _zipped(path, {"train/dog.0.jpg": b"dog", name: b"cat"})
    with pytest.raises(WorkflowError, match="leaves the folder") as caught:
        Archive(path)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["..\\..\\cat.0.jpg", "cats\\..\\..\\cat.0.jpg", "\\cat.0.jpg", "C:\\cat.0.jpg"])
def test_names_that_leave_the_folder_are_refused_in_a_windows_zip_too(path: Path, name: str) -> None:
    _zipped(path, {"dogs\\dog.0.jpg": b"dog", name: b"cat"})
    with pytest.raises(WorkflowError, match="leaves the folder"):
        Archive(path)


def test_a_backslash_is_a_separator_where_every_entry_has_it(path: Path) -> None:
    archive = Archive(
        _zipped(path, {"pets\\cats\\": b"", "pets\\cats\\0.jpg": b"cat", "pets\\a.txt": b"", "b.txt": b""})
    )
    assert archive.names == ["pets/cats/0.jpg", "pets/a.txt", "b.txt"]
    assert archive.read("pets/cats/0.jpg") == b"cat"


@pytest.mark.parametrize("name", ["train\\cat.0.jpg", "train/a\\b.jpg", "a\\b"])
def test_a_backslash_among_slashes_is_called_so(path: Path, name: str) -> None:
    _zipped(path, {"train/dog.0.jpg": b"dog", name: b"cat"})
    with pytest.raises(WorkflowError, match="has a backslash, which separates folders on Windows only") as caught:
        Archive(path)
    assert repr(name) in str(caught.value)


def _zipped_raw(path: Path, names: list[bytes], extra: bytes = b"") -> Path:
    """A zip with names as they are given, not marked as UTF-8."""
    placeholders = [bytes([65 + place]) * len(name) for place, name in enumerate(names)]
    with zipfile.ZipFile(path, "w") as archive:
        for place, placeholder in enumerate(placeholders):
            entry = zipfile.ZipInfo(placeholder.decode())
            entry.extra = extra
            archive.writestr(entry, bytes([place]))
    data = path.read_bytes()
    for placeholder, name in zip(placeholders, names, strict=True):
        data = data.replace(placeholder, name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "names", [["Кошки/1.jpg", "Собаки/1.jpg"], ["猫/é😀.jpg", "plain.jpg"], ["表/1.jpg", "犬/2.jpg"]]
)
def test_names_in_utf8_are_read_without_its_mark(path: Path, names: list[str]) -> None:
    archive = Archive(_zipped_raw(path, [name.encode() for name in names]))
    assert archive.names == names
    assert archive.read(names[1]) == b"\x01"


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["Кошки/1.jpg", "Собаки/1.jpg"], "cp866"),
        (["Кошки/1.jpg", "Собаки/1.jpg"], "cp1251"),
        (["狗/1.jpg", "猫/1.jpg"], "gbk"),  # 猫 would be è
        (["表\\1.jpg", "犬\\1.jpg"], "cp932"),  # the second byte of 表 is a backslash's
        (["für/1.jpg", "wider/1.jpg"], "cp437"),
        (["chats é/1.jpg", "chiens è/1.jpg"], "cp1252"),
        (["貓/1.jpg", "狗/1.jpg"], "big5"),
        (["고양이/1.jpg", "개/1.jpg"], "cp949"),
    ],
)
def test_names_in_another_encoding_need_the_setting_that_names_it(path: Path, names: list[str], encoding: str) -> None:
    _zipped_raw(path, [name.encode(encoding) for name in names])
    with pytest.raises(WorkflowError, match=r"photos\.zip: the names of [12] entries are not in UTF-8: b'") as caught:
        Archive(path)
    assert f"{names[0]!r} in {encoding}" in str(caught.value)
    assert "set download.zip_encoding" in str(caught.value)
    assert Archive(path, encoding=encoding).names == [name.replace("\\", "/") for name in names]


def test_an_encoding_that_does_not_fit_is_named(path: Path) -> None:
    _zipped_raw(path, ["Кошки/1.jpg".encode("cp866"), b"dogs/1.jpg"])
    with pytest.raises(WorkflowError, match=r"of 1 entries are not in gb2312, which download\.zip_encoding names"):
        Archive(path, encoding="gb2312")


def test_a_name_that_is_marked_as_utf8_is_not_read_in_another_encoding(path: Path) -> None:
    assert Archive(_zipped(path, {"Кошки/1.jpg": b"cat"}), encoding="gbk").names == ["Кошки/1.jpg"]


def test_a_name_in_the_field_for_utf8_is_read(path: Path) -> None:
    raw, meant = "Кошки/1.jpg".encode("cp866"), "Кошки/1.jpg".encode()
    field = b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + meant
    extra = b"UT\x01\x00\x00" + struct.pack("<HH", 0x7075, len(field)) + field
    assert Archive(_zipped_raw(path, [raw], extra)).names == ["Кошки/1.jpg"]


def test_names_that_break_a_list_are_refused(path: Path) -> None:
    _zipped(path, {"cat\n.0.jpg": b"cat"})
    with pytest.raises(WorkflowError, match=r"'cat\\n.0.jpg'"):
        Archive(path)


def test_links_are_refused(path: Path) -> None:
    link = zipfile.ZipInfo("train/cat.0.jpg")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(WorkflowError, match=r"train/cat\.0\.jpg is a link"):
        Archive(path)


def test_encrypted_entries_are_refused(path: Path) -> None:
    data = bytearray(_zipped(path, {"cat.0.jpg": b"cat"}).read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(WorkflowError, match=r"cat\.0\.jpg is encrypted"):
        Archive(path)


def test_a_name_that_is_there_twice_is_refused(path: Path) -> None:
    _zipped(path, {"train/cat.0.jpg": b"cat", "train/./cat.0.jpg": b"another cat"})
    with pytest.raises(WorkflowError, match=r"train/cat\.0\.jpg is in it more than once"):
        Archive(path)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_zip_is_called_truncated(path: Path, kept: float) -> None:
    data = _zipped(path, {f"cat.{number}.jpg": bytes(range(256)) for number in range(20)}).read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(WorkflowError, match=r"photos\.zip: truncated"):
        Archive(path)


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"\x1f\x8b\x08\x00" + bytes(100)])
def test_what_is_no_zip_is_called_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(WorkflowError, match=r"photos\.zip: not a zip file"):
        Archive(path)


def _flip_stored_byte(data: bytes) -> bytes:
    return data.replace(b"CATCATCAT", b"CATCOTCAT", 1)


def _cut_entry(data: bytes) -> bytes:
    """The first entry's compressed bytes replaced by zeros: its table of contents is right, its data is not."""
    start = data.index(b"cat.0.jpg") + 9
    return data[:start] + bytes(8) + data[start + 8 :]


@pytest.mark.parametrize(
    ("compression", "damage"), [(zipfile.ZIP_STORED, _flip_stored_byte), (zipfile.ZIP_DEFLATED, _cut_entry)]
)
def test_damaged_entries_are_found(path: Path, compression: int, damage: Callable[[bytes], bytes]) -> None:
    _zipped(path, {"cat.0.jpg": b"CATCATCAT" * 20, "dog.0.jpg": b"DOG" * 20}, compression)
    path.write_bytes(damage(path.read_bytes()))
    archive = Archive(path)
    for read in (lambda: archive.verify(archive.names), lambda: archive.read("cat.0.jpg")):
        with pytest.raises(WorkflowError, match=r"photos\.zip: cat\.0\.jpg is damaged"):
            read()
    assert archive.read("dog.0.jpg") == b"DOG" * 20


def test_a_zip_over_the_limit_is_refused(path: Path) -> None:
    archive = Archive(_zipped(path, {"cat.0.jpg": bytes(600_000), "dog.0.jpg": bytes(600_000)}))
    archive.check_size(0.0012)
    with pytest.raises(
        WorkflowError, match=r"photos\.zip: unpacks to 0\.0012 GB, more than download\.unpacked_limit_gb"
    ):
        archive.check_size(0.001)


def test_a_zip_bomb_is_refused_below_the_limit(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("cat.0.jpg", "w") as entry:
        for _ in range(archives.RATIO_COUNTS_ABOVE // 2**20 + 1):
            entry.write(bytes(2**20))
    with pytest.raises(WorkflowError, match=r"photos\.zip: .* zip bomb"):
        Archive(path).check_size(20)


def test_an_entry_larger_than_any_photo_is_refused_before_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LARGEST_PHOTO", 1000)
    archive = Archive(_zipped(path, {"cat.0.jpg": bytes(1001)}))
    for read in (lambda: archive.verify(archive.names), lambda: archive.read("cat.0.jpg")):
        with pytest.raises(WorkflowError, match=r"cat\.0\.jpg has .* GB, more than any photo"):
            read()


def test_an_entry_can_be_extracted(path: Path, tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("cat.0.jpg", b"cat")
    Archive(_zipped(path, {"train.zip": inner.getvalue()})).extract("train.zip", tmp_path / "inner.zip")
    assert Archive(tmp_path / "inner.zip").read("cat.0.jpg") == b"cat"
