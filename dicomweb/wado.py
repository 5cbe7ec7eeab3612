"""Retrieves studies, series, instances and their metadata (WADO-RS, PS3.18 10.4).

Instances are always given as stored, also where no transfer syntax is asked for. PS3.18 8.7.3.5.2 wants Explicit VR
Little Endian then, unless only the stored form is at hand: this edition has no transcoder, and a client that does not
care gets the exact bytes that were verified as clean. Another syntax, asked for by its UID, is 406.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator

from flask import Response

from lethe.storage.entries import Entry
from lethe.storage.errors import NotFound
from lethe.storage.query import Level, Match, Query

from .accept import Offer, Packing, choose
from .answers import (
    Keep,
    Service,
    accepted,
    json_array,
    json_kept,
    multipart_body,
    require_json,
    stretch,
    tagged,
    unchanged,
)
from .dicomjson import served
from .locate import CHUNK
from .multipart import Part

_UID_TAGS = ("0020000D", "0020000E", "00080018")
_DICOM = "application/dicom"


def study(service: Service, study: str) -> Response:
    """All instances of a study, as stored (PS3.18 10.4.1.1.1)."""
    return _instances(service, study)


def series(service: Service, study: str, series: str) -> Response:
    """All instances of a series, as stored (PS3.18 10.4.1.1.1)."""
    return _instances(service, study, series)


def instance(service: Service, study: str, series: str, instance: str) -> Response:
    """One instance, as stored; with `Accept: application/dicom` without multipart around it (PS3.18 10.4.1.1.1)."""
    entry = service.archive.index.one(Level.INSTANCE, study, series, instance)
    offer = choose(accepted(), [_offer(entry, packing) for packing in (Packing.MULTIPART, Packing.SINGLE)])
    if known := unchanged(entry.file):
        return known
    if offer.packing is Packing.MULTIPART:
        return tagged(multipart_body([_part(service, entry)], _DICOM), entry.file)
    file = service.archive.files.open("clean", entry.file)
    part = _part(service, entry)
    return tagged(stretch(file, 0, entry.size, part, packing=Packing.SINGLE), entry.file)


def study_metadata(service: Service, study: str) -> Response:
    """The attributes of all instances of a study (PS3.18 10.4.1.1.2)."""
    return _metadata(service, study)


def series_metadata(service: Service, study: str, series: str) -> Response:
    """The attributes of all instances of a series (PS3.18 10.4.1.1.2)."""
    return _metadata(service, study, series)


def instance_metadata(service: Service, study: str, series: str, instance: str) -> Response:
    """The attributes of one instance (PS3.18 10.4.1.1.2)."""
    return _metadata(service, study, series, instance)


def below(*uids: str) -> Query:
    """All instances of the study, series or instance with these UIDs."""
    matches = tuple(Match(tag, (uid,)) for tag, uid in zip(_UID_TAGS, uids, strict=False))
    return Query(Level.INSTANCE, matches)


def _instances(service: Service, *uids: str) -> Response:
    entries = service.archive.index.find(below(*uids))
    if not entries:
        raise NotFound(f"there is no such {Level(len(uids)).name.lower()}")
    ranges = accepted()
    for syntax in {entry.transfer_syntax: entry for entry in entries}.values():
        choose(ranges, [_offer(syntax, Packing.MULTIPART)])
    return multipart_body([_part(service, entry) for entry in entries], _DICOM)


def _metadata(service: Service, *uids: str) -> Response:
    require_json()
    version, base = service.archive.index.version_of(*uids), service.base()
    tag = hashlib.sha256(repr((uids, version, base)).encode()).hexdigest()[:32]
    if known := unchanged(tag):
        return known

    keep = Keep(service.ready, (base, uids), version)
    if ready := json_kept(keep):
        return tagged(ready, tag)
    bodies = service.archive.index.metadata(below(*uids))
    return tagged(json_array((served(gzip.decompress(body), base) for body in bodies), keep), tag)


def _offer(entry: Entry, packing: Packing) -> Offer:
    answers = frozenset({"", "*", entry.transfer_syntax})
    return Offer(_DICOM, packing, entry.transfer_syntax, answers)


def _part(service: Service, entry: Entry) -> Part:
    url = service.instance_url(entry.study_uid, entry.series_uid, entry.sop_uid)
    content_type = f"{_DICOM}; transfer-syntax={entry.transfer_syntax}"
    return Part(content_type, url, _whole_file(service, entry.file), entry.size)


def _whole_file(service: Service, name: str) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        with service.archive.files.open("clean", name) as file:
            while data := file.read(CHUNK):
                yield data

    return pieces
