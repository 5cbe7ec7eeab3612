"""Answers C-GET (PS3.4 C.4.3): stores clean instances over the association that asks for them, in the presentation
contexts for which the one who asks has taken the role of an SCP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path

from pynetdicom.dimse_primitives import C_GET
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelGet,
)

from lethe.storage.archive import Archive
from lethe.storage.entries import Entry
from lethe.storage.errors import Unavailable
from lethe.storage.query import Level

from ..choices import Ability, Queries
from .contexts import VERIFICATION_SYNTAXES
from .fitting import fitted
from .giving import give
from .handover import Tally, handed_over, retrieval
from .moving import relational
from .records import put_on_record
from .replies import Asked, Reply
from .services import Service
from .wanted import PATIENT_ROOT, STUDY_ROOT

_MODELS: Mapping[str, Mapping[str, Level]] = {
    str(PatientRootQueryRetrieveInformationModelGet): PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelGet): STUDY_ROOT,
}


def get_service(archive: Archive, queries: Queries = Queries.RELATIONAL) -> Service:
    """The SOP Classes by which a peer gets clean objects over its own association."""
    return Service(
        tuple(_MODELS),
        tuple(VERIFICATION_SYNTAXES),
        Ability.GET,
        answers={C_GET: partial(_get, archive, queries)},
        extended=relational,
    )


def _get(archive: Archive, queries: Queries, asked: Asked) -> Iterator[Reply]:
    level, query = retrieval(asked, _MODELS[asked.sop_class], queries)
    tally = Tally(archive.index.count(query))
    try:
        yield from handed_over(archive, asked, query, tally, partial(_give, archive, asked, count(1)))
    finally:
        put_on_record(archive, asked.origin, "got", {"level": level.name, **tally.summary()})


def _give(archive: Archive, asked: Asked, numbers: Iterator[int], entry: Entry) -> int:
    contexts = {
        str(context.transfer_syntax[0]): int(context.context_id or 0)
        for context in asked.association.accepted_contexts
        if context.abstract_syntax == entry.sop_class and context.as_scu
    }
    path, stored = archive.whole_clean(entry.sop_uid), (entry.sop_class, entry.transfer_syntax)
    with fitted(path, stored, set(contexts), folder=archive.files.incoming(), whom="who asks") as (form, syntax):
        return _stored(asked, form, contexts[syntax], next(numbers))


def _stored(asked: Asked, path: Path, context_id: int, number: int) -> int:
    try:
        status, _ = give(asked.association, path, context_id, number)
    except (RuntimeError, OSError, ValueError) as error:
        raise Unavailable(f"the association broke ({type(error).__name__})") from error
    if status is None:
        raise Unavailable("no answer, or the association broke")
    return status
