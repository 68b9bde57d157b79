import pytest

from dogs_vs_cats.models.probabilities import wilson_interval


def test_wilson_interval_agrees_with_published_examples() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (right, total), bounds in published.items():
        assert wilson_interval(right, total) == pytest.approx(bounds, abs=5e-5)


def test_wilson_interval_stays_within_0_and_1_at_the_ends() -> None:
    low, high = wilson_interval(1, 1)
    assert 0 < low < 1
    assert high == 1
    assert wilson_interval(0, 7)[0] == 0


@pytest.mark.parametrize(("right", "total"), [(5, 4), (-1, 4), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(right: int, total: int) -> None:
    with pytest.raises(ValueError):
        wilson_interval(right, total)
