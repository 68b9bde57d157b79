"""What is decoded, what is refused and why, and what a fingerprint is good for."""

import io
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.decoding.memory import MEMORY_LIMIT
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


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of any chunks."""
    parts = (struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to no pixels in it."""

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b""))


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


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of sixteen bits a channel, which Pillow does not write in colour; (height, width[, channels]) uint16."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


@pytest.mark.parametrize(("width", "height"), [(1, 100_000_000), (100_000_000, 1), (65_536, 4), (2, 40_000_000)])
def test_a_side_that_no_camera_makes_is_refused_before_it_takes_memory(width: int, height: int) -> None:
    told = f"{width} x {height} pixels, more than the limit of 65535 a side"
    assert reason(png_header(width, height)) == told
    with pytest.raises(RefusedPhotoError, match=told):
        decode(png_header(width, height), 32, "bilinear")


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(width: int, height: int) -> None:
    gif = bytearray(encoded(Image.new("P", (5, 5)), "GIF"))
    frame = gif.index(b"\x2c")
    for place, side in ((6, width), (8, height), (frame + 5, width), (frame + 7, height)):
        gif[place : place + 2] = struct.pack("<H", side)
    assert reason(bytes(gif))
    assert reason(png_header(width, height))


@pytest.mark.parametrize(
    ("mode", "width", "height", "megabytes"),
    [("RGBA", 9000, 9000, 648), ("LA", 9000, 9000, 648), ("RGB", 9900, 9900, 392), ("L", 9900, 9900, 490)],
)
def test_pictures_are_refused_by_the_memory_that_they_take(mode: str, width: int, height: int, megabytes: int) -> None:
    kind = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}[mode]
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    told = reason(png((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")))
    refused = (
        f"{width} x {height} pixels, which take {megabytes} MB to decode from PNG ({mode}), more than the limit of"
    )
    assert told.startswith(refused) == (megabytes > MEMORY_LIMIT / 1e6), told
    assert told == "truncated" or told.startswith(refused)


def test_34_bytes_of_webp_take_no_gigabytes() -> None:
    data = encoded(Image.new("RGB", (8, 8)), "WEBP", lossless=True)
    start = data.index(b"VP8L") + 9
    size = (16_000 - 1) | (6_000 - 1) << 14
    assert "1728 MB to decode from WEBP" in reason(data[:start] + struct.pack("<I", size) + data[start + 4 :])


def test_a_tiff_of_few_pixels_in_a_huge_tile_is_refused() -> None:
    data = bytearray(encoded(Image.new("RGB", (16, 16)), "TIFF", compression="tiff_adobe_deflate"))
    # The tags of a strip's rows and of its bytes become those of a tile's width and length.
    for old, kind, new in ((278, 3, 322), (279, 4, 323)):
        place = data.index(struct.pack("<HH", old, kind))
        data[place : place + 12] = struct.pack("<HHII", new, 4, 1, 20_000)
    assert reason(bytes(data)).startswith("16 x 16 pixels, which take 1600 MB to decode from TIFF")


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_bomb_in_a_png_s_texts_costs_that_photo_alone(kind: bytes) -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    bomb = b"name\0\0" + zlib.compress(bytes(300_000_000), 1)
    pixels = zlib.compress(bytes(20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = inspect(png((b"IHDR", header), (kind, bomb), (b"IDAT", pixels), (b"IEND", b"")))
    assert isinstance(result, Refusal)
    assert result.reason.startswith("damaged: ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_of_many_frames_the_first_alone_is_decoded() -> None:
    frame = encoded(Image.new("P", (30, 30)), "GIF")
    start = frame.index(b"\x2c")
    data = frame[:start] + frame[start:-1] * 200_000 + b";"
    assert fingerprint(data).width == 30


@pytest.mark.parametrize("picture_format", [form for form in FORMATS if form != "PPM"])
def test_no_truncated_or_damaged_file_raises_anything_else(picture_format: str) -> None:
    data = encoded(picture(), picture_format)
    random = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(data[: random.integers(1, len(data) + 1)])
        for place in random.integers(0, len(damaged), 4):
            damaged[place] = random.integers(0, 256)
        assert isinstance(inspect(bytes(damaged)), (Fingerprint, Refusal))


def test_want_of_memory_costs_the_photo_that_wants_it() -> None:
    """The system refuses memory in another process: this one's tests need it."""
    code = """
import resource, sys
from pathlib import Path
import imagehash
from dogs_vs_cats.data.decoding.photos import inspect
large, small = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()
inspect(small)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)
print(inspect(large).reason)
print(inspect(small).width)
"""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("large.png", "small.png")]
        files[0].write_bytes(encoded(Image.new("RGB", (5000, 5000))))
        files[1].write_bytes(encoded(picture()))
        done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=False)
    assert done.stdout == "it takes more memory to decode than there is\n96\n", done.stderr


def test_threads_share_the_memory_for_photos_and_give_it_back() -> None:
    data = encoded(Image.new("RGBA", (6000, 6000), (1, 2, 3, 40)))  # 288 MB each
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from dogs_vs_cats.data.decoding.photos import decode
def memory(key):
    return int(Path("/proc/self/status").read_text().partition(key)[2].split()[0])
data = Path(sys.argv[1]).read_bytes()
decode(data, 16, "bilinear")
before = memory("VmRSS:")
with ThreadPoolExecutor(6) as pool:
    list(pool.map(lambda _: decode(data, 16, "bilinear"), range(6)))
print(memory("VmHWM:") - before, memory("VmRSS:") - before)
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "photo.png").write_bytes(data)
        command = [sys.executable, "-c", code, f"{folder}/photo.png"]
        highest, kept = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert highest < MEMORY_LIMIT / 1024
    assert kept < 40_000


@pytest.mark.parametrize("size", [(96, 64), (1500, 1400)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_in_strips_is_as_in_one(mode: str, size: tuple[int, int]) -> None:
    image = picture(7, *size)
    image.putalpha(picture(8, *size).convert("L"))
    whole = Image.alpha_composite(Image.new("RGBA", size, "white"), image.convert(mode).convert("RGBA")).convert("RGB")
    expected = np.asarray(whole.resize((150, 150), Image.Resampling.LANCZOS))
    file = encoded(image.convert(mode), "TIFF" if mode == "PA" else "PNG")
    assert np.array_equal(decode(file, 150, "lanczos"), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bits_a_channel_are_scaled_by_the_bits_that_are_used(bits: int, channels: int) -> None:
    eight = np.asarray(picture()).copy()
    eight[0, 0] = 255
    values = eight.astype(np.uint16) << (bits - 8)
    grey = channels < 3
    if grey:
        values = values[..., :1]
    if channels in (2, 4):
        values = np.concatenate([values, np.full((*values.shape[:2], 1), 65535, np.uint16)], axis=-1)
    expected = np.repeat(eight[..., :1], 3, axis=-1) if grey else eight
    data = deep_png(values[..., 0] if channels == 1 else values)
    assert np.array_equal(decode(data, 96, "nearest"), np.asarray(Image.fromarray(expected).resize((96, 96), 0)))
    known = fingerprint(data)
    assert known.bits == bits
    assert known.doubt == (f"its values use {bits} of sixteen bits, by which they are scaled" if bits < 16 else "")


def test_the_bits_that_a_file_says_are_no_guess() -> None:
    twelve = (np.asarray(picture())[..., 0].astype(np.uint16) << 4).astype(">u2").tobytes()
    size = b"%d %d" % picture().size
    assert fingerprint(b"P5 %b 4095\n" % size + twelve).bits is None
    assert fingerprint(b"P5 %b 65535\n" % size + twelve).bits == 12
    assert fingerprint(encoded(picture())).bits is None


def test_transparency_of_sixteen_bits_is_scaled_by_itself() -> None:
    values = np.full((20, 20, 4), 4000, np.uint16)
    values[..., 3] = 255
    assert (decode(deep_png(values), 16, "nearest") == 4000 >> 4).all()


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_tiff_of_twelve_bits_in_sixteen_is_not_black(bits: int, byte_order: str, compression: str | None) -> None:
    eight = np.asarray(picture())[..., 0].copy()
    eight[0, 0] = 255
    image = Image.fromarray((eight.astype(np.uint16) << bits - 8).astype(f"{byte_order}u2"))
    decoded = decode(encoded(image, "TIFF", compression=compression), 96, "nearest")
    assert np.array_equal(decoded[..., 0], np.asarray(Image.fromarray(eight).resize((96, 96), 0)))


def colour_tiff(values: np.ndarray, order: str, *, deflate: bool) -> bytes:
    """A TIFF of sixteen bits a channel in colour, which Pillow does not write; (height, width, 3) uint16."""
    height, width = values.shape[:2]
    pixels = values.astype(f"{order}u2").tobytes()
    pixels = zlib.compress(pixels) if deflate else pixels
    tags = [
        (256, 3, width),
        (257, 3, height),
        (259, 3, 8 if deflate else 1),
        (262, 3, 2),
        (277, 3, 3),
        (278, 3, height),
    ]
    start = 8 + 2 + 12 * (len(tags) + 3) + 4
    longs = [*tags, (273, 4, start + 6), (279, 4, len(pixels))]
    entries = [
        (tag, struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(order + ("HH" if kind == 3 else "I"), *(
            (value, 0) if kind == 3 else (value,)
        )))
        for tag, kind, value in longs
    ]  # fmt: skip
    entries.append((258, struct.pack(f"{order}HHII", 258, 3, 3, start)))
    directory = b"".join(entry for _, entry in sorted(entries))
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    count = struct.pack(f"{order}H", len(entries))
    return header + count + directory + bytes(4) + struct.pack(f"{order}HHH", 16, 16, 16) + pixels


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_colour_tiff_is_scaled_by_the_bits_that_are_used(bits: int, order: str, deflate: bool) -> None:
    eight = np.asarray(picture()).copy()
    eight[0, 0] = 255
    decoded = decode(colour_tiff(eight.astype(np.uint16) << bits - 8, order, deflate=deflate), 96, "nearest")
    assert np.array_equal(decoded, np.asarray(Image.fromarray(eight).resize((96, 96), 0)))


@pytest.mark.parametrize(("maxval", "shift"), [(255, 0), (4095, 4), (65535, 8), (65535, 4), (65535, 0)])
def test_a_pgm_says_what_white_is_unless_it_is_the_type_s_largest(maxval: int, shift: int) -> None:
    eight = np.full((20, 20), 128, np.uint16)
    eight[0, 0] = 255
    values = (eight << shift).astype("u1" if maxval < 256 else ">u2")
    decoded = decode(b"P5 20 20 %d\n" % maxval + values.tobytes(), 20, "nearest")
    assert abs(int(decoded[9, 9, 0]) - 128) <= 1


@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_integers_of_any_type_are_scaled_by_their_values(dtype: type) -> None:
    eight = np.asarray(picture())[..., 0].copy()
    eight[0, 0] = 255
    decoded = decode(encoded(Image.fromarray(eight.astype(dtype)), "TIFF"), 96, "nearest")
    assert np.array_equal(decoded[..., 0], np.asarray(Image.fromarray(eight).resize((96, 96), 0)))


@pytest.mark.parametrize("value", [-1, 65_536])
def test_integers_beyond_sixteen_bits_are_refused(value: int) -> None:
    assert "32 bits" in reason(encoded(Image.fromarray(np.full((8, 8), value, np.int32)), "TIFF"))


@pytest.mark.parametrize(
    ("colour", "spot", "flat"),
    [((9, 9, 9), (9, 9, 9), True), ((9, 9, 9), (200, 9, 9), False), ((0, 0, 0), (3, 2, 0), True)],
)
def test_a_photo_that_is_all_but_of_one_colour_is_known(
    colour: tuple[int, ...], spot: tuple[int, ...], flat: bool
) -> None:  # fmt: skip
    image = Image.new("RGB", (60, 40), colour)
    image.paste(spot, (0, 0, 10, 10))
    assert fingerprint(encoded(image)).flat == flat
