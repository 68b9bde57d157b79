"""Zip files of photos: checked before they are believed, streamed, never unpacked as a whole."""

import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dogs_vs_cats.data.raw.left_out import breaks_lists
from dogs_vs_cats.errors import WorkflowError

GIGABYTE = 10**9
CHUNK = 2**20

# A photo is read into memory whole.
LARGEST_PHOTO = GIGABYTE // 2
# Photos hardly shrink in a zip. A few flat-coloured ones may, so the ratio counts only above a size that hurts.
HIGHEST_RATIO = 200
RATIO_COUNTS_ABOVE = GIGABYTE // 10

_ENCRYPTED = 0x1
_UTF8 = 0x800
_LOCAL_HEADER = 30  # bytes, without the name
# Of the record at a zip's end: its bytes without a comment, and with one; where the number of entries is; and what that
# is where it stands elsewhere.
_SHORTEST_END, _LONGEST_END, _TOTAL, _IN_ZIP64 = 22, 22 + 2**16, 10, 2**16 - 1
# APPNOTE.TXT 6.3.10, sections 4.5.1 and 4.6.9: extra fields, and that of names in UTF-8, by WinRAR and Info-ZIP.
_EXTRA_HEADER = struct.Struct("<HH")
_UNICODE_PATH = 0x7075


class Archive:
    """An open zip file whose entries are safe to read, from any thread.

    The names an entry is known by are its cleaned ones: relative, with forward slashes, no ``.`` in them.
    """

    def __init__(self, path: Path, shown: str | None = None, encoding: str = "auto") -> None:
        """Open a zip file and check its table of contents.

        Args:
            path: the zip file.
            shown: what to call it in error messages, its path by default.
            encoding: of the names that are not marked as UTF-8; auto: UTF-8 all the same.

        Raises:
            WorkflowError: if it is no zip, is truncated, or has an entry that is encrypted, a link, named twice, named
                in another encoding or so that it would leave the folder it is unpacked into.
        """
        self.path = path
        self.shown = shown or str(path)
        self._zip = _open(path, self.shown)
        # zipfile counts its open entries without a lock of its own.
        self._lock = threading.Lock()
        self._entries: dict[str, zipfile.ZipInfo] = {}
        entries = self._zip.infolist()
        _check_contents(entries, path, self.shown)
        for written, entry in zip(_names(entries, self.shown, encoding), entries, strict=True):
            name = _clean_name(written, self.shown)
            if entry.flag_bits & _ENCRYPTED:
                raise WorkflowError(f"{self.shown}: {name} is encrypted; make a zip without a password")
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise WorkflowError(f"{self.shown}: {name} is a link; make a zip of the files themselves")
            if written.endswith("/"):
                continue
            if name in self._entries:
                raise WorkflowError(f"{self.shown}: {name} is in it more than once; make a zip with each photo once")
            self._entries[name] = entry

    @property
    def names(self) -> list[str]:
        """The cleaned names of all entries that are files, in the zip's order."""
        return list(self._entries)

    def check_size(self, limit_gb: float) -> None:
        """Refuse a zip that would unpack to too much.

        Args:
            limit_gb: the most that all entries may unpack to, in units of 10^9 bytes.

        Raises:
            WorkflowError: if they unpack to more, or are packed far tighter than photos can be.
        """
        unpacked = sum(entry.file_size for entry in self._entries.values())
        if unpacked > limit_gb * GIGABYTE:
            raise WorkflowError(
                f"{self.shown}: unpacks to {unpacked / GIGABYTE:.3g} GB, more than download.unpacked_limit_gb "
                f"({limit_gb:g}); raise it if this is what you expect"
            )
        packed = max(1, self.path.stat().st_size)
        if unpacked > RATIO_COUNTS_ABOVE and unpacked / packed > HIGHEST_RATIO:
            raise WorkflowError(
                f"{self.shown}: {packed} bytes unpack to {unpacked / GIGABYTE:.3g} GB, which photos cannot do; "
                "it looks like a zip bomb, use another file"
            )

    def verify(self, names: Iterable[str]) -> None:
        """Read entries through once, in constant memory, and compare their checksums.

        Raises:
            WorkflowError: if one is damaged or larger than a photo can be.
        """
        for name in tqdm(
            list(names), desc=f"checking {Path(self.shown).name}", unit="photo", disable=None, leave=False
        ):
            check_photo_size(f"{self.shown}: {name}", self._entries[name].file_size)
            with self._told(name), self._zip.open(self._entries[name]) as stream:
                while stream.read(CHUNK):
                    pass

    def read(self, name: str) -> bytes:
        """The content of one entry.

        Raises:
            WorkflowError: if it is damaged or larger than a photo can be.
        """
        check_photo_size(f"{self.shown}: {name}", self._entries[name].file_size)
        with self._lock, self._told(name):
            return self._zip.read(self._entries[name])

    def extract(self, name: str, target: Path) -> None:
        """Write one entry, a zip within this one, to a file of its own, in constant memory."""
        with self._told(name):
            stream = self._zip.open(self._entries[name])
        with target.open("wb") as file, stream:
            while True:
                with self._told(name):
                    chunk = stream.read(CHUNK)
                if not chunk:
                    return
                file.write(chunk)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Name the zip and the entry where reading it fails, in whatever way: damaged data bring out anything."""
        try:
            yield
        except MemoryError:
            raise
        except NotImplementedError as error:
            method = self._entries[name].compress_type
            raise WorkflowError(
                f"{self.shown}: {name} is packed in a way that is not read (method {method}: {error}); "
                "make the zip again with the usual compression"
            ) from None
        except Exception as error:  # noqa: BLE001
            raise WorkflowError(f"{self.shown}: {name} is damaged ({_reason(error)}); get the zip again") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def check_photo_size(shown: str, size: int) -> None:
    """Refuse a file of more bytes than a photo has.

    Args:
        shown: what to call it in the error message.
        size: its size in bytes, unpacked.

    Raises:
        WorkflowError: if it is over ``LARGEST_PHOTO``.
    """
    if size > LARGEST_PHOTO:
        raise WorkflowError(f"{shown} has {size / GIGABYTE:.3g} GB, more than any photo; take it out")


def _open(path: Path, shown: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise WorkflowError(f"{shown}: no such file; correct the path") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged files bring out anything
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the system's: no permission, say
        if _end_record(path):
            told = f"its table of contents is damaged ({_reason(error)}); get the zip again"
        else:
            with path.open("rb") as file:
                told = "not a zip file; name another one, or get it again"
                if file.read(4) == b"PK\x03\x04":
                    told = "truncated, its table of contents is missing; get the zip again"
        raise WorkflowError(f"{shown}: {told}") from None


def _check_contents(entries: Sequence[zipfile.ZipInfo], path: Path, shown: str) -> None:
    """Refuse a table of contents that does not have as many entries as the zip says, or whose entries overlap."""
    said = int.from_bytes(_end_record(path)[_TOTAL : _TOTAL + 2], "little")
    if said not in (len(entries) % 2**16, _IN_ZIP64):
        raise WorkflowError(
            f"{shown}: its table of contents is damaged (it has {len(entries)} entries of {said}); get the zip again"
        )
    ends = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < ends:
            raise WorkflowError(
                f"{shown}: {entry.filename!r} overlaps with another entry, so one of them is damaged; get the zip again"
            )
        ends = entry.header_offset + _LOCAL_HEADER + entry.compress_size


def _end_record(path: Path) -> bytes:
    """What a zip ends with, empty where that is missing."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_END))
        end = file.read()
    at = end.rfind(b"PK\x05\x06")
    return b"" if at < 0 or len(end) - at < _SHORTEST_END else end[at:]


def _names(entries: Iterable[zipfile.ZipInfo], shown: str, encoding: str) -> list[str]:
    """The entries' names as they are meant, with forward slashes."""
    names: list[str] = []
    other: list[bytes] = []
    for entry in entries:
        try:
            names.append(_name(entry, encoding))
        except UnicodeDecodeError as error:
            other.append(bytes(error.object))
    if other:
        raise WorkflowError(f"{shown}: {_in_another_encoding(other[0], len(other), encoding)}")
    # Windows programs that write its own separator write it throughout; elsewhere a backslash is a letter like others.
    if any("\\" in name for name in names) and not any("/" in name for name in names):
        return [name.replace("\\", "/") for name in names]
    return names


def _name(entry: zipfile.ZipInfo, encoding: str) -> str:
    if entry.flag_bits & _UTF8:
        return entry.orig_filename
    # zipfile takes all others for code page 437, which has a letter for each byte.
    raw = entry.orig_filename.encode("cp437")
    extra = entry.extra
    while len(extra) >= _EXTRA_HEADER.size:
        kind, size = _EXTRA_HEADER.unpack_from(extra)
        data, extra = extra[_EXTRA_HEADER.size :][:size], extra[_EXTRA_HEADER.size + size :]
        if kind == _UNICODE_PATH and data[1:5] == zlib.crc32(raw).to_bytes(4, "little"):
            return data[5:].decode("utf-8")
    return raw.decode("utf-8" if encoding == "auto" else encoding)


def _in_another_encoding(name: bytes, count: int, encoding: str) -> str:
    """What to say of the first of the names that an encoding cannot read."""
    said = "are not in UTF-8" if encoding == "auto" else f"are not in {encoding}, which download.zip_encoding names"
    readings = {
        code: _decoded(name, code) for code in ("cp866", "cp1251", "cp1252", "gbk", "big5", "cp949", "cp932", "cp437")
    }
    likely = ", ".join(f"{reading!r} in {code}" for code, reading in readings.items() if reading)
    return (
        f"the names of {count} entries {said}: {name!r} is the first ({likely}); set download.zip_encoding to their "
        "encoding, or make the zip again with names in UTF-8"
    )


def _decoded(name: bytes, encoding: str) -> str | None:
    try:
        return name.decode(encoding)
    except UnicodeDecodeError:
        return None


def _clean_name(name: str, shown: str) -> str:
    """A safe relative name, or an error: nothing here is unpacked, but others will make files of these names."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or re.match(r"[A-Za-z]:", name) or not parts:
        raise WorkflowError(f"{shown}: the name {name!r} leaves the folder it is unpacked into; use another zip")
    if "\\" in name:
        raise WorkflowError(
            f"{shown}: the name {name!r} has a backslash, which separates folders on Windows only, and others "
            "have '/'; make the zip again with '/' throughout"
        )
    if breaks_lists(name):
        raise WorkflowError(f"{shown}: the name {name!r} has characters that cannot be printed; rename the photo")
    return str(PurePosixPath(*parts))
