"""Retrieves rendered images and thumbnails (WADO-RS, PS3.18 10.4.1.1.3 and 10.4.1.1.6).

A study or series is shown by one picture: its first image when rendered, one from its middle as a thumbnail, because
the first slice of a scan often shows nothing. No text is ever drawn into a picture.
"""

from __future__ import annotations

import re

from flask import Response, request
from PIL.Image import Image
from pydicom import dcmread

from lethe.storage.entries import Entry
from lethe.storage.errors import NotFound, Refused
from lethe.storage.query import Level, Match, Query

from . import frames, pixels, rendering
from .accept import NotAcceptable, Offer, choose
from .answers import Service, accepted, tagged, unchanged
from .locate import readable
from .rendering import Curve, Viewport, Window
from .wado import below

_OFFERS = tuple(Offer(name) for name in rendering.MEDIA_TYPES)
_THUMBNAIL = Viewport(256, 256)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_BIGGEST = 8192
_DEFAULT_QUALITY = 90


def rendered(
    service: Service, study: str, series: str = "", instance: str = "", numbers: str | None = None
) -> Response:
    """One image, drawn as the object or the request says."""
    entry = _chosen(service, [study, series, instance], part=0.0)
    return _picture(service, entry, numbers, part=0.0, viewport=_viewport())


def thumbnail(
    service: Service, study: str, series: str = "", instance: str = "", numbers: str | None = None
) -> Response:
    """One small image that stands for the whole."""
    entry = _chosen(service, [study, series, instance], part=0.5)
    return _picture(service, entry, numbers, part=0.5, viewport=_viewport() or _THUMBNAIL)


def _chosen(service: Service, uids: list[str], *, part: float) -> Entry:
    """The instance that is shown: so far, of 1, into the first series that has images. Raises NotFound."""
    index, given = service.archive.index, [uid for uid in uids if uid]
    if len(given) == 3:
        return index.one(Level.INSTANCE, *given)
    parents = below(*given).matches
    for series in index.find(Query(Level.SERIES, parents)):
        number = int(int(series.text("00201209") or 0) * part)
        matches = (*parents, Match("0020000E", (series.series_uid,)))
        for entry in index.find(Query(Level.INSTANCE, matches, limit=1, offset=number)):
            if entry.text("00280010"):
                return entry
    index.one(Level(len(given)), *given)
    raise NotFound("it has no image")


def _picture(
    service: Service, entry: Entry, numbers: str | None, *, part: float, viewport: Viewport | None
) -> Response:
    media_type = choose(accepted(), _OFFERS).media_type
    window, quality = _window(), _quality()
    shape = pixels.shape_of(frames.metadata_of(service, entry))
    number = int(shape.frames * part) + 1 if numbers is None else frames.parse_numbers(numbers)[0]
    frames.within([number], shape)
    tag = f"{entry.file}-{number}-{media_type}-{window}-{viewport}-{quality}".replace('"', "")
    if known := unchanged(tag):
        return known
    image = _drawn(service, entry, number, window)
    body = rendering.encoded(rendering.fitted(image, viewport), media_type, quality)
    response = tagged(Response(body, content_type=media_type), tag)
    if request.args.get("annotation") or request.args.get("iccprofile", "no") != "no":
        text = "The annotation and iccprofile parameters are not supported and have been passed over."
        response.headers["Warning"] = f"299 {service.base()}: {text}"
    return response


def _drawn(service: Service, entry: Entry, number: int, window: Window | None) -> Image:
    if pixels.is_video(entry.transfer_syntax):
        raise NotAcceptable("a video cannot be rendered here; retrieve the instance instead")
    with service.archive.files.open("clean", entry.file) as file:
        header = dcmread(file, stop_before_pixels=True)
        with readable(file, entry.transfer_syntax) as whole:
            frame = pixels.decoded_array(whole, number, raw=False)
    try:
        return rendering.picture(frame, header, number, window=window)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # What the attributes say about the samples cannot be followed, for example a palette that is not there.
        raise NotAcceptable(f"the image cannot be rendered here ({type(error).__name__})") from None


def _window() -> Window | None:
    """PS3.18 8.3.5.1.2: centre, width and function, all three."""
    text = request.args.get("window")
    if text is None:
        return None
    center, width, curve = [*text.lower().split(","), "", ""][:3]
    well_formed = text.count(",") == 2 and _NUMBER.fullmatch(center) and _NUMBER.fullmatch(width)
    if not well_formed or curve not in set(Curve) or float(width) < (1 if curve == Curve.LINEAR else 1e-9):
        raise Refused("window is a centre, a width, and one of linear, linear-exact and sigmoid")
    return Window(float(center), float(width), Curve(curve))


def _viewport() -> Viewport | None:
    """PS3.18 8.3.5.1.3: width and height of the picture, then x, y, width and height of the part that is shown."""
    text = request.args.get("viewport")
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) not in (2, 6) or not all(_NUMBER.fullmatch(part) for part in parts):
        raise Refused("viewport is a width and a height, which x, y, width and height of a region may follow")
    width, height, *region = (float(part) for part in parts)
    if not (1 <= width <= _BIGGEST and 1 <= height <= _BIGGEST) or (region and 0 in region[2:]):
        raise Refused(f"a viewport has from 1 to {_BIGGEST} pixels each way")
    source = (region[0], region[1], region[2], region[3]) if region else None
    return Viewport(int(width), int(height), source)


def _quality() -> int:
    """PS3.18 8.3.5.1.4."""
    text = request.args.get("quality", str(_DEFAULT_QUALITY))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 100:
        raise Refused("quality is a whole number from 1 to 100")
    return int(text)
