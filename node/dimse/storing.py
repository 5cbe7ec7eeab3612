"""Takes objects in: each is written while it comes, and answered with success only when it would survive pulling the
plug. A data set is never decoded here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol, cast

from lethe.storage.archive import Archive
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.incoming import IncomingFile, IncomingFiles
from lethe.storage.intake import Arrival, Origin, Planner

from ..choices import Ability
from .admission import Caller, caller_of
from .association import PromptAssociation
from .commands import StoreRequest
from .identity import ENOUGH, identity_of, lacks_uids
from .messages import Intake
from .meta import file_meta
from .services import NOT_AUTHORIZED
from .unrecognized import MISTYPED_ARGUMENT, UNRECOGNIZED_OPERATION

log = logging.getLogger("lethe.receive")

SUCCESS, PROCESSING_FAILURE = 0x0000, 0x0110  # PS3.7 C
OUT_OF_RESOURCES, WRONG_SOP_CLASS, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000  # PS3.4 Table B.2-1
_LONGEST_UID = 64
_OF_STUDIES = "1.2.840.10008.5.1.4.1.1."
_OF_NONE = ("1.2.840.10008.5.1.4.1.1.200.", "1.2.840.10008.5.1.4.1.1.201.")  # protocols, inventories (PS3.4 GG.3)


class HasRoom(Protocol):
    """Whether an object can still be taken."""

    def has_room(self) -> bool:
        """Whether it can."""


class MayStore(Protocol):
    """Who may store."""

    def may(self, origin: Origin, ability: Ability) -> bool:
        """Whether this caller may."""


class Unwanted:
    """The data set of a request that is refused whatever comes: it has to be taken from the peer and is dropped."""

    def __init__(self, status: int) -> None:
        self.status = status

    def write(self, data: memoryview, *, last: bool) -> None:
        """Drop it."""

    def discard(self) -> None:
        """There is nothing."""


class Wanted:
    """The data set of a request that may be stored: its file, and its first bytes."""

    def __init__(self, files: IncomingFiles, file: IncomingFile, origin: Origin, transfer_syntax: str) -> None:
        self._files, self.file, self.origin, self.transfer_syntax = files, file, origin, transfer_syntax
        self.head = b""

    def write(self, data: memoryview, *, last: bool) -> None:
        """Add a piece."""
        if len(self.head) < ENOUGH:
            self.head += data[: ENOUGH - len(self.head)]
        self.file.write(data, last=last)

    def discard(self) -> None:
        """Nothing of it stays in `incoming/`."""
        self.file.discard()
        self._files.prepare()


class Storing:
    """Storage SCP over an archive."""

    def __init__(
        self,
        archive: Archive,
        admission: MayStore,
        disk: HasRoom,
        plan_for: Planner,
        *,
        largest: int,
        classes: Collection[str],
        whose: Callable[[PromptAssociation], Caller] = caller_of,
    ) -> None:
        self._archive = archive
        self._admission = admission
        self._disk = disk
        self._plan_for = plan_for
        self._largest = largest
        self._classes = classes
        self._whose = whose
        self._files = IncomingFiles(archive.files.incoming, archive.digests.begin, archive.files.sync_soon)

    def close(self) -> None:
        """Let go of what this thread has open, and of what is ready."""
        self._files.close()
        self._archive.close()

    def open(self, association: PromptAssociation, request: StoreRequest) -> Intake:
        """Where the data set of a request goes."""
        origin = self._whose(association)
        context = association._accepted_cx[request.context_id]
        if request.sop_class != context.abstract_syntax:
            log.warning("%s: refused: its SOP Class is not that of its presentation context", origin.source)
            return Unwanted(WRONG_SOP_CLASS)
        if request.sop_class not in self._classes:
            log.warning("%s: refused: C-STORE under a context that is not of storage", origin.source)
            return Unwanted(UNRECOGNIZED_OPERATION)
        if not 0 < len(request.sop_instance) <= _LONGEST_UID:
            log.warning("%s: refused: the request names no SOP Instance", origin.source)
            return Unwanted(MISTYPED_ARGUMENT)
        if not self._admission.may(origin, Ability.STORE):
            log.warning("%s may not store", origin.source)
            return Unwanted(NOT_AUTHORIZED)
        if not self._disk.has_room():
            log.error("%s: cannot store now: the disk of the data folder is full", origin.source)
            return Unwanted(OUT_OF_RESOURCES)
        syntax = str(context.transfer_syntax[0])
        meta = file_meta(
            sop_class=request.sop_class,
            sop_instance=request.sop_instance,
            transfer_syntax=syntax,
            source=origin.source,
        )
        return Wanted(self._files, self._files.begin(meta, largest=self._largest), origin, syntax)

    def store(self, request: StoreRequest, intake: Intake) -> int:
        """Take over one object. The status is a promise: 0x0000 only after file and jobs are durable."""
        if isinstance(intake, Unwanted):
            return intake.status
        wanted = cast(Wanted, intake)
        try:
            return self._take_over(request, wanted)
        except Refused as refusal:
            log.warning("%s: refused: %s", wanted.origin.source, refusal)
            return CANNOT_UNDERSTAND
        except (Unavailable, OSError) as error:
            why = str(error) if isinstance(error, Unavailable) else type(error).__name__
            log.error("%s: cannot store now: %s", wanted.origin.source, why)
            return OUT_OF_RESOURCES
        except Exception:
            log.exception("%s: not stored", wanted.origin.source)
            return PROCESSING_FAILURE

    def _take_over(self, request: StoreRequest, wanted: Wanted) -> int:
        path, digest, syncing = wanted.file.complete()
        sop_class, sop_instance = identity_of(wanted.head, wanted.transfer_syntax)
        if sop_class not in (None, request.sop_class) or sop_instance not in (None, request.sop_instance):
            log.warning("%s: refused: the data set is not the object that was announced", wanted.origin.source)
            return WRONG_SOP_CLASS
        if _is_of_a_study(request.sop_class) and lacks_uids(wanted.head, wanted.transfer_syntax):
            log.warning("%s: refused: it is no data set, or lacks one of its UIDs", wanted.origin.source)
            return CANNOT_UNDERSTAND
        origin = wanted.origin
        plan = self._plan_for(Arrival(origin, path, time.time()))
        acceptance = self._archive.accept(
            path,
            request.sop_instance,
            origin,
            plan.projects,
            plan.stage,
            plan.handling,
            digest=digest,
            sop_class=request.sop_class,
            syncing=syncing,
        )
        wanted.file.taken_over()
        log.debug("%s: %s", origin.source, acceptance)
        return SUCCESS


def _is_of_a_study(sop_class: str) -> bool:
    """Whether its objects belong to a study; of those of other roots, and of private ones, that is left open."""
    return sop_class.startswith(_OF_STUDIES) and not sop_class.startswith(_OF_NONE)
