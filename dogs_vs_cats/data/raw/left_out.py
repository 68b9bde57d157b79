"""Files of a source that are not taken for photos, and why."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from posixpath import splitext

# What Pillow calls by the formats of ``photos.FORMATS``.
PHOTO_EXTENSIONS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
        *(".avif", ".avifs", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        *(".pbm", ".pgm", ".ppm", ".pnm"),
    }
)

_ARCHIVES = frozenset({".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"})
# Of macOS, Windows and network storage.
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
_SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})
_SYSTEM = "system"
_MOST_REASONS = 8


@dataclass
class LeftOut:
    """The files that are not taken for photos.

    Attributes:
        files: name and reason of each but the system's.
        system: how many hidden ones of operating systems there are.
    """

    files: list[tuple[str, str]] = field(default_factory=list)
    system: int = 0

    def add(self, name: str, reason: str) -> None:
        """Add a file; a system's is only counted."""
        if is_system(name):
            self.system += 1
        else:
            self.files.append((name, reason))

    def takes(self, name: str) -> bool:
        """Say whether a name is a photo's; add it where it is not."""
        reason = why_left_out(name)
        if reason is not None:
            self.add(name, reason)
        return reason is None

    def __str__(self) -> str:
        return f"; not read: {count_reasons(reason for _, reason in self.files)}" if self.files else ""


def is_system(name: str) -> bool:
    """Whether a name is a hidden file's that operating systems leave; a hidden photo is none."""
    *folders, base = name.lower().split("/")
    if base in _SYSTEM_FILES or base.startswith("._") or not _SYSTEM_FOLDERS.isdisjoint((*folders, base)):
        return True
    return _hidden(name) and splitext(base)[1] not in PHOTO_EXTENSIONS


def why_left_out(name: str) -> str | None:
    """Why a file is not taken for a photo by its name; None for a photo."""
    extension = splitext(name)[1].lower()
    if is_system(name):
        return _SYSTEM
    if _hidden(name):
        return "hidden: its name, or a folder's, begins with a dot"
    if extension in PHOTO_EXTENSIONS:
        return None
    if extension in _ARCHIVES:
        return "an archive within the source; unpack it"
    return f"the ending {extension} is not read" if extension else "no ending, such as .jpg"


def breaks_lists(name: str) -> bool:
    """Whether a name has what no list or terminal can show: control characters, line breaks, bytes that are no text.

    What Python calls unprintable is more: the space before PM in the names of macOS's screenshots, or what joins emoji.
    """
    return any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or "/." in name


def merged(parts: Iterable[LeftOut]) -> LeftOut:
    """What several places leave out, by name."""
    parts = [*parts]
    return LeftOut(sorted(chain.from_iterable(part.files for part in parts)), sum(part.system for part in parts))


def count_reasons(reasons: Iterable[str]) -> str:
    """Say how many there are of each reason, the most frequent first."""
    counts = Counter(reasons).most_common()
    listed = ", ".join(f"{reason}: {count}" for reason, count in counts[:_MOST_REASONS])
    return listed + (f", and {len(counts) - _MOST_REASONS} other reasons" if len(counts) > _MOST_REASONS else "")
