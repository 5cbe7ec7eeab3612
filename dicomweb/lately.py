"""Remembers what was found out lately about things that never change, such as where the frames of a clean file lie."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lately(Generic[T]):
    """So many things by name, the one asked for longest ago forgotten first. Any thread may use it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Hashable, find_out: Callable[[], T]) -> T:
        """What is known of that name; found out where nothing is."""
        with self._lock:
            if name in self._known:
                self._known.move_to_end(name)
                return self._known[name]
        found = find_out()
        with self._lock:
            self._known[name] = found
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found
