"""Items on disk in place of a list, so that memory does not grow with them."""

import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar
from weakref import finalize

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

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            for _ in range(self._count):
                yield pickle.load(file)  # noqa: S301 - written above


class Names:
    """Names sorted on disk, in a file without a name of its own, gone when nothing refers to them."""

    def __init__(self, names: Iterable[str], key: Callable[[str], str] = lambda _: "") -> None:
        """Sort names.

        Args:
            names: taken one at a time; none twice.
            key: what to sort them by; those of one key, all by default, are sorted by themselves.
        """
        self._database = open_on_disk()
        finalize(self, self._database.close)
        self._database.execute("CREATE TABLE names (key, name, PRIMARY KEY (key, name)) WITHOUT ROWID")
        added = self._database.executemany("INSERT INTO names VALUES (?, ?)", ((key(name), name) for name in names))
        self._count = added.rowcount

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        for (name,) in self._database.execute("SELECT name FROM names ORDER BY key, name"):
            yield name


def open_on_disk() -> sqlite3.Connection:
    """A database in a file without a name, gone when it is closed; hardly any of it is in memory, however large."""
    database = sqlite3.connect("")
    database.execute("PRAGMA cache_size = -256")  # kB
    return database
