"""Answers C-MOVE (PS3.4 C.4.2): sends clean instances to a configured peer, over one association."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelMove,
)

from lethe.storage.archive import Archive
from lethe.storage.entries import Entry
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.intake import Origin
from lethe.storage.query import Level

from ..choices import Ability, Queries
from ..config import Peer
from .contexts import VERIFICATION_SYNTAXES
from .credentials import Credentials
from .fitting import MOST_CONTEXTS, Context
from .giving import Mover
from .handover import Tally, handed_over, retrieval
from .heeding import heeding
from .records import put_on_record
from .replies import Asked, Reply
from .scu import Destination
from .services import Service
from .wanted import PATIENT_ROOT, STUDY_ROOT

UNKNOWN_DESTINATION = 0xA801
_MODELS: Mapping[str, Mapping[str, Level]] = {
    str(PatientRootQueryRetrieveInformationModelMove): PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelMove): STUDY_ROOT,
}
_RELATIONAL = b"\1"
_MOST_BREAKS = 2
_MOST_ENCODINGS = MOST_CONTEXTS // 2  # all of which are proposed at once, as stored and without compression
PeersOf = Callable[[Origin], Sequence[Peer]]
"""The peers that a caller may be."""


def move_service(
    archive: Archive,
    peers: Sequence[Peer],
    ae_title: str,
    credentials: Credentials | None = None,
    queries: Queries = Queries.RELATIONAL,
    *,
    answer_seconds: float = 60,
    callers: PeersOf = lambda _origin: (),
) -> Service:
    """The SOP Classes by which a peer has clean objects sent to one of the peers, which have so many seconds for each
    answer. `callers` tells who asks."""
    calling = partial(Destination, ae_title=ae_title, answer_seconds=answer_seconds, credentials=credentials)
    return Service(
        tuple(_MODELS),
        tuple(VERIFICATION_SYNTAXES),
        Ability.MOVE,
        answers={C_MOVE: partial(_move, archive, peers, callers, calling, queries)},
        extended=relational,
    )


def relational(offered: bytes) -> bytes:
    """Relational retrieval, if it is asked for, and no conversion to enhanced objects (PS3.4 Table C.5-3)."""
    return bytes(
        min(theirs, ours) for theirs, ours in zip(offered, _RELATIONAL.ljust(len(offered), b"\0"), strict=True)
    )


def _move(
    archive: Archive,
    peers: Sequence[Peer],
    callers: PeersOf,
    calling: Callable[..., Destination],
    queries: Queries,
    asked: Asked,
) -> Iterator[Reply]:
    level, query = retrieval(asked, _MODELS[asked.sop_class], queries)
    title = str(asked.request.MoveDestination or "").strip()  # type: ignore[union-attr]
    peer = _named(title, peers, callers(asked.origin))
    if peer is None:
        yield Reply(UNKNOWN_DESTINATION, comment="the Move Destination is not one of our peers")
        return
    tally = Tally(archive.index.count(query))
    mover = Mover(asked.origin.source, int(asked.request.MessageID or 0))
    try:
        with calling(peer, folder=archive.files.incoming()) as destination, heeding(asked, destination.break_off):
            to = _Delivery(archive, destination, mover, archive.index.encodings(query))
            yield from handed_over(archive, asked, query, tally, to.give)
    finally:
        put_on_record(archive, asked.origin, "moved", {"level": level.name, "to": peer.name, **tally.summary()})


def _named(title: str, peers: Sequence[Peer], callers: Sequence[Peer]) -> Peer | None:
    """The peer of that AE title; of several, such as workstations that were all left with the title their vendor gives
    them, the one that asks: what it wants for itself must not go to another."""
    return next((peer for peer in (*callers, *peers) if peer.ae_title == title), None)


@dataclass
class _Delivery:
    """One destination of one retrieval. After it broke off twice in a row, or accepted no context, it is left alone."""

    archive: Archive
    destination: Destination
    mover: Mover
    encodings: Sequence[Context]
    breaks: int = 0
    takes_nothing: bool = False

    def give(self, entry: Entry) -> int:
        """Send one instance. Returns the status of the answer. Raises Refused and Unavailable."""
        if self.breaks >= _MOST_BREAKS:
            raise Unavailable(f"{self.destination.peer.name} broke off too often")
        if self.takes_nothing:
            raise Refused(f"{self.destination.peer.name} accepts no presentation context")
        try:
            status = self._sent(entry)
        except Unavailable:
            self.breaks += 1
            self.destination.close()
            raise
        self.breaks = 0
        return status

    def _sent(self, entry: Entry) -> int:
        stored = (entry.sop_class, entry.transfer_syntax)
        self.destination.open([stored], likely=self.encodings)
        self.takes_nothing = not self.destination.takes_something and len(self.encodings) < _MOST_ENCODINGS
        return self.destination.send(self.archive.whole_clean(entry.sop_uid), stored, mover=self.mover)
