"""Serves WADO-URI (PS3.18 9): one object, or one image of it, by the parameters of a query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Blueprint, Response, request

from lethe.storage.archive import Archive
from lethe.storage.entries import is_uid
from lethe.storage.errors import Refused
from lethe.storage.holdings import Held
from lethe.storage.users import Permission, needs

from . import accept, documents, instances, rendered
from .accept import MediaRange
from .answers import Service, failure
from .drawing import Drawing, drawing_of
from .pictures import Viewport
from .rendering import Window
from .shape import Shape
from .wishes import BIGGEST, DEFAULT_QUALITY, Wishes, annotation, icc_profile, number, quality_of

_DICOM = "application/dicom"
_UIDS = ("studyUID", "seriesUID", "objectUID")


def blueprint(archive: Archive, service_url: Callable[[], str]) -> Blueprint:
    """WADO-URI over an archive, at the root it is registered under; `service_url` is that of the DICOMweb service."""
    service = Service(archive, service_url)
    web = Blueprint("wadouri", __name__)

    @needs(Permission.READ)
    def retrieve() -> Response:
        return _retrieved(service)

    web.add_url_rule("", "retrieve", retrieve, methods=["GET"], strict_slashes=False)
    web.register_error_handler(Exception, failure)
    return web


def _retrieved(service: Service) -> Response:
    if request.args.get("requestType") != "WADO":
        raise Refused("requestType must be WADO")
    held = _held(service, *_UIDS)
    wanted = _content_types()
    if any(one.media_type == _DICOM for one in wanted):
        if "frameNumber" in request.args:  # one of rendered images (PS3.18 9.5)
            raise Refused("an object as application/dicom has all of its frames; frameNumber is for images")
        return _object(service, held)
    if document := documents.document(service, held, wanted or (MediaRange("*/*"),)):
        return document
    drawing = drawing_of(service, held, _presentation(service))
    try:
        shape = drawing.open().shape
        frame = _frame(shape)
        if not wanted and shape.frames > 1 and frame is None:
            return _object(service, held)
        return _image(service, drawing, shape, frame, wanted)
    except BaseException:
        drawing.close()
        raise


def _object(service: Service, held: Held) -> Response:
    """A Part 10 file (PS3.18 9.4.2)."""
    syntax = request.args.get("transferSyntax", "")
    if syntax and syntax != "*" and not is_uid(syntax):
        raise Refused("transferSyntax is a UID")
    parameters = {"transfer-syntax": syntax} if syntax else {}
    return instances.given(service, held, [MediaRange(_DICOM, parameters)])


def _image(
    service: Service, drawing: Drawing, shape: Shape, frame: int | None, wanted: tuple[MediaRange, ...]
) -> Response:
    ranges = wanted or (MediaRange("image/jpeg"),)
    film = frame is None and any(one.media_type.startswith("video/") for one in ranges)
    return rendered.answer(
        service, drawing, None if film else str(frame or drawing.first_frame), _wishes(shape), ranges
    )


def _held(service: Service, *names: str) -> Held:
    uids = [request.args.get(name, "").strip(" \0") for name in names]
    if not all(is_uid(uid) for uid in uids):
        raise Refused(f"{', '.join(names)} must be UIDs, and none may be missing")
    return service.archive.holdings.one(*uids)


def _presentation(service: Service) -> Held | None:
    if "presentationUID" not in request.args and "presentationSeriesUID" not in request.args:
        return None
    return _held(service, "studyUID", "presentationSeriesUID", "presentationUID")


def _content_types() -> tuple[MediaRange, ...]:
    """What is wanted, by the parameter, or else by the Accept header (PS3.18 9.3); empty where both leave it open."""
    text = request.args.get("contentType", "")
    if text.strip():
        return accept.parse(text) or (MediaRange("nothing/known"),)
    ranges = accept.parse(request.headers.get("Accept", ""))
    return () if any(one.media_type == "*/*" and one.quality > 0 for one in ranges) else ranges


def _frame(shape: Shape) -> int | None:
    text = request.args.get("frameNumber")
    if text is None:
        return None
    if shape.frames == 1 or not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= shape.frames:
        raise Refused("frameNumber is for objects with several frames, and counts them from 1")
    return int(text)


def _wishes(shape: Shape) -> Wishes:
    """The parameters of PS3.18 9.5.1, and `iccprofile` as for `rendered`. Raises Refused."""
    return Wishes(
        window=_window(),
        viewport=_viewport(shape),
        quality=quality_of(request.args.get("imageQuality", str(DEFAULT_QUALITY))),
        profile=icc_profile(),
        annotation=annotation(),
    )


def _window() -> Window | None:
    center, width = request.args.get("windowCenter"), request.args.get("windowWidth")
    if center is None and width is None:
        return None
    numbers = (number(center or ""), number(width or ""))
    if numbers[0] is None or numbers[1] is None or numbers[1] < 1:
        raise Refused("windowCenter and windowWidth are numbers, and go together")
    return Window(numbers[0], numbers[1])


def _viewport(shape: Shape) -> Viewport | None:
    rows, columns, region = _size("rows"), _size("columns"), _region()
    if rows is None and columns is None and region is None:
        return None
    source = None
    width, height = float(shape.columns), float(shape.rows)
    if region:
        left, top, right, bottom = region
        source = (left * width, top * height, (right - left) * width, (bottom - top) * height)
        width, height = source[2], source[3]
    if rows is None and columns is None:
        rows, columns = max(1, round(height)), max(1, round(width))
    # One of the two alone: the other follows from the aspect.
    box = Viewport(columns or BIGGEST, rows or BIGGEST)
    return replace(box, source=source)


def _size(name: str) -> int | None:
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6) or not 1 <= int(text) <= BIGGEST:
        raise Refused(f"rows and columns are whole numbers from 1 to {BIGGEST}")
    return int(text)


def _region() -> tuple[float, float, float, float] | None:
    """Two corners, as parts of the width and height of the image."""
    text = request.args.get("region")
    if text is None:
        return None
    numbers = [found for part in text.split(",") if (found := number(part)) is not None]
    if len(numbers) != 4 or text.count(",") != 3:
        raise Refused("region is four numbers from 0 to 1")
    left, top, right, bottom = numbers
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise Refused("region is the top left and the bottom right corner, by numbers from 0 to 1")
    return left, top, right, bottom
