"""Writes the Native DICOM Model (PS3.19 A.1) from DICOM JSON, and gives it as multipart/related, one part to a dataset
(PS3.18 8.7.3.3): what a client gets that asks for `application/dicom+xml`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from flask import Response
from pydicom.datadict import keyword_for_tag
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.entries import DicomJson

from .accept import JSON, MULTIPART, MediaRange, Offer, Packing, choose
from .answers import accepted, multipart_body
from .multipart import Part

XML_TYPE = "application/dicom+xml"

_OFFERS = (
    JSON,
    # The transfer syntax of XML is that of the bytes in its InlineBinary (PS3.18 8.7.3.5).
    Offer(XML_TYPE, Packing.MULTIPART, answers=frozenset({"", "*", str(ExplicitVRLittleEndian)})),
)
_OFFERS_OF_ONE = (*_OFFERS, replace(_OFFERS[-1], packing=Packing.SINGLE))
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def wants_xml() -> bool:
    """Whether the client prefers XML to JSON. Raises NotAcceptable where it takes neither; multipart/related has to
    name the type of its parts here."""
    return choose(_ranges(), _OFFERS).media_type == XML_TYPE


def wants_xml_alone() -> bool:
    """Whether the client prefers one data set as XML without multipart around it. Raises NotAcceptable."""
    chosen = choose(_ranges(), _OFFERS_OF_ONE)
    return chosen.media_type == XML_TYPE and chosen.packing is Packing.SINGLE


def _ranges() -> Sequence[MediaRange]:
    return [one for one in accepted() if one.media_type != MULTIPART or "type" in one.parameters]


def xml_alone(item: bytes) -> Response:
    """An already encoded DICOM JSON object as XML."""
    response = Response(native_xml(json.loads(item)), content_type=XML_TYPE)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Accept"
    return response


def xml_parts(items: Iterable[bytes], *, status: int = 200) -> Response:
    """Already encoded DICOM JSON objects as XML, each a part."""
    response = multipart_body(map(_part, items), XML_TYPE, status=status)
    response.headers["Cache-Control"] = "no-cache"
    return response


def _part(item: bytes) -> Part:
    document = native_xml(json.loads(item)).encode()
    return Part(XML_TYPE, "", partial(_whole, document), len(document))


def native_xml(ds: DicomJson) -> str:
    """A dataset in DICOM JSON as an XML document."""
    attributes = "".join(_attributes(ds))
    return f'{_HEAD}<NativeDicomModel xmlns="{_NAMESPACE}" xml:space="preserve">{attributes}</NativeDicomModel>'


def _attributes(ds: Mapping[str, Any]) -> Iterator[str]:
    for tag in sorted(ds):
        described = ds[tag]
        names = {"tag": tag, "vr": described["vr"], "keyword": keyword_for_tag(tag)}
        if int(tag[:4], 16) % 2 and tag[4:6] != "00":
            creator = str(ds.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value", [""])[0] or "")
            # The creator says whose it is, so that the block is left out, as DCMTK does.
            names |= {"tag": f"{tag[:4]}00{tag[6:]}" if creator else tag, "privateCreator": creator}
        written = "".join(f" {name}={_quoted(value)}" for name, value in names.items() if value)
        yield f"<DicomAttribute{written}>{''.join(_values(described))}</DicomAttribute>"


def _values(described: Mapping[str, Any]) -> Iterator[str]:
    if "BulkDataURI" in described:
        yield f"<BulkData uri={_quoted(described['BulkDataURI'])}/>"
    elif "InlineBinary" in described:
        yield f"<InlineBinary>{described['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(described.get("Value", ()), 1):
        if described["vr"] == "SQ":
            yield f'<Item number="{number}">{"".join(_attributes(value or {}))}</Item>'
        elif described["vr"] == "PN":
            yield f'<PersonName number="{number}">{"".join(_groups(value or {}))}</PersonName>'
        else:
            yield f'<Value number="{number}">{_escaped("" if value is None else str(value))}</Value>'


def _groups(name: Mapping[str, str]) -> Iterator[str]:
    """The representations of a name, each with its components (PS3.5 6.2.1)."""
    for group in ("Alphabetic", "Ideographic", "Phonetic"):
        if group in name:
            parts = zip(_NAME_PARTS, name[group].split("^"), strict=False)
            yield f"<{group}>{''.join(f'<{part}>{_escaped(text)}</{part}>' for part, text in parts if text)}</{group}>"


def _whole(document: bytes) -> Iterator[bytes]:
    yield document


def _escaped(text: str) -> str:
    # A carriage return that stands as itself would be read as a line feed (XML 1.0, 2.11).
    return escape(_NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})


def _quoted(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text))
