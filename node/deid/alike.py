"""Finds something out about each element of a data set, but not again where the data set before had the very same
element in the same place, as slices of a series do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .raw import Elements


class Answer(Protocol):
    """What is found out about one element."""

    @property
    def lasts(self) -> bool:
        """Whether it is true of the same element in the next data set."""


Found = TypeVar("Found", bound=Answer)


class Alike(Generic[Found]):
    """The answers of one data set after the other. `find` is asked for the tag and bytes of an element; the same bytes
    are one object where they were taken apart with `top_level(..., like=...)`."""

    def __init__(self, find: Callable[[int, bytes], Found]) -> None:
        self._find = find
        self._last: Elements = []
        self._found: list[Found] = []

    def of_all(self, elements: Elements) -> list[Found]:
        """The answers for the elements of a data set, each. Raises what `find` raises."""
        find = self._find
        if len(elements) == len(self._last):
            seen = zip(elements, self._last, self._found, strict=True)
            found = [old if new is was and old.lasts else find(*new) for new, was, old in seen]
        else:
            found = [find(tag, element) for tag, element in elements]
        self._last, self._found = elements, found
        return found
