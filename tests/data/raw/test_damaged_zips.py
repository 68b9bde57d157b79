"""Damaged zips: each is told in one line that names the zip, or its photos are right to the byte."""

import io
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.raw.raw_photos import labelled, read_facts
from dogs_vs_cats.data.sources.fetching import fetch
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import Settings

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]

Damage = Callable[[bytearray], bytes]


def _photo(seed: int) -> bytes:
    file = io.BytesIO()
    blobs = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(blobs).resize((40, 30), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


PHOTOS = {
    f"{kind}/{kind[:3]}.{number}.jpg": _photo(number + 10 * len(kind))
    for kind in ("cats", "dogs")
    for number in range(4)
}


def _zipped(method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in PHOTOS.items():
            archive.writestr(name, data)
    return bytearray(file.getvalue())


def _cut(start: float, stop: float) -> Damage:
    return lambda data: bytes(data[int(start * len(data)) : int(stop * len(data))])


def _written(record: bytes, place: int, value: bytes, nth: int = 0) -> Damage:
    """Bytes of the nth record of a kind overwritten."""

    def damage(data: bytearray) -> bytes:
        at = -1
        for _ in range(nth + 1):
            at = data.index(record, at + 1)
        data[at + place : at + place + len(value)] = value
        return bytes(data)

    return damage


def _both(local: int, central: int, value: int) -> Damage:
    """A number of two bytes in an entry's header and in the table of contents."""
    packed = struct.pack("<H", value)
    return lambda data: _written(CENTRAL, central, packed)(bytearray(_written(LOCAL, local, packed)(data)))


def _flipped(seed: int, start: bytes) -> Damage:
    """A few bits flipped anywhere after the first of these bytes."""

    def damage(data: bytearray) -> bytes:
        chance = random.Random(seed)
        for _ in range(1 + seed % 4):
            data[chance.randrange(data.index(start), len(data))] ^= 1 << chance.randrange(8)
        return bytes(data)

    return damage


def _without_last(count: int, data: bytearray) -> bytes:
    return bytes(data[:-count])


DAMAGES: dict[str, Damage] = {
    **{f"only {part:.0%} kept": _cut(0, part) for part in (0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)},
    **{f"without the first {part:.1%}": _cut(part, 1) for part in (0.001, 0.1, 0.5)},
    **{f"without the last {count} bytes": partial(_without_last, count) for count in (1, 4, 21, 22, 30)},
    "a part missing": lambda data: bytes(data[:2000] + data[2600:]),
    "a part zero": lambda data: bytes(data[:2000] + bytes(600) + data[2600:]),
    "text before": lambda data: b"<html>" * 100 + data,
    "text after": lambda data: bytes(data) + b"</html>" * 100,
    **{
        f"{value.hex()} at {place} of {kind} {nth}": _written(record, place, value, nth)
        for kind, record, places in (
            ("an entry", LOCAL, (0, 4, 6, 8, 14, 18, 22, 26, 28, 30)),
            ("the contents", CENTRAL, (0, 6, 8, 10, 16, 20, 24, 28, 30, 32, 34, 38, 42, 46)),
            ("the end", END, (0, 4, 6, 8, 10, 12, 16, 20)),
        )
        for place in places
        for value in (b"\x00\x00", b"\xff\xff", b"\x13\x37", b"\xff\xff\xff\xff")
        for nth in ((0,) if kind == "the end" else (0, 5))
    },
    **{f"compressed by method {method}": _both(8, 10, method) for method in (1, 6, 9, 93, 95, 98, 99)},
    **{f"flags {flags:#x}": _both(6, 8, flags) for flags in (0x1, 0x20, 0x40, 0x41, 0x2000)},
    **{f"bits flipped {seed}": _flipped(seed, LOCAL) for seed in range(20)},
    **{f"bits of the contents flipped {seed}": _flipped(seed, CENTRAL) for seed in range(40)},
}


@pytest.mark.parametrize("method", METHODS)
def test_a_damaged_zip_is_named_in_one_line_or_its_photos_are_right(
    tmp_path: Path, settings: Settings, method: int
) -> None:
    path, raw = tmp_path / "photos.zip", tmp_path / "data" / "raw"
    download = settings.download.model_copy(update={"source": "zip", "path": str(path)})
    told = []
    for name, damage in DAMAGES.items():
        path.write_bytes(damage(_zipped(method)))
        try:
            fetch(download, raw)
        except WorkflowError as error:
            told.append(str(error))
            assert not raw.exists(), name
        else:
            # A damaged ending, such as .jpf, makes another kind of file of a photo, which is then listed.
            facts, left = read_facts(raw), {photo.name: photo.read() for photo in labelled(raw)}
            assert len(left) + len(facts.left_out) + facts.system_files == len(PHOTOS), name
            assert left.items() <= PHOTOS.items(), name
            shutil.rmtree(raw)
    assert [line for line in told if not line.startswith(f"{path}: ") or "\n" in line] == []
    assert len(told) > 150


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_cut(0, 0.5), "truncated, its table of contents is missing; get the zip again"),
        (_cut(0, 0.999), "truncated, its table of contents is missing; get the zip again"),
        (_cut(0.5, 0.6), "not a zip file; name another one, or get it again"),
        (_written(CENTRAL, 0, b"XX"), "its table of contents is damaged (Bad magic number for central directory); get"),
        (
            _written(CENTRAL, 32, b"\x3c\x00"),
            "its table of contents is damaged (it has 7 entries of 8); get the zip again",
        ),
        (_written(CENTRAL, 42, b"\xff\xff\xff\x7f"), "cats/cat.0.jpg is damaged ("),
        (_written(LOCAL, 0, b"XX"), "cats/cat.0.jpg is damaged (Bad magic number for file header); get the zip again"),
        (_written(CENTRAL, 16, b"\x00\x00\x00\x00"), "cats/cat.0.jpg is damaged (Bad CRC-32"),
        (_written(CENTRAL, 20, b"\xff\xff\x00\x00"), "'cats/cat.1.jpg' overlaps with another entry"),
        (_both(6, 8, 1), "cats/cat.0.jpg is encrypted; make a zip without a password"),
        (
            _both(8, 10, 9),
            "cats/cat.0.jpg is packed in a way that is not read (method 9: That compression method is not",
        ),
        (_both(6, 8, 0x20), "cats/cat.0.jpg is packed in a way that is not read (method 8: compressed patched data"),
    ],
)
def test_the_kind_of_damage_is_told(tmp_path: Path, settings: Settings, damage: Damage, told: str) -> None:
    path = tmp_path / "photos.zip"
    path.write_bytes(damage(_zipped()))
    with pytest.raises(WorkflowError) as caught:
        fetch(settings.download.model_copy(update={"source": "zip", "path": str(path)}), tmp_path / "raw")
    assert str(caught.value).startswith(f"{path}: {told}")


@pytest.mark.parametrize("data", [b"BZh91AY&SY not bzip2", b"\x00" * 40])
def test_data_that_only_bzip2_or_lzma_refuse_is_named(tmp_path: Path, settings: Settings, data: bytes) -> None:
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path, zipped = tmp_path / "photos.zip", _zipped(method)
        at = zipped.index(b"cats/cat.0.jpg") + len("cats/cat.0.jpg") + 4
        zipped[at : at + len(data)] = data
        path.write_bytes(zipped)
        with pytest.raises(WorkflowError, match=r"photos\.zip: cats/cat\.0\.jpg is damaged"):
            fetch(settings.download.model_copy(update={"source": "zip", "path": str(path)}), tmp_path / "raw")


def test_an_inner_zip_that_is_damaged_is_named_with_the_outer_one(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "competition.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.zip", _written(LOCAL, 0, b"XX")(_zipped()))
    with pytest.raises(WorkflowError, match=r"competition\.zip: train\.zip: cats/cat\.0\.jpg is damaged"):
        fetch(settings.download.model_copy(update={"source": "zip", "path": str(path)}), tmp_path / "raw")
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(WorkflowError, match=r"competition\.zip: train\.zip is damaged"):
        fetch(settings.download.model_copy(update={"source": "zip", "path": str(path)}), tmp_path / "raw")
