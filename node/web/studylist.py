"""Gathers the clean studies a person looks for, a page of them at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lethe.storage.archive import Archive
from lethe.storage.query import AnyOf, Equals, Level, Match, Order, Query, Term

from .overview import StudyCard, study_card

_ON_A_PAGE = 24
_LONGEST = 64
"""Characters of a value of LO or SH (PS3.5 6.2), and of a UID."""
_LOOKED_AT = ("00100020", "00080050", "00081030")
_STUDY_UID, _MODALITIES = "0020000D", "00080061"


@dataclass(frozen=True)
class StudyList:
    """One page of the studies that were found. `wanted` and `modality` are what was asked for."""

    wanted: str
    modality: str
    found: int
    number: int
    pages: int
    studies: tuple[StudyCard, ...]

    @property
    def is_asked(self) -> bool:
        """Whether anything was asked for, so that not all studies are meant."""
        return bool(self.wanted or self.modality)


def study_list(archive: Archive, asked: Mapping[str, str]) -> StudyList:
    """The newest first. What makes no sense as a page is the first one, what lies behind the last one the last."""
    wanted, modality = (asked.get(name, "").strip()[:_LONGEST] for name in ("find", "modality"))
    terms = tuple(_terms(wanted, modality.upper()))
    found = archive.index.count(Query(Level.STUDY, terms))
    pages = max(1, -(-found // _ON_A_PAGE))
    number = min(max(_page(asked.get("page", "")), 1), pages)
    query = Query(Level.STUDY, terms, _ON_A_PAGE, (number - 1) * _ON_A_PAGE, Order.NEWEST)
    studies = tuple(study_card(entry) for entry in archive.index.find(query))
    return StudyList(wanted, modality, found, number, pages, studies)


def _page(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _terms(wanted: str, modality: str) -> list[Term]:
    """Values are matched as they are spelt (PS3.4 C.2.2.2.1), so that several spellings are tried."""
    terms: list[Term] = []
    if wanted:
        spelt = tuple(f"*{text}*" for text in (wanted, wanted.upper(), wanted.lower(), wanted.capitalize()))
        terms.append(AnyOf((*(Match(tag, spelt) for tag in _LOOKED_AT), Equals(_STUDY_UID, (wanted,)))))
    if modality:
        terms.append(Match(_MODALITIES, (modality,)))
    return terms
