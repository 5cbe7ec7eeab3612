"""Decides what becomes of an element, by its tag and place: the profile's rule, resolved for the object's IOD.

An allow-list: an element stays only because a table, an option, or its being a standard attribute outside the table
keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from .elements import Path, is_standard
from .iod import Types
from .profile import Action, Option, Profile, Rule

OUTSIDE_THE_TABLE = "standard attribute outside the table"
_UNKNOWN = Rule(Action.REMOVE, "not an attribute of the standard")
_MISPLACED = Rule(Action.REMOVE, "not where the standard has it")
_KEPT = Rule(Action.KEEP, OUTSIDE_THE_TABLE)
_OVERLAY_DATA = 0x60003000
# What says how a clean plane is to be read (PS3.3 C.9.2), and its texts, which are checked as any.
_OVERLAY_PLANE = frozenset(
    {0x0010, 0x0011, 0x0015, 0x0022, 0x0040, 0x0045, 0x0050, 0x0051, 0x0100, 0x0102, 0x1301, 0x1302, 0x1303, 0x1500}
    | {0x3000}
)
_UNFORMATTED_TEXT, _GRAPHIC_ANNOTATIONS = 0x00700006, 0x00700001
# Common Instance Reference Module (PS3.3 C.12.2).
_REFERENCE_LISTS = (Tag(0x00081115), Tag(0x00081200))
_AS_THEY_ARE = frozenset({Action.KEEP, Action.CLEAN, Action.DUMMY, Action.UID})


@dataclass(frozen=True)
class Decision:
    """What to do with an element, and by which rule; `is_ruled` is False for what the table does not name."""

    action: Action
    why: str
    is_ruled: bool = True


@dataclass(frozen=True)
class Decisions:
    """The decisions for one object. `lists_references` says whether it lists what it refers to; `overlays` are the
    groups of the overlay planes whose bits are clean."""

    profile: Profile
    types: Types
    lists_references: bool = False
    overlays: frozenset[int] = frozenset()

    def of(self, tag: BaseTag, path: Path) -> Decision:
        """The decision on a standard attribute, or on one that nobody knows."""
        rule = self._rule(tag, path)
        action = self.resolved(rule or _KEPT, (*(outer for outer, _ in path), int(tag)))
        return Decision(action, (rule or _KEPT).why, is_ruled=rule is not None)

    def without_a_value(self, tag: BaseTag, path: Path) -> Action:
        """What becomes of an attribute whose value cannot be cleaned: gone, as far as the IOD allows."""
        rule = self.profile.rule(int(tag))
        asked = Action.DUMMY if rule and rule.is_dummy else Action.REMOVE_EMPTY_OR_DUMMY
        return self.resolved(Rule(asked, ""), (*(outer for outer, _ in path), int(tag)))

    def resolved(self, rule: Rule, path: tuple[int, ...]) -> Action:
        """The action with composite codes resolved by the attribute's type in the IOD (PS3.15 Table E.1-1a).

        Where the table would remove or empty what the IOD demands, a dummy says as little and keeps the object valid.
        """
        action = rule.action
        if action in _AS_THEY_ARE:
            return action
        kind = self.types.of(path) if self.types.known else "?"
        if action == Action.REMOVE:
            return {"1": Action.DUMMY, "2": Action.EMPTY}.get(kind, Action.REMOVE)
        if action == Action.REMOVE_EMPTY_OR_UID:
            # An object that lists what it refers to must refer to it; its UIDs are replaced there as here.
            return Action.REMOVE if kind == "3" and not self.lists_references else Action.KEEP
        if kind in ("1", "1C"):
            return Action.DUMMY
        if action == Action.EMPTY or kind in ("2", "2C"):
            return Action.EMPTY
        if kind == "?":  # valid whatever the type is
            return Action.EMPTY if action == Action.REMOVE_OR_EMPTY else Action.DUMMY
        return Action.EMPTY if action == Action.EMPTY_OR_DUMMY else Action.REMOVE

    def _rule(self, tag: BaseTag, path: Path) -> Rule | None:
        rule = self.profile.rule(tag)
        if rule is None and not is_standard(tag):
            return _UNKNOWN
        if _is_misplaced(tag, path):
            return _MISPLACED
        if tag.group in self.overlays and not path and tag.elem in _OVERLAY_PLANE:
            return Rule(Action.KEEP, str(Option.CLEAN_GRAPHICS)) if tag.elem == 0x3000 else rule
        if tag.group & 0xFF00 == 0x6000:
            # Without Overlay Data the rest of an overlay plane is no valid module (PS3.3 C.9.2), so it goes as well.
            return Rule(Action.REMOVE, (rule or self.profile.rule(_OVERLAY_DATA) or _KEPT).why)
        if self._is_graphic_text(tag, path):
            return Rule(Action.CLEAN, str(Option.CLEAN_GRAPHICS))
        return rule

    def _is_graphic_text(self, tag: BaseTag, path: Path) -> bool:
        """The text of a presentation state's graphics: the table names it a descriptor, its sequence a graphic."""
        applied = Option.CLEAN_GRAPHICS in self.profile.applied
        return applied and tag == _UNFORMATTED_TEXT and any(outer == _GRAPHIC_ANNOTATIONS for outer, _ in path)


def lists_references(tags: Dataset | Iterable[int]) -> bool:
    """Whether an object with these attributes lists the instances it refers to."""
    return any(tag in tags for tag in _REFERENCE_LISTS)


def _is_misplaced(tag: BaseTag, path: Path) -> bool:
    """Commands, file meta and directory records in a data set; pixel data in a sequence (of icons, Table E.1-1 takes
    care), or in the retired groups 7F00 to 7FDF."""
    group = tag.group
    return group < 0x0008 or (group & 0xFF00 == 0x7F00 and (group != 0x7FE0 or bool(path)))
