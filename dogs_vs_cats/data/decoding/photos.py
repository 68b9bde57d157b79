"""One photo: bytes in; a fingerprint or an array out, or the reason why it is refused."""

import hashlib
import io
import re
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from dogs_vs_cats.errors import missing_package

# The formats photos come in. Pillow reads more, some through other programs (EPS) or as containers of containers.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# More than any camera that photographs pets makes. Decoded it takes 400 MB, in each thread or process.
PIXEL_LIMIT = 100_000_000
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
    """

    sha256: str
    perceptual_hash: int
    width: int
    height: int


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
    try:
        image, (width, height) = _load(data, _SCALED_SIDE)
    except RefusedPhotoError as error:
        return Refusal(str(error))
    # Here, not above: predicting needs no hashes, and elsewhere may not have what they come from.
    import imagehash

    # As imagehash prints it, which takes longer than all that is between the decoded photo and these bits.
    perceptual_hash = int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes())
    return Fingerprint(hashlib.sha256(data).hexdigest(), perceptual_hash, width, height)


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
    image, _ = _load(data, max(_SCALED_SIDE, _SCALED_TIMES * size))
    return squash(image, size, resampling)


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
    (image, _), file = _load(data, _SCALED_TIMES * side), io.BytesIO()
    image.thumbnail((side, side))
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def load(data: bytes) -> Image.Image:
    """Decode a photo in full, as it is.

    Args:
        data: the file's bytes.

    Returns:
        An RGB image, upright.

    Raises:
        RefusedPhotoError: if it is no photo that can be decoded; its text is the reason.
    """
    image, _ = _load(data, None)
    return image


def _load(data: bytes, side: int | None) -> tuple[Image.Image, tuple[int, int]]:
    """Decode, a JPEG at a half, a quarter or an eighth where that leaves both sides so many pixels; None: in full.

    Returns:
        The upright RGB image, and the width and height that the photo itself has when upright.
    """
    if not data:
        raise RefusedPhotoError("no bytes")
    _silence_pillow()
    image = _open(data)
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise RefusedPhotoError(f"{width} x {height} pixels, more than the limit of {PIXEL_LIMIT}")
    try:
        if side is not None:
            image.draft(None, (side, side))
        image.load()
        if _turn_upright(image):
            width, height = height, width
        return _to_rgb(image), (width, height)
    except (MemoryError, RefusedPhotoError):
        raise
    except Exception as error:  # damaged files bring out anything, from OSError to struct.error
        raise RefusedPhotoError("truncated" if "truncated" in str(error).lower() else _damage(error)) from error


def _open(data: bytes) -> Image.Image:
    """Read the header only, which says the size before any pixel takes memory."""
    try:
        return Image.open(io.BytesIO(data), formats=("HEIF",) if _is_heic(data) else FORMATS)
    except UnidentifiedImageError as error:
        raise RefusedPhotoError("not a picture") from error
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        named = pixels.group() if pixels else "too many"
        raise RefusedPhotoError(f"{named} pixels, more than the limit of {PIXEL_LIMIT}") from error
    except (MemoryError, RefusedPhotoError):
        raise
    except Exception as error:
        raise RefusedPhotoError(_damage(error)) from error


def _is_heic(data: bytes) -> bool:
    """Whether a file is HEIC; its reader is then known to Pillow, or the photo is refused by the reader's name."""
    if data[4:8] != b"ftyp" or data[8:12] not in _HEIC_BRANDS or b"avif" in data[16 : int.from_bytes(data[:4])]:
        return False
    try:
        import pi_heif
    except ImportError:
        raise RefusedPhotoError(str(missing_package("a HEIC photo", "pi-heif"))) from None
    pi_heif.register_heif_opener()
    return True


def _damage(error: Exception) -> str:
    return f"damaged: {' '.join(str(error).split()) or type(error).__name__}"


def _turn_upright(image: Image.Image) -> bool:
    """Undo the rotation that the camera noted; say whether width and height have changed places."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return False  # the pixels are whole, only the note on how the camera was held is not
    return orientation in _LYING


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips 16 bits at 255 instead of scaling them.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise RefusedPhotoError("32 bits a pixel in one channel, a measurement rather than a photo")
    if image.has_transparency_data:
        # White behind it, as a browser shows it; the colours of unseen pixels are arbitrary.
        background = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    # Converting to what it is would copy it.
    return image if image.mode == "RGB" else image.convert("RGB")


def _silence_pillow() -> None:
    """Keep Pillow's remarks on damaged metadata from the terminal, and from being raised where warnings are errors.

    A filter in place once, and not ``catch_warnings`` around each photo, which threads would undo for each other.
    """
    ignore = ("ignore", None, Warning, re.compile(r"PIL\b"), 0)
    if list(warnings.filters[:1]) != [ignore]:
        warnings.filterwarnings("ignore", module=r"PIL\b")
