"""Asks a peer by C-FIND how many instances a study has."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND  # type: ignore[attr-defined]

from lethe.storage.errors import Unavailable

from ..config import Peer
from .calling import associate, refusal_of, unbroken
from .credentials import Credentials, secure_for

_PENDING = (0xFF00, 0xFF01)
_MOST_ANSWERS = 10_000


def instances_of_study(peer: Peer, ae_title: str, study_uid: str, credentials: Credentials | None = None) -> int | None:
    """How many instances of a study the peer says it has; None where it does not say. Raises Unavailable."""
    ae = AE(ae_title)
    ae.acse_timeout, ae.dimse_timeout, ae.network_timeout, ae.connection_timeout = 10, 30, 30, 10
    try:
        address, contexts = (peer.host, peer.port), [build_context(FIND)]
        association = associate(
            ae, address, ae_title=peer.ae_title, contexts=contexts, secure=secure_for(peer, credentials)
        )
    except OSError as error:
        raise Unavailable(f"{peer.name} has no address") from error
    if not association.is_established:
        if association.rejected_contexts:
            raise Unavailable(f"{peer.name} takes no queries")
        raise Unavailable(f"{peer.name} {refusal_of(association)}")
    try:
        with unbroken(peer):
            return _of_the_study(association, study_uid) or _of_its_series(association, study_uid)
    finally:
        association.release()


def _of_the_study(association: Association, study_uid: str) -> int | None:
    asked = _asked("STUDY", StudyInstanceUID=study_uid, NumberOfStudyRelatedInstances=None)
    counts = [
        _whole(answer.get("NumberOfStudyRelatedInstances"))
        for answer in _answers(association, asked)
        if answer.get("StudyInstanceUID") == study_uid
    ]
    return counts[0] if len(counts) == 1 else None


def _of_its_series(association: Association, study_uid: str) -> int | None:
    """The sum over its series, for those who count no further up."""
    asked = _asked("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID=None, NumberOfSeriesRelatedInstances=None)
    counts = [_whole(answer.get("NumberOfSeriesRelatedInstances")) for answer in _answers(association, asked)]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _asked(level: str, **keys: object) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _answers(association: Association, asked: Dataset) -> Iterator[Dataset]:
    """What matches, if the peer says that it answered to the end. Raises Unavailable."""
    found: list[Dataset] = []
    status = None
    for response, identifier in association.send_c_find(asked, FIND):
        status = response.get("Status")
        if status in _PENDING and (identifier is None or len(found) >= _MOST_ANSWERS):
            association.abort()
            raise Unavailable("an answer to a query cannot be read, or there are too many")
        if status in _PENDING and identifier is not None:
            found.append(identifier)
    if status != 0x0000:
        raise Unavailable("a query was not answered to its end")
    return iter(found)


def _whole(value: object) -> int | None:
    text = str(value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
