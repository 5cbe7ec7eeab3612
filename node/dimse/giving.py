"""Gives a Part 10 file to a peer by C-STORE (PS3.7 9.3.1) over an association, as it is stored."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .association import PromptAssociation
from .commands import StoreRequest
from .meta import read_file_meta


@dataclass(frozen=True)
class Mover:
    """Who asked for it by C-MOVE, and with which message (PS3.7 9.1.1.1)."""

    ae_title: str
    message_id: int


def give(
    association: PromptAssociation, path: Path, context_id: int, message_id: int, *, mover: Mover | None = None
) -> tuple[int | None, int]:
    """Send one file in a presentation context that fits it. Returns the status of the answer, None where there was
    none, and how many bytes its data set has. Raises OSError and ValueError for a file that cannot be read or a peer
    that takes nothing, RuntimeError where the association is gone."""
    with path.open("rb") as file:
        meta = read_file_meta(file)
        sop_class = str(association._accepted_cx[context_id].abstract_syntax)  # what was agreed on, whatever it says
        for_whom = (mover.ae_title, mover.message_id) if mover else ()
        request = StoreRequest(context_id, message_id & 0xFFFF, sop_class, meta.sop_instance, *for_whom)
        size = os.fstat(file.fileno()).st_size - meta.end
        return association.store(file, size, request), size
