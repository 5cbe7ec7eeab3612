"""Retrieves bulk data by the BulkDataURI metadata names it by (WADO-RS, PS3.18 10.4.1.1.5), whole or a range of it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import frames
from .accept import Offer, Packing, choose
from .answers import Service, accepted, stretch, tagged, unchanged
from .locate import locate, readable
from .multipart import Part

_NATIVE = str(ExplicitVRLittleEndian)
_OFFERS = tuple(
    Offer("application/octet-stream", packing, _NATIVE, frozenset({"", "*", _NATIVE}))
    for packing in (Packing.MULTIPART, Packing.SINGLE)
)


def bulkdata(service: Service, study: str, series: str, instance: str, path: str) -> Response:
    """One value, little endian; compressed pixel data as its frames, one part each."""
    tags = _parse(path)
    held = service.archive.holdings.one(study, series, instance)
    file = readable(service.archive.files.open("clean", held.file), held.transfer_syntax)
    try:
        place = locate(file, held.transfer_syntax, tags)
        if place.length is None:
            file.close()
            return _frames_of(service, held, tags)
        offer = choose(accepted(), _OFFERS)
    except BaseException:
        file.close()
        raise
    tag = f"{held.file}-{path}"
    if known := unchanged(tag):
        file.close()
        return known
    url = service.instance_url(study, series, instance)
    part = Part("application/octet-stream", f"{url}/bulkdata/{path}", list, place.length)
    answer = stretch(file, place.offset, place.length, part, word=place.word, packing=offer.packing)
    return tagged(answer, tag)


def _frames_of(service: Service, held: Held, tags: Sequence[int]) -> Response:
    if len(tags) > 1:
        raise NotFound("compressed pixel data within a sequence cannot be had alone")
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
