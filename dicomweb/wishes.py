"""Reads what a request wishes of a rendered image (PS3.18 8.3.5), whatever it is that is rendered."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from flask import request

from lethe.storage.errors import Refused

from .captions import PATIENT, TECHNIQUE, Caption
from .colourspaces import SPACES
from .pictures import Viewport
from .rendering import Curve, Window

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
BIGGEST = 8192
DEFAULT_QUALITY = 90
_ANNOTATION_UNKNOWN = f"annotation is {PATIENT}, {TECHNIQUE} or both; what else was named is not written."
_WHOLE_IMAGE = ("0", "0", "1e9", "1e9")
_WINDOW = "window is a centre, a width, and one of linear, linear-exact and sigmoid"
PROFILES = ("no", "yes", *SPACES)


@dataclass(frozen=True)
class Wishes:
    """How a picture is wanted: with what kinds of text, which then is in `caption`."""

    window: Window | None
    viewport: Viewport | None
    quality: int
    profile: str = "no"
    annotation: tuple[str, ...] = ()
    caption: Caption = Caption()

    @property
    def passed_over(self) -> tuple[str, ...]:
        """What of the wishes is not fulfilled, for a Warning: kinds of text that nobody knows (PS3.18 8.3.5.1.1)."""
        return () if set(self.annotation) <= {PATIENT, TECHNIQUE} else (_ANNOTATION_UNKNOWN,)

    def within(self, viewport: Viewport) -> Wishes:
        """The same in that viewport, if none is wanted."""
        return self if self.viewport else replace(self, viewport=viewport)


def wishes() -> Wishes:
    """The wishes of this request. Raises Refused where one is malformed."""
    return Wishes(_window(), _viewport(), _quality(), icc_profile(), annotation())


def wishes_of_thumbnail() -> Wishes:
    """The one wish that there is of a thumbnail, its viewport (PS3.18 10.4.1.1.6). Raises Refused."""
    return Wishes(None, _viewport(), DEFAULT_QUALITY)


def annotation() -> tuple[str, ...]:
    """PS3.18 8.3.5.1.1, and 9.5.1.1 alike: what is to be written onto the picture."""
    return tuple(
        sorted({kind for one in request.args.get("annotation", "").split(",") if (kind := one.strip().lower())})
    )


def number(text: str) -> float | None:
    """The number that a text stands for, if it is one, and not beyond all that there are."""
    found = float(text) if _NUMBER.fullmatch(text) else math.inf
    return found if math.isfinite(found) else None


def quality_of(text: str) -> int:
    """PS3.18 8.3.5.1.4. Raises Refused."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 100:
        raise Refused("quality is a whole number from 1 to 100")
    return int(text)


def _window() -> Window | None:
    """PS3.18 8.3.5.1.2: centre, width and function, all three."""
    text = request.args.get("window")
    if text is None:
        return None
    center, width, curve = [*text.lower().split(","), "", ""][:3]
    numbers = (number(center), number(width))
    if text.count(",") != 2 or numbers[0] is None or numbers[1] is None or curve not in set(Curve):
        raise Refused(_WINDOW)
    if numbers[1] < (1 if curve == Curve.LINEAR else 1e-9):
        raise Refused(_WINDOW)
    return Window(numbers[0], numbers[1], Curve(curve))


def _viewport() -> Viewport | None:
    """PS3.18 8.3.5.1.3: width and height of the picture, then x, y, width and height of the part that is shown; of
    these four each may be left empty."""
    text = request.args.get("viewport")
    if text is None:
        return None
    given = text.split(",")
    whole = [part or default for part, default in zip(given[2:], _WHOLE_IMAGE, strict=False)]
    numbers = [found for part in (*given[:2], *whole) if (found := number(part)) is not None]
    if len(given) not in (2, 6) or len(numbers) != len(given):
        raise Refused("viewport is a width and a height, which x, y, width and height of a region may follow")
    width, height, *region = numbers
    if not (1 <= width <= BIGGEST and 1 <= height <= BIGGEST) or (region and 0 in region[2:]):
        raise Refused(f"a viewport has from 1 to {BIGGEST} pixels each way")
    source = (region[0], region[1], region[2], region[3]) if region else None
    return Viewport(int(width), int(height), source)


def _quality() -> int:
    return quality_of(request.args.get("quality", str(DEFAULT_QUALITY)))


def icc_profile() -> str:
    """PS3.18 8.3.5.1.5; WADO-URI has no such parameter of its own. Raises Refused."""
    profile = request.args.get("iccprofile", "no").lower()
    if profile not in PROFILES:
        raise Refused(f"iccprofile is one of {', '.join(PROFILES)}")
    return profile
