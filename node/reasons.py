"""Says by which rule and for what reason an element became what it is, from what its receipt holds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from .deid.profile import Action, Option, Profile, Rule
from .deid.values import PSEUDONYMOUS


class Became(StrEnum):
    """What became of an element."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    KEPT = "kept"
    ADDED = "added"


MARKS = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280302, 0x00280303})
"""What says of an object that it was de-identified."""
_LOOKED = 0x00280301
_MARKED, _NO_TEXT = ("PS3.15 E.1.1", "says what was done"), ("PS3.15 E.3.1", "its frames were looked at")
_NOT_IN_THE_TABLE = "outside Table E.1-1"
_ASKED = {
    Action.REMOVE: "the table asks to remove it",
    Action.EMPTY: "the table asks to empty it",
    Action.DUMMY: "the table asks for a dummy value",
    Action.UID: "the table asks for another UID, the same one wherever it stands",
    Action.CLEAN: "the option asks to clean it: what names somebody is cut",
    Action.KEEP: "the option asks to keep it",
}
_DEMANDED = "the table asks to remove it, but the object's definition demands it (PS3.3)"
_PSEUDONYM = "a pseudonym made from the project's key, in the place of an empty value or a dummy"
_MOVED = "the option asks to move dates, all of a patient by the same number of days"
_OVERLAY = "overlays go as a whole (PS3.3 C.9.2)"
_ELSEWHERE = "the rule of what it stands in"
_BY_TYPE = "the table leaves a choice, which the attribute's type in this kind of object decides (PS3.3)"
# What the engine says, if it is neither the Basic Profile nor an option.
_SAID = {
    "identifies, although the table does not list it": "the table does not list it; its likes are removed",
    "private attribute": "private, and Table E.3.10-1 does not call it safe, or the option is off",
    "not an attribute of the standard": "nobody can tell what an unknown attribute says",
    "not where the standard has it": "it does not belong in this place",
    "text check": "the text, or part of it, may name somebody",
    "not of the form of its VR": "not of the form of its VR, or nothing was left of it once it was cleaned",
    "within a replaced sequence": "what is in a replaced sequence gets dummy values",
    "content item, by its concept": "the concept of the item decides (Table E.3.4-1)",
    "of a digital signature, which is removed": "a signature no longer holds once anything was changed",
    "the role of a person who is gone": "nothing is left that it could be the role of",
}


class Reasons:
    """The rules that one receipt was made by. Those of another edition than this one's are not guessed at."""

    def __init__(self, receipt: Mapping[str, Any]) -> None:
        self._passed = receipt.get("profile") == "none"
        self.marks = MARKS | ({_LOOKED} if "pixels" in receipt else set())
        options = [str(option) for option in receipt.get("options") or ()]
        self._codes = dict(zip(["basic", *options], receipt.get("codes") or (), strict=False))
        profile = Profile([option for option in Option if option in options])
        self._profile = profile if profile.digest == receipt.get("profile_digest") else None

    def changed(self, tag: int, vr: str, became: Became, why: str) -> tuple[str, str]:
        """Rule and reason for an element that the receipt names."""
        rule = self._rule(tag)
        if why not in self._codes:
            return self._named("basic"), _SAID.get(why, why)
        if self._profile is None:
            return self._named(why), ""
        if rule is None or rule.why != why:
            return self._named(why), _OVERLAY if tag >> 24 == 0x60 else _ELSEWHERE
        reason = _ASKED.get(rule.action, _BY_TYPE)
        if rule.action == Action.REMOVE and became != Became.REMOVED:
            reason = _DEMANDED
        elif tag in PSEUDONYMOUS and became == Became.REPLACED:
            reason = _PSEUDONYM
        elif rule.action == Action.CLEAN and vr in ("DA", "DT", "TM"):
            reason = _MOVED
        return f"{self._named(why)}: {rule.action}", reason

    def kept(self, tag: int, vr: str) -> tuple[str, str]:
        """Rule and reason for an element that stayed as it was."""
        if self._passed:
            return 'profile "none"', "passed through unchanged"
        if self._profile is None:
            return "", ""
        rule = self._rule(tag)
        treated = "each of its items was treated for itself"
        if rule is None:
            if tag >> 16 & 1:
                return self._named(Option.RETAIN_SAFE_PRIVATE), "Table E.3.10-1 calls it safe"
            return _NOT_IN_THE_TABLE, treated if vr == "SQ" else "standard attribute; its value was checked"
        if vr == "SQ":
            return f"{self._named(rule.why)}: {rule.action}", treated
        reason = {
            Action.KEEP: "the option keeps it; its value was checked",
            Action.CLEAN: "looked through; nothing had to go",
            Action.UID: "names something of the standard, nobody's object",
        }.get(rule.action, "it held nothing")
        return f"{self._named(rule.why)}: {rule.action}", reason

    def added(self, tag: int) -> tuple[str, str]:
        """Rule and reason for an element that was put in."""
        if tag == _LOOKED and tag in self.marks:
            return _NO_TEXT
        return _MARKED if tag in MARKS else ("", "put in by Lethe")

    def _rule(self, tag: int) -> Rule | None:
        return self._profile.rule(tag) if self._profile else None

    def _named(self, why: str) -> str:
        name = "Basic Profile" if why == "basic" else str(why)
        return f"{name} ({self._codes[why]})" if why in self._codes else name
