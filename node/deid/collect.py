"""Gathers the term bank of an object: every name, identifier, date and UID that is going to be removed or replaced, at
every depth, before anything is."""

from __future__ import annotations

from pydicom.dataset import Dataset

from .elements import Path, decoded, items, texts, vr_of
from .header import VOCABULARY_UIDS
from .profile import Action, Option, Profile
from .pseudonyms import is_of_the_standard
from .terms import TermBank


def collect_terms(header: Dataset, profile: Profile) -> TermBank:
    """The terms of an object. Raises CannotClean where an element cannot be read."""
    terms = TermBank()
    _walk(header, (), profile, terms)
    return terms


def _walk(header: Dataset, path: Path, profile: Profile, terms: TermBank) -> None:
    keeps_uids = Option.RETAIN_UIDS in profile.applied
    for tag in sorted(header.keys()):
        if tag.is_private or tag.element == 0:
            continue
        rule, vr = profile.rule(tag), vr_of(header, tag)
        if vr in ("SQ", "UN"):
            for below, item in items(decoded(header, tag, path), path, int(tag)):
                _walk(item, below, profile, terms)
        elif vr == "UI":
            if not keeps_uids and int(tag) not in VOCABULARY_UIDS:
                for uid in texts(decoded(header, tag, path)):
                    if not is_of_the_standard(uid):
                        terms.add_uid(uid)
        elif (rule is None or rule.action != Action.KEEP) and vr not in ("OB", "OW", "OF", "OD", "OL", "OV"):
            terms.add(int(tag), vr, texts(decoded(header, tag, path)))
