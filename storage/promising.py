"""Takes a destination's word: what it promises to keep is noted, what it does not have is sent again."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .audit import Actor
from .database import transaction
from .datafolder import DataFolder
from .jobs import Stage, State

_TIMES = 3
_PAUSE = 60.0


class Promising(DataFolder):
    """Storage commitment for what went out."""

    def promised(self, request: str, given: Collection[str], refused: Mapping[str, int], actor: Actor) -> bool:
        """The answer to a transaction of ours: SOP Instance UIDs it commits, and those it does not with the reasons.

        An instance that it refuses is sent again, and after three times it waits for a person. False where the
        transaction is none of ours.
        """
        destination = self.promises.destination_of(request)
        if destination is None:
            return False
        with transaction(self.database):
            self.promises.give(destination, given)
            for sop_uid, code in refused.items():
                self._send_again(request, destination, sop_uid, f"{destination} did not commit it: 0x{code:04X}")
            detail = {"destination": destination, "committed": len(given), "failed": len(refused)}
            self.audit.record(actor, "commitment-answered", request, detail)
        return True

    def _send_again(self, request: str, destination: str, sop_uid: str, reason: str) -> None:
        times = self.promises.refuse(request, sop_uid, reason)
        if not times:
            return
        state = State.READY if times < _TIMES else State.QUARANTINED
        delay = _PAUSE * (times - 1) if state == State.READY else 0.0
        self.jobs.undo(Stage.SEND, destination, sop_uid, state, delay=delay, reason=reason)
