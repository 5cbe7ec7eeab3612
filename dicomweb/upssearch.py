"""Searches for workitems (PS3.18 11.9), by every key that QIDO-RS has."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from flask import Response

from lethe.storage.entries import DicomJson
from lethe.storage.steprules import SOP_INSTANCE, STATE

from . import searchkeys
from .answers import Service, nothing, warned
from .nativexml import wants_xml
from .stepanswers import given

MOST = 1000
"""How many workitems one answer has at most (PS3.18 8.3.4.4)."""

# What a search returns (PS3.4 Table CC.2.5-3): return key types 1 and 2, and 1C where there is a value.
_RETURNED = (
    *("00080016", SOP_INSTANCE, "00741200", "00741204", "00741202", "00741210", "00404025", "00404026", "00404027"),
    *("00404034", "00404005", "00404018", "00404041", "00404021", "0020000D", "00100010", "00100020", "00101002"),
    *("00100030", "00100040", "00380010", "00380014", "00081080", "00081084", "0040A370", STATE, "00741002"),
)
_RETURNED_IF_KNOWN = ("00080005", "00080201", "00100021", "00100024")


def search(service: Service) -> Response:
    """Search for workitems."""
    as_xml = wants_xml()
    terms = searchkeys.matches()
    wanted, everything = searchkeys.fields_asked()
    page = searchkeys.page_asked(MOST)
    found = service.archive.workitems.find(terms)
    results = [item.attributes for item in islice(found, page.offset, page.offset + page.limit)] if page.limit else []
    warnings = page.warnings(len(results), lambda: sum(1 for _ in found))
    tags = {*_RETURNED, *wanted, *(term.tag for term in terms)}
    if results:
        response = given(service, (_result(one, tags, everything=everything) for one in results), as_xml=as_xml)
    else:
        response = nothing(204)
    return warned(service, response, warnings)


def _result(attributes: DicomJson, tags: Iterable[str], *, everything: bool) -> DicomJson:
    if everything:
        return attributes
    known = {tag: attributes[tag] for tag in tags if tag in attributes}
    return known | {tag: attributes[tag] for tag in _RETURNED_IF_KNOWN if attributes.get(tag, {}).get("Value")}
