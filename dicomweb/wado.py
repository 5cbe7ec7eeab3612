"""Retrieves the metadata of studies, series and instances (WADO-RS, PS3.18 10.4.1.1.2)."""

from __future__ import annotations

import gzip

from flask import Response

from lethe.storage.query import Level, Match, Query

from .answers import Keep, Service, json_array, json_kept
from .dicomjson import served
from .etags import tag_for, tagged, unchanged
from .nativexml import wants_xml, xml_parts

_UID_TAGS = ("0020000D", "0020000E", "00080018")


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


def _metadata(service: Service, *uids: str) -> Response:
    as_xml = wants_xml()
    version, base = service.archive.index.version_of(*uids), service.base()
    tag = tag_for(uids, version, base, as_xml)
    if known := unchanged(tag, vary="Accept, Accept-Encoding"):
        return known
    keep = Keep(service.ready, (base, uids), version)
    if not as_xml and (ready := json_kept(keep)):
        return tagged(ready, tag)
    bodies = (served(gzip.decompress(body), base) for body in service.archive.index.metadata(below(*uids)))
    return tagged(xml_parts(bodies) if as_xml else json_array(bodies, keep), tag)
