"""Values that repeat."""

import sys
from typing import cast

import numpy as np
import pytest

from dogs_vs_cats.data.splits.dictionary_encoding import DictionaryEncoded


def test_values_are_read_and_set_as_in_a_list() -> None:
    values = ["cat", None, "dog", "cat"]
    encoded = DictionaryEncoded(values)
    encoded[1] = values[1] = "bird"
    assert list(encoded) == values
    assert encoded[1:3] == values[1:3]
    assert encoded[cast("int", np.int32(-1))] == "cat"
    assert encoded.count("cat") == 2
    with pytest.raises(IndexError):
        encoded[4]


def test_a_value_takes_a_byte() -> None:
    encoded = DictionaryEncoded(str(number % 3) for number in range(100_000))
    assert sys.getsizeof(encoded._codes) < 1.2 * len(encoded)


def test_more_different_values_than_a_byte_has_are_refused() -> None:
    assert list(DictionaryEncoded(range(256))) == [*range(256)]
    with pytest.raises(OverflowError):
        DictionaryEncoded(range(257))
