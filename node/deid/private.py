"""Knows the private attributes that are safe to keep (PS3.15 Table E.3.10-1), by private creator, in any block."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag


def safe_vr(header: Dataset, tag: BaseTag) -> str | None:
    """The VR of a private attribute that is safe, None for any other."""
    kept = _table().get((tag >> 16, tag & 0xFF))
    return kept.get(creator_of(header, tag)) if kept else None


def creator_of(header: Dataset, tag: BaseTag) -> str:
    """The name of the creator whose block a private attribute lies in; empty where there is none (PS3.5 7.8.1)."""
    creator = creator_tag(tag)
    if tag & 0xFFFF < 0x1000 or creator not in header:
        return ""
    element = header.get_item(creator)
    if element.VR not in (None, "UN", "LO"):
        return ""
    # Those of the table are ASCII, so that there is nothing to decode.
    value = element.value.decode("latin-1") if isinstance(element.value, bytes) else str(element.value or "")
    return value.strip("\0 ")


def creator_tag(tag: BaseTag) -> BaseTag:
    """Where the creator of a private attribute's block stands."""
    return Tag(tag.group, tag.element >> 8)


@cache
def _table() -> dict[tuple[int, int], dict[str, str]]:
    """By group and element without its block, then by creator, the VR."""
    table: dict[str, Any] = json.loads((files(__package__) / "table" / "safe_private.json").read_text(encoding="utf-8"))
    attributes: dict[tuple[int, int], dict[str, str]] = {}
    for creator, rows in table["creators"].items():
        for place, vr in rows.items():
            attributes.setdefault((int(place[:4], 16), int(place[4:], 16)), {})[creator] = vr
    return attributes
