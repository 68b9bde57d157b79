"""Bad settings, damaged zips and hostile pictures."""

import csv
import hashlib
import io
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dvc.utils.serialize import parse_yaml as dvc_reads
from PIL import Image

from benchmarks.torture.cases import Case, Task, told_fault
from dogs_vs_cats.data.raw.raw_photos import labelled, read_facts
from dogs_vs_cats.data.sources.fetching import fetch
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.reading import parse_yaml
from tests.data.raw.test_damaged_zips import DAMAGES, METHODS, PHOTOS, _zipped

ROOT = Path(__file__).parent.parent.parent
MOST_SECONDS, MOST_LINES, MOST_CHARACTERS = 20, 60, 5000
MOST_MEGABYTES = 1500
"""What a stage may take for photos: 536 MB to decode, its libraries, and what the arrays' file has in memory."""

VALUES = (
    "-1", "0", "1e400", "-0.0", ".inf", ".nan", "null", "~", "true", "yes", "off", "''", '"\\0"', '"\\ud800"',
    "[]", "{}", "[[]]", "{a: 1, a: 2}", "2024-99-99", "2001-01-01", "!!int foo", "!!binary x", "!!set {a}",
    "!!python/name:os.system", "!!python/object/apply:os.system [true]", "*nothing", "&a [*a]", "&a {b: *a}",
    "<<: *b", "0226", "2:30", "1_000", "0x10", "0o17", "1e3", "+.5", "9" * 5000, "0x" + "f" * 5000, "[" * 2000,
    "{a: " * 300, "a" * 100_000, "~nosuchuser/x", "/dev/zero", "http://[::1", "postgresql://me:secret@[::1/x",
    "databricks", "=1+1", "- 1", "? x", "| x", "> x", "@x", "`x", "%x", "x: y: z", "'", '"', "\u202e", "\x07",
    "\ufeff", "🐈", "1 # 2", "cats", "balanced", "{cats: .inf}", "[1, [2, [3]]]", "${x}", "${oc.env:HOME}",
    "../../x", "con", "x" + " " * 5000 + "y", "-", "---", "...", "!", "&", "1..2", "--1", "1e-400",
)  # fmt: skip


def settings(task: Task) -> Iterator[Case]:
    """Settings that are wrong: a line for each fault, or the same reading as DVC's."""
    text, path = (ROOT / "params.yaml").read_text(encoding="utf-8"), task.folder / "params.yaml"
    for number in task.numbers():
        change = task.chance.choice([_other_value] * 4 + [_line, _bytes])
        name, data = change(text, task.chance)
        path.write_bytes(data)
        yield f"{number}: {name}", _settings_fault(path)


def _other_value(text: str, chance: random.Random) -> tuple[str, bytes]:
    lines = text.splitlines()
    place = chance.choice([place for place, line in enumerate(lines) if ": " in line and not line.startswith("#")])
    value, key = chance.choice(VALUES), lines[place].partition(":")[0]
    lines[place] = f"{key}: {value}"
    return f"{key.strip()}: {value[:40]}", "\n".join(lines).encode("utf-8", "surrogatepass")


def _line(text: str, chance: random.Random) -> tuple[str, bytes]:
    lines = text.splitlines()
    place, other = (chance.randrange(len(lines)) for _ in range(2))
    how = chance.choice(["left out", "twice", "indented", "swapped", "with a tab", "cut", "with a colon more"])
    line = lines[place]
    lines[place : place + 1] = {
        "left out": [],
        "twice": [line, line],
        "indented": ["   " + line],
        "swapped": [lines[other]],
        "with a tab": ["\t" + line],
        "cut": [line[: len(line) // 2]],
        "with a colon more": [line.replace(" ", ": ", 3)],
    }[how]
    return f"line {place + 1} {how}", "\n".join(lines).encode()


def _bytes(text: str, chance: random.Random) -> tuple[str, bytes]:
    how = chance.choice(["cut", "bytes changed", "utf-16", "latin-1", "empty", "random", "repeated"])
    data = bytearray(text.encode())
    for _ in range(3):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return how, {
        "cut": text.encode()[: chance.randrange(len(text))],
        "bytes changed": bytes(data),
        "utf-16": text.encode("utf-16"),
        "latin-1": f"{text}# café".encode("latin-1"),
        "empty": b"",
        "random": chance.randbytes(2000),
        "repeated": text.encode() * 2,
    }[how]


def _settings_fault(path: Path) -> str:
    begun = time.monotonic()
    try:
        load_settings(path)
    except WorkflowError as error:
        lines = str(error).splitlines()
        if [line for line in lines if not line.startswith((path.name, str(path)))]:
            return f"a line does not name the file: {lines[0][:200]!r}"
        if len(lines) > MOST_LINES or max(map(len, lines)) > MOST_CHARACTERS:
            return f"{len(lines)} lines, the longest of {max(map(len, lines))} characters"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"[:300]
    else:
        text = path.read_text(encoding="utf-8-sig")
        if parse_yaml(text, path.name) != dvc_reads(text, path.name):
            return "read otherwise than by DVC"
    seconds = time.monotonic() - begun
    return f"{seconds:.0f} s" if seconds > MOST_SECONDS else ""


def zips(task: Task) -> Iterator[Case]:
    """Damaged zips: one line that names the zip, or the photos to the byte."""
    checked = load_settings(ROOT / "params.yaml")
    path, raw = task.folder / "photos.zip", task.folder / "data" / "raw"
    download = checked.download.model_copy(update={"source": "zip", "path": str(path)})
    names = [*DAMAGES]
    for number in task.numbers():
        method = task.chance.choice(METHODS)
        if number % 2:
            name = task.chance.choice(names)
            path.write_bytes(DAMAGES[name](_zipped(method)))
        else:
            name, data = _damaged(bytes(_zipped(method)), task.chance)
            path.write_bytes(data)
        fault = ""
        try:
            fetch(download, raw)
        except WorkflowError as error:
            if not str(error).startswith(f"{path}: ") or "\n" in str(error):
                fault = f"not one line that names the zip: {str(error)[:200]!r}"
            elif raw.exists():
                fault = "refused, but something is left"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            fault = f"{type(error).__name__}: {error}"[:300]
        else:
            facts, left = read_facts(raw), {photo.name: photo.read() for photo in labelled(raw)}
            if not left.items() <= PHOTOS.items():
                fault = "photos that were not in it"
            elif len(left) + len(facts.left_out) + facts.system_files != len(PHOTOS):
                fault = f"{len(left)} photos of {len(PHOTOS)}, and {len(facts.left_out)} listed"
        shutil.rmtree(raw, ignore_errors=True)
        yield f"{number}: method {method}, {name}", fault


def _damaged(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    how = chance.choice(["cut", "hole", "zeros", "bits", "bytes", "doubled", "swapped", "ones"])
    start, stop = sorted(chance.randrange(len(data)) for _ in range(2))
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 20)):
        place = chance.randrange(len(data))
        changed[place] = changed[place] ^ (1 << chance.randrange(8)) if how == "bits" else chance.randrange(256)
    return f"{how} {start}-{stop}", {
        "cut": data[:start],
        "hole": data[:start] + data[stop:],
        "zeros": data[:start] + bytes(stop - start) + data[stop:],
        "ones": data[:start] + b"\xff" * (stop - start) + data[stop:],
        "bits": bytes(changed),
        "bytes": bytes(changed),
        "doubled": data[:stop] + data[start:],
        "swapped": data[stop:] + data[start:stop] + data[:start],
    }[how]


def pictures(task: Task) -> Iterator[Case]:
    """Hostile pictures among good ones: the stages go on, account for each, and stay within their memory."""
    kinds: list[Callable[[random.Random], tuple[str, bytes]]] = [_lying_png, _odd_picture, _noise]
    kinds += 3 * [_broken_picture]
    at_once = 100
    cases: list[tuple[int, str, bytes]] = []
    for number in task.numbers():
        name, data = task.chance.choice(kinds)(task.chance)
        cases.append((number, name, data))
        if len(cases) == at_once:
            yield from _through_the_stages(task.folder, cases)
            cases = []
    if cases:
        yield from _through_the_stages(task.folder, cases)


def _drawn(chance: random.Random, side: int = 64) -> Image.Image:
    patches = np.frombuffer(chance.randbytes(4 * 6 * 3), np.uint8).reshape(4, 6, 3)
    return Image.fromarray(patches).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)


def _saved(image: Image.Image, picture_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, picture_format, **options)
    return file.getvalue()


def _broken_picture(chance: random.Random) -> tuple[str, bytes]:
    picture_format = chance.choice(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM"])
    how, data = _damaged(_saved(_drawn(chance), picture_format), chance)
    return f"{picture_format} {how}", data


def _lying_png(chance: random.Random) -> tuple[str, bytes]:
    """A PNG whose header says another size, depth or kind than its data have."""
    width, height = (chance.choice([0, 1, 63, 9_999, 65_536, 10**8, 2**31 - 1, 2**32 - 1]) for _ in range(2))
    depth, colour = chance.choice([1, 2, 4, 8, 16, 3]), chance.choice([0, 2, 3, 4, 6, 5])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, chance.choice([0, 1]))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(chance.choice([0, 1000, 10**6])))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return f"PNG that says {width}x{height}, {depth} bits, kind {colour}", b"\x89PNG\r\n\x1a\n" + body


def _odd_picture(chance: random.Random) -> tuple[str, bytes]:
    """A whole picture of a rare kind, or a large one of few bytes."""
    mode = chance.choice(["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"])
    side = chance.choice([(1, 1), (1, 20_000), (20_000, 1), (6_000, 6_000), (3, 2)])
    picture_format = "TIFF" if mode in ("CMYK", "I;16", "I", "F", "YCbCr", "LAB") else chance.choice(["PNG", "TIFF"])
    options = {"compression": "tiff_deflate"} if picture_format == "TIFF" else {}
    return f"{picture_format} {mode} {side[0]}x{side[1]}", _saved(Image.new(mode, side, 1), picture_format, **options)


def _noise(chance: random.Random) -> tuple[str, bytes]:
    head = chance.choice(
        [b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBPVP8 ", b"II*\0", b"BM", b"P6 9 9 255\n"]
    )
    return f"{head!r} and noise", head + chance.randbytes(chance.choice([0, 1, 100, 5000]))


def _through_the_stages(folder: Path, cases: list[tuple[int, str, bytes]]) -> Iterator[Case]:
    shutil.rmtree(folder / "work", ignore_errors=True)
    work, source = folder / "work", folder / "work" / "photos"
    for number, _, data in cases:
        place = source / ("cats" if number % 2 else "dogs") / f"{number}.{'jpg' if number % 3 else 'png'}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    chance = random.Random(cases[0][0])  # noqa: S311 - no secret
    for number in range(20):
        (source / ("cats", "dogs")[number % 2] / f"good-{number}.jpg").write_bytes(_saved(_drawn(chance), "JPEG"))
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["download"] |= {"source": "folder", "path": str(source), "test_path": None}
    values["decode"]["size"] = 150
    (work / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (work / "exclude").mkdir()
    fault = ""
    for stage, options in (
        ("download", "--raw data/raw"),
        ("split", "--raw data/raw --exclude exclude --images data/images --rejected reports/rejected.csv"),
        ("decode", "--images data/images --arrays data/arrays"),
    ):
        command = [sys.executable, "-m", f"stages.{stage}", "--params", "params.yaml", *options.split()]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        ended = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        fault = told_fault(ended.returncode, ended.stdout + ended.stderr)
        if not fault and ended.returncode:
            fault = f"{stage} ended: {ended.stderr.strip()[-300:]}"
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        if megabytes > MOST_MEGABYTES:
            fault = fault or f"{stage} took {megabytes:.0f} MB"
        if fault:
            break
    used: set[str] = set()
    listed: set[str] = set()
    if not fault:
        used = {row["sha256"] for row in _rows(work / "data/images/index.csv")}
        listed = {Path(row["file"]).stem for row in _rows(work / "reports/rejected.csv")}
    for number, name, data in cases:
        known = hashlib.sha256(data).hexdigest() in used or str(number) in listed
        yield f"{number}: {name}", fault or ("" if known else "neither used nor listed")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
