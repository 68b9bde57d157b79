"""Values that repeat, in a byte each."""

from array import array
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar, overload

Value = TypeVar("Value", bound=Hashable)


class DictionaryEncoded(Sequence[Value]):
    """A sequence of few different values that takes a byte for each item, where a list takes a pointer's eight.

    Items can be set, to other values too.
    """

    def __init__(self, values: Iterable[Value]) -> None:
        """Encode values.

        Args:
            values: taken one at a time.

        Raises:
            OverflowError: if more than 256 of them differ.
        """
        self._dictionary: dict[Value, int] = {}
        self._values: list[Value] = []
        self._codes = array("B", (self._code(value) for value in values))

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, place: int) -> Value: ...

    @overload
    def __getitem__(self, place: slice) -> list[Value]: ...

    def __getitem__(self, place: int | slice) -> Value | list[Value]:
        if isinstance(place, slice):
            return [self._values[code] for code in self._codes[place]]
        return self._values[self._codes[place]]

    def __setitem__(self, place: int, value: Value) -> None:
        self._codes[place] = self._code(value)

    def _code(self, value: Value) -> int:
        if value not in self._dictionary:
            self._dictionary[value] = len(self._values)
            self._values.append(value)
        return self._dictionary[value]
