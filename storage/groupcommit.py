"""Lets those who come at the same time share one commit: whoever is first does it for all that wait by then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Entry(Generic[Item, Outcome]):
    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: Outcome | Exception | None = None


class GroupCommit(Generic[Item, Outcome]):
    """Commits items by `commit`, which takes several and returns for each its outcome or its own error.

    There is no thread of its own: one caller alone commits at once, and while he does, the others gather. When `commit`
    raises, each of the group is tried by itself, so that none fails by another's fault.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Outcome | Exception]], most: int = 64) -> None:
        self._commit = commit
        self._most = most
        self._waiting: list[_Entry[Item, Outcome]] = []
        self._gathering = threading.Lock()
        self._committing = threading.Lock()

    def __call__(self, item: Item) -> Outcome:
        """Returns once this item is committed. Raises what went wrong with it."""
        entry: _Entry[Item, Outcome] = _Entry(item)
        with self._gathering:
            self._waiting.append(entry)
        while entry.outcome is None:
            with self._committing:
                if entry.outcome is None:
                    self._commit_group()
        if isinstance(entry.outcome, Exception):
            raise entry.outcome
        return entry.outcome

    def _commit_group(self) -> None:
        with self._gathering:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            outcomes = self._commit([entry.item for entry in group])
        except Exception as error:
            if len(group) == 1:
                group[0].outcome = error
                return
            outcomes = [self._alone(entry.item) for entry in group]
        for entry, outcome in zip(group, outcomes, strict=True):
            entry.outcome = outcome

    def _alone(self, item: Item) -> Outcome | Exception:
        try:
            return self._commit([item])[0]
        except Exception as error:
            return error
