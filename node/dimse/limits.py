"""Says what one peer, or all of them, may use up, so that none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.storage.files import free_bytes
from lethe.storage.intake import Origin
from lethe.storage.slots import Slot, Slots

from ..config import Node, Peer
from .admission import Rejection

LIMIT_REACHED = Rejection(2, 3, 2, "as many associations as are allowed are open")  # PS3.8 Table 9-21
PEER_LIMIT_REACHED = Rejection(2, 3, 2, "this peer has as many associations open as it may")
DISK_FILLS = Rejection(2, 3, 1, "the disk of the data folder is filling up")
_ROOM_TO_REFUSE = 64 << 20  # bytes left free, so that there is room to say no while a data set is still being written


@dataclass(frozen=True)
class Limits:
    """The settings of `[node]` that bound what is received; sizes are in bytes, times in seconds."""

    associations: int = 100
    longest_pdu: int = 131_072
    largest_object: int = 8 << 30
    least_free: int = 512 << 20
    request_seconds: float = 30
    idle_seconds: float = 60
    answer_seconds: float = 60
    stop_seconds: float = 5


DEFAULT_LIMITS = Limits()


def limits_of(node: Node) -> Limits:
    """The limits that are configured."""
    return Limits(
        associations=node.associations,
        longest_pdu=node.longest_pdu,
        largest_object=node.largest_object << 20,
        least_free=node.least_free << 20,
        request_seconds=node.request_seconds,
        idle_seconds=node.idle_seconds,
        answer_seconds=node.answer_seconds,
        stop_seconds=node.stop_seconds,
    )


class Gate:
    """Counts the associations of a data folder, over all its receivers, and watches its disk."""

    def __init__(self, folder: Path, peers: Sequence[Peer], limits: Limits) -> None:
        self._folder = folder
        self._peers = tuple(peers)
        self._limits = limits
        self._slots = Slots(folder / "associations.lock")

    def close(self) -> None:
        """Give everything back."""
        self._slots.close()

    def enter(self, origin: Origin) -> Rejection | Callable[[], None]:
        """Let an association in, if it is within the limits: what to call when it has ended, or why it is not."""
        if self._free() < self._limits.least_free:
            return DISK_FILLS
        taken: list[Slot] = []
        for group, most, rejection in self._groups(origin):
            slot = self._slots.take(group, most)
            if slot is None:
                _give_back(taken)
                return rejection
            taken.append(slot)
        return lambda: _give_back(taken)

    def has_room(self) -> bool:
        """Whether an object can still be taken."""
        return self._free() >= min(_ROOM_TO_REFUSE, self._limits.least_free)

    def _free(self) -> int:
        return free_bytes(self._folder)

    def _groups(self, origin: Origin) -> list[tuple[str, int, Rejection]]:
        groups = [("all", self._limits.associations, LIMIT_REACHED)]
        for peer in self._peers:
            if peer.ae_title == origin.source and peer.associations:
                groups.append((f"peer {peer.name}", peer.associations, PEER_LIMIT_REACHED))
        return groups


def _give_back(slots: Sequence[Slot]) -> None:
    for slot in slots:
        slot.give_back()
