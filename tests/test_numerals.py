"""Numbers as people read them claim no more than they are."""

import pytest

from dogs_vs_cats.numerals import percent, points


@pytest.mark.parametrize(
    ("share", "digits", "written"),
    [
        (0.894, 1, "89.4 %"),
        (0.0, 1, "0.0 %"),
        (1.0, 1, "100.0 %"),
        (0.9996, 1, "99.96 %"),
        (0.99999, 1, "99.999 %"),
        (0.0001, 1, "0.01 %"),
        (0.995, 0, "99.5 %"),
        (0.9999997, 1, "over 99.9999 %"),
        (1 - 1e-16, 2, "over 99.9999 %"),
        (3e-7, 1, "under 0.0001 %"),
        (0.95, None, "95 %"),
        (0.975, None, "97.5 %"),
    ],
)
def test_percentages_are_never_rounded_to_all_or_none(share: float, digits: int | None, written: str) -> None:
    assert percent(share, digits) == written


def test_points_have_a_minus_sign_only_where_something_is_left() -> None:
    assert (points(-0.0123), points(-0.0001), points(0.0)) == ("\N{MINUS SIGN}1.2", "0.0", "0.0")
