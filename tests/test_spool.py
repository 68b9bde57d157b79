"""Items come back from disk as they were, as often as they are asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dogs_vs_cats.photos import Fingerprint
from dogs_vs_cats.spool import Spool


def test_items_are_read_back_in_order_and_again(tmp_path: Path) -> None:
    items = [Fingerprint("0" * 64, 2**64 - 1, 3, 4), None, "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]
    spool = Spool(tmp_path / "items", items)
    assert list(spool) == items
    assert list(zip(spool, spool, strict=True)) == list(zip(items, items, strict=True))


def test_no_items_are_none(tmp_path: Path) -> None:
    assert list(Spool(tmp_path / "items", [])) == []


def test_what_stops_the_items_stops_the_spool(tmp_path: Path) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    with pytest.raises(ValueError, match="second"):
        Spool(tmp_path / "items", items())
