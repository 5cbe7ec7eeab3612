"""Knows, by device and frame size, where a device writes text into its frames. Rules are data: those in `rules/`, and
what a site has learned.

A rule file is JSON: {"format": 1, "source", "rules": [{"name", "when", "blank" or "keep", "source"}]}. `when` gives
attributes by keyword: a number is equal, a text is contained (capitals do not matter), {"is": text} is equal, and of a
list one must be. Boxes are [left, top, right, bottom]; with `keep` all else is blanked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ..deid.elements import joined, said
from ..deid.errors import CannotClean
from ..deid.registry import is_storage_class
from .box import Box, without_covered
from .regions import outside

FORMAT = 1
_NUMBERS = frozenset({"Rows", "Columns", "WindowWidth"})
_EQUAL = frozenset({"Modality", "SOPClassUID", "BurnedInAnnotation"})
_CONTAINED = frozenset({"Manufacturer", "ManufacturerModelName", "ImageType", "SeriesDescription", "ProtocolName"})
_MOST_BOXES, _LARGEST = 200, 1 << 20


class BadRules(ValueError):
    """A rule file says something that no rule can mean. The message names rule and key."""


@dataclass(frozen=True)
class DeviceRule:
    """One rule: when it holds, and what of such a frame is blanked, or kept."""

    name: str
    when: Mapping[str, Any]
    boxes: tuple[Box, ...]
    keeps: bool = False
    """Whether the boxes are what stays, and all else goes."""
    source: str = ""

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether it is about an object with these values."""
        return all(_is_met(keyword, wanted, values.get(keyword, "")) for keyword, wanted in self.when.items())

    def blanked(self, rows: int, columns: int) -> list[Box]:
        """What of a frame of that size goes."""
        if self.keeps:
            return outside(self.boxes, rows, columns)
        return [box.within(columns, rows) for box in self.boxes]

    def as_document(self) -> dict[str, Any]:
        """The rule as it stands in a file."""
        boxes = {"keep" if self.keeps else "blank": [list(box) for box in self.boxes]}
        return {"name": self.name, "when": dict(self.when), **boxes, **({"source": self.source} if self.source else {})}


@dataclass(frozen=True)
class Matched:
    """What rules say of one object: boxes for each of its frames, and which rules."""

    boxes: tuple[Box, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True)
class DeviceRules:
    """All rules that hold here. Those of them that match an object add up."""

    rules: tuple[DeviceRule, ...] = ()

    @classmethod
    def load(cls, paths: Iterable[Path]) -> DeviceRules:
        """The rules of these files. Raises BadRules, OSError."""
        return cls(tuple(rule for path in paths for rule in rules_in(path.read_text(encoding="utf-8"))))

    @classmethod
    def shipped(cls) -> DeviceRules:
        """The rules that come with the program."""
        folder = files("lethe.node.burned") / "rules"
        names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
        return cls(tuple(rule for name in names for rule in rules_in((folder / name).read_text(encoding="utf-8"))))

    def and_also(self, more: Iterable[DeviceRule]) -> DeviceRules:
        """These and more."""
        return DeviceRules((*self.rules, *more))

    def boxes(self, header: Dataset, rows: int, columns: int) -> Matched | None:
        """What is blanked in each frame of that size of an object with this header; None where no rule knows it."""
        values = {keyword: _said(header, keyword) for keyword in self._asked}
        values |= {"Rows": str(rows), "Columns": str(columns)}
        holding = [rule for rule in self.rules if rule.holds(values)]
        boxes = without_covered(box for rule in holding for box in rule.blanked(rows, columns))
        return Matched(tuple(boxes), tuple(dict.fromkeys(rule.name for rule in holding))) if boxes else None

    @cached_property
    def _asked(self) -> frozenset[str]:
        return frozenset(keyword for rule in self.rules for keyword in rule.when)


def rules_in(text: str) -> list[DeviceRule]:
    """The rules of a file. Raises BadRules."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadRules(f"not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadRules(f'not a file of device rules; it begins with "format": {FORMAT}')
    rules = document.get("rules")
    if not isinstance(rules, list):
        raise BadRules('"rules" is a list')
    return [rule_from(rule) for rule in rules]


def file_of(rules: Iterable[DeviceRule], source: str) -> str:
    """A file with these rules."""
    document = {"format": FORMAT, "source": source, "rules": [rule.as_document() for rule in rules]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def rule_from(document: object) -> DeviceRule:
    """One rule as it stands in a file. Raises BadRules."""
    if not isinstance(document, dict) or not _is_name(document.get("name")):
        raise BadRules("a rule has a name of 1 to 120 printable characters")
    name = document["name"]
    unknown = document.keys() - {"name", "when", "blank", "keep", "source"}
    if unknown:
        raise BadRules(f"{name}: unknown: {', '.join(sorted(map(repr, unknown)))}")
    if ("blank" in document) == ("keep" in document):
        raise BadRules(f'{name}: either "blank" or "keep"')
    source = document.get("source", "")
    if not isinstance(source, str):
        raise BadRules(f'{name}: "source" is a text')
    keeps = "keep" in document
    boxes = _boxes(name, document["keep" if keeps else "blank"])
    return DeviceRule(name, _conditions(name, document.get("when")), boxes, keeps, source)


def device_of(header: Dataset) -> dict[str, Any]:
    """Conditions that exactly the objects of this kind, device and frame size meet. Raises BadRules where the header
    does not say enough."""
    when: dict[str, Any] = {}
    for keyword in ("Modality", "Manufacturer", "ManufacturerModelName", "SOPClassUID"):
        said = _said(header, keyword)
        if said and (keyword != "SOPClassUID" or is_storage_class(said)):
            when[keyword] = {"is": said}
    for keyword in ("Rows", "Columns"):
        said = _said(header, keyword)
        if not said.isdecimal():
            raise BadRules(f"{keyword} is not told")
        when[keyword] = int(said)
    if "Manufacturer" not in when:
        raise BadRules("the object does not name its manufacturer, so a rule could not tell its device from others")
    return when


def _conditions(name: str, when: object) -> dict[str, Any]:
    known = _NUMBERS | _EQUAL | _CONTAINED
    if not isinstance(when, dict) or not when.keys() <= known:
        raise BadRules(f'{name}: "when" names attributes among {", ".join(sorted(known))}')
    if not ("Rows" in when or "Columns" in when):
        raise BadRules(f"{name}: a rule says for which Rows or Columns it holds")
    if not when.keys() & (_EQUAL | _CONTAINED):
        raise BadRules(f"{name}: a rule says for which device or kind of object it holds")
    for keyword, wanted in when.items():
        for one in wanted if isinstance(wanted, list) and wanted else [wanted]:
            text = one["is"] if isinstance(one, dict) and one.keys() == {"is"} else one
            is_number = type(text) is int and text > 0
            if not (is_number if keyword in _NUMBERS else isinstance(text, str) and text.strip()):
                raise BadRules(f"{name}: {keyword} cannot be that")
    return dict(when)


def _boxes(name: str, boxes: object) -> tuple[Box, ...]:
    if not isinstance(boxes, list) or not 0 < len(boxes) <= _MOST_BOXES:
        raise BadRules(f"{name}: 1 to {_MOST_BOXES} boxes")
    return tuple(_box(name, box) for box in boxes)


def _box(name: str, box: object) -> Box:
    if isinstance(box, Sequence) and len(box) == 4 and all(type(edge) is int and 0 <= edge <= _LARGEST for edge in box):
        read = Box(*box)
        if read.left < read.right and read.top < read.bottom:
            return read
    raise BadRules(f"{name}: a box is [left, top, right, bottom] in whole pixels")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name.strip()) <= 120 and name.isprintable()


def _is_met(keyword: str, wanted: Any, said: str) -> bool:
    if isinstance(wanted, list):
        return any(_is_met(keyword, one, said) for one in wanted)
    if keyword in _NUMBERS:
        return _number(said) == int(wanted)
    if isinstance(wanted, dict):
        return _plain(said) == _plain(wanted["is"])
    if keyword in _EQUAL:
        return _plain(said) == _plain(str(wanted))
    return _plain(str(wanted)) in _plain(said)


def _number(said: str) -> float | None:
    try:
        return float(said.partition("\\")[0])
    except ValueError:
        return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _said(header: Dataset, keyword: str) -> str:
    """The values of an attribute; empty where there are none that can be read."""
    try:
        return joined(said(header, Tag(tag_for_keyword(keyword) or 0)))
    except CannotClean:  # what cannot be read matches nothing
        return ""
