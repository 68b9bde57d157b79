"""Memory that decoding a photo takes, by format: ``python benchmarks/photo_memory.py``.

Each photo is decoded in a process of its own. Printed are the bytes that were counted before, the most that it really
took (RSS), and what the process keeps of them afterwards. On Linux only.
"""

import argparse
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from dogs_vs_cats.data.decoding import memory, photos  # noqa: E402

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "JPEG": ("RGB", "JPEG", {}),
    "JPEG, progressive": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "JPEG, CMYK": ("CMYK", "JPEG", {}),
    "PNG": ("RGB", "PNG", {}),
    "PNG, transparent": ("RGBA", "PNG", {}),
    "PNG, grey and transparent": ("LA", "PNG", {}),
    "PNG, palette": ("P", "PNG", {}),
    "PNG, palette with transparency": ("P", "PNG", {"transparency": 3}),
    "PNG, sixteen bits": ("I;16", "PNG", {}),
    "GIF": ("P", "GIF", {}),
    "BMP": ("RGB", "BMP", {}),
    "PPM": ("RGB", "PPM", {}),
    "WebP": ("RGB", "WEBP", {}),
    "WebP, lossless": ("RGB", "WEBP", {"lossless": True}),
    "WebP, transparent": ("RGBA", "WEBP", {"lossless": True}),
    "AVIF": ("RGB", "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "AVIF, transparent": ("RGBA", "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "JPEG 2000": ("RGB", "JPEG2000", {}),
    "JPEG 2000, transparent": ("RGBA", "JPEG2000", {}),
    "TIFF": ("RGB", "TIFF", {}),
    "TIFF, LZW in one strip": ("RGB", "TIFF", {"compression": "tiff_lzw", "strip_size": 2**30}),
    "TIFF, CMYK": ("CMYK", "TIFF", {"compression": "tiff_adobe_deflate"}),
}


def main() -> None:
    """Decode a photo of each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2000, help="pixels (%(default)s)")
    parser.add_argument("--decode", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.decode:
        measure(arguments.decode)
        return
    path = Path("photo_memory.tmp")
    try:
        for name, (mode, format_, options) in CASES.items():
            path.write_bytes(encoded(arguments.side, mode, format_, options))
            command = [sys.executable, __file__, f"--decode={path}"]
            print(f"{name:32}", subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")
    finally:
        path.unlink(missing_ok=True)


def encoded(side: int, mode: str, format_: str, options: dict[str, Any]) -> bytes:
    """Soft random blobs, as a file's bytes."""
    blobs = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    image = Image.fromarray(blobs).resize((side, side))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) << 8)
    elif mode in ("RGBA", "LA"):
        image.putalpha(image.convert("L"))
        image = image.convert(mode)
    else:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def measure(path: Path) -> None:
    """Decode a file and print what it took."""
    data = path.read_bytes()
    counted: list[int] = []
    budget = memory.BUDGET
    take, before = budget.take, highest()

    def counting(amount: int) -> None:
        counted.append(amount)
        take(amount)

    budget.take = counting  # type: ignore[method-assign]
    photos.decode(data, 150, "lanczos")
    kept, took = psutil.Process().memory_info().rss - before, highest() - before
    print(f"counted {counted[0] / 1e6:6.0f} MB, took {took / 1e6:6.0f} MB, kept {kept / 1e6:4.0f} MB")


def highest() -> int:
    """The most memory this process had in bytes; not of the one that started it, unlike ``resource``'s."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
