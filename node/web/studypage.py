"""Gathers one study for its page: its series, their instances, and what was done to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydicom.uid import UID

from lethe.storage.archive import Archive
from lethe.storage.entries import Entry
from lethe.storage.index import Index
from lethe.storage.query import Level, Match, Query

from ..comparison import element_name
from .overview import StudyCard, study_card

_MOST_SERIES = 60
_MOST_INSTANCES = 100
_MOST_RECEIPTS = 4
_MOST_CHANGES = 500


@dataclass(frozen=True)
class InstanceRow:
    """One instance in the table of its series."""

    uid: str
    number: str
    kind: str
    encoding: str
    size: str


@dataclass(frozen=True)
class Change:
    """One element that was not kept: what became of it, its name, where it stood, and by which rule."""

    done: str
    name: str
    place: str
    rule: str


@dataclass(frozen=True)
class ReceiptGroup:
    """What was done, for the instances to which exactly this was done."""

    instances: int
    lines: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, int], ...]
    changes: tuple[Change, ...]
    example: str
    """The SOP Instance UID of the first of them."""


@dataclass(frozen=True)
class SeriesPart:
    """One series with the first of its instances."""

    uid: str
    number: str
    modality: str
    description: str
    instances: int
    shown: tuple[InstanceRow, ...]
    receipts: tuple[ReceiptGroup, ...]
    more_receipts: int

    @property
    def more(self) -> int:
        """How many instances are not shown."""
        return self.instances - len(self.shown)


@dataclass(frozen=True)
class StudyPage:
    """One study."""

    card: StudyCard
    series: tuple[SeriesPart, ...]

    @property
    def more(self) -> int:
        """How many series are not shown."""
        return self.card.series - len(self.series)


def study_page(archive: Archive, study_uid: str) -> StudyPage:
    """The page of that study. Raises NotFound."""
    entry = archive.index.one(Level.STUDY, study_uid)
    series = archive.index.find(Query(Level.SERIES, (Match("0020000D", (study_uid,)),), limit=_MOST_SERIES))
    return StudyPage(study_card(entry), tuple(_series(archive.index, one) for one in series))


def receipt_group(instances: Sequence[str], receipt: Mapping[str, Any]) -> ReceiptGroup:
    """A receipt for people: its counts and changed elements apart, everything else as label and value."""
    counts, elements = receipt.get("counts"), receipt.get("elements")
    rest = {name: value for name, value in receipt.items() if name not in ("counts", "elements")}
    return ReceiptGroup(
        instances=len(instances),
        lines=receipt_lines(rest),
        counts=tuple((str(name), int(count)) for name, count in counts.items()) if isinstance(counts, Mapping) else (),
        changes=_changes(elements) if isinstance(elements, Mapping) else (),
        example=instances[0],
    )


def receipt_lines(receipt: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A receipt as label and value, whatever it holds; what is nested is led by the name of what it is in."""
    lines: list[tuple[str, str]] = []
    for name, value in receipt.items():
        label = str(name).replace("_", " ")
        if isinstance(value, Mapping):
            lines += [(f"{label}: {inner}", text) for inner, text in receipt_lines(value)]
        elif _text(value):
            lines.append((label, _text(value)))
    return tuple(lines)


def file_size(size: int) -> str:
    """A size as people read it."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _series(index: Index, entry: Entry) -> SeriesPart:
    matches = (Match("0020000D", (entry.study_uid,)), Match("0020000E", (entry.series_uid,)))
    instances = index.find(Query(Level.INSTANCE, matches, limit=_MOST_INSTANCES))
    receipts = _receipts(index, instances)
    return SeriesPart(
        uid=entry.series_uid,
        number=entry.text("00200011"),
        modality=entry.text("00080060"),
        description=entry.text("0008103E"),
        instances=int(entry.text("00201209") or 0),
        shown=tuple(_instance(one) for one in instances),
        receipts=tuple(receipts[:_MOST_RECEIPTS]),
        more_receipts=len(receipts[_MOST_RECEIPTS:]),
    )


def _instance(entry: Entry) -> InstanceRow:
    return InstanceRow(
        uid=entry.sop_uid,
        number=entry.text("00200013"),
        kind=UID(entry.sop_class).name.removesuffix(" Storage"),
        encoding=UID(entry.transfer_syntax).name,
        size=file_size(entry.size),
    )


def _receipts(index: Index, instances: Sequence[Entry]) -> list[ReceiptGroup]:
    """The distinct receipts, so that a series of a thousand alike slices shows one."""
    alike: dict[str, list[str]] = {}
    for entry in instances:
        alike.setdefault(json.dumps(index.receipt(entry.sop_uid), sort_keys=True), []).append(entry.sop_uid)
    groups = sorted(alike.items(), key=lambda group: -len(group[1]))
    return [receipt_group(uids, json.loads(text)) for text, uids in groups]


def _changes(elements: Mapping[str, Any]) -> tuple[Change, ...]:
    changes = (
        Change(str(done), element_name(str(place)), str(place), str(rule))
        for done, pairs in elements.items()
        for place, rule in pairs
    )
    return tuple(islice(changes, _MOST_CHANGES))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    if isinstance(value, Mapping):
        return " ".join(text for _, text in receipt_lines(value))
    return "" if value is None else str(value)
