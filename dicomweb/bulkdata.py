"""Retrieves bulk data by the BulkDataURI metadata names it by (WADO-RS, PS3.18 10.4.1.1.5), whole or a range of it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import documents, frames, pixels, streams
from .accept import Offer, Packing, choose
from .answers import Service, accepted, stretch
from .dicomjson import PIXEL_TAGS
from .etags import tag_of, unchanged
from .locate import locate, readable
from .multipart import Part

_OCTETS = "application/octet-stream"
_NATIVE = str(ExplicitVRLittleEndian)
_PIXELS = [[int(tag, 16)] for tag in PIXEL_TAGS]
_PACKINGS = (Packing.MULTIPART, Packing.SINGLE)
_OFFERS = tuple(Offer(_OCTETS, packing, _NATIVE, frozenset({"", "*", _NATIVE})) for packing in _PACKINGS)


def bulkdata(service: Service, study: str, series: str, instance: str, path: str) -> Response:
    """One value, little endian; pixel data that is compressed, or wanted so, as its frames, one part each, a video as
    its stream, and an encapsulated document also as what it is."""
    tags = _parse(path)
    held = service.archive.holdings.one(study, series, instance)
    url = f"{service.instance_url(study, series, instance)}/bulkdata/{path}"
    file = readable(service.archive.files.open("clean", held.file), held.transfer_syntax)
    try:
        place = locate(file, held.transfer_syntax, tags)
        if place.length is None:
            file.close()
            return _compressed(service, held, tags, url)
        kind = documents.media_type_of(held) if tags == [documents.DOCUMENT] else ""
        own = tuple(Offer(kind, packing) for packing in _PACKINGS if kind)
        made = frames.made(held.transfer_syntax, Packing.MULTIPART) if tags in _PIXELS else ()
        offer = choose(accepted(), (*_OFFERS, *own, *made))
        if offer in made:
            file.close()
            return _compressed(service, held, tags, url)
        length = documents.length_of(service, held, place.length) if offer in own else place.length
    except BaseException:
        file.close()
        raise
    tag = tag_of(f"{held.file}-{path}-{offer.media_type}", offer.packing)
    if known := unchanged(tag):
        file.close()
        return known
    part = Part(offer.media_type, url, list, length)
    return stretch(file, place.offset, length, part, word=place.word, packing=offer.packing, tag=tag)


def _compressed(service: Service, held: Held, tags: Sequence[int], url: str) -> Response:
    if len(tags) > 1:
        raise NotFound("compressed pixel data within a sequence cannot be had alone")
    if pixels.is_video(held.transfer_syntax):
        return streams.answer(service, held, url)
    return frames.answer(service, held, lambda shape: range(1, shape.frames + 1))


def _parse(path: str) -> Sequence[int]:
    """Tags and item numbers in turn, as `dicomjson` writes them. Raises NotFound."""
    parts = path.split("/")
    try:
        numbers = [int(part, 10 if place % 2 else 16) for place, part in enumerate(parts)]
    except ValueError:
        numbers = []
    if len(numbers) % 2 == 0 or any(len(part) != 8 for part in parts[::2]) or min(numbers) < 0:
        raise NotFound("there is no such element")
    return numbers
