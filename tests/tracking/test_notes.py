"""Descriptions that MLflow shows, whatever is in the names and commands they hold."""

import pytest

from dogs_vs_cats.tracking.notes import code


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("dvc repro", "`dvc repro`"),
        ("a `b` c", "`` a `b` c ``"),
        ("two\nlines", "`two lines`"),
        ("*bold* | <b>", "`*bold* | <b>`"),
        ("``", "``` `` ```"),
    ],
)
def test_code_shows_a_text_as_it_is(text: str, written: str) -> None:
    assert code(text) == written
