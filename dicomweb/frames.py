"""Retrieves frames (WADO-RS, PS3.18 10.4.1.1.4), as stored or decoded to native little endian.

As stored for `transfer-syntax=*`, its own UID or its own image type, whatever that type's default syntax is; native for
`application/octet-stream` without a transfer syntax and for clients that take anything. `pixels.py` says what decoded
means for colour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import BinaryIO

from flask import Response, request
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.errors import NotFound, Refused
from lethe.storage.holdings import Held

from . import codecs, pixels
from .accept import MediaRange, NotAcceptable, Offer, Packing, best_possible, choose, takes_anything
from .answers import Service, accepted, multipart_body, ranged, single_body
from .etags import Tag, tagged, unchanged
from .locate import cut, readable
from .multipart import Part
from .pixels import Layout
from .shape import Shape, shape_of

_OCTETS = "application/octet-stream"
_NATIVE = str(ExplicitVRLittleEndian)
_DEFAULTS = tuple(f"1.2.840.10008.1.2.{number}" for number in ("4.70", "4.80", "4.90", "4.201", "5"))
"""What a media type without a transfer syntax stands for (PS3.18 Table 8.7.3-5)."""


def frames(service: Service, study: str, series: str, instance: str, numbers: str) -> Response:
    """The frames of that list, in its order."""
    wanted = parse_numbers(numbers)
    held = service.archive.holdings.one(study, series, instance)
    return answer(service, held, lambda shape: within(wanted, shape))


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


def answer(service: Service, held: Held, wanted: Callable[[Shape], Sequence[int]]) -> Response:
    """The wanted frames of an instance in the form the client likes best."""
    if pixels.is_video(held.transfer_syntax):
        raise NotAcceptable("a video has no single frames; retrieve the instance instead")
    file = readable(service.archive.files.open("clean", held.file), held.transfer_syntax)
    try:
        layout = service.layout_of(held, file)
        response = _best(service, Found(held, layout, file), wanted(layout.shape))
    except BaseException:
        file.close()
        raise
    response.call_on_close(file.close)
    return response


@dataclass(frozen=True)
class Found:
    """An instance, where its frames lie, and its open file."""

    held: Held
    layout: Layout
    file: BinaryIO


def _best(service: Service, found: Found, numbers: Sequence[int]) -> Response:
    ranges, stored, single = accepted(), found.held.transfer_syntax, len(numbers) == 1
    try:
        return best_possible(ranges, offers(stored, single=single), lambda one: _given(service, found, numbers, one))
    except NotAcceptable as error:
        try:
            as_it_is = as_stored(ranges, stored, single=single)
        except NotAcceptable:
            raise error from None
        return _given(service, found, numbers, as_it_is)


def as_stored(ranges: Sequence[MediaRange], stored: str, *, single: bool) -> Offer:
    """What is given of a frame that cannot be decoded, to who takes anything. Raises NotAcceptable."""
    return choose([one for one in ranges if takes_anything(one)], _stored(stored, single=single))


def _given(service: Service, found: Found, numbers: Sequence[int], offer: Offer) -> Response:
    tag = Tag(f"{found.held.file}-{offer.media_type}-{offer.transfer_syntax}-{offer.packing}")
    if known := unchanged(tag):
        return known
    shown = parts(service, found, numbers, offer)
    if offer.packing is Packing.MULTIPART:
        return tagged(multipart_body(shown, offer.media_type), tag)
    return _alone(shown[0], tag)


def _alone(part: Part, tag: Tag) -> Response:
    """A frame without packing, or the range of it that is asked for."""
    if request.range is None:
        response = tagged(single_body(part), tag)
        response.headers["Accept-Ranges"] = "bytes"
        return response
    if part.length is None:  # compressed, and made already
        data = b"".join(part.chunks())
        part = replace(part, chunks=lambda: (data,), length=len(data))
    assert part.length is not None
    return ranged(
        part, part.length, lambda start, stop: cut(part.chunks(), start, stop), packing=Packing.SINGLE, tag=tag
    )


def refuse_impossible(service: Service, held: Held, target: str) -> None:
    """Raises NotAcceptable where an image has no place in the compressed transfer syntax that is asked for."""
    if target != held.transfer_syntax and target in codecs.ENCODED:
        try:
            shape = shape_of(service.metadata_of(held))
        except NotFound:  # no image, so nothing to compress
            return
        if not codecs.encodable(shape, target):
            raise NotAcceptable("some of the images cannot be had in that transfer syntax")


@lru_cache(maxsize=256)
def offers(stored: str, *, single: bool) -> tuple[Offer, ...]:
    """What can be given, the default first: native, then as stored under its own type and as anonymous bytes, then
    what it can be made into."""
    possible: list[Offer] = []
    for packing in _packings(single=single):
        if not pixels.is_encapsulated(stored):
            possible.append(Offer(_OCTETS, packing, _NATIVE, frozenset({"", "*", _NATIVE, stored})))
        else:
            possible += _of_compressed(stored, packing)
        if not pixels.is_encapsulated(stored) or codecs.can_decode(stored):
            possible += made(stored, packing)
    return tuple(possible)


def _of_compressed(stored: str, packing: Packing) -> Iterator[Offer]:
    if codecs.can_decode(stored):
        yield Offer(_OCTETS, packing, _NATIVE, frozenset({"", _NATIVE}))
    own_type = pixels.image_type(stored)
    if own_type != _OCTETS:
        yield Offer(own_type, packing, stored, frozenset({"", "*", stored}))
    yield Offer(_OCTETS, packing, stored, frozenset({"*", stored}))


@lru_cache(maxsize=256)
def made(stored: str, packing: Packing) -> tuple[Offer, ...]:
    """Other transfer syntaxes that frames can be made into; a media type without one means its default (PS3.18 Table
    8.7.3-5), which is given only where what is stored has another type."""
    return tuple(_made(stored, packing))


def _made(stored: str, packing: Packing) -> Iterator[Offer]:
    for target in codecs.ENCODED:
        media_type = pixels.image_type(target)
        default = target in _DEFAULTS and media_type != pixels.image_type(stored)
        if target != stored:
            yield Offer(media_type, packing, target, frozenset({target, ""} if default else {target}))
            yield Offer(_OCTETS, packing, target, frozenset({target}))


def _stored(stored: str, *, single: bool) -> list[Offer]:
    """The stored form alone, for a client that has not asked for a transfer syntax."""
    media_type, answers = pixels.image_type(stored), frozenset({"", "*", stored})
    return [Offer(media_type, packing, stored, answers) for packing in _packings(single=single)]


def _packings(*, single: bool) -> Sequence[Packing]:
    return (Packing.MULTIPART, Packing.SINGLE) if single else (Packing.MULTIPART,)


def parts(service: Service, found: Found, numbers: Sequence[int], offer: Offer) -> list[Part]:
    """The frames, a part each. Raises NotAcceptable where the first cannot be had so."""
    held = found.held
    read, length = _reader(found, offer)
    first = tuple(read(numbers[0]))  # what is wrong with the first frame is still an answer, not a broken connection
    base = service.instance_url(held.study_uid, held.series_uid, held.sop_uid)
    content_type = f"{offer.media_type}; transfer-syntax={offer.transfer_syntax}"

    def taking(place: int, number: int) -> Callable[[], Iterable[bytes]]:
        return lambda: read(number) if place else first

    return [
        Part(content_type, f"{base}/frames/{number}", taking(place, number), length)
        for place, number in enumerate(numbers)
    ]


def _reader(found: Found, offer: Offer) -> tuple[Callable[[int], Iterable[bytes]], int | None]:
    """A function that gives the bytes of a frame, and how many they are if that is known beforehand."""
    layout, file, target = found.layout, found.file, offer.transfer_syntax
    shape = layout.shape
    if target in codecs.ENCODED and target != layout.transfer_syntax:
        return _encoder(layout, file, target), None
    if layout.fragments is None:
        return lambda number: layout.native(file, number), layout.native_bytes
    if target == layout.transfer_syntax:
        return lambda number: [layout.encoded(file, number)], None
    return lambda number: [pixels.decoded_frame(layout, file, number)], shape.decoded_bytes


def _encoder(layout: Layout, file: BinaryIO, target: str) -> Callable[[int], Iterable[bytes]]:
    if not codecs.encodable(layout.shape, target):
        raise NotAcceptable("such frames cannot be had in that transfer syntax")
    colours = codecs.decoded_colours(layout.shape)
    if layout.shape.native_bits != layout.shape.decoded_bits:
        colours = "YBR_FULL"
    shape = replace(layout.shape, photometric=colours)
    return lambda number: [codecs.encode(layout.array(file, number), shape, target)]
