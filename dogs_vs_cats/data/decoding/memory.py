"""Memory that decoding takes: counted before the first pixel, bounded in each process, and given back afterwards."""

import ctypes
import threading
from functools import cache

from PIL import ImageFile

# Bytes that the photos of a process take at most, however many threads decode them: 100 million pixels of a JPEG, 67
# million with transparency.
MEMORY_LIMIT = 2**29

# Bytes a pixel that Pillow keeps, by mode, and of the RGB picture that others become.
_KEPT = {"1": 1, "L": 1, "P": 1, "I;16": 2}
_KEPT_SWAPPED = 6  # sixteen bits in another order of bytes, and as integers
_KEPT_OTHERS = _KEPT_RGB = 4
# Bytes a pixel that decoders hold beside that, as benchmarks/photo_memory.py measures them.
_DECODERS = {"AVIF": 12, "HEIF": 12, "JPEG2000": 17, "WEBP": 14}
_COEFFICIENT = 2  # bytes, one a pixel and channel: libjpeg keeps all of a photo that comes in several scans
_SCAN = b"\xff\xda"
# Written in Python, a microsecond or more a pixel; what they take is more than what they hold.
_SLOW_DECODERS, _SLOW = ("ppm", "ppm_plain"), 40
_TIFF_BITS, _TIFF_COMPRESSION, _TIFF_ROWS, _TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 258, 259, 278, 322, 323
# Below this what is freed is soon used again.
_WORTH_GIVING_BACK = 2**25
_M_MMAP_THRESHOLD = -3  # malloc.h


def bytes_needed(image: ImageFile.ImageFile, data: bytes, whole: tuple[int, int], *, copied: bool) -> int:
    """Bytes that decoding a photo and making it RGB take at most, beside its file's.

    Args:
        image: opened, not yet decoded; set to a smaller size if it is to be decoded at one.
        data: the file's bytes.
        whole: width and height that the file itself has.
        copied: whether the picture is copied once more.
    """
    width, height = image.size
    codec = image.tile[0].codec_name if image.tile else ""
    kept = _KEPT_SWAPPED if image.mode.startswith("I;16") else _KEPT_OTHERS
    a_pixel = _KEPT.get(image.mode, kept) + _DECODERS.get(str(image.format), 0)
    a_pixel += _KEPT_RGB * ((image.mode != "RGB") + copied) + _SLOW * (codec in _SLOW_DECODERS)
    needed = width * height * a_pixel
    if codec == "jpeg" and data.count(_SCAN) > 1:
        needed += whole[0] * whole[1] * _COEFFICIENT * len(image.getbands())
    if codec == "libtiff":
        tags = image.tag_v2  # type: ignore[attr-defined]
        if _TIFF_TILE_WIDTH in tags:
            held = tags[_TIFF_TILE_WIDTH] * tags[_TIFF_TILE_LENGTH]
        else:
            held = width * min(height, tags.get(_TIFF_ROWS, height))
        needed += held * max(_KEPT_RGB, sum(tags.get(_TIFF_BITS, (1,))) // 8)
    return needed


class Budget:
    """Bytes that all threads of a process share."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._changed = threading.Condition()

    def take(self, amount: int) -> None:
        """Wait until so many bytes are free, and take them; never more than there are in all."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount

    def give_back(self, amount: int) -> None:
        """Free bytes for the next who waits, and return large ones to the system: glibc would keep them."""
        if amount >= _WORTH_GIVING_BACK and (trim := _trimming()) is not None:
            trim(0)
        with self._changed:
            self._free += amount
            self._changed.notify_all()


@cache
def _trimming() -> "ctypes._NamedFuncPointer | None":
    """Return ``malloc_trim`` of glibc; None where the system has another library.

    It does not trim the end of what other threads than the first have, which is where up to 32 MB at a time come from
    once a photo has been freed. So from the first large photo on, none of a megabyte or more come from there.
    """
    return_freed_memory()
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def return_freed_memory() -> None:
    """Have glibc return whatever is freed of a megabyte or more; it would keep what servers are sent for later use."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**20)


BUDGET = Budget(MEMORY_LIMIT)
