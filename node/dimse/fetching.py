"""Has a peer send studies over the association that asks for them (C-GET, PS3.4 C.4.3): for a PACS that cannot call us.

What comes is taken in as what comes to the receiver is: 0x0000 is answered only once it is durable here.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND  # type: ignore[attr-defined]
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as GET  # type: ignore[attr-defined]

from lethe.storage.archive import Archive
from lethe.storage.errors import Refused
from lethe.storage.intake import Origin, Planner

from ..choices import Ability
from ..config import Peer
from .admission import Caller
from .association import PromptAssociation
from .contexts import storage_classes, transfer_syntaxes
from .credentials import Credentials
from .errand import SYNTAXES
from .fitting import MOST_CONTEXTS, UNCOMPRESSED
from .limits import Gate, Limits
from .pulling import Moved, Pacs, Told, asked_for
from .services import NOT_AUTHORIZED
from .storing import Storing

_LOOK = 1.0
# The most usual first: of many SOP Classes, each is proposed in fewer transfer syntaxes.
_COMPRESSED = tuple(f"1.2.840.10008.1.2.{tail}" for tail in ("4.70", "4.90", "4.50", "4.91", "5", "4.80", "4.51"))
_IMAGE = "1.2.840.10008.5.1.4.1.1."
_USUAL = tuple(
    f"{_IMAGE}{tail}"
    for tail in (
        *("1", "1.1", "1.2", "1.3", "2", "2.1", "4", "4.1", "3.1", "6.1", "7", "7.2", "7.4", "12.1", "12.2", "13.1.3"),
        *("20", "128", "66.4", "481.1", "481.2", "481.3", "481.5", "88.11", "88.22", "88.33", "88.67", "88.59", "11.1"),
        "104.1",
    )
)
"""SOP Classes that are proposed for a study of which the peer does not say what it consists of."""


class Invited:
    """Lets everything be stored: what a peer sends on our association, we have asked for."""

    def may(self, _origin: Origin, _ability: Ability) -> bool:
        """It may."""
        return True


class ByGet(Pacs):
    """Has studies sent over its own association by C-GET. They take the routes of what `peer` would have sent to the AE
    title `to`."""

    _needed = ((FIND, "C-FIND"),)

    def __init__(
        self,
        peer: Peer,
        ae_title: str,
        *,
        to: str,
        archive: Archive,
        plan_for: Planner,
        limits: Limits,
        credentials: Credentials | None = None,
    ) -> None:
        super().__init__(peer, ae_title, answer_seconds=limits.answer_seconds, credentials=credentials)
        self.hint = f"see that it lets {ae_title} retrieve by C-GET"
        self._storing = Storing(
            archive,
            Invited(),
            Gate(archive.folder, (), limits),
            plan_for,
            largest=limits.largest_object,
            classes=frozenset(storage_classes()),
            whose=lambda association: Caller(peer.ae_title, str(association.acceptor.address or ""), to),
        )
        self._getting: PromptAssociation | None = None
        self._proposed: frozenset[str] = frozenset()

    def bring(self, study: str, told: Told) -> Moved:
        """Have it send a study."""
        association = self._open_for(frozenset(self._classes(study)) or frozenset(_USUAL))
        asked = asked_for("STUDY", {"StudyInstanceUID": study})
        with _patient(association):
            moved = self._retrieved(association.send_c_get, told, asked, GET)
        if moved.status == NOT_AUTHORIZED:
            raise Refused(f"{self.peer.name} does not let us get studies")
        return moved

    def _open_for(self, classes: frozenset[str]) -> PromptAssociation:
        """The association that has contexts for these SOP Classes."""
        association = self._association
        if association is not None and association.is_established:
            if association is self._getting and classes <= self._proposed:
                return association
            association.release()
        proposed = sorted(classes)[: MOST_CONTEXTS - 2]
        contexts = [build_context(uid, list(SYNTAXES)) for uid in (FIND, GET)]
        association = self._associated([*contexts, *contexts_for(proposed)], proposed, self._storing)
        self._association, self._getting, self._proposed = association, association, classes
        if GET not in {str(context.abstract_syntax) for context in association.accepted_contexts}:
            association.abort()
            raise Refused(f"{self.peer.name} offers us no C-GET in the Study Root model")
        return association

    def _classes(self, study: str) -> Iterator[str]:
        """The SOP Classes of a study, as far as the peer says: of the study, or else of each instance."""
        asked = {"StudyInstanceUID": study}
        found = list(self._values("STUDY", {**asked, "SOPClassesInStudy": ""}, "SOPClassesInStudy"))
        if found:
            yield from found
            return
        for series in list(self._values("SERIES", {**asked, "SeriesInstanceUID": ""}, "SeriesInstanceUID")):
            keys = {**asked, "SeriesInstanceUID": series, "SOPInstanceUID": "", "SOPClassUID": ""}
            yield from self._values("IMAGE", keys, "SOPClassUID")

    def _values(self, level: str, keys: dict[str, str], keyword: str) -> Iterator[str]:
        for answer in self._answers(asked_for(level, keys)):
            value = answer.get(keyword) if answer is not None else None
            for one in (value,) if isinstance(value, str) else value or ():
                if UID(str(one)).is_valid:
                    yield str(one)


@contextmanager
def _patient(association: PromptAssociation) -> Iterator[None]:
    """A peer may send for hours and answer at the end alone: the association is given up only where nothing at all
    comes for its network timeout."""
    patience, over = association.dimse_timeout, threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            if association.dul.idle_timer_expired():
                association.abort()
                return

    association.dimse_timeout = None
    association.dul._idle_timer.restart()
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        association.dimse_timeout = patience


def contexts_for(classes: Sequence[str]) -> Iterator[PresentationContext]:
    """Presentation contexts for instances of these SOP Classes: each transfer syntax alone, so that a peer sends what
    it has as it has it, and the uncompressed ones together; of many SOP Classes, only the usual ones."""
    room = (MOST_CONTEXTS - 2) // max(1, len(classes))
    syntaxes = _in_order(transfer_syntaxes())[: room - 1]
    for sop_class in classes:
        for syntax in syntaxes:
            yield build_context(sop_class, [syntax])
        yield build_context(sop_class, list(UNCOMPRESSED))


def _in_order(syntaxes: Collection[str]) -> list[str]:
    others = [one for one in syntaxes if one not in (*_COMPRESSED, *UNCOMPRESSED)]
    return [*_COMPRESSED, *others]
