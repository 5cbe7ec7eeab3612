"""Finds and covers text that identifies somebody in the frames of an object, and proves that none is left, or refuses
it: device rules, sight, decision, redaction, verification, in this order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..choices import Fill, PixelPolicy
from ..deid.errors import CannotClean
from ..deid.frames import Looked
from ..deid.part10 import Part10
from ..deid.presidio import Voter
from ..deid.terms import TermBank
from .box import Box, without_covered
from .comments import quiet
from .devices import DeviceRules
from .engines import eyes_of
from .frames import Frames, open_frames
from .kinds import is_picture, policy_for
from .looking import Eyes
from .policy import BareNumbers, PhiPolicy
from .redaction import redacted
from .regions import us_banner
from .review import Found, NotProven, Reviewed, Suspect
from .sights import Sight, sights_of
from .spelled import refuse_spelled

_MOST_LISTED = 1000
_MOST_PIXELS = 40 * 10**6
"""Of a frame: three times the largest mammogram, half a minute and 900 MB."""
_FOUND, _SECOND, _LEFT = "text", "text, at the second look", "text, left after redaction"
_DEVICE, _REVIEWER = "device rule", "reviewer"
_MOVES = "not read in all frames"
_MOST_MOVING = 6
"""So many boxes are read frame by frame."""


@dataclass(frozen=True)
class Judged:
    """A box in some frames that is covered, or that keeps the object back; `why` is no text of the picture."""

    box: Box
    frames: Sequence[int]
    why: str


@dataclass(frozen=True)
class Verdict:
    """What is made of all that was seen: `covered`, and `held`, for which the object is refused. `kept` counts boxes
    of text that stay."""

    covered: list[Judged]
    held: list[Judged]
    kept: int = 0


class FrameCleaner:
    """Cleans the frames of one project's objects. One thread may use it."""

    def __init__(
        self,
        policy: PixelPolicy,
        fill: Fill,
        finders: Sequence[str],
        rules: DeviceRules,
        voter: Voter = Voter.NONE,
        reviewed: Reviewed | None = None,
    ) -> None:
        self._policy = policy
        self._fill = fill
        self._finders = tuple(finders)
        self._rules = rules
        self._voter = voter
        self._reviewed = reviewed

    def __call__(self, source: Part10, terms: TermBank) -> Looked:
        """The object with clean frames. Raises CannotClean; NotProven with the boxes where a person may decide."""
        if source.pixels is None:
            return Looked(source)
        said = quiet(source, terms)
        source = said.source
        if not is_picture(source.header):
            refuse_spelled(source, terms)
            return Looked(source)
        frames = open_frames(source)
        if frames.form.rows * frames.form.columns > _MOST_PIXELS:
            raise CannotClean(f"its frames have more than {_MOST_PIXELS // 10**6} million pixels, too many to look at")
        policy = policy_for(source.header, self._policy)
        given = self._given(frames, source, policy)
        if self._reviewed and self._reviewed.accepts_rest:
            verdict, seen = Verdict(given, []), list[Sight]()
        else:
            seen = list(sights_of(frames, source.header, self._eyes))
            verdict = self._judged(seen, given, policy, terms)
        if verdict.held:
            raise NotProven(_REFUSALS[policy], _found(frames, [*verdict.covered, *verdict.held]))
        done = redacted(frames, source, _by_frame(verdict.covered), self._fill, beside=_hidden(frames))
        refuse_spelled(done.source, terms)
        notes = {**done.notes, **({"comments": said.blanked} if said.blanked else {})}
        return Looked(done.source, self._record(policy, verdict, seen, notes))

    @cached_property
    def _eyes(self) -> Eyes:
        return eyes_of(self._finders)

    def _given(self, frames: Frames, source: Part10, policy: PixelPolicy) -> list[Judged]:
        """What is covered whatever is seen: by a reviewer's word, by a rule for the device."""
        form, every = frames.form, range(len(frames))
        given = []
        if self._reviewed:
            given += [Judged(box, every, _REVIEWER) for box in self._reviewed.everywhere]
            given += [Judged(box, (at,), _REVIEWER) for at, some in self._reviewed.frames.items() for box in some]
        matched = self._rules.boxes(source.header, form.rows, form.columns)
        boxes = list(matched.boxes) if matched else []
        if policy != PixelPolicy.PHI:
            boxes += us_banner(source.header, form.rows, form.columns) or []
        return given + [Judged(box, every, _DEVICE) for box in boxes]

    def _judged(self, sights: Sequence[Sight], given: list[Judged], policy: PixelPolicy, terms: TermBank) -> Verdict:
        covered, held, kept = list(given), list[Judged](), 0
        for sight in sights:
            known = [one.box for one in given if set(sight.frames) <= set(one.frames)]
            boxes = [box for box in sight.seen.boxes if not any(box.shared(other) == box for other in known)]
            chosen = self._all(sight, boxes) if policy == PixelPolicy.ALL else self._phi(sight, boxes, terms)
            kept += len(boxes) - len({one.box for one in chosen})
            if policy == PixelPolicy.REGIONS:
                held += chosen
                continue
            covered += chosen
            held += [Judged(box, sight.frames, _LEFT) for box in self._eyes.left(sight.plain, sight.seen)]
        return Verdict(covered, held, kept)

    def _all(self, sight: Sight, boxes: Sequence[Box]) -> list[Judged]:
        return [Judged(box, sight.frames, _SECOND if box in sight.seen.second else _FOUND) for box in boxes]

    def _phi(self, sight: Sight, boxes: Sequence[Box], terms: TermBank) -> list[Judged]:
        """All but what is proven technical, in every frame."""
        policy = PhiPolicy(terms, self._voter, numbers=BareNumbers.KEPT_ON_SCALES)
        still = [box for box in boxes if sight.can_be_read(box)]
        moving = [box for box in boxes if box not in still]
        readings = self._eyes.reader.read(sight.plain, still)
        chosen = [
            Judged(part, sight.frames, str(one.reason))
            for one in policy.decide(still, readings)
            for part in one.redacted
        ]
        if len(moving) > _MOST_MOVING or sight.alone is None:
            return chosen + [Judged(box, sight.frames, _MOVES) for box in moving]
        doubted: dict[Box, str] = {}
        for frame in sight.frames if moving else ():
            picture = sight.alone(frame)
            left = [box for box in moving if box not in doubted]
            decided = policy.decide([*left, *still], [*self._eyes.reader.read(picture, left), *readings])
            doubted |= {one.box: str(one.reason) for one in decided[: len(left)] if not one.reason.stays}
            if len(doubted) == len(moving):
                break
        return chosen + [Judged(box, sight.frames, why) for box, why in doubted.items()]

    def _record(
        self, policy: PixelPolicy, verdict: Verdict, sights: Sequence[Sight], notes: Mapping[str, Any]
    ) -> dict[str, Any]:
        boxes = [{"box": list(one.box), "frames": _numbers(one.frames), "why": one.why} for one in verdict.covered]
        record: dict[str, Any] = {
            "policy": str(policy),
            "fill": str(self._fill),
            "engines": list(dict.fromkeys(name for sight in sights for name in sight.engines)),
            "looks": len(sights),
            "boxes": boxes[:_MOST_LISTED],
            "covered": len(boxes),
            "kept": verdict.kept,
            **notes,
        }
        if self._reviewed:
            record["reviewed"] = self._reviewed.as_document()
        return record


_REFUSALS = {
    PixelPolicy.REGIONS: "text that is not proven technical stands where no rule for the device covers it",
    PixelPolicy.ALL: "text was left after redaction",
    PixelPolicy.PHI: "text was left after redaction",
}


def _by_frame(covered: Iterable[Judged]) -> dict[int, list[Box]]:
    boxes: dict[int, list[Box]] = {}
    for one in covered:
        for frame in one.frames:
            boxes.setdefault(frame, []).append(one.box)
    return {frame: without_covered(some) for frame, some in boxes.items()}


def _hidden(frames: Frames) -> dict[int, list[Box]]:
    """Where bits beside those stored hold anything: an overlay of old, or something nobody sees (PS3.5 8.1.2)."""
    form = frames.form
    if form.floating or form.bits_stored == form.bits_allocated:
        return {}
    whole = [Box(0, 0, form.columns, form.rows)]
    return {number: whole for number in range(len(frames)) if frames.hidden(number) is not None}


def _found(frames: Frames, judged: Iterable[Judged]) -> Found:
    every = len(frames)
    suspects = [
        Suspect(one.box, number, one.why)
        for one in judged
        for number in ([None] if len(one.frames) == every else one.frames)
    ]
    return Found(every, frames.form.rows, frames.form.columns, tuple(suspects))


def _numbers(frames: Sequence[int]) -> list[int] | str:
    """Frames as the receipt has them, counted from 1 as DICOM does."""
    return "all" if isinstance(frames, range) else [number + 1 for number in frames]
