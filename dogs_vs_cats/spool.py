"""Items on disk in place of a list, so that memory does not grow with them."""

import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Spool(Generic[Item]):
    """Items written to a file once, then read from it as often as need be, one at a time."""

    def __init__(self, path: Path, items: Iterable[Item]) -> None:
        """Write the items.

        Args:
            path: the file to make; whoever iterates later needs it to be there still.
            items: taken one at a time.
        """
        self._path = path
        self._count = 0
        with path.open("wb") as file:
            for item in items:
                pickle.dump(item, file, pickle.HIGHEST_PROTOCOL)
                self._count += 1

    def __iter__(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            for _ in range(self._count):
                yield pickle.load(file)  # noqa: S301 - written above
