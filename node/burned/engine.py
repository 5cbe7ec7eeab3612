"""Finds and covers text that identifies somebody in the frames of an object, and proves that none is left, or refuses
it: device rules, sight, decision, redaction, verification, in this order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..choices import Fill, PixelPolicy
from ..deid.errors import CannotClean
from ..deid.frames import Looked
from ..deid.part10 import Part10
from ..deid.pixels import is_video
from ..deid.presidio import Voter
from ..deid.profile import Option
from ..deid.terms import TermBank
from .beginnings import as_far_as_needed
from .box import Box, without_covered
from .comments import quiet
from .computed import words_in
from .devices import DeviceRules
from .engines import eyes_of
from .film import NO_TOOL, FilmTool
from .frames import Frames, open_frames
from .kinds import is_picture, policy_for
from .looking import Eyes
from .overlays import Overlays, cleaned_overlays
from .policy import BareNumbers, PhiPolicy
from .redaction import redacted
from .reel import LONGEST, Reel, sights_of_film, sights_of_made_film
from .regions import us_banner
from .review import Found, NotProven, Reviewed, Suspect
from .sight import Sight
from .sights import sights_of
from .spelled import refuse_spelled
from .video import Made, Opened, opened_film
from .views import Picture

_MOST_LISTED, _MOST_NUMBERS = 1000, 100
_MOST_PIXELS = 40 * 10**6
"""Of a frame: three times the largest mammogram, half a minute and 900 MB."""
_FOUND, _SECOND, _LEFT = "text", "text, at the second look", "text, left after redaction"
_DEVICE, _REVIEWER = "device rule", "reviewer"
_WORDS = "words, where a program computed values"
_MOVES = "not read in all frames"
_NEARLY = 2
"""By so many pixels boxes of the same text differ, and no letter is that narrow."""
_MOST_FILMS = 3
"""So often a film is made anew because something was found in what was made."""
_PASSES = 3
"""In so many frames before and after one, what moves is covered where it is in that one."""
_MOST_MOVING = 6
"""So many boxes are read frame by frame."""


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
        films: FilmTool | None = None,
        options: Collection[Option] = (),
    ) -> None:
        self._policy = policy
        self._fill = fill
        self._finders = tuple(finders)
        self._rules = rules
        self._voter = voter
        self._reviewed = reviewed
        self._films = films
        self._options = options

    def __call__(self, source: Part10, terms: TermBank) -> Looked:
        """The object with clean frames. Raises CannotClean; NotProven with the boxes where a person may decide."""
        if source.pixels is None:
            return Looked(source)
        if is_video(source.transfer_syntax):
            return self._film(source, terms)
        said = quiet(source, terms)
        source = said.source
        frames = open_frames(source)
        if frames.form.rows * frames.form.columns > _MOST_PIXELS:
            raise CannotClean(f"its frames have more than {_MOST_PIXELS // 10**6} million pixels, too many to look at")
        policy = policy_for(source.header, self._policy)
        form, given = frames.form, self._given(source, policy, frames.form.rows, frames.form.columns, len(frames))
        if not is_picture(source.header):
            return self._computed(source, frames, given, terms)
        if self._accepts_rest:
            verdict = Verdict(given, [])
        else:
            verdict = self._judged(sights_of(frames, source.header, self._eyes), given, policy, terms)
        _refuse_held(verdict, _REFUSALS[policy], form.rows, form.columns, len(frames))
        overlays = self._overlays(source, frames, policy, terms)
        source = overlays.source
        done = redacted(frames, source, _by_frame(verdict.covered), self._fill, beside=_hidden(frames))
        refuse_spelled(done.source, terms)
        notes = {**done.notes, **({"comments": said.blanked} if said.blanked else {})}
        notes |= {"overlays": overlays.notes} if overlays.notes else {}
        return Looked(done.source, self._record(policy, verdict, notes), overlays.kept)

    def _computed(self, source: Part10, frames: Frames, given: list[Judged], terms: TermBank) -> Looked:
        """An object whose values a program computed; without a record, for nothing of it was cleaned."""
        form = frames.form
        if not self._accepts_rest:
            words = words_in(frames, source.header, self._eyes)
            held = [Judged(box, numbers, _WORDS) for numbers, boxes in words for box in boxes]
            _refuse_held(Verdict(given, held), _SPELT, form.rows, form.columns, len(frames))
        done = redacted(frames, source, _by_frame(given), self._fill, beside=_hidden(frames))
        refuse_spelled(done.source, terms)
        return Looked(done.source)

    def _overlays(self, source: Part10, frames: Frames | None, policy: PixelPolicy, terms: TermBank) -> Overlays:
        """The object with clean overlay planes, if the project wants any."""
        if Option.CLEAN_GRAPHICS not in self._options:
            return Overlays(source, frozenset(), {})

        def found(picture: Picture) -> list[Box]:
            sight = Sight((0,), self._eyes.look(picture, picture), picture)
            verdict = self._judged([sight], [], policy, terms)
            return [one.box for one in (*verdict.covered, *verdict.held)]

        return cleaned_overlays(source, frames, terms, found)

    def _film(self, source: Part10, terms: TermBank) -> Looked:
        """The object with a clean film. What is made is looked at again: what is found then is covered as well."""
        if self._films is None:
            raise CannotClean(NO_TOOL)
        policy = policy_for(source.header, self._policy)
        with opened_film(source, self._films) as film:
            rows, columns = film.film.rows, film.film.columns
            given = self._given(source, policy, rows, columns, len(film))
            verdict = Verdict(given, []) if self._accepts_rest else self._seen(film, given, policy, terms)
            for _ in range(_MOST_FILMS):
                verdict = replace(verdict, covered=_spread(verdict.covered, len(film)))
                _refuse_held(verdict, _REFUSALS[policy], rows, columns, len(film))
                made = film.made(_by_frame(verdict.covered), self._fill)
                more = [] if made.kept or self._accepts_rest else self._more(made, verdict, policy, terms)
                if not more:
                    break
                verdict = replace(verdict, covered=[*verdict.covered, *more])
            else:
                verdict = replace(verdict, held=more)
                _refuse_held(verdict, _REFUSALS[policy], rows, columns, len(film))
            done, notes = made.source(), made.notes()
        refuse_spelled(done, terms)
        overlays = self._overlays(done, None, policy, terms)
        notes |= {"overlays": overlays.notes} if overlays.notes else {}
        return Looked(overlays.source, self._record(policy, verdict, notes), overlays.kept)

    def _seen(self, film: Opened | Made, given: list[Judged], policy: PixelPolicy, terms: TermBank) -> Verdict:
        with Reel(film.tool, film.film, len(film)) as reel:
            return self._judged(sights_of_film(reel, self._eyes), given, policy, terms)

    def _more(self, made: Made, before: Verdict, policy: PixelPolicy, terms: TermBank) -> list[Judged]:
        """What can be read in a film that was made, outside of what was covered: with the text gone, the rest is what a
        detector finds in noise."""
        more = []
        with Reel(made.tool, made.film, len(made)) as reel:
            for sight in sights_of_made_film(reel, self._eyes):
                first, last = sight.frames[0], sight.frames[-1]
                known = [one.box for one in before.covered if one.frames[0] <= first and last <= one.frames[-1]]
                found = self._judged([sight], before.covered, policy, terms)
                boxes = [one.box for one in (*found.covered[len(before.covered) :], *found.held)]
                new = [box for box in boxes if 2 * sum(box.shared(one).area for one in known) < box.area]
                readable = self._eyes.readable(sight.plain, new)
                more += [Judged(box, sight.frames, _LEFT) for box in readable]
        return more

    @property
    def _accepts_rest(self) -> bool:
        return bool(self._reviewed and self._reviewed.accepts_rest)

    @cached_property
    def _eyes(self) -> Eyes:
        return eyes_of(self._finders)

    def _given(self, source: Part10, policy: PixelPolicy, rows: int, columns: int, count: int) -> list[Judged]:
        """What is covered whatever is seen: by a reviewer's word, by a rule for the device."""
        every = range(count)
        given = []
        if self._reviewed:
            given += [Judged(box, every, _REVIEWER) for box in self._reviewed.everywhere]
            given += [Judged(box, (at,), _REVIEWER) for at, some in self._reviewed.frames.items() for box in some]
        matched = self._rules.boxes(source.header, rows, columns)
        boxes = list(matched.boxes) if matched else []
        if policy != PixelPolicy.PHI:
            boxes += us_banner(source.header, rows, columns) or []
        return given + [Judged(box, every, _DEVICE) for box in boxes]

    def _judged(self, sights: Iterable[Sight], given: list[Judged], policy: PixelPolicy, terms: TermBank) -> Verdict:
        covered, held, kept, looks, engines = list(given), list[Judged](), 0, 0, dict[str, None]()
        moving: dict[tuple[int, ...], list[Box]] = {}
        for sight in sights:
            looks += 1
            engines |= dict.fromkeys(sight.engines)
            known = [one.box for one in given if set(sight.frames) <= set(one.frames)]
            boxes = [box for box in sight.seen.boxes if not any(box.shared(other) == box for other in known)]
            if policy != PixelPolicy.ALL:  # what moves was read in every one of these frames when it was found first
                before = moving.setdefault(sight.frames, [])
                boxes = [
                    box for box in boxes if sight.can_be_read(box) or not any(_is_same(box, one) for one in before)
                ]
                before += [box for box in boxes if not sight.can_be_read(box)]
            chosen = self._all(sight, boxes) if policy == PixelPolicy.ALL else self._phi(sight, boxes, terms)
            kept += len(boxes) - len({one.box for one in chosen})
            chosen = [replace(one, passing=True) for one in chosen] if sight.passing else chosen
            if policy == PixelPolicy.REGIONS:
                held += chosen
                continue
            covered += chosen
            held += [Judged(box, sight.frames, _LEFT) for box in sight.seen.left]
        return Verdict(covered, held, kept, looks, tuple(engines))

    def _all(self, sight: Sight, boxes: Sequence[Box]) -> list[Judged]:
        return [Judged(box, sight.frames, _SECOND if box in sight.seen.second else _FOUND) for box in boxes]

    def _phi(self, sight: Sight, boxes: Sequence[Box], terms: TermBank) -> list[Judged]:
        """All but what is proven technical, in every frame."""
        policy = PhiPolicy(terms, self._voter, numbers=BareNumbers.KEPT_ON_SCALES)
        still = [box for box in boxes if sight.can_be_read(box)]
        moving = [box for box in boxes if box not in still]
        readings = as_far_as_needed(self._eyes.reader, sight.plain, still)
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
            read = as_far_as_needed(self._eyes.reader, picture, left)
            decided = policy.decide([*left, *still], [*read, *readings])
            doubted |= {one.box: str(one.reason) for one in decided[: len(left)] if not one.reason.stays}
            if len(doubted) == len(moving):
                break
        return chosen + [Judged(box, sight.frames, why) for box, why in doubted.items()]

    def _record(self, policy: PixelPolicy, verdict: Verdict, notes: Mapping[str, Any]) -> dict[str, Any]:
        boxes = [{"box": list(one.box), "frames": _numbers(one.frames), "why": one.why} for one in verdict.covered]
        record: dict[str, Any] = {
            "policy": str(policy),
            "fill": str(self._fill),
            "engines": list(verdict.engines),
            "looks": verdict.looks,
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
_SPELT = "words can be read in segments, doses or maps that a program computed, which are not changed"


def _is_same(box: Box, other: Box) -> bool:
    """Whether two boxes hold the same, which found twice is never to the pixel at the same place."""
    return max(abs(one - two) for one, two in zip(box, other, strict=True)) <= _NEARLY


def _spread(covered: Sequence[Judged], count: int) -> list[Judged]:
    """What was seen in two stretches of a film is covered in all of it; in one, also in those before and after it, and
    what passes by in a few more frames."""
    spread, staying = {}, [one for one in covered if not one.passing]
    for one in covered:
        far = _PASSES if one.passing else LONGEST
        first, last = max(one.frames[0] - far, 0), min(one.frames[-1] + far + 1, count)
        twice = not one.passing and any(
            other.frames != one.frames and other.box.shared(one.box).area > one.box.area / 2 for other in staying
        )
        every = len(one.frames) == count or twice or last - first == count
        if one.why != _REVIEWER:
            one = replace(one, frames=range(count) if every else tuple(range(first, last)))
        spread[one.box, one.frames] = one
    return list(spread.values())


def _by_frame(covered: Iterable[Judged]) -> dict[int, list[Box]]:
    boxes: dict[int, list[Box]] = {}
    for one in covered:
        for frame in one.frames:
            boxes.setdefault(frame, []).append(one.box)
    once: dict[tuple[Box, ...], list[Box]] = {}  # frames of a film have the same ones for long
    for some in boxes.values():
        if tuple(some) not in once:
            once[tuple(some)] = without_covered(some)
    return {frame: once[tuple(some)] for frame, some in boxes.items()}


def _hidden(frames: Frames) -> dict[int, list[Box]]:
    """Where bits beside those stored hold anything: an overlay of old, or something nobody sees (PS3.5 8.1.2)."""
    form = frames.form
    if form.floating or form.bits_stored == form.bits_allocated:
        return {}
    whole = [Box(0, 0, form.columns, form.rows)]
    return {number: whole for number in range(len(frames)) if frames.hidden(number) is not None}


def _refuse_held(verdict: Verdict, why: str, rows: int, columns: int, every: int) -> None:
    if not verdict.held:
        return
    judged = [*verdict.covered, *verdict.held]
    suspects = [
        Suspect(one.box, number, one.why)
        for one in judged
        for number in ([None] if len(one.frames) == every else one.frames)
    ]
    raise NotProven(why, Found(every, rows, columns, tuple(suspects)))


def _numbers(frames: Sequence[int]) -> list[int] | str:
    """Frames as the receipt has them, counted from 1 as DICOM does."""
    if isinstance(frames, range):
        return "all"
    if len(frames) > _MOST_NUMBERS and frames[-1] - frames[0] + 1 == len(frames):
        return f"{frames[0] + 1}-{frames[-1] + 1}"
    return [number + 1 for number in frames]
