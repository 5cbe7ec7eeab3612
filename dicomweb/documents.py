"""Gives what is no image in a form that a browser shows: an encapsulated PDF or CDA as it is, a structured report as
HTML, a video whose stream a browser plays (PS3.18 8.7.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from flask import Response
from pydicom import dcmread
from pydicom.dataset import Dataset

from lethe.storage.entries import first_text
from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import pixels, streams
from .accept import MediaRange, NotAcceptable, Offer, Packing, choose
from .answers import Service, stretch
from .etags import Tag, tagged, unchanged
from .locate import locate, readable
from .multipart import Part

_ENCAPSULATED = {"1.2.840.10008.5.1.4.1.1.104.1": "application/pdf", "1.2.840.10008.5.1.4.1.1.104.2": "text/xml"}
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
DOCUMENT = 0x00420011
_DEEPEST = 64
_DATES = {"DATETIME": "DateTime", "DATE": "Date", "TIME": "Time", "UIDREF": "UID", "PNAME": "PersonName"}


def document(service: Service, held: Held, ranges: Sequence[MediaRange]) -> Response | None:
    """The instance as a document; None where it is an image. Raises NotAcceptable where that form is not wanted."""
    if media_type := media_type_of(held):
        return _encapsulated(service, held, media_type, ranges)
    if held.sop_class.startswith(_REPORTS):
        return _report(service, held, ranges)
    return _video(service, held, ranges) if pixels.is_video(held.transfer_syntax) else None


def first_document(service: Service, held: Iterable[Held], ranges: Sequence[MediaRange]) -> Response:
    """The first of the instances that is a document and can be had in a form that is wanted. Raises NotFound where none
    is a document, NotAcceptable where none can be had so."""
    refused: NotAcceptable | None = None
    for one in held:
        try:
            if found := document(service, one, ranges):
                return found
        except NotAcceptable as error:
            refused = refused or error
    raise refused or NotFound("it has no image, and no document")


def _encapsulated(service: Service, held: Held, media_type: str, ranges: Sequence[MediaRange]) -> Response:
    choose(ranges, [Offer(media_type)])
    file = readable(service.archive.files.open("clean", held.file), held.transfer_syntax)
    try:
        place = locate(file, held.transfer_syntax, [DOCUMENT])
        length = length_of(service, held, place.length or 0)
    except BaseException:
        file.close()
        raise
    part = Part(media_type, _url(service, held), list, length)
    tag = Tag(f"{held.file}-document", exact=True)
    return stretch(file, place.offset, length, part, packing=Packing.SINGLE, tag=tag)


def media_type_of(held: Held) -> str:
    """That of the document which is encapsulated in the instance; empty where none is."""
    return _ENCAPSULATED.get(held.sop_class, "")


def length_of(service: Service, held: Held, stored: int) -> int:
    """How long an encapsulated document is, whose value may be padded by a byte."""
    said = first_text(service.metadata_of(held), "00420015")
    return min(int(said), stored) if said.isdigit() else stored


def _report(service: Service, held: Held, ranges: Sequence[MediaRange]) -> Response:
    choose(ranges, [Offer("text/html")])
    if known := unchanged(tag := Tag(f"{held.file}-html")):
        return known
    with readable(service.archive.files.open("clean", held.file), held.transfer_syntax) as file:
        text = html(dcmread(file))
    return tagged(Response(text, content_type="text/html; charset=utf-8", headers={"Vary": "Accept"}), tag)


def _video(service: Service, held: Held, ranges: Sequence[MediaRange]) -> Response:
    """The stream as it is stored, where that is an MP4 file."""
    choose(ranges, [Offer(streams.MP4)])
    return streams.film(service, held, _url(service, held))


def _url(service: Service, held: Held) -> str:
    return f"{service.instance_url(held.study_uid, held.series_uid, held.sop_uid)}/rendered"


def html(ds: Dataset) -> str:
    """A structured report as a page: its content tree, every text of it escaped (PS3.3 C.17.3)."""
    title = _meaning(ds.get("ConceptNameCodeSequence")) or "Structured report"
    facts = [f"<li>{escape(name)}: {escape(str(ds.get(keyword)))}</li>" for name, keyword in _FACTS if ds.get(keyword)]
    body = "".join(_item(item, 1) for item in ds.get("ContentSequence") or ())
    if not body and not ds.get("ValueType"):
        raise NotFound("the report has no content")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f"<body><h1>{escape(title)}</h1><ul>{''.join(facts)}</ul><ul>{body}</ul></body></html>\n"
    )


_FACTS = (("Completion", "CompletionFlag"), ("Verification", "VerificationFlag"), ("Date", "ContentDate"))


def _item(item: Dataset, depth: int) -> str:
    if depth > _DEEPEST:
        return "<li>…</li>"
    name, value = _meaning(item.get("ConceptNameCodeSequence")), _value(item)
    relation = str(item.get("RelationshipType", "")).lower()
    own = f"<b>{escape(name or relation or 'item')}</b>" + (f": {escape(value)}" if value else "")
    nested = "".join(_item(inner, depth + 1) for inner in item.get("ContentSequence") or ())
    return f"<li>{own}{f'<ul>{nested}</ul>' if nested else ''}</li>"


def _value(item: Dataset) -> str:
    kind = str(item.get("ValueType", ""))
    if kind == "TEXT":
        return str(item.get("TextValue", ""))
    if kind == "CODE":
        return _meaning(item.get("ConceptCodeSequence"))
    if kind == "NUM":
        measured = item.get("MeasuredValueSequence") or ()
        return "; ".join(
            f"{one.get('NumericValue', '')} {_meaning(one.get('MeasurementUnitsCodeSequence'))}" for one in measured
        )
    if kind in _DATES:
        return str(item.get(_DATES[kind], ""))
    if kind in ("SCOORD", "SCOORD3D"):
        return f"{item.get('GraphicType', '')} {_listed(item.get('GraphicData'))}"
    references = item.get("ReferencedSOPSequence") or ()
    return "; ".join(f"{kind.lower()} {one.get('ReferencedSOPInstanceUID', '')}" for one in references)


def _meaning(sequence: Any) -> str:
    for code in sequence or ():
        return str(code.get("CodeMeaning") or code.get("CodeValue") or "")
    return ""


def _listed(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else ""
