"""What a subject is given, and what it hands back for each thing that it tried."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Case = tuple[str, str]
"""What was tried, and the fault that it showed; empty where it held."""


@dataclass(frozen=True)
class Task:
    """What a subject may use.

    Attributes:
        folder: an empty folder.
        chance: draws every random choice, so that a seed repeats them.
        most: cases at most.
        until: no case begins after this, by ``time.monotonic``.
    """

    folder: Path
    chance: random.Random
    most: int
    until: float

    def numbers(self) -> Iterator[int]:
        """Count the cases from 0, until there are enough or time is up."""
        for number in range(self.most):
            if time.monotonic() > self.until:
                return
            yield number


def chance(seed: object) -> random.Random:
    """Return random numbers that depend on the seed alone."""
    return random.Random(str(seed))  # noqa: S311 - no secret


def told_fault(status: int, printed: str) -> str:
    """Return what is wrong with how a command ended; empty where it did its work, or ended with one clear line."""
    if "Traceback" in printed:
        return f"a traceback: {printed.strip().splitlines()[-1]}"
    if status < 0:
        return f"killed by signal {-status}"
    lines = [line for line in printed.splitlines() if line.startswith(("error: ", "ERROR: "))]
    if status and not lines:
        return f"exit status {status} without a line that says why: {printed.strip()[-200:]!r}"
    return ""
