"""Says what becomes of all that was seen in the frames of an object: what is covered, and what keeps it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..choices import PixelPolicy
from ..deid.presidio import Voter
from ..deid.terms import TermBank
from .beginnings import as_far_as_needed
from .box import Box, without_covered
from .looking import Eyes
from .policy import BareNumbers, PhiPolicy
from .review import Found, NotProven, Suspect
from .sight import Sight

LEFT, REVIEWER = "text, left after redaction", "reviewer"
_FOUND, _SECOND = "text", "text, at the second look"
_MOVES = "not read in all frames"
_NEARLY = 2
"""By so many pixels boxes of the same text differ, and no letter is that narrow."""
_MOST_MOVING = 6
"""So many boxes are read frame by frame."""
_REFUSALS = {
    PixelPolicy.REGIONS: "text that is not proven technical stands where no rule for the device covers it",
    PixelPolicy.ALL: "text was left after redaction",
    PixelPolicy.PHI: "text was left after redaction",
}


@dataclass(frozen=True)
class Judged:
    """A box in some frames that is covered, or that keeps the object back; `why` is no text of the picture. One that is
    `passing` is elsewhere in the frames before and after."""

    box: Box
    frames: Sequence[int]
    why: str
    passing: bool = False


@dataclass(frozen=True)
class Verdict:
    """What is made of all that was seen: `covered`, and `held`, for which the object is refused. `kept` counts boxes
    of text that stay, `looks` how often it was looked, and `engines` who did."""

    covered: list[Judged]
    held: list[Judged]
    kept: int = 0
    looks: int = 0
    engines: tuple[str, ...] = ()

    def by_frame(self) -> dict[int, list[Box]]:
        """What is covered in each frame."""
        boxes: dict[int, list[Box]] = {}
        for one in self.covered:
            for frame in one.frames:
                boxes.setdefault(frame, []).append(one.box)
        once: dict[tuple[Box, ...], list[Box]] = {}  # frames of a film have the same ones for long
        for some in boxes.values():
            if tuple(some) not in once:
                once[tuple(some)] = without_covered(some)
        return {frame: once[tuple(some)] for frame, some in boxes.items()}

    def as_covered(self, boxes: Mapping[int, Sequence[Box]]) -> Verdict:
        """The same, each box as large as what was really covered in those frames: blocks of a JPEG and colours of two
        pixels are covered whole."""
        larger = {frame for frame, some in self.by_frame().items() if list(boxes.get(frame, ())) != some}
        if not larger:
            return self
        covered = [part for one in self.covered for part in _as_covered(one, larger, boxes)]
        return replace(self, covered=list({(one.box, tuple(one.frames), one.why): one for one in covered}.values()))

    def refuse_held(self, why: str, rows: int, columns: int, every: int) -> None:
        """Raises NotProven where anything keeps the object back, of which there are so many frames."""
        if not self.held:
            return
        suspects = [
            Suspect(one.box, number, one.why)
            for one in (*self.covered, *self.held)
            for number in ([None] if len(one.frames) == every else one.frames)
        ]
        raise NotProven(why, Found(every, rows, columns, tuple(suspects)))


@dataclass(frozen=True)
class Judge:
    """Decides by a project's policy and the terms of one object. With PHI, all is covered but what is proven
    technical in every frame."""

    policy: PixelPolicy
    terms: TermBank
    voter: Voter
    eyes: Eyes

    @property
    def refusal(self) -> str:
        """Why an object is refused that is kept back."""
        return _REFUSALS[self.policy]

    def verdict(self, sights: Iterable[Sight], given: Sequence[Judged]) -> Verdict:
        """Of all that is seen, and of what is covered whatever is seen."""
        covered, held, kept, looks, engines = list(given), list[Judged](), 0, 0, dict[str, None]()
        moving: dict[tuple[int, ...], list[Box]] = {}
        for sight in sights:
            looks += 1
            engines |= dict.fromkeys(sight.engines)
            known = [one.box for one in given if set(sight.frames) <= set(one.frames)]
            boxes = [box for box in sight.seen.boxes if not any(box.shared(other) == box for other in known)]
            if self.policy != PixelPolicy.ALL:  # what moves was read in all of these frames when it was found first
                before = moving.setdefault(sight.frames, [])
                boxes = [
                    box for box in boxes if sight.can_be_read(box) or not any(_is_same(box, one) for one in before)
                ]
                before += [box for box in boxes if not sight.can_be_read(box)]
            chosen = self._all(sight, boxes) if self.policy == PixelPolicy.ALL else self._phi(sight, boxes)
            kept += len(boxes) - len({one.box for one in chosen})
            chosen = [replace(one, passing=True) for one in chosen] if sight.passing else chosen
            if self.policy == PixelPolicy.REGIONS:
                held += chosen
                continue
            covered += chosen
            held += [Judged(box, sight.frames, LEFT) for box in sight.seen.left]
        return Verdict(covered, held, kept, looks, tuple(engines))

    def _all(self, sight: Sight, boxes: Sequence[Box]) -> list[Judged]:
        return [Judged(box, sight.frames, _SECOND if box in sight.seen.second else _FOUND) for box in boxes]

    def _phi(self, sight: Sight, boxes: Sequence[Box]) -> list[Judged]:
        """All but what is proven technical, in every frame."""
        policy = PhiPolicy(self.terms, self.voter, numbers=BareNumbers.KEPT_ON_SCALES)
        still = [box for box in boxes if sight.can_be_read(box)]
        moving = [box for box in boxes if box not in still]
        readings = as_far_as_needed(self.eyes.reader, sight.plain, still)
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
            read = as_far_as_needed(self.eyes.reader, picture, left)
            decided = policy.decide([*left, *still], [*read, *readings])
            doubted |= {one.box: str(one.reason) for one in decided[: len(left)] if not one.reason.stays}
            if len(doubted) == len(moving):
                break
        return chosen + [Judged(box, sight.frames, why) for box, why in doubted.items()]


def _as_covered(one: Judged, larger: set[int], boxes: Mapping[int, Sequence[Box]]) -> Iterator[Judged]:
    """A box as it was covered, in the frames in which it was covered so."""
    found: dict[Box, list[int]] = {}
    for frame in one.frames:
        holding = [box for box in boxes.get(frame, ()) if frame in larger and box.shared(one.box) == one.box]
        found.setdefault(min(holding, key=lambda box: box.area, default=one.box), []).append(frame)
    for box, frames in found.items():
        yield replace(one, box=box, frames=one.frames if len(frames) == len(one.frames) else tuple(frames))


def _is_same(box: Box, other: Box) -> bool:
    """Whether two boxes hold the same, which found twice is never to the pixel at the same place."""
    return max(abs(one - two) for one, two in zip(box, other, strict=True)) <= _NEARLY
