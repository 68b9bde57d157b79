"""Many photos at a time: in order, and an error stops them."""

import pytest

from dogs_vs_cats.decoding.many import in_threads


def test_threads_keep_the_order() -> None:
    assert list(in_threads(lambda number: number * number, range(500))) == [number * number for number in range(500)]


def test_threads_pass_an_error_on_and_stop() -> None:
    done: list[int] = []

    def fail_at_seven(number: int) -> None:
        done.append(number)
        if number == 7:
            raise ValueError(number)

    with pytest.raises(ValueError, match="7"):
        list(in_threads(fail_at_seven, range(100_000)))
    assert len(done) < 10_000
