"""Many photos at a time: in order, and an error stops them."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from dogs_vs_cats.data.decoding.many import in_order, in_threads


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


def test_calls_are_made_a_few_ahead_and_waited_for_in_order() -> None:
    made: list[int] = []

    def calls() -> Iterator[Future[int]]:
        for number in range(6):
            made.append(number)
            done: Future[int] = Future()
            done.set_result(number)
            yield done

    results = in_order(calls(), 2)
    assert next(results) == 0
    assert made == [0, 1, 2]
    assert next(results) == 1
    assert made == [0, 1, 2, 3]
    assert list(results) == [2, 3, 4, 5]
