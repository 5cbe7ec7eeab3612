"""Retrieves frames (WADO-RS, PS3.18 10.4.1.1.4), as stored or decoded to native little endian.

As stored for `transfer-syntax=*`, its own UID or its own image type, whatever that type's default syntax is; native for
`application/octet-stream` without a transfer syntax and for clients that take anything. `pixels.py` says what decoded
means for colour.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from flask import Response
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.entries import DicomJson, Entry
from lethe.storage.errors import NotFound, Refused
from lethe.storage.query import Level

from . import pixels
from .accept import NotAcceptable, Offer, Packing, choose, takes_anything
from .answers import Service, accepted, multipart_body, single_body, tagged, unchanged
from .locate import locate, readable
from .multipart import Part
from .pixels import Shape
from .wado import below

_OCTETS = "application/octet-stream"
_NATIVE = str(ExplicitVRLittleEndian)


def frames(service: Service, study: str, series: str, instance: str, numbers: str) -> Response:
    """The frames of that list, in its order."""
    wanted = parse_numbers(numbers)
    entry = service.archive.index.one(Level.INSTANCE, study, series, instance)
    return answer(service, entry, lambda shape: within(wanted, shape))


def parse_numbers(text: str) -> list[int]:
    """A list of frame numbers, counted from 1. Raises Refused."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text) or 0 in (numbers := [int(n) for n in text.split(",")]):
        raise Refused("frames are named by numbers from 1 on, separated by commas")
    return numbers


def within(numbers: Sequence[int], shape: Shape) -> Sequence[int]:
    """The same numbers. Raises NotFound where the instance has no such frame."""
    if max(numbers) > shape.frames:
        raise NotFound(f"the instance has {shape.frames} frame{'s' * (shape.frames > 1)}")
    return numbers


def metadata_of(service: Service, entry: Entry) -> DicomJson:
    """The attributes of an instance."""
    query = below(entry.study_uid, entry.series_uid, entry.sop_uid)
    for body in service.archive.index.metadata(query):
        attributes: DicomJson = json.loads(gzip.decompress(body))
        return attributes
    raise NotFound("there is no such instance")


def answer(service: Service, entry: Entry, wanted: Callable[[Shape], Sequence[int]]) -> Response:
    """The wanted frames of an instance in the form the client likes best."""
    shape = pixels.shape_of(metadata_of(service, entry))
    numbers = wanted(shape)
    if pixels.is_video(entry.transfer_syntax):
        raise NotAcceptable("a video has no single frames; retrieve the instance instead")
    ranges = accepted()
    offer = choose(ranges, _offers(entry.transfer_syntax, len(numbers)))
    try:
        return _given(service, entry, shape, numbers, offer)
    except NotAcceptable:
        # It cannot be decoded. Who takes anything takes the frame as it is stored.
        anything = [one for one in ranges if takes_anything(one)]
        return _given(service, entry, shape, numbers, choose(anything, _stored(entry.transfer_syntax, len(numbers))))


def _given(service: Service, entry: Entry, shape: Shape, numbers: Sequence[int], offer: Offer) -> Response:
    tag = f"{entry.file}-{offer.media_type}-{offer.transfer_syntax}"
    if known := unchanged(tag):
        return known
    file = readable(service.archive.files.open("clean", entry.file), entry.transfer_syntax)
    try:
        parts = _parts(service, entry, shape, numbers, offer, file)
    except BaseException:
        file.close()
        raise
    single = offer.packing is Packing.SINGLE
    response = single_body(parts[0]) if single else multipart_body(parts, offer.media_type)
    response.call_on_close(file.close)
    return tagged(response, tag)


def _offers(stored: str, count: int) -> list[Offer]:
    """What can be given, the default first: native, then as stored under its own type, then as anonymous bytes."""
    packings = [Packing.MULTIPART] + [Packing.SINGLE] * (count == 1)
    offers: list[Offer] = []
    for packing in packings:
        if not pixels.is_encapsulated(stored):
            offers.append(Offer(_OCTETS, packing, _NATIVE, frozenset({"", "*", _NATIVE, stored})))
            continue
        if pixels.can_decode(stored):
            offers.append(Offer(_OCTETS, packing, _NATIVE, frozenset({"", _NATIVE})))
        own_type = pixels.image_type(stored)
        if own_type != _OCTETS:
            offers.append(Offer(own_type, packing, stored, frozenset({"", "*", stored})))
        offers.append(Offer(_OCTETS, packing, stored, frozenset({"*", stored})))
    return offers


def _stored(stored: str, count: int) -> list[Offer]:
    """The stored form alone, for a client that has not asked for a transfer syntax."""
    packings = [Packing.MULTIPART] + [Packing.SINGLE] * (count == 1)
    return [Offer(pixels.image_type(stored), packing, stored, frozenset({"", "*", stored})) for packing in packings]


def _parts(
    service: Service, entry: Entry, shape: Shape, numbers: Sequence[int], offer: Offer, file: BinaryIO
) -> list[Part]:
    read, length = _reader(entry, shape, offer, file)
    first = read(numbers[0])  # what is wrong with the first frame is still an answer, not a broken connection
    base = service.instance_url(entry.study_uid, entry.series_uid, entry.sop_uid)
    content_type = f"{offer.media_type}; transfer-syntax={offer.transfer_syntax}"

    def taking(place: int, number: int) -> Callable[[], Iterable[bytes]]:
        return lambda: read(number) if place else first

    return [
        Part(content_type, f"{base}/frames/{number}", taking(place, number), length)
        for place, number in enumerate(numbers)
    ]


def _reader(
    entry: Entry, shape: Shape, offer: Offer, file: BinaryIO
) -> tuple[Callable[[int], Iterable[bytes]], int | None]:
    """A function that gives the bytes of a frame, and how many they are if that is known beforehand."""
    stored = entry.transfer_syntax
    place = locate(file, stored, [shape.tag])
    if place.length is not None:
        return lambda number: pixels.native_frame(file, place, shape, number), pixels.native_frame_bytes(shape)
    if offer.transfer_syntax == stored:
        return lambda number: [pixels.encoded_frame(file, place, shape, number, stored)], None
    return lambda number: [pixels.decoded_frame(file, shape, number)], shape.decoded_bytes
