"""Retrieves studies, series and instances (WADO-RS, PS3.18 10.4.1.1.1), as stored or in another transfer syntax.

Where none is asked for, Explicit VR Little Endian is given (8.7.3.4.2): what is compressed is decompressed, also where
it was so with loss. What has no decoder here, video for example, is then given as stored. `transfer-syntax=*` gives the
very bytes that were verified as clean.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

from flask import Response

from lethe.storage.holdings import Held

from . import archived, frames, transcoding
from .accept import MediaRange, NotAcceptable, Offer, Packing, best_possible
from .answers import Service, accepted, multipart_body, single_body, streamed, stretch
from .etags import Tag, tag_for, tag_of, tagged, unchanged
from .locate import CHUNK, readable
from .multipart import Part
from .transcoding import NATIVE, Recoded

_DICOM, _ZIP = "application/dicom", "application/zip"
_NOT_IN_WEB = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
"""Implicit VR Little Endian and Explicit VR Big Endian are for `transfer-syntax=*` alone."""


def study(service: Service, study: str) -> Response:
    """All instances of a study."""
    return _many(service, study)


def series(service: Service, study: str, series: str) -> Response:
    """All instances of a series."""
    return _many(service, study, series)


def instance(service: Service, study: str, series: str, instance: str) -> Response:
    """One instance; with `Accept: application/dicom` without multipart around it."""
    return given(service, service.archive.holdings.one(study, series, instance), accepted())


def given(service: Service, held: Held, ranges: Sequence[MediaRange]) -> Response:
    """An instance in the form that is liked best, of those it can be had in."""
    possible = _offers(held.transfer_syntax, multipart_alone=False)
    return best_possible(ranges, possible, lambda offer: _in_form(service, held, offer))


def _in_form(service: Service, held: Held, offer: Offer) -> Response:
    if offer.media_type == _ZIP:
        return _zipped(service, [held], Tag(f"{held.file}-zip"))
    if offer.transfer_syntax != held.transfer_syntax:
        try:
            return _recoded(service, held, offer)
        except NotAcceptable:
            if "" not in offer.answers:
                raise
    return _as_stored(service, held, offer.packing)


def _for_each(service: Service, held: Sequence[Held], ranges: Sequence[MediaRange]) -> list[tuple[Held, Offer]]:
    """Each instance and what the client gets of it. Raises NotAcceptable where one cannot be had as is wanted."""

    def possible(one: Held, offer: Offer) -> Offer:
        frames.refuse_impossible(service, one, offer.transfer_syntax)
        return offer

    return [
        (one, best_possible(ranges, _offers(one.transfer_syntax, multipart_alone=True), partial(possible, one)))
        for one in held
    ]


def _many(service: Service, *uids: str) -> Response:
    held = service.archive.holdings.below(*uids)
    chosen = _for_each(service, held, accepted())
    version = service.archive.index.version_of(*uids)
    as_zip = any(offer.media_type == _ZIP for _, offer in chosen)
    forms = [_ZIP] if as_zip else [offer.transfer_syntax for _, offer in chosen]
    tag = tag_for(uids, version, forms)
    if known := unchanged(tag):
        return known
    if as_zip:
        return _zipped(service, held, tag)
    if all(one.transfer_syntax == offer.transfer_syntax for one, offer in chosen):
        parts: Sequence[Part] | Iterator[Part] = [_part(service, one) for one in held]
    else:
        parts = _parts(service, chosen)
    return tagged(multipart_body(parts, _DICOM), tag)


def _parts(service: Service, chosen: Sequence[tuple[Held, Offer]]) -> Iterator[Part]:
    for held, offer in chosen:
        if offer.transfer_syntax == held.transfer_syntax:
            yield _part(service, held)
            continue
        with readable(service.archive.files.open("clean", held.file), held.transfer_syntax) as file:
            try:
                made = transcoding.recoded(file, held.transfer_syntax, offer.transfer_syntax)
            except NotAcceptable:
                if "" not in offer.answers:
                    raise
                yield _part(service, held)
                continue
            yield _made(service, held, offer, made)


def _recoded(service: Service, held: Held, offer: Offer) -> Response:
    tag = Tag(f"{held.file}-{offer.transfer_syntax}-{offer.packing}")
    if known := unchanged(tag):
        return known
    file = readable(service.archive.files.open("clean", held.file), held.transfer_syntax)
    try:
        made = transcoding.recoded(file, held.transfer_syntax, offer.transfer_syntax)
    except BaseException:
        file.close()
        raise
    part = _made(service, held, offer, made)
    response = single_body(part) if offer.packing is Packing.SINGLE else multipart_body([part], _DICOM)
    response.call_on_close(file.close)
    return tagged(response, tag)


def _made(service: Service, held: Held, offer: Offer, made: Recoded) -> Part:
    return Part(_type(offer.transfer_syntax), _url(service, held), lambda: made.pieces, made.length)


def _as_stored(service: Service, held: Held, packing: Packing) -> Response:
    tag = tag_of(held.file, packing)
    if known := unchanged(tag):
        return known
    part = _part(service, held)
    if packing is Packing.SINGLE:
        file = service.archive.files.open("clean", held.file)
        return stretch(file, 0, held.size, part, packing=Packing.SINGLE, tag=tag)
    return tagged(multipart_body([part], _DICOM), tag)


def _zipped(service: Service, held: Sequence[Held], tag: Tag) -> Response:
    if known := unchanged(tag):
        return known
    members = ((f"{one.study_uid}/{one.series_uid}/{one.sop_uid}.dcm", _pieces(service, one.file)) for one in held)
    response = streamed(archived.zipped(members), _ZIP)
    response.headers["Content-Disposition"] = 'attachment; filename="dicom.zip"'
    return tagged(response, tag)


def asked_for_by(stored: str) -> str:
    """The transfer syntax by which an object is had as it is stored, or as near to that as the web allows."""
    return NATIVE if stored in _NOT_IN_WEB else stored


@lru_cache(maxsize=256)
def _offers(stored: str, *, multipart_alone: bool) -> tuple[Offer, ...]:
    """What can be given of an object in that transfer syntax, the default first."""
    becomes = stored != NATIVE and transcoding.can_recode(stored, NATIVE)
    own = {"*"} | ({stored} if stored not in _NOT_IN_WEB else set()) | (set() if becomes else {""})
    others = [target for target in transcoding.TARGETS if target != stored and transcoding.can_recode(stored, target)]
    offers = []
    for packing in (Packing.MULTIPART,) if multipart_alone else (Packing.MULTIPART, Packing.SINGLE):
        if becomes:
            offers.append(Offer(_DICOM, packing, NATIVE, frozenset({""})))
        offers.append(Offer(_DICOM, packing, stored, frozenset(own)))
        offers += [Offer(_DICOM, packing, target, frozenset({target})) for target in others]
    offers.append(Offer(_ZIP, Packing.SINGLE, stored, frozenset({"", "*"})))
    return tuple(offers)


def _part(service: Service, held: Held) -> Part:
    return Part(_type(held.transfer_syntax), _url(service, held), lambda: _pieces(service, held.file), held.size)


def _type(transfer_syntax: str) -> str:
    return f"{_DICOM}; transfer-syntax={transfer_syntax}"


def _url(service: Service, held: Held) -> str:
    return service.instance_url(held.study_uid, held.series_uid, held.sop_uid)


def _pieces(service: Service, name: str) -> Iterator[bytes]:
    with service.archive.files.open("clean", name) as file:
        left = os.fstat(file.fileno()).st_size
        while left and (data := file.read(min(left, CHUNK))):  # no more than there is, or a larger buffer is made
            left -= len(data)
            yield data
