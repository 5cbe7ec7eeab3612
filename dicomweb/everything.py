"""Retrieves all bulk data, or all pixel data, of a study, a series or an instance (WADO-RS, PS3.18 10.4.1.1.5 and
10.4.1.1.7).

Every value is a part that names the URI by which it could be had alone; compressed pixel data are given by frame,
native unless `transfer-syntax=*` asks for them as stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import BinaryIO

from flask import Response
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.entries import DicomJson
from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import codecs, pixels
from .accept import NotAcceptable, Offer, Packing, choose
from .answers import Service, accepted, multipart_body
from .dicomjson import PIXEL_TAGS
from .locate import chunks, locate, readable
from .multipart import Part

_OCTETS = "application/octet-stream"
_NATIVE = str(ExplicitVRLittleEndian)
_OFFERS = (
    Offer(_OCTETS, Packing.MULTIPART, _NATIVE, frozenset({"", _NATIVE})),
    Offer(_OCTETS, Packing.MULTIPART, "", frozenset({"*"})),
)
_PIXELS = [[int(tag, 16)] for tag in PIXEL_TAGS]


def bulkdata(service: Service, study: str, series: str = "", instance: str = "") -> Response:
    """All values that metadata give by a BulkDataURI."""
    return _answer(service, _held(service, study, series, instance), lambda metadata: list(_paths(metadata, [])))


def pixeldata(service: Service, study: str, series: str = "", instance: str = "") -> Response:
    """All pixel data."""
    return _answer(
        service,
        _held(service, study, series, instance),
        lambda metadata: [path for path in _paths(metadata, []) if path in _PIXELS],
    )


def _held(service: Service, study: str, series: str, instance: str) -> list[Held]:
    holdings = service.archive.holdings
    return [holdings.one(study, series, instance)] if instance else holdings.below(study, series)


def _answer(service: Service, held: Sequence[Held], wanted: Callable[[DicomJson], list[list[int]]]) -> Response:
    offer = choose(accepted(), _OFFERS)
    parts = chain.from_iterable(_parts(service, one, wanted, offer.transfer_syntax) for one in held)
    first = next(parts, None)
    if first is None:
        raise NotFound("there is none")
    return multipart_body(chain([first], parts), _OCTETS)


def _parts(service: Service, held: Held, wanted: Callable[[DicomJson], list[list[int]]], syntax: str) -> Iterator[Part]:
    paths = wanted(service.metadata_of(held))
    if not paths:
        return
    url = service.instance_url(held.study_uid, held.series_uid, held.sop_uid)
    with readable(service.archive.files.open("clean", held.file), held.transfer_syntax) as file:
        for path in paths:
            place = locate(file, held.transfer_syntax, path)
            if place.length is None:
                yield from _frames(service, held, file, url, syntax)
                continue
            name = "/".join(f"{number:08X}" if at % 2 == 0 else str(number) for at, number in enumerate(path))
            pieces = partial(chunks, file, place.offset, 0, place.length, word=place.word)
            yield Part(f"{_OCTETS}; transfer-syntax={_NATIVE}", f"{url}/bulkdata/{name}", pieces, place.length)


def _frames(service: Service, held: Held, file: BinaryIO, url: str, syntax: str) -> Iterator[Part]:
    stored, layout = held.transfer_syntax, service.layout_of(held, file)
    if pixels.is_video(stored):
        raise NotAcceptable("a video has no single frames; retrieve the instance instead")
    native = syntax == _NATIVE and codecs.can_decode(stored)
    content_type = f"{_OCTETS}; transfer-syntax={_NATIVE if native else stored}"
    for number in range(1, layout.shape.frames + 1):
        data = pixels.decoded_frame(layout, file, number) if native else layout.encoded(file, number)
        yield Part(content_type, f"{url}/frames/{number}", partial(_only, data), len(data))


def _only(data: bytes) -> tuple[bytes]:
    return (data,)


def _paths(attributes: DicomJson, above: list[int]) -> Iterator[list[int]]:
    """Where each value with a BulkDataURI is: tag, item number, tag, and so on."""
    for tag, element in attributes.items():
        if "BulkDataURI" in element:
            yield [*above, int(tag, 16)]
        for number, item in enumerate(element.get("Value", ()) if element.get("vr") == "SQ" else ()):
            yield from _paths(item, [*above, int(tag, 16), number])
