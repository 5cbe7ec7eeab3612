"""Gathers the term bank of an object: every name, identifier, date and UID that is going to be removed or replaced, at
every depth, before anything is."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .content import UID, concept, keeps_uid
from .elements import Path, decoded, items, refuse_unreadable, telling, texts, vr_of
from .profile import Action, Option, Profile
from .registry import says_nothing
from .terms import Kind, TermBank

_TEXT_VALUE, _DATE_VALUE = Tag(0x0040A160), Tag(0x0040A121)
_SUBJECT_BIRTH_DATE = ("DCM", "121031")
# Subject ID, Accession Number, Filler Number, Placer Number.
_IDENTIFYING = frozenset({("DCM", "121030"), ("DCM", "121022"), ("DCM", "121021"), ("DCM", "121020")})
TELLING_VRS = frozenset({"DA", "DT", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


def collect_terms(header: Dataset, profile: Profile) -> TermBank:
    """The terms of an object. Raises CannotClean where an element cannot be read."""
    terms = TermBank()
    collect_into(terms, header, profile)
    return terms


def collect_into(terms: TermBank, header: Dataset, profile: Profile) -> None:
    """Add the terms of a data set to a bank. Raises CannotClean where an element cannot be read."""
    _walk(header, (), profile, terms)


def tells_uids(tag: int, profile: Profile) -> bool:
    """Whether the UIDs of an attribute are to be replaced, wherever they stand: no option keeps them."""
    rule = profile.rule(tag)
    return Option.RETAIN_UIDS not in profile.applied and not (rule and rule.action == Action.KEEP)


def _walk(header: Dataset, path: Path, profile: Profile, terms: TermBank) -> None:
    refuse_unreadable(header, path)
    _add_subject(header, terms)
    for tag in sorted(header.keys()):
        if tag.element == 0:
            continue
        if tag.is_private:
            _add_private_name(header, tag, terms)
            continue
        rule, vr = profile.rule(tag), vr_of(header, tag)
        if vr == "SQ" or header.get_item(tag).VR == "SQ":
            for below, item in items(decoded(header, tag, path), path, int(tag)):
                _walk(item, below, profile, terms)
        elif vr == "UI":
            if tells_uids(tag, profile) and not (tag == UID and keeps_uid(header, profile.applied)):
                for uid in telling(header, tag, path):
                    if not says_nothing(int(tag), uid):
                        terms.add_uid(uid)
        elif vr in TELLING_VRS and (rule is None or rule.action != Action.KEEP):
            terms.add(int(tag), vr, telling(header, tag, path))


def _add_subject(item: Dataset, terms: TermBank) -> None:
    """A content item that names its subject or an order by number (PS3.15 Table E.3.4-1)."""
    if _TEXT_VALUE in item and concept(item) in _IDENTIFYING:
        for value in texts(decoded(item, _TEXT_VALUE, ())):
            terms.note(Kind.IDENTIFIER, value)
    if _DATE_VALUE in item and concept(item) == _SUBJECT_BIRTH_DATE:
        terms.add(0x00100030, "DA", texts(decoded(item, _DATE_VALUE, ())))


def _add_private_name(header: Dataset, tag: BaseTag, terms: TermBank) -> None:
    """A person named in a private attribute: it is going to be removed, readable or not."""
    if header.get_item(tag).VR == "PN":
        try:
            terms.add(int(tag), "PN", texts(decoded(header, tag, ())))
        except Exception:
            return
