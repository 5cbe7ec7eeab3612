"""Finds studies at a peer by C-FIND and has it send them by C-MOVE (PS3.4 C.4.1, C.4.2; Study Root)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND  # type: ignore[attr-defined]
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE  # type: ignore[attr-defined]

from lethe.storage.errors import Refused, Unavailable

from ..config import Peer
from .association import PromptAssociation
from .calling import associate, may_let_in_later, refusal_of, unbroken
from .credentials import Credentials, secure_for
from .errand import SYNTAXES
from .services import NOT_AUTHORIZED
from .storing import Storing

_PENDING, _PENDING_WITHOUT_SOME_KEYS = 0xFF00, 0xFF01
_UNKNOWN_DESTINATION = 0xA801
_SILENCE = 900.0
"""Seconds a peer may say nothing while it retrieves: it may fetch a study from tape, and need not report in between."""
_SPELT_OUT = {"AE", "AS", "CS", "DA", "LO", "SH", "UI"}
"""VRs of values that are found as they were asked for, though some peers do not mind capitals."""
Told = Callable[[int], None]
Answer = tuple[Dataset, Dataset | None]


class UnknownHere(Refused):
    """The peer does not know the AE title it is to send to."""


class BrokenOff(Unavailable):
    """The peer hung up in the middle of a retrieval. Some do where they do not know who asks."""


@dataclass(frozen=True)
class Moved:
    """What a C-MOVE or C-GET ended with: status, how many instances the peer says it sent, how many it did not."""

    status: int
    completed: int
    failed: int

    @property
    def is_whole(self) -> bool:
        """Whether the peer says that it sent all of the study, and that this is something."""
        return self.status == 0x0000 and self.completed > 0 and not self.failed


class Pacs(ABC):
    """One association to a peer that is asked for studies, opened when it is needed and kept."""

    hint = ""
    """What to look at where it sends nothing."""
    _needed: tuple[tuple[str, str], ...] = ()

    def __init__(
        self, peer: Peer, ae_title: str, *, answer_seconds: float = 60, credentials: Credentials | None = None
    ) -> None:
        self.peer, self.ae_title = peer, ae_title
        self._credentials = credentials
        self._ae = AE(ae_title)
        self._ae.acse_timeout, self._ae.connection_timeout = 30, 10
        self._ae.dimse_timeout = self._ae.network_timeout = max(answer_seconds, _SILENCE)
        self._association: PromptAssociation | None = None

    def __enter__(self) -> Pacs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        association, self._association = self._association, None
        if association is None or not association.is_established:
            return
        if kind is None:
            association.release()
        else:  # in the middle of a retrieval, a release would wait for its end
            association.abort()

    def find(self, keys: Mapping[str, str]) -> list[str]:
        """The Study Instance UIDs of what matches, each once. Raises Unavailable, and Refused where the peer does not
        match on these keys or finds what was not asked for."""
        found = []
        for answer in self._answers(asked_for("STUDY", {"StudyInstanceUID": "", **keys})):
            if answer is None:
                if self._association is not None:
                    self._association.abort()
                raise Refused(f"{self.peer.name} cannot search by all of these keys, and would find too much")
            found.append(self._study(answer, keys))
        return list(dict.fromkeys(found))

    @abstractmethod
    def bring(self, study: str, told: Told) -> Moved:
        """Have it send a study; `told` hears how many instances went. Raises Unavailable where it does not answer,
        Refused where it will not and why."""

    def _answers(self, asked: Dataset) -> Iterator[Dataset | None]:
        """What a query finds; None for what was found without regard to some keys. Raises Unavailable, Refused."""
        status = None
        for response, answer in _guarded(self.peer, self._open().send_c_find, asked, FIND):
            status = response.get("Status")
            if status in (_PENDING, _PENDING_WITHOUT_SOME_KEYS):
                if answer is None:
                    raise Refused(f"{self.peer.name} finds something and says so in a way that cannot be read")
                yield answer if status == _PENDING else None
        if status is None:
            raise Unavailable(f"{self.peer.name}: no answer to a query, or the association broke")
        if status != 0x0000:
            raise Refused(f"{self.peer.name} answers a query with 0x{status:04X}")

    def _retrieved(self, send: Callable[..., Iterator[Answer]], told: Told, *arguments: object) -> Moved:
        """What a C-MOVE or C-GET ended with. Raises BrokenOff, Unavailable."""
        status, counts = None, {"Completed": 0, "Failed": 0, "Warning": 0}
        for response, _answer in _guarded(self.peer, send, *arguments):
            status = response.get("Status")
            for kind, before in counts.items():  # a final response may leave out what the last one said
                counts[kind] = int(response.get(f"NumberOf{kind}Suboperations") or 0) or before
            told(counts["Completed"] + counts["Warning"])
        if status is None:
            raise BrokenOff(f"{self.peer.name} broke off the retrieval, or did not answer")
        return Moved(int(status), counts["Completed"] + counts["Warning"], counts["Failed"])

    def _open(self) -> PromptAssociation:
        """The association, and a new one where there is none."""
        if self._association is None or not self._association.is_established:
            self._association = self._associated([build_context(uid, list(SYNTAXES)) for uid, _ in self._needed])
        return self._association

    def _associated(
        self, contexts: Sequence[PresentationContext], roles: Sequence[str] = (), storing: Storing | None = None
    ) -> PromptAssociation:
        """An association that has what is needed; for the SOP Classes in `roles` what comes goes to `storing`. Raises
        Unavailable, Refused."""
        peer, secure = self.peer, secure_for(self.peer, self._credentials)
        try:
            association = associate(
                self._ae,
                (peer.host, peer.port),
                ae_title=peer.ae_title,
                contexts=contexts,
                roles=[build_role(uid, scp_role=True) for uid in roles],
                secure=secure,
                storing=storing,
            )
        except OSError as error:
            raise Unavailable(f"{peer.name}: its host {peer.host} has no network address") from error
        taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
        if association.is_rejected and may_let_in_later(association):
            raise Unavailable(f"{peer.name} {refusal_of(association)}")
        if association.is_rejected:
            raise Refused(
                f"{peer.name} rejected the association: it must know our AE title {self._ae.ae_title} at this"
                f" machine's address, and be called {peer.ae_title}"
            )
        if not association.is_established and not association.rejected_contexts:
            raise Unavailable(f"{peer.name} {refusal_of(association)}")
        for uid, name in self._needed:
            if uid not in taken:
                association.abort()
                raise Refused(f"{peer.name} offers us no {name} in the Study Root model")
        return association

    def _study(self, answer: Dataset, keys: Mapping[str, str]) -> str:
        """The study an answer is about, which has the values that were asked for: a peer that ignores a key, and does
        not say so by 0xFF01, would otherwise have us pull all it has."""
        for keyword, wanted in keys.items():
            if not _has_what_was_asked_for(answer, keyword, wanted):
                raise Refused(f"{self.peer.name} finds studies with another {keyword} than the one asked for, or none")
        uid = str(answer.get("StudyInstanceUID") or "").strip()
        if not uid:
            raise Refused(f"{self.peer.name} finds a study without a Study Instance UID")
        return uid


class ByMove(Pacs):
    """Has studies sent to the node of the AE title `to` by C-MOVE."""

    _needed = ((FIND, "C-FIND"), (MOVE, "C-MOVE"))

    def __init__(
        self, peer: Peer, ae_title: str, *, to: str, answer_seconds: float = 60, credentials: Credentials | None = None
    ) -> None:
        super().__init__(peer, ae_title, answer_seconds=answer_seconds, credentials=credentials)
        self._to = to
        titles = " and ".join(dict.fromkeys((ae_title, to)))
        self.hint = f"see that it knows {titles} with the address and port of this node"

    def bring(self, study: str, told: Told) -> Moved:
        """Have it move a study there."""
        asked = asked_for("STUDY", {"StudyInstanceUID": study})
        moved = self._retrieved(self._open().send_c_move, told, asked, self._to, MOVE)
        if moved.status == _UNKNOWN_DESTINATION:
            raise UnknownHere(f"{self.peer.name} does not know the AE title {self._to}")
        if moved.status == NOT_AUTHORIZED:
            raise Refused(f"{self.peer.name} does not let us move studies to {self._to}")
        return moved


def _has_what_was_asked_for(answer: Dataset, keyword: str, wanted: str) -> bool:
    """Whether an answer has one of the values that were asked for, if those are spelt out: of wildcards, ranges, names
    and letters beyond ASCII there are too many ways to write what is found."""
    if not wanted or not wanted.isascii() or dictionary_VR(keyword) not in _SPELT_OUT or set("*?") & set(wanted):
        return True
    if dictionary_VR(keyword) == "DA" and "-" in wanted:
        return True
    found = answer.get(keyword) or ""
    values = {str(one).strip().casefold() for one in ([found] if isinstance(found, str) else found)}
    return bool(values & {one.strip().casefold() for one in wanted.split("\\")})


def asked_for(level: str, keys: Mapping[str, str]) -> Dataset:
    """The identifier of a request at that level."""
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _guarded(peer: Peer, send: Callable[..., Iterator[Answer]], *arguments: object) -> Iterator[Answer]:
    """The answers; Unavailable where the association or context is gone."""
    with unbroken(peer):
        yield from send(*arguments)
