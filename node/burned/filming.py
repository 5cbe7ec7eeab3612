"""Makes the film of an object clean: covers what is seen in it, and looks at the film that is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..choices import Fill
from ..deid.part10 import Part10
from .box import Box
from .film import Film, FilmTool
from .judging import LEFT, REVIEWER, Judge, Judged, Verdict
from .planes import in_whole_colours
from .reel import LONGEST, Reel, sights_of_film, sights_of_made_film
from .video import Made, Opened, opened_film

_MOST_FILMS = 3
"""So often a film is made anew because something was found in what was made."""
_PASSES = 3
"""In so many frames before and after one, what moves is covered where it is in that one."""
Given = Callable[[int, int, int], list[Judged]]
"""What is covered whatever is seen, in so many rows, columns and frames."""


def cleaned_film(
    source: Part10, tool: FilmTool, judge: Judge | None, given: Given, fill: Fill
) -> tuple[Part10, Verdict, dict[str, Any]]:
    """The object with a clean film, what was seen, and notes for the receipt; no `judge` where a reviewer has accepted
    all but what is given. What is found in the film that is made is covered as well. Raises CannotClean, NotProven."""
    with opened_film(source, tool) as film:
        form = film.film
        verdict = Verdict(given(form.rows, form.columns, len(film)), [])
        if judge:
            with Reel(tool, form, len(film)) as reel:
                verdict = judge.verdict(sights_of_film(reel, judge.eyes), verdict.covered)
        for _ in range(_MOST_FILMS):
            verdict = replace(verdict, covered=_spread(verdict.covered, len(film)))
            _refuse_held(verdict, judge, film)
            made = film.made(verdict.by_frame(), fill)
            more = _left(made, verdict, judge) if judge and not made.kept else []
            if not more:
                break
            verdict = replace(verdict, covered=[*verdict.covered, *more])
        else:
            _refuse_held(replace(verdict, held=more), judge, film)
        return made.source(), verdict.as_covered(_whole(verdict, form)), made.notes()


def _whole(verdict: Verdict, form: Film) -> dict[int, list[Box]]:
    """What was covered in each frame."""
    whole = {frame: [in_whole_colours(box) for box in some] for frame, some in verdict.by_frame().items()}
    return {frame: [box.within(form.columns, form.rows) for box in some] for frame, some in whole.items()}


def _refuse_held(verdict: Verdict, judge: Judge | None, film: Opened) -> None:
    verdict.refuse_held(judge.refusal if judge else "", film.film.rows, film.film.columns, len(film))


def _left(made: Made, before: Verdict, judge: Judge) -> list[Judged]:
    """What can be read in a film that was made, outside of what was covered: with the text gone, the rest is what a
    detector finds in noise."""
    left = []
    with Reel(made.tool, made.film, len(made)) as reel:
        for sight in sights_of_made_film(reel, judge.eyes):
            first, last = sight.frames[0], sight.frames[-1]
            known = [one.box for one in before.covered if one.frames[0] <= first and last <= one.frames[-1]]
            found = judge.verdict([sight], before.covered)
            boxes = [one.box for one in (*found.covered[len(before.covered) :], *found.held)]
            new = [box for box in boxes if 2 * sum(box.shared(one).area for one in known) < box.area]
            left += [Judged(box, sight.frames, LEFT) for box in judge.eyes.readable(sight.plain, new)]
    return left


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
        if one.why != REVIEWER:
            one = replace(one, frames=range(count) if every else tuple(range(first, last)))
        spread[one.box, one.frames] = one
    return list(spread.values())
