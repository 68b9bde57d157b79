"""How soon the page answers, in a project's folder: ``python benchmarks/page.py PHOTO_OR_FOLDER ...``.

Seconds by the clock, and the server's processor seconds, of its start, the first photo and each further one; and the
memory that it takes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from dogs_vs_cats.serving.trained_models import find_photos
from tests.page_visitor import Page, Visitor

Spent = dict[str, tuple[float, float]]


def main() -> None:
    """Start the page a few times, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=21, help="photos to send (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    photos = [file.read_bytes() for file in find_photos(given.photos)[: given.most]]
    runs = [measure(photos) for _ in range(given.repeats)]
    for what in runs[0][0]:
        clock, processor = (statistics.median(spent[what][part] for spent, _ in runs) for part in (0, 1))
        print(f"{what}: {clock:.2f} s, {processor:.2f} s of processor")
    print(f"memory in the end: {statistics.median(memory for _, memory in runs) / 10**9:.2f} GB")


def measure(photos: list[bytes]) -> tuple[Spent, int]:
    """One start of the page: what took how long, by the clock and of the processor, and its memory, bytes."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        page = Page(Path.cwd(), Path(folder) / "temporary")
        try:
            page.wait()
            with Visitor(page.url) as visitor:
                spent = {"from the command to the page": read(page, started)}
                visitor.send("0", photos[0])
                visitor.cards(1, whole=False)
                spent["to the first photo's answers"] = read(page, started)
                visitor.cards(1)
                spent["to the first photo's Grad-CAM"] = read(page, started)
                before, begun = read(page, started), time.monotonic()
                for number, photo in enumerate(photos[1:], start=1):
                    visitor.send(str(number), photo)
                visitor.cards(len(photos))
                clock, processor = time.monotonic() - begun, read(page, started)[1] - before[1]
                spent["each further photo"] = (clock / (len(photos) - 1), processor / (len(photos) - 1))
                return spent, psutil.Process(page.process.pid).memory_info().rss
        finally:
            page.kill()


def read(page: Page, started: float) -> tuple[float, float]:
    """Seconds since the start, and the server's processor seconds."""
    times = psutil.Process(page.process.pid).cpu_times()
    return time.monotonic() - started, times.user + times.system


if __name__ == "__main__":
    main()
