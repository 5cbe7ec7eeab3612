"""Finds and covers text that identifies somebody in the frames of an object, and proves that none is left, or refuses
it: device rules, sight, decision, redaction, verification, in this order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from ..choices import Fill, PixelPolicy
from ..deid.errors import CannotClean
from ..deid.frames import Looked
from ..deid.part10 import Part10
from ..deid.pixels import is_video
from ..deid.presidio import Voter
from ..deid.profile import Option
from ..deid.terms import TermBank
from .box import Box
from .comments import quiet
from .computed import words_in
from .devices import DeviceRules
from .drawn import has_lines, refuse_drawn
from .engines import eyes_of
from .film import NO_TOOL, FilmTool
from .filming import cleaned_film
from .frames import Frames, open_frames
from .judging import REVIEWER, Judge, Judged, Verdict
from .kinds import is_picture, policy_for
from .looking import Eyes
from .overlays import Overlays, cleaned_overlays
from .redaction import redacted
from .regions import us_banner
from .review import Reviewed
from .sight import Sight
from .sights import sights_of
from .spelled import refuse_spelled
from .views import Picture

_MOST_LISTED, _MOST_NUMBERS = 1000, 100
_MOST_PIXELS = 40 * 10**6
"""Of a frame: three times the largest mammogram, half a minute and 1 GB."""
_DEVICE = "device rule"
_WORDS = "words, where a program computed values"
_SPELT = "words can be read in segments, doses or maps that a program computed, which are not changed"


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
            if has_lines(source.header):
                refuse_drawn(source.header, self._eyes)
            return Looked(source)
        policy = policy_for(source.header, self._policy)
        if is_video(source.transfer_syntax):
            return self._film(source, policy, terms)
        said = quiet(source, terms)
        source = said.source
        frames = open_frames(source)
        if frames.form.rows * frames.form.columns > _MOST_PIXELS:
            raise CannotClean(f"its frames have more than {_MOST_PIXELS // 10**6} million pixels, too many to look at")
        form, given = frames.form, self._given(source, policy, frames.form.rows, frames.form.columns, len(frames))
        if not is_picture(source.header):
            return self._computed(source, frames, given, terms)
        verdict = Verdict(given, [])
        if not self._accepts_rest:
            judge = self._judge(policy, terms)
            verdict = judge.verdict(sights_of(frames, source.header, self._eyes), given)
            verdict.refuse_held(judge.refusal, form.rows, form.columns, len(frames))
        overlays = self._overlays(source, frames, policy, terms)
        source = overlays.source
        done = redacted(frames, source, verdict.by_frame(), self._fill, beside=_hidden(frames))
        refuse_spelled(done.source, terms)
        notes = {**done.notes, **({"comments": said.blanked} if said.blanked else {})}
        notes |= {"overlays": overlays.notes} if overlays.notes else {}
        return Looked(done.source, self._record(policy, verdict.as_covered(done.boxes), notes), overlays.kept)

    def _computed(self, source: Part10, frames: Frames, given: list[Judged], terms: TermBank) -> Looked:
        """An object whose values a program computed; without a record, for nothing of it was cleaned."""
        form = frames.form
        if not self._accepts_rest:
            words = words_in(frames, source.header, self._eyes)
            held = [Judged(box, numbers, _WORDS) for numbers, boxes in words for box in boxes]
            Verdict(given, held).refuse_held(_SPELT, form.rows, form.columns, len(frames))
        done = redacted(frames, source, Verdict(given, []).by_frame(), self._fill, beside=_hidden(frames))
        refuse_spelled(done.source, terms)
        return Looked(done.source)

    def _overlays(self, source: Part10, frames: Frames | None, policy: PixelPolicy, terms: TermBank) -> Overlays:
        """The object with clean overlay planes, if the project wants any."""
        if Option.CLEAN_GRAPHICS not in self._options:
            return Overlays(source, frozenset(), {})

        def found(picture: Picture) -> list[Box]:
            sight = Sight((0,), self._eyes.look(picture, picture), picture)
            verdict = self._judge(policy, terms).verdict([sight], [])
            return [one.box for one in (*verdict.covered, *verdict.held)]

        return cleaned_overlays(source, frames, terms, found)

    def _film(self, source: Part10, policy: PixelPolicy, terms: TermBank) -> Looked:
        """The object with a clean film."""
        if self._films is None:
            raise CannotClean(NO_TOOL)
        judge = None if self._accepts_rest else self._judge(policy, terms)
        done, verdict, notes = cleaned_film(
            source, self._films, judge, partial(self._given, source, policy), self._fill
        )
        refuse_spelled(done, terms)
        overlays = self._overlays(done, None, policy, terms)
        notes |= {"overlays": overlays.notes} if overlays.notes else {}
        return Looked(overlays.source, self._record(policy, verdict, notes), overlays.kept)

    def _judge(self, policy: PixelPolicy, terms: TermBank) -> Judge:
        return Judge(policy, terms, self._voter, self._eyes)

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
            given += [Judged(box, every, REVIEWER) for box in self._reviewed.everywhere]
            given += [Judged(box, (at,), REVIEWER) for at, some in self._reviewed.frames.items() for box in some]
        matched = self._rules.boxes(source.header, rows, columns)
        boxes = list(matched.boxes) if matched else []
        if policy != PixelPolicy.PHI:
            boxes += us_banner(source.header, rows, columns) or []
        return given + [Judged(box, every, _DEVICE) for box in boxes]

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


def _hidden(frames: Frames) -> dict[int, list[Box]]:
    """Where bits beside those stored hold anything: an overlay of old, or something nobody sees (PS3.5 8.1.2)."""
    form = frames.form
    if form.floating or form.bits_stored == form.bits_allocated:
        return {}
    whole = [Box(0, 0, form.columns, form.rows)]
    return {number: whole for number in range(len(frames)) if frames.hidden(number) is not None}


def _numbers(frames: Sequence[int]) -> list[int] | str:
    """Frames as the receipt has them, counted from 1 as DICOM does."""
    if isinstance(frames, range):
        return "all"
    if len(frames) > _MOST_NUMBERS and frames[-1] - frames[0] + 1 == len(frames):
        return f"{frames[0] + 1}-{frames[-1] + 1}"
    return [number + 1 for number in frames]
