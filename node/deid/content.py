"""Says what happens to a content item of a structured report: PS3.15 Table E.3.4-1 by concept, options as columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr._snomed_dict import mapping
from pydicom.tag import Tag

from .elements import decoded, said
from .profile import Action, Option

CONTENT_SEQUENCE = Tag(0x0040A730)
UID = Tag(0x0040A124)
_CONCEPT_NAME, _VALUE_TYPE = Tag(0x0040A043), Tag(0x0040A040)
_CODES = (Tag(0x00080100), Tag(0x00080119), Tag(0x00080120))
_SCHEME = Tag(0x00080102)
# Value types that point to other objects: their UIDs are replaced, which hides as much, and the evidence stays whole.
_REFERENCES = frozenset({"COMPOSITE", "IMAGE", "WAVEFORM", "UIDREF"})
AGES = frozenset({"121033", "424144002", "397669002", "445518008", "30525-0"})
"""Codes of concepts whose value is somebody's age."""


def action_for(item: Dataset, options: Iterable[Option]) -> Action:
    """What to do with a content item's value: KEEP (and check), CLEAN, or DUMMY, also for what the table would remove:
    a tree with an item less may break its template (PS3.16), and references by position (PS3.3 C.17.3.2.5)."""
    kind = _word(item, _VALUE_TYPE)
    row = _table().get(f"{'|'.join(concept(item))}|{kind}")
    if row is None:
        return Action.CLEAN
    chosen = {row["options"].get(option.replace("-", "_")) for option in options}
    if "K" in chosen:
        return Action.KEEP
    if "C" in chosen or kind in _REFERENCES:
        return Action.CLEAN
    return Action.DUMMY


def keeps_uid(item: Dataset, options: Iterable[Option]) -> bool:
    """Whether an option keeps the UID that a content item of type UIDREF has for its value. Raises CannotClean."""
    return UID in item and _CONCEPT_NAME in item and action_for(item, options) == Action.KEEP


def concept(item: Dataset) -> tuple[str, str]:
    """Coding scheme and code of a content item's concept name, SNOMED codes in their present form."""
    if _CONCEPT_NAME not in item:
        return "", ""
    names = decoded(item, _CONCEPT_NAME, ()).value
    if not isinstance(names, Sequence) or not names:
        return "", ""
    code = next((word for word in (_word(names[0], tag) for tag in _CODES) if word), "")
    scheme = _word(names[0], _SCHEME).split(" ")[0]
    if scheme in ("SRT", "SNM3", "99SDM"):
        return "SCT", mapping["SRT"].get(code, code)
    return scheme, code


def _word(item: Dataset, tag: Any) -> str:
    values = said(item, tag)
    return values[0].strip() if values else ""


@cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, Any] = json.loads((files(__package__) / "table" / "content.json").read_text(encoding="utf-8"))
    rules: dict[str, dict[str, Any]] = table["rules"]
    return rules
