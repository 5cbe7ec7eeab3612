"""Modality Worklist (PS3.4 Annex K): answers what a modality is to do, from the sources of the site.

It shows patients: nothing of it is logged, and only peers named for it are answered.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pynetdicom import evt
from pynetdicom.events import Event

from lethe.storage.errors import Unavailable

from ..choices import Ability
from ..worklist import Worklist
from .admission import origin_of
from .errand import SYNTAXES
from .identifiers import IN_CHARACTER_SET, can_express
from .keys import answered, matches
from .services import Service
from .wanted import sets_of

log = logging.getLogger("lethe.worklist")

FIND = "1.2.840.10008.5.1.4.31"
PENDING, CANCELLED = 0xFF00, 0xFE00  # PS3.4 Table K.4.1.1-3
CANNOT_PROCESS, NOT_IDENTIFIER = 0xC000, 0xA900


def worklist_service(worklist: Worklist) -> Service:
    """C-FIND."""

    def on_find(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        source, count = origin_of(event).source, 0
        try:
            keys = event.identifier
            keys.decode()
        except Exception:  # whatever pydicom raises over a data set of a peer
            keys = Dataset()
        if not answered(Dataset(), keys):  # nothing is asked for, and nothing could be said
            yield NOT_IDENTIFIER, None
            return
        try:
            for entry in worklist.entries():
                if event.is_cancelled:
                    yield CANCELLED, None
                    return
                if matches(entry, keys):
                    count += 1
                    yield PENDING, _answer(entry, keys)
        except Unavailable as error:
            log.error("%s: %s", source, error)
            yield CANNOT_PROCESS, None
            return
        except Exception as error:
            log.error("%s: the worklist cannot be searched so (%s)", source, type(error).__name__)
            yield CANNOT_PROCESS, None
            return
        log.info("%s asked for the worklist: %d steps", source, count)

    return Service((FIND,), SYNTAXES, Ability.WORKLIST, {evt.EVT_C_FIND: on_find})


def _answer(entry: Dataset, keys: Dataset) -> Dataset:
    """In the character set of the query if that can write it, else in that of the source, which can; where all is
    ASCII none is named, for a modality may stumble over one that it does not know."""
    answer = answered(entry, keys)
    texts = [text for text in _texts(answer) if not text.isascii()]
    asked = sets_of(keys)
    if texts and any(asked) and can_express(texts, asked):
        answer.SpecificCharacterSet = list(asked)
    elif texts and entry.get("SpecificCharacterSet"):
        answer.SpecificCharacterSet = entry.SpecificCharacterSet
    return answer


def _texts(ds: Dataset) -> Iterator[str]:
    """All that is written in a character set. pydicom writes names in another one than they came in only once they have
    been read, which this does."""
    for element in ds.iterall():
        if element.VR in IN_CHARACTER_SET:
            yield from map(str, element.value if isinstance(element.value, MultiValue) else [element.value])
