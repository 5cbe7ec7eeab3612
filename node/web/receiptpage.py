"""Gathers the receipt of one instance for its page: by which profile, whether the audit trail vouches for it, and one
portion of its elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import NotFound
from lethe.storage.receipts import StoredReceipt

from ..comparison import Comparison, Row
from ..deid.profile import APPLIED, BASIC_CODE, Option
from ..deid.receipt import LOOKED
from ..reasons import Became
from ..receipts import compared
from .studypage import receipt_lines

_ROWS = 300
_CHANGED = (Became.REMOVED, Became.EMPTIED, Became.REPLACED, Became.ADDED)
_OPTIONS = {
    BASIC_CODE[0]: "Basic Profile",
    LOOKED[0]: str(Option.CLEAN_PIXEL_DATA),
    **{code: str(option) for option, (code, _) in APPLIED.items()},
}
_TOLD_APART = frozenset({"counts", "elements", "codes", "options", "verified"})


class Show(StrEnum):
    """Which elements are shown."""

    ALL = "all"
    CHANGED = "changed"

    @property
    def fates(self) -> tuple[Became, ...]:
        """What became of them."""
        return tuple(Became) if self == Show.ALL else _CHANGED


class Originals(StrEnum):
    """How it stands with what was there before."""

    SHOWN = "shown"
    HIDDEN = "hidden"
    NOT_KEPT = "not kept"


@dataclass(frozen=True)
class ReceiptPage:
    """One receipt, and the portion of its elements that is asked for."""

    stored: StoredReceipt
    lines: tuple[tuple[str, str], ...]
    originals: Originals
    show: Show
    counts: Mapping[Became, int]
    rows: tuple[Row, ...]
    number: int
    pages: int
    is_cut_short: bool

    @property
    def shown(self) -> Mapping[Show, int]:
        """How many elements each choice shows."""
        return {show: sum(self.counts[fate] for fate in show.fates) for show in Show}


def receipt_page(archive: Archive, study_uid: str, sop_uid: str, show: Show, number: int) -> ReceiptPage:
    """The page without originals. Raises NotFound."""
    stored = _of_study(archive, study_uid, sop_uid)
    kept = archive.headers.holds(sop_uid)
    comparison = compared(archive, stored, None)
    return _page(stored, comparison, Originals.HIDDEN if kept else Originals.NOT_KEPT, show, number)


def page_with_originals(
    archive: Archive, study_uid: str, sop_uid: str, show: Show, number: int, actor: Actor
) -> ReceiptPage:
    """The page with originals, which is audited. Raises NotFound."""
    stored = _of_study(archive, study_uid, sop_uid)
    comparison = compared(archive, stored, archive.view_original(sop_uid, actor))
    return _page(stored, comparison, Originals.SHOWN, show, number)


def _of_study(archive: Archive, study_uid: str, sop_uid: str) -> StoredReceipt:
    stored = archive.receipts.of(sop_uid)
    if stored.study_uid != study_uid:
        raise NotFound("there is no such instance")
    return stored


def _page(stored: StoredReceipt, comparison: Comparison, originals: Originals, show: Show, number: int) -> ReceiptPage:
    counts = {fate: comparison.count((fate,)) for fate in Became}
    total = sum(counts[fate] for fate in show.fates)
    pages = max(1, -(-total // _ROWS))
    number = min(max(number, 1), pages)
    return ReceiptPage(
        stored=stored,
        lines=_lines(stored.content),
        originals=originals,
        show=show,
        counts=counts,
        rows=tuple(comparison.rows(show.fates, offset=(number - 1) * _ROWS, limit=_ROWS)),
        number=number,
        pages=pages,
        is_cut_short=comparison.is_cut_short,
    )


def _lines(receipt: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The receipt's head as label and value: each option beside its code of CID 7050 (PS3.16)."""
    coded = [f"{_OPTIONS.get(code, 'another option')} ({code})" for code in receipt.get("codes") or ()]
    names = sorted(receipt.keys() - _TOLD_APART, key=lambda name: (not name.startswith("profile"), name))
    rest = {name: receipt[name] for name in names}
    verdict = "nothing of the original patient was found in the result" if receipt.get("verified") else "did not look"
    lines = [*receipt_lines(rest), ("verifier", verdict)]
    return (*lines[:1], ("options", ", ".join(coded)), *lines[1:]) if coded else tuple(lines)
