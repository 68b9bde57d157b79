"""Items come back from disk as they were, names in order, as often as they are asked for."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from dogs_vs_cats.data.decoding.photos import Fingerprint
from dogs_vs_cats.data.spool import Names, Spool


def test_items_are_read_back_in_order_and_again(tmp_path: Path) -> None:
    items = [Fingerprint("0" * 64, 2**64 - 1, 3, 4), None, "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]
    spool = Spool(tmp_path / "items", items)
    assert list(spool) == items
    assert len(spool) == len(items)
    assert list(zip(spool, spool, strict=True)) == list(zip(items, items, strict=True))


def test_no_items_are_none(tmp_path: Path) -> None:
    assert list(Spool(tmp_path / "items", [])) == []


def test_what_stops_the_items_stops_the_spool(tmp_path: Path) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    with pytest.raises(ValueError, match="second"):
        Spool(tmp_path / "items", items())


def test_names_are_sorted_as_python_sorts_them_again_and_at_the_same_time() -> None:
    given = ["b.jpg", "B.jpg", "a/2.jpg", "a/10.jpg", "a.jpg", "\uffee.jpg", "\U0001f408.jpg", "\xe9.jpg", ""]
    names = Names(given)
    assert len(names) == len(given)
    assert list(names) == sorted(given)
    assert list(zip(names, names, strict=True)) == [(name, name) for name in sorted(given)]


def test_names_of_one_key_are_sorted_by_themselves() -> None:
    given = ["dog.1", "cat.2", "cat.1", "dog.0"]
    assert list(Names(given, key=lambda name: name[-1])) == ["dog.0", "cat.1", "dog.1", "cat.2"]


def test_no_names_are_none() -> None:
    assert not Names([])
    assert list(Names([])) == []


def test_many_names_are_not_in_memory() -> None:
    tracemalloc.start()
    names = Names(f"{number:040}" for number in range(20_000))
    assert sum(map(len, names)) == 40 * len(names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
