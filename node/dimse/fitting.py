"""Chooses the form in which an object is sent: as it is stored if the peer takes that, else written anew without loss.

Each SOP Class is proposed in each transfer syntax that is stored, alone in its presentation context, so that nothing is
decoded but for a peer that cannot take it, and once more without compression. Explicit VR Big Endian is never proposed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lethe.storage.errors import Refused
from lethe.storage.files import passing

from .transcoding import recoded

MOST_CONTEXTS = 128  # PS3.8 9.3.2.2: odd numbers from 1 to 255
UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""What is proposed to a peer beside the transfer syntax an object is stored in."""
Context = tuple[str, str]
"""SOP Class UID and transfer syntax UID of an object, or of a context as it was accepted."""
Proposal = tuple[str, tuple[str, ...]]
"""SOP Class UID and transfer syntax UIDs of a context as it is proposed."""


def proposals(encodings: Iterable[Context]) -> tuple[Proposal, ...]:
    """What is proposed for objects that are stored so."""
    stored = tuple(encodings)
    own = ((sop_class, (syntax,)) for sop_class, syntax in stored if syntax != ExplicitVRBigEndian)
    return tuple(dict.fromkeys((*own, *((sop_class, UNCOMPRESSED) for sop_class, _ in stored))))


@contextmanager
def fitted(
    path: Path, context: Context, accepted: Collection[str], *, folder: Path, whom: str
) -> Iterator[tuple[Path, str]]:
    """A Part 10 file in a transfer syntax that `whom` accepts for its SOP Class, and which that is. What has to be
    written anew is in `folder` until the end of the block. Raises Refused, with the reason, where nothing fits, and
    Unavailable where there is no room."""
    sop_class, stored = context
    if stored in accepted:
        yield path, stored
        return
    problem = f"{whom} accepts no presentation context for {sop_class} in {stored}"
    if not accepted:
        raise Refused(f"{problem} or without compression")
    with _anew(path, accepted, folder, problem) as found:
        yield found


@contextmanager
def _anew(path: Path, accepted: Collection[str], folder: Path, problem: str) -> Iterator[tuple[Path, str]]:
    try:
        with recoded(path, accepted, folder) as (syntax, chunks), passing(chunks, folder) as copy:
            yield copy, syntax
    except Refused as refusal:
        raise Refused(f"{problem}, and {refusal}") from None
