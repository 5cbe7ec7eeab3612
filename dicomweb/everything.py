"""Retrieves all bulk data, or all pixel data, of a study, a series or an instance (WADO-RS, PS3.18 10.4.1.1.5 and
10.4.1.1.7).

Every value is a part that names the URI by which it could be had alone; pixel data that are compressed, or wanted so,
are given by frame, in every form that single frames can be had in, a video as its stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from typing import BinaryIO

from flask import Response
from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.entries import DicomJson
from lethe.storage.errors import NotFound
from lethe.storage.holdings import Held

from . import codecs, documents, frames, pixels, streams
from .accept import MediaRange, NotAcceptable, Offer, Packing, best_possible, choose
from .answers import Service, accepted, multipart_body
from .dicomjson import PIXEL_TAGS
from .etags import tag_for, tagged, unchanged
from .locate import Place, chunks, locate, readable
from .multipart import Part

_OCTETS = "application/octet-stream"
_NATIVE = str(ExplicitVRLittleEndian)
_PLAIN = (Offer(_OCTETS, Packing.MULTIPART, _NATIVE, frozenset({"", "*", _NATIVE})),)
_PIXELS = [[int(tag, 16)] for tag in PIXEL_TAGS]


def bulkdata(service: Service, study: str, series: str = "", instance: str = "") -> Response:
    """All values that metadata give by a BulkDataURI."""
    uids = [uid for uid in (study, series, instance) if uid]
    return _answer(service, uids, _held(service, *uids), lambda metadata: list(_paths(metadata, [])))


def pixeldata(service: Service, study: str, series: str = "", instance: str = "") -> Response:
    """All pixel data; the stream of a single video can be had without multipart."""
    uids = [uid for uid in (study, series, instance) if uid]
    held = _held(service, *uids)
    if instance and pixels.is_video(held[0].transfer_syntax):
        url = f"{service.instance_url(study, series, instance)}/bulkdata/{PIXEL_TAGS[0]}"
        return streams.answer(service, held[0], url)
    return _answer(service, uids, held, lambda metadata: [path for path in _paths(metadata, []) if path in _PIXELS])


def _held(service: Service, *uids: str) -> list[Held]:
    holdings = service.archive.holdings
    return [holdings.one(*uids)] if len(uids) == 3 else holdings.below(*uids)


def _answer(
    service: Service, uids: Sequence[str], held: Sequence[Held], wanted: Callable[[DicomJson], list[list[int]]]
) -> Response:
    ranges, version = accepted(), service.archive.index.version_of(*uids)
    chosen = [_Chosen(one, _forms(service, one, wanted(service.metadata_of(one)), ranges)) for one in held]
    given = [[(path, offer.media_type, offer.transfer_syntax) for path, offer in one.forms] for one in chosen]
    tag = tag_for(uids, version, given, service.base(), ranges)
    if known := unchanged(tag):
        return known
    parts = chain.from_iterable(_parts(service, one, ranges) for one in chosen if one.forms)
    first = next(parts, None)
    if first is None:
        choose(ranges, _PLAIN)
        raise NotFound("there is none")
    return tagged(multipart_body(chain([first], parts), first.content_type.partition(";")[0]), tag)


@dataclass(frozen=True)
class _Chosen:
    """An instance, and in what form each of its values is given."""

    held: Held
    forms: list[tuple[list[int], Offer]]


def _forms(
    service: Service, held: Held, paths: list[list[int]], ranges: Sequence[MediaRange]
) -> list[tuple[list[int], Offer]]:
    """Raises NotAcceptable where one of the values cannot be had as is wanted."""

    def possible(offer: Offer) -> Offer:
        frames.refuse_impossible(service, held, offer.transfer_syntax)
        return offer

    return [(path, best_possible(ranges, _offers(service, held, path), possible)) for path in paths]


def _offers(service: Service, held: Held, path: list[int]) -> Sequence[Offer]:
    stored = held.transfer_syntax
    if path == [documents.DOCUMENT] and (media_type := documents.media_type_of(held)):
        return *_PLAIN, Offer(media_type, Packing.MULTIPART)
    if path not in _PIXELS:
        return _PLAIN
    if not pixels.is_encapsulated(stored):
        return _offers_of_native(stored)
    if pixels.is_video(stored):
        return streams.stream_of(service, held).offers(Packing.MULTIPART)
    return _offers_of_compressed(stored)


@lru_cache(maxsize=16)
def _offers_of_native(stored: str) -> tuple[Offer, ...]:
    """The whole, or its frames in a compressed form."""
    return *_PLAIN, *frames.made(stored, Packing.MULTIPART)


@lru_cache(maxsize=256)
def _offers_of_compressed(stored: str) -> tuple[Offer, ...]:
    """As its frames; where there is no decoder as stored by default."""
    possible = list(frames.offers(stored, single=False))
    if not codecs.can_decode(stored):
        possible.append(Offer(_OCTETS, Packing.MULTIPART, stored, frozenset({""})))
    return tuple(possible)


def _parts(service: Service, chosen: _Chosen, ranges: Sequence[MediaRange]) -> Iterator[Part]:
    held = chosen.held
    url = service.instance_url(held.study_uid, held.series_uid, held.sop_uid)
    with readable(service.archive.files.open("clean", held.file), held.transfer_syntax) as file:
        for path, offer in chosen.forms:
            name = "/".join(f"{number:08X}" if at % 2 == 0 else str(number) for at, number in enumerate(path))
            location = f"{url}/bulkdata/{name}"
            place = locate(file, held.transfer_syntax, path)
            if place.length is not None and offer.transfer_syntax not in codecs.ENCODED:
                yield _plain(service, held, file, place, offer, location)
            elif pixels.is_video(held.transfer_syntax):
                yield streams.stream_of(service, held).part(service, offer.media_type, location)
            else:
                yield from _frames(service, frames.Found(held, service.layout_of(held, file), file), offer, ranges)


def _plain(service: Service, held: Held, file: BinaryIO, place: Place, offer: Offer, location: str) -> Part:
    length = place.length or 0
    if not offer.transfer_syntax:
        length, said = documents.length_of(service, held, length), offer.media_type
    else:
        said = f"{_OCTETS}; transfer-syntax={_NATIVE}"
    return Part(said, location, partial(chunks, file, place.offset, 0, length, word=place.word), length)


def _frames(service: Service, found: frames.Found, offer: Offer, ranges: Sequence[MediaRange]) -> Iterator[Part]:
    for number in range(1, found.layout.shape.frames + 1):
        try:
            yield from frames.parts(service, found, [number], offer)
        except NotAcceptable as error:  # one frame is broken; the others of a study can be had all the same
            try:
                as_it_is = frames.as_stored(ranges, found.held.transfer_syntax, single=False)
            except NotAcceptable:
                raise error from None
            yield from frames.parts(service, found, [number], as_it_is)


def _paths(attributes: DicomJson, above: list[int]) -> Iterator[list[int]]:
    """Where each value with a BulkDataURI is: tag, item number, tag, and so on."""
    for tag, element in attributes.items():
        if "BulkDataURI" in element:
            yield [*above, int(tag, 16)]
        for number, item in enumerate(element.get("Value", ()) if element.get("vr") == "SQ" else ()):
            yield from _paths(item, [*above, int(tag, 16), number])
