"""What every speed benchmark shares: figures as ratios of things that took turns."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from dogs_vs_cats.data.drawn.drawing import ANIMALS, Job, draw_files

_DRAWN = 500  # pixels

Unit = Literal["times", "s", "%"]


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        folder: an empty one to write to.
        repeats: how many turns each side takes.
        photos: a folder of JPEGs to measure on; None: drawn ones.
        sizes: how many photos the workflow grows to.
        backbones: those whose engines are compared; none: all.
    """

    folder: Path
    repeats: int
    photos: Path | None
    sizes: tuple[int, ...]
    backbones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        what: is measured.
        against: what it is compared with.
        values: one a turn, none where it was skipped.
        unit: of the values; ``times`` is a ratio of two measurements in one turn.
        goal: the value that is enough: at least that for ``times``, at most for the others; None: only shown.
        at_most: for ``times``: the goal is a ceiling.
        note: why it was skipped, or what the values are of.
    """

    what: str
    against: str
    values: list[float] = field(default_factory=list)
    unit: Unit = "times"
    goal: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        """The middle one of the values."""
        return statistics.median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the median is good enough; None where there is no goal."""
        if self.goal is None or not self.values:
            return None
        return self.median <= self.goal if self.at_most or self.unit != "times" else self.median >= self.goal


def take_turns(repeats: int, *sides: Callable[[], object]) -> list[list[float]]:
    """Time functions one after the other, again and again, so that whatever else the machine does slows all of them.

    Args:
        repeats: how often each is called; once more before, untimed.
        sides: the functions.

    Returns:
        The seconds of each, one a turn.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + 1):
        for taken, side in zip(seconds, sides, strict=True):
            began = time.perf_counter()
            side()
            if turn:
                taken.append(time.perf_counter() - began)
    return seconds


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratio of each turn."""
    return [one / other for one, other in zip(above, below, strict=True)]


def photo_files(options: Options, size: int, count: int) -> list[Path]:
    """JPEGs to measure on, the same picture more than once where there are too few.

    Args:
        options: with the user's folder, if any.
        size: pixels of the longer side of those that are drawn.
        count: how many.
    """
    if options.photos is not None:
        found = sorted(options.photos.rglob("*.jpg"))
    else:
        folder = options.folder / f"drawn-{size}"
        drawn = min(size, _DRAWN)
        jobs: list[Job] = [(ANIMALS[n % 2], n, folder / f"{ANIMALS[n % 2]}.{n}.jpg") for n in range(min(count, 50))]
        draw_files(jobs, 1, drawn)
        found = [path for _, _, path in jobs]
        for path in found if size > drawn else []:  # drawing so large a picture takes seconds
            with Image.open(path) as image:
                image.resize((image.width * size // drawn, image.height * size // drawn)).save(path, quality=90)
    return (found * (count // len(found) + 1))[:count]
