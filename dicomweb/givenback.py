"""Gives matching keys back with each result (PS3.18 10.6.3.3): of a study or series those that only its instances have,
and of sequences the items that match with the attributes that were asked for (PS3.4 C.2.2.2.6)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lethe.storage.entries import DicomJson, Entry
from lethe.storage.holding import holds, is_open, key_of, private_tag
from lethe.storage.index import Index
from lethe.storage.query import Level, Match, Query, Within

from .searchkeys import creator_of

Key = Match | Within
_OF_ITEMS = {"00400275": ("00400007", "00400009", "00401001")}
"""What each item has in any case: of Request Attributes Sequence what PS3.18 Table 10.6.3-4 demands."""


def of_an_instance(index: Index, query: Query, entry: Entry, keys: Sequence[Key]) -> DicomJson:
    """What those keys name, as one instance of a study or series has it that meets the whole query; nothing where none
    does alone."""
    uids = [Match("0020000D", (entry.study_uid,)), *([Match("0020000E", (entry.series_uid,))] * bool(entry.series_uid))]
    for body in index.metadata(Query(Level.INSTANCE, (*query.matches, *uids), limit=1)):
        metadata: DicomJson = json.loads(gzip.decompress(body))
        return dict(named(metadata, keys))
    return {}


def named(attributes: Mapping[str, Any], keys: Sequence[Key]) -> Iterator[tuple[str, Any]]:
    """The attributes that keys name, private ones with their creators."""
    for key in keys:
        tag = _place(attributes, key)
        if tag in attributes:
            yield tag, attributes[tag]
            if key.creator:
                yield creator_of(tag), attributes[creator_of(tag)]


def with_matching_items(result: DicomJson, keys: Sequence[Within]) -> DicomJson:
    """The result with no more of the sequences that are keys than matches and was asked for."""
    narrowed = dict(result)
    for key in keys:
        tag = _place(result, key)
        if tag in result:
            narrowed[tag] = _narrowed(result[tag], key)
    return narrowed


def _place(attributes: Mapping[str, Any], key: Key) -> str:
    return private_tag(attributes, key.tag, key.creator) if key.creator else key.tag


def _narrowed(element: dict[str, Any], key: Within) -> dict[str, Any]:
    items = [item for item in element.get("Value") or () if _matches(item, key)]
    kept = [
        {tag: item[tag] for tag in _OF_ITEMS.get(key.tag, ()) if tag in item} | dict(named(item, key.terms))
        for item in items
    ]
    inner = [one for one in key.terms if isinstance(one, Within)]
    return {**element, "Value": [dict(sorted(with_matching_items(item, inner).items())) for item in kept]}


def _matches(item: Mapping[str, Any], key: Within) -> bool:
    stored = json.dumps(item)
    return all(holds(stored, key_of(one)) for one in key.terms if not is_open(one))
