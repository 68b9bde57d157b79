"""What is decoded, what is refused and why, and what a fingerprint is good for."""

import io
import shutil
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.decoding.photos import (
    FORMATS,
    PIXEL_LIMIT,
    Fingerprint,
    Refusal,
    RefusedPhotoError,
    decode,
    inspect,
)
from dogs_vs_cats.data.raw.left_out import PHOTO_EXTENSIONS
from tests.conftest import encoded

HEIC = Path(__file__).with_name("two_colours.heic")


def picture(seed: int = 0, width: int = 96, height: int = 64) -> Image.Image:
    """Soft random blobs, different for every seed."""
    blobs = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to no pixels in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


def fingerprint(data: bytes) -> Fingerprint:
    result = inspect(data)
    assert isinstance(result, Fingerprint), result
    return result


def reason(data: bytes) -> str:
    result = inspect(data)
    assert isinstance(result, Refusal), result
    return result.reason


def test_a_photo_becomes_a_square_of_rgb_bytes() -> None:
    decoded = decode(encoded(picture(width=300, height=100)), 50, "bilinear")
    assert decoded.shape == (50, 50, 3)
    assert decoded.dtype == np.uint8


def test_a_photo_is_squashed_and_not_cropped() -> None:
    halves = Image.new("RGB", (400, 20), "red")
    halves.paste("blue", (200, 0, 400, 20))
    decoded = decode(encoded(halves), 16, "nearest")
    assert (decoded[:, :8] == (255, 0, 0)).all()
    assert (decoded[:, 8:] == (0, 0, 255)).all()


def test_resampling_is_the_one_asked_for() -> None:
    data = encoded(picture(width=90, height=90))
    decoded = {name: decode(data, 32, name) for name in ("nearest", "bilinear", "bicubic", "lanczos")}
    bilinear = np.asarray(picture(width=90, height=90).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(decoded["bilinear"], bilinear)
    assert len({pixels.tobytes() for pixels in decoded.values()}) == 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_grey_and_palette_pictures_become_rgb(mode: str) -> None:
    image = picture().convert(mode)
    assert np.array_equal(
        decode(encoded(image), 96, "nearest")[:, :, 0], np.asarray(image.convert("RGB").resize((96, 96), 0))[:, :, 0]
    )


@pytest.mark.parametrize(
    "picture_format", ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"]
)
def test_every_usual_format_is_read(picture_format: str) -> None:
    colour = np.array((40, 120, 200))
    data = encoded(Image.new("RGB", (20, 20), tuple(colour.tolist())), picture_format, quality=95)
    assert np.abs(decode(data, 16, "bilinear") - colour).max() < 8


def test_the_endings_that_are_looked_at_are_those_of_the_formats_that_are_read() -> None:
    Image.init()
    formats = {*FORMATS, "MPO"}  # a JPEG with more pictures in it
    known = {ending for ending, format_ in Image.registered_extensions().items() if format_ in formats}
    known -= {".dib", ".pfm"}  # no header; numbers rather than colours
    assert known | {".heic", ".heif", ".hif"} == PHOTO_EXTENSIONS


@pytest.mark.parametrize("called", ["iphone.heic", "renamed.jpg"])
def test_a_heic_photo_is_read_whatever_it_is_called(tmp_path: Path, called: str) -> None:
    path = shutil.copy(HEIC, tmp_path / called)
    decoded = decode(Path(path).read_bytes(), 64, "nearest")
    assert np.abs(decoded[8, 8].astype(int) - (200, 40, 40)).max() < 12
    assert np.abs(decoded[56, 8].astype(int) - (30, 60, 220)).max() < 12
    known = fingerprint(HEIC.read_bytes())
    assert (known.width, known.height) == (64, 48)


def test_a_heic_photo_without_its_reader_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert reason(HEIC.read_bytes()).endswith("pi-heif is not installed; run make setup, or pip install pi-heif")


@pytest.mark.parametrize("kept", [20, 100, 300, 440])
def test_a_damaged_heic_photo_is_refused(kept: int) -> None:
    assert reason(HEIC.read_bytes()[:kept])


def test_an_avif_that_begins_like_heic_is_read_without_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    avif = encoded(picture(), "AVIF")
    assert avif[8:12] == b"avif"
    assert decode(avif[:8] + b"mif1" + avif[12:], 10, "nearest").shape == (10, 10, 3)


def test_cmyk_photos_become_rgb() -> None:
    red = encoded(Image.new("RGB", (40, 40), (220, 20, 20)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(red, 16, "bilinear").astype(int) - (220, 20, 20)).max() < 12


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = np.full((20, 20), 0x8000, dtype=np.uint16)
    assert (decode(encoded(Image.fromarray(grey)), 16, "bilinear") == 0x80).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0)).convert(mode)
    assert (decode(encoded(image), 16, "bilinear") == 255).all()


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert (decode(encoded(image, transparency=0), 16, "bilinear") == 255).all()


def test_an_animation_is_its_first_frame() -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("lime", "red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(data, 16, "bilinear") == (0, 255, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright_as_the_camera_noted(orientation: int) -> None:
    marked = Image.new("RGB", (64, 32), "black")
    marked.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Where the white top left corner of the stored picture is in the one that is meant.
    row, column = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}[
        orientation
    ]
    data = encoded(marked, "PNG", exif=exif)
    decoded = decode(data, 16, "bilinear")
    assert decoded[row, column].tolist() == [255, 255, 255]
    assert (decoded > 128).all(axis=2).mean() < 0.2
    known = fingerprint(data)
    assert (known.width, known.height) == ((32, 64) if orientation >= 5 else (64, 32))


def test_damaged_metadata_do_not_cost_the_photo() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\xff\xff\x01\x12")
    assert fingerprint(data).width == 96


def test_no_warning_of_the_decoder_gets_out() -> None:
    truncated_tag = encoded(
        picture(), "JPEG", exif=b"Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\x05\x00\x12\x01\x03\x00\x01\x00"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(truncated_tag)).getexif()
        assert caught, "the photo is no test: Pillow does not warn of it"
        caught.clear()
        inspect(truncated_tag)
        inspect(png_header(9500, 9500))
    assert not caught


def test_a_single_pixel_is_a_photo() -> None:
    data = encoded(Image.new("RGB", (1, 1), (9, 8, 7)))
    assert (decode(data, 16, "lanczos") == (9, 8, 7)).all()
    assert fingerprint(data).width == 1


def test_a_file_without_bytes_is_refused() -> None:
    assert reason(b"") == "no bytes"


@pytest.mark.parametrize(
    "data",
    [b"To whom it may concern\n", b"\xff\xd8\xff", bytes(1000), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert reason(data) == "not a picture"


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
def test_a_truncated_photo_is_refused(picture_format: str) -> None:
    data = encoded(picture(width=400, height=300), picture_format)
    assert reason(data[: len(data) // 2]) == "truncated"


def test_a_damaged_photo_is_refused_with_the_damage() -> None:
    data = bytearray(encoded(picture(), "PNG"))
    middle = data.index(b"IDAT") + 40
    data[middle : middle + 8] = b"\xff" * 8
    assert reason(bytes(data)).startswith("damaged: ")


def test_thirty_two_bit_measurements_are_refused() -> None:
    data = encoded(Image.fromarray(np.ones((8, 8), dtype=np.float32)), "TIFF")
    assert "32 bits" in reason(data)


def test_a_huge_picture_is_refused_before_its_pixels_take_memory() -> None:
    assert reason(png_header(50_000, 50_000)) == f"2500000000 pixels, more than the limit of {PIXEL_LIMIT}"
    assert reason(png_header(12_000, 10_000)) == f"12000 x 10000 pixels, more than the limit of {PIXEL_LIMIT}"


def test_decoding_a_refused_photo_says_why() -> None:
    with pytest.raises(RefusedPhotoError, match="not a picture"):
        decode(b"text", 16, "bilinear")


def test_equal_bytes_have_equal_fingerprints_and_other_pictures_have_others() -> None:
    data = encoded(picture(1))
    assert inspect(data) == inspect(bytes(data))
    assert fingerprint(data).sha256 != fingerprint(encoded(picture(2))).sha256


def test_the_perceptual_hash_outlasts_scaling_and_compression() -> None:
    first = fingerprint(encoded(picture(1, 320, 240))).perceptual_hash
    again = fingerprint(encoded(picture(1, 320, 240).resize((160, 120)), "JPEG", quality=60)).perceptual_hash
    other = fingerprint(encoded(picture(2, 320, 240))).perceptual_hash
    assert (first ^ again).bit_count() <= 3
    assert (first ^ other).bit_count() > 10


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_much_larger_than_asked_for_is_decoded_scaled_and_measured_whole(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    whole = picture(3, 2600, 1999)
    data = encoded(whole, "JPEG", quality=95, exif=exif)
    known = fingerprint(data)
    assert (known.width, known.height) == ((2600, 1999) if orientation == 1 else (1999, 2600))
    upright = whole if orientation == 1 else whole.transpose(Image.Transpose.ROTATE_270)
    expected = np.asarray(upright.resize((150, 150), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(decode(data, 150, "lanczos") - expected).max() <= 6
    small = fingerprint(encoded(upright.resize((300, 300)), "JPEG", quality=90))
    assert (known.perceptual_hash ^ small.perceptual_hash).bit_count() <= 3


@pytest.mark.parametrize("side", [1199, 1200])
def test_jpegs_below_1200_pixels_are_decoded_in_full(side: int) -> None:
    data = encoded(picture(4, 1500, side), "JPEG", quality=50)
    in_full = np.asarray(Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(decode(data, 64, "lanczos"), in_full) == (side < 1200)
