"""Finds studies at a peer by C-FIND and has it send them by C-MOVE (PS3.4 C.4.1, C.4.2; Study Root)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND  # type: ignore[attr-defined]
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE  # type: ignore[attr-defined]

from lethe.storage.errors import Refused, Unavailable

from ..config import Peer
from .association import PromptAssociation
from .calling import associate
from .credentials import Credentials, secure_for
from .errand import SYNTAXES

_PENDING, _PENDING_WITHOUT_SOME_KEYS = 0xFF00, 0xFF01
_UNKNOWN_DESTINATION, _NOT_AUTHORIZED = 0xA801, 0x0124
_SILENCE = 900.0
"""Seconds a peer may say nothing while it moves: it may fetch a study from tape, and need not report in between."""
Told = Callable[[int], None]
Answer = tuple[Dataset, Dataset | None]


class UnknownHere(Refused):
    """The peer does not know the AE title it is to send to."""


class BrokenOff(Unavailable):
    """The peer hung up in the middle of a move. Some do where they do not know who asks."""


@dataclass(frozen=True)
class Moved:
    """What a C-MOVE ended with: its status, how many instances the peer says it sent, and how many it did not."""

    status: int
    completed: int
    failed: int

    @property
    def is_whole(self) -> bool:
        """Whether the peer says that it sent all of the study, and that this is something."""
        return self.status == 0x0000 and self.completed > 0 and not self.failed


class Pacs:
    """One association to a peer that is asked for studies, opened when it is needed and kept."""

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
        else:  # in the middle of a move, a release would wait for its end
            association.abort()

    def find(self, keys: Mapping[str, str]) -> list[str]:
        """The Study Instance UIDs of what matches, each once. Raises Unavailable, and Refused where the peer does not
        match on these keys or finds what was not asked for."""
        association, asked, found = self._open(), _asked({"StudyInstanceUID": "", **keys}), list[str]()
        status = None
        for response, answer in _guarded(self.peer, association.send_c_find, asked, FIND):
            status = response.get("Status")
            if status == _PENDING_WITHOUT_SOME_KEYS:
                association.abort()
                raise Refused(f"{self.peer.name} cannot search by all of these keys, and would find too much")
            if status == _PENDING and answer is not None:
                found.append(self._study(answer, keys))
        if status is None:
            raise Unavailable(f"{self.peer.name}: no answer to a query, or the association broke")
        if status != 0x0000:
            raise Refused(f"{self.peer.name} answers a query with 0x{status:04X}")
        return list(dict.fromkeys(found))

    def move(self, study: str, title: str, told: Told) -> Moved:
        """Have it send a study to the node of that AE title; `told` hears how many instances went. Raises Unavailable
        where it does not answer, Refused where it will not and why."""
        association = self._open()
        asked = _asked({"StudyInstanceUID": study})
        status, counts = None, {"Completed": 0, "Failed": 0, "Warning": 0}
        for response, _answer in _guarded(self.peer, association.send_c_move, asked, title, MOVE):
            status = response.get("Status")
            for kind, before in counts.items():  # a final response may leave out what the last one said
                counts[kind] = int(response.get(f"NumberOf{kind}Suboperations") or 0) or before
            told(counts["Completed"] + counts["Warning"])
        if status is None:
            raise BrokenOff(f"{self.peer.name} broke off the move, or did not answer")
        if status == _UNKNOWN_DESTINATION:
            raise UnknownHere(f"{self.peer.name} does not know the AE title {title}")
        if status == _NOT_AUTHORIZED:
            raise Refused(f"{self.peer.name} does not let us move studies to {title}")
        return Moved(int(status), counts["Completed"] + counts["Warning"], counts["Failed"])

    def _open(self) -> PromptAssociation:
        if self._association is not None and self._association.is_established:
            return self._association
        peer, contexts = self.peer, [build_context(uid, list(SYNTAXES)) for uid in (FIND, MOVE)]
        secure = secure_for(peer, self._credentials)
        try:
            association = associate(
                self._ae, (peer.host, peer.port), ae_title=peer.ae_title, contexts=contexts, secure=secure
            )
        except OSError as error:
            raise Unavailable(f"{peer.name} has no network address") from error
        taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
        if association.is_rejected:
            raise Refused(
                f"{peer.name} rejected the association: it must know our AE title {self._ae.ae_title} at this"
                f" machine's address, and be called {peer.ae_title}"
            )
        if not association.is_established and not association.rejected_contexts:
            raise Unavailable(f"{peer.name} does not answer")
        for uid, name in ((FIND, "C-FIND"), (MOVE, "C-MOVE")):
            if uid not in taken:
                association.abort()
                raise Refused(f"{peer.name} offers us no {name} in the Study Root model")
        self._association = association
        return association

    def _study(self, answer: Dataset, keys: Mapping[str, str]) -> str:
        """The study an answer is about, which has the unique values that were asked for: a peer that ignores a key
        would otherwise have us pull all it has."""
        for keyword in ("StudyInstanceUID", "AccessionNumber"):
            wanted = keys.get(keyword, "")
            is_exact = wanted and not set("*?\\") & set(wanted)
            if is_exact and str(answer.get(keyword) or "").strip() != wanted:
                raise Refused(f"{self.peer.name} finds studies with another {keyword} than the one asked for")
        uid = str(answer.get("StudyInstanceUID") or "").strip()
        if not uid:
            raise Refused(f"{self.peer.name} finds a study without a Study Instance UID")
        return uid


def _asked(keys: Mapping[str, str]) -> Dataset:
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = "STUDY"
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _guarded(peer: Peer, send: Callable[..., Iterator[Answer]], *arguments: object) -> Iterator[Answer]:
    """The answers; Unavailable where the association or context is gone."""
    try:
        yield from send(*arguments)
    except (RuntimeError, ValueError, OSError) as error:
        raise Unavailable(f"{peer.name}: the association broke ({type(error).__name__})") from error
