"""One photo: bytes in; a fingerprint or an array out, or the reason why it is refused."""

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from dogs_vs_cats.data.decoding.bits import BITS, colour_name, grey_as_rgb, grey_bits, scale_colour, strips
from dogs_vs_cats.data.decoding.memory import BUDGET, MEMORY_LIMIT, bytes_needed
from dogs_vs_cats.errors import missing_package

# The formats photos come in. Pillow reads more, some through other programs (EPS) or as containers of containers.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# More than any camera that photographs pets makes. What takes more memory a pixel may have fewer: see memory.py.
PIXEL_LIMIT = 100_000_000
SIDE_LIMIT = 65_535  # JPEG's own; Pillow takes memory for each row, however short
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# ISO/IEC 23008-12, annex B: what begins a HEIC file. AVIF's container is the same, and may begin likewise.
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
# Pixels that scaled decoding leaves a side at least, and how many times those that are asked for.
_SCALED_SIDE, _SCALED_TIMES = 600, 2
# The orientations, as cameras note them, of photos to be turned by a quarter.
_LYING = (5, 6, 7, 8)
_MEASUREMENT = "32 bits a pixel in one channel, a measurement rather than a photo"
_LARGEST = 65_535  # of sixteen bits
_RGB = 4  # bytes a pixel
# Levels of 256: where all channels deviate less from their mean, there is next to nothing to see.
_FLAT = 2.0

Result = TypeVar("Result")


class RefusedPhotoError(Exception):
    """A photo that cannot be used; its text is the reason."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a photo from others.

    Attributes:
        sha256: of the file's bytes, 64 hex digits.
        perceptual_hash: 64 bits that change little when the photo is scaled or compressed anew.
        width: pixels, after the rotation the camera noted.
        height: pixels, likewise.
        flat: whether it is all but of one colour. Only ``inspect`` finds that.
        bits: how many of a channel's sixteen bits its values were taken to use; None: it has eight, or the file says
            how many. Only ``inspect`` finds that.
    """

    sha256: str
    perceptual_hash: int
    width: int
    height: int
    flat: bool = False
    bits: int | None = None

    @property
    def doubt(self) -> str:
        """Why the photo may not be what its file shows; empty: no reason to think so."""
        reasons = ["all but of one colour"] * self.flat
        if self.bits is not None and self.bits < BITS[-1]:
            reasons.append(f"its values use {self.bits} of sixteen bits, by which they are scaled")
        return "; ".join(reasons)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a photo is not used."""

    reason: str


def inspect(data: bytes) -> Fingerprint | Refusal:
    """Decode a photo, to know it by and to know that it decodes.

    A JPEG with both sides of 1,200 pixels or more is decoded at a half, a quarter or an eighth of its size. All its
    bytes are read all the same.

    Args:
        data: the file's bytes.

    Returns:
        Its fingerprint, or the reason why it is refused.

    Source: Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), as imagehash's phash.
    """
    # Here, not above: predicting needs no hashes, and elsewhere may not have what they come from.
    import imagehash

    def hashed(image: Image.Image, size: tuple[int, int], bits: int | None) -> Fingerprint:
        # As imagehash prints it, which takes longer than all that is between the decoded photo and these bits.
        perceptual_hash = int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes())
        return Fingerprint(hashlib.sha256(data).hexdigest(), perceptual_hash, *size, _is_flat(image), bits)

    try:
        return _use(data, _SCALED_SIDE, hashed)
    except RefusedPhotoError as error:
        return Refusal(str(error))


def _is_flat(image: Image.Image) -> bool:
    counts, levels = np.reshape(image.histogram(), (3, 256)), np.arange(256)
    pixels = image.width * image.height
    means = counts @ levels / pixels
    return bool(((counts @ levels**2 / pixels - means**2) < _FLAT**2).all())


def decode(data: bytes, size: int, resampling: str) -> np.ndarray:
    """Decode a photo and squash it to a square.

    A JPEG much larger than that, and with both sides of 1,200 pixels or more, is decoded at a half, a quarter or an
    eighth of its size.

    Args:
        data: the file's bytes.
        size: pixels a side.
        resampling: a key of ``RESAMPLING``.

    Returns:
        (size, size, 3) uint8, RGB, upright.

    Raises:
        RefusedPhotoError: if it is no photo that can be decoded; its text is the reason.
    """
    return _use(data, _side(size), lambda image, *_: squash(image, size, resampling))


def squash(image: Image.Image, size: int, resampling: str) -> np.ndarray:
    """An image as (size, size, 3) uint8; ``resampling`` is a key of ``RESAMPLING``."""
    return np.asarray(image.resize((size, size), RESAMPLING[resampling]))


def thumbnail(data: bytes, side: int) -> bytes:
    """A photo made small, for a page.

    Args:
        data: the file's bytes.
        side: pixels that its longer side has at most; smaller photos stay as they are.

    Returns:
        A JPEG file's bytes.

    Raises:
        RefusedPhotoError: as ``decode``.
    """

    def saved(image: Image.Image, *_: object) -> bytes:
        file = io.BytesIO()
        image.thumbnail((side, side))
        image.save(file, "JPEG", quality=80)
        return file.getvalue()

    return _use(data, _SCALED_TIMES * side, saved)


def load(data: bytes, size: int) -> Image.Image:
    """Decode a photo as it is, or, as ``decode`` does, at a part of its size.

    Args:
        data: the file's bytes.
        size: pixels a side that it will be squashed to.

    Returns:
        An RGB image, upright.

    Raises:
        RefusedPhotoError: if it is no photo that can be decoded; its text is the reason.
    """
    return use(data, size, lambda image: image)


def use(data: bytes, size: int, function: Callable[[Image.Image], Result]) -> Result:
    """Decode a photo as ``load`` does, and return its memory to the system once the function has made use of it."""
    return _use(data, _side(size), lambda image, *_: function(image))


def _side(size: int) -> int:
    return max(_SCALED_SIDE, _SCALED_TIMES * size)


def _use(data: bytes, side: int, use: Callable[[Image.Image, tuple[int, int], int | None], Result]) -> Result:
    """Decode, a JPEG at a half, a quarter or an eighth where that leaves both sides so many pixels.

    Args:
        data: the file's bytes.
        side: pixels.
        use: takes the upright RGB image, the width and height that the photo itself has when upright, and the bits of
            ``Fingerprint``.

    Returns:
        What ``use`` returns.

    Raises:
        RefusedPhotoError: whatever is wrong with the photo, or that it takes too much memory.
    """
    if not data:
        raise RefusedPhotoError("no bytes")
    _silence_pillow()
    taken: list[int] = []
    try:
        return _decode_and_use(data, side, use, taken)
    except RefusedPhotoError:
        raise
    except MemoryError:
        reason = "it takes more memory to decode than there is"
    except Exception as error:  # noqa: BLE001 - damaged files bring out anything, from OSError to struct.error
        reason = "truncated" if "truncated" in str(error).lower() else _damage(error)
    finally:
        # By now nothing refers to the picture any more, an error's traceback included.
        for amount in taken:
            BUDGET.give_back(amount)
    raise RefusedPhotoError(reason)


def _decode_and_use(
    data: bytes, side: int, use: Callable[[Image.Image, tuple[int, int], int | None], Result], taken: list[int]
) -> Result:
    image = _open(data)
    width, height = whole = image.size
    if 0 in whole:
        raise RefusedPhotoError(f"{width} x {height} pixels, nothing to see")
    if width * height > PIXEL_LIMIT:
        raise RefusedPhotoError(f"{width} x {height} pixels, more than the limit of {PIXEL_LIMIT}")
    if max(whole) > SIDE_LIMIT:
        raise RefusedPhotoError(f"{width} x {height} pixels, more than the limit of {SIDE_LIMIT} a side")
    if image.mode == "F":
        raise RefusedPhotoError(_MEASUREMENT)
    image.draft(None, (side, side))
    # To look for the note, Pillow would decode a PNG that has none before its pixels.
    noted = image.format != "PNG" or "exif" in image.info
    sixteen, bits = colour_name(image), grey_bits(image)
    needed = bytes_needed(image, data, whole, copied=sixteen is not None or (noted and _orientation(image) != 1))
    if needed > MEMORY_LIMIT:
        raise RefusedPhotoError(
            f"{width} x {height} pixels, which take {needed // 10**6} MB to decode from {image.format} "
            f"({image.mode}), more than the limit of {MEMORY_LIMIT // 10**6} MB"
        )
    BUDGET.take(needed)
    taken.append(needed)
    image.load()
    if not noted and _orientation(image) != 1 and needed + image.width * image.height * _RGB > MEMORY_LIMIT:
        raise RefusedPhotoError(f"{width} x {height} pixels to be turned, which take too much memory")
    used = None if sixteen is None else scale_colour(image, _open(data), sixteen)
    if _turn_upright(image):
        width, height = height, width
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion clips 16 bits at 255 instead of scaling them.
        rgb, used = grey_as_rgb(_in_sixteen_bits(image), bits)
    else:
        rgb = _to_rgb(image)
    return use(rgb, (width, height), used)


def _open(data: bytes) -> ImageFile.ImageFile:
    """Read the header only, which says the size before any pixel takes memory."""
    try:
        return Image.open(io.BytesIO(data), formats=("HEIF",) if _is_heic(data) else FORMATS)
    except UnidentifiedImageError as error:
        raise RefusedPhotoError("not a picture") from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        named = pixels.group() if pixels else "too many"
        raise RefusedPhotoError(f"{named} pixels, more than the limit of {PIXEL_LIMIT}") from error


def begins_as_photo(head: bytes) -> bool:
    """Whether a file begins as one of the formats that are tried does, by its first 64 bytes."""
    Image.init()
    accepted = (accept(head) for _, accept in map(Image.OPEN.get, FORMATS) if accept is not None)  # type: ignore[misc]
    return _has_heic_brand(head) or any(accept is True for accept in accepted)


def _has_heic_brand(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def _is_heic(data: bytes) -> bool:
    """Whether a file is HEIC; its reader is then known to Pillow, or the photo is refused by the reader's name."""
    if not _has_heic_brand(data) or b"avif" in data[16 : int.from_bytes(data[:4])]:
        return False
    try:
        import pi_heif
    except ImportError:
        raise RefusedPhotoError(str(missing_package("a HEIC photo", "pi-heif"))) from None
    pi_heif.register_heif_opener()
    return True


def _damage(error: Exception) -> str:
    return f"damaged: {' '.join(str(error).split()) or type(error).__name__}"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return 1  # the pixels are whole, only the note on how the camera was held is not


def _turn_upright(image: Image.Image) -> bool:
    """Undo the rotation that the camera noted; say whether width and height have changed places."""
    orientation = _orientation(image)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return False  # as for the orientation
    return orientation in _LYING


def _in_sixteen_bits(image: Image.Image) -> Image.Image:
    if image.mode == "I":
        smallest, largest = cast("tuple[float, float]", image.getextrema())
        if not 0 <= smallest <= largest <= _LARGEST:
            raise RefusedPhotoError(_MEASUREMENT)
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        # White behind it, as a browser shows it; the colours of unseen pixels are arbitrary.
        rgb = Image.new("RGB", image.size)
        for box in strips(image.size):
            strip = image.crop(box).convert("RGBA")
            rgb.paste(Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert("RGB"), box)
        return rgb
    # Converting to what it is would copy it.
    return image if image.mode == "RGB" else image.convert("RGB")


def _silence_pillow() -> None:
    """Keep Pillow's remarks on damaged metadata from the terminal, and from being raised where warnings are errors.

    A filter in place once, and not ``catch_warnings`` around each photo, which threads would undo for each other.
    """
    ignore = ("ignore", None, Warning, re.compile(r"PIL\b"), 0)
    if list(warnings.filters[:1]) != [ignore]:
        warnings.filterwarnings("ignore", module=r"PIL\b")
