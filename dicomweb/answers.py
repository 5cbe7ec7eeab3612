"""Turns what a view found into an HTTP response: JSON, multipart, a stretch of a file, or one of the few failures.

The table of failures is here and nowhere else in the package. What a response says about a failure is a sentence of
ours; it repeats nothing the client sent and nothing an object holds.
"""

from __future__ import annotations

import gzip
import json
import logging
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from flask import Response, request, stream_with_context
from werkzeug.exceptions import HTTPException

from lethe.storage.archive import Archive
from lethe.storage.audit import SYSTEM, Actor
from lethe.storage.entries import DicomJson
from lethe.storage.errors import NotFound, Refused, TooWide, Unavailable
from lethe.storage.holdings import Held

from . import accept, multipart
from .accept import MediaRange, NotAcceptable, Packing
from .coding import GZIP, accepted_coding, coded, from_gzip
from .etags import Tag, range_holds, tagged
from .lately import Lately
from .locate import chunks
from .multipart import Part
from .pixels import Layout, layout_in
from .ready import Ready
from .rendering import Array, Look
from .shape import shape_of

_LOG = logging.getLogger("lethe.dicomweb")
_STATUS: dict[type[Exception], int] = {TooWide: 413, Refused: 400, NotFound: 404, NotAcceptable: 406, Unavailable: 503}
_RETRY_AFTER = "10"
_AT_ONCE = 4 << 20


@dataclass(frozen=True)
class Service:
    """What every view works on: the archive, the absolute URL of the service's root, answers given before, and what
    is known of files that were asked for lately."""

    archive: Archive
    url: Callable[[], str]
    ready: Ready = field(default_factory=Ready)
    layouts: Lately[Layout] = field(default_factory=lambda: Lately(1024))
    looks: Lately[Look] = field(default_factory=lambda: Lately(1024))
    greys: Lately[Array] = field(default_factory=lambda: Lately(256))
    actor: Callable[[], Actor] = lambda: SYSTEM
    """Who asks, for the audit trail."""
    events: Callable[[], str] = lambda: ""
    """The URL below which channels of event reports are opened; empty where there are none."""

    def base(self) -> str:
        return self.url().rstrip("/")

    def instance_url(self, study: str, series: str, instance: str) -> str:
        return f"{self.base()}/studies/{study}/series/{series}/instances/{instance}"

    def metadata_of(self, held: Held) -> DicomJson:
        """The attributes of an instance. Raises NotFound."""
        attributes: DicomJson = json.loads(gzip.decompress(self.archive.holdings.metadata(held.sop_uid)))
        return attributes

    def layout_of(self, held: Held, file: BinaryIO) -> Layout:
        """Where the frames of an instance lie in its open file (a deflated one inflated). Raises NotFound."""

        def find_out() -> Layout:
            return layout_in(file, held.transfer_syntax, shape_of(self.metadata_of(held)))

        return self.layouts.get(held.file, find_out)


@dataclass(frozen=True)
class Keep:
    """What was asked, and the version of what the answer is made from: while it holds, so does the answer."""

    ready: Ready
    asked: Hashable
    version: Hashable


def accepted() -> Sequence[MediaRange]:
    """What the client accepts: the `accept` query parameter, which wins, or the header (PS3.18 8.3.3.1, 8.7.5)."""
    parameters = [value for value in request.args.getlist("accept") if value.strip()]
    if parameters:
        # An unencoded plus sign in a URL's query arrives as a space.
        return accept.parse(",".join(parameters).replace("dicom json", "dicom+json"))
    header = request.headers.get("Accept", "")
    return accept.parse(header) if header.strip() else (MediaRange("*/*"),)


def json_array(items: Iterable[bytes], keep: Keep | None = None) -> Response:
    """Already encoded DICOM JSON objects as one array, compressed where the client wants that, which may be kept."""
    response, coding = _json()
    pieces = coded(_array(items), coding)
    if keep is not None and coding == GZIP:
        pieces = keep.ready.keeping(keep.asked, keep.version, pieces)
    response.response = _streamed(pieces)
    return response


def json_kept(keep: Keep) -> Response | None:
    """The answer that was given to this question before, if it is kept and still holds."""
    body = keep.ready.get(keep.asked, keep.version)
    if body is None:
        return None
    response, coding = _json()
    response.data = from_gzip(body, coding)
    return response


def _json() -> tuple[Response, str]:
    """An answer of JSON without its body, and the coding that has to have."""
    response, coding = Response(content_type="application/dicom+json"), accepted_coding()
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Accept, Accept-Encoding"
    if coding:
        response.headers["Content-Encoding"] = coding
    return response, coding


def multipart_body(parts: Sequence[Part] | Iterator[Part], part_type: str, *, status: int = 200) -> Response:
    """The parts as multipart/related, with a Content-Length where all lengths are known."""
    boundary = multipart.new_boundary()
    length = multipart.body_length(parts, boundary) if isinstance(parts, Sequence) else None
    pieces = multipart.body(parts, boundary)
    if length is not None and length <= _AT_ONCE and request.method != "HEAD":
        # In one piece: handing each over costs more than copying it.
        response = Response(b"".join(pieces), status=status)
    else:
        response = Response(_streamed(pieces), status=status)
    response.headers["Content-Type"] = multipart.content_type(part_type, boundary)
    response.headers["Vary"] = "Accept"
    if length is not None:
        response.headers["Content-Length"] = str(length)
    return response


def streamed(pieces: Iterator[bytes], media_type: str) -> Response:
    """A body whose length nobody knows before its end."""
    response = Response(_streamed(pieces))
    response.headers["Content-Type"] = media_type
    response.headers["Vary"] = "Accept"
    return response


def single_body(part: Part) -> Response:
    """One part without packing."""
    response = Response(_streamed(iter(part.chunks())))
    response.headers["Content-Type"] = part.content_type
    response.headers["Content-Location"] = part.location
    response.headers["Vary"] = "Accept"
    if part.length is not None:
        response.headers["Content-Length"] = str(part.length)
    return response


def nothing(status: int) -> Response:
    """A status without a body, and so without a type of one."""
    response = Response(status=status, headers={"Cache-Control": "no-cache"})
    del response.headers["Content-Type"]
    return response


def stretch(
    file: BinaryIO, offset: int, length: int, part: Part, *, word: int = 1, packing: Packing, tag: Tag
) -> Response:
    """The value of `length` bytes at `offset`, or the range of it that is asked for. `part` tells type and location."""

    def cut(start: int, stop: int) -> Iterable[bytes]:
        return chunks(file, offset, start, stop, word=word)

    try:
        response = ranged(part, length, cut, packing=packing, tag=tag)
    except BaseException:
        file.close()
        raise
    response.call_on_close(file.close)
    return response


def ranged(
    part: Part, length: int, cut: Callable[[int, int], Iterable[bytes]], *, packing: Packing, tag: Tag
) -> Response:
    """What is so long and `cut` gives the bytes of, from one up to another, or the range of it that is asked for (RFC
    9110 14, PS3.18 8.6.2). A range of a multipart answer is a range of its one part, which tells type and location."""
    start, stop = 0, length
    wanted = request.range if request.method == "GET" else None  # no other method has ranges (RFC 9110 14.2)
    partial = wanted is not None and wanted.units == "bytes" and len(wanted.ranges) == 1 and range_holds(tag)
    if wanted is not None and partial:
        start, stop = _bounds(*wanted.ranges[0], length)
        if start >= stop:
            response = nothing(416)
            response.headers["Content-Range"] = f"bytes */{length}"
            return tagged(response, tag)
    piece = Part(part.content_type, part.location, lambda: cut(start, stop), stop - start)
    media_type = part.content_type.partition(";")[0]
    response = multipart_body([piece], media_type) if packing is Packing.MULTIPART else single_body(piece)
    response.headers["Accept-Ranges"] = "bytes"
    if partial:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    return tagged(response, tag)


def _bounds(begin: int, end: int | None, length: int) -> tuple[int, int]:
    """Where a range begins and ends in what is so long. One of its last bytes may ask for more than there are."""
    return max(0, begin + length if begin < 0 else begin), length if end is None else min(end, length)


def warned(service: Service, response: Response, warnings: Iterable[str]) -> Response:
    """The response with these warnings (PS3.18 8.4)."""
    for text in warnings:
        response.headers.add("Warning", f"299 {service.base()}: {text}")
    return response


def failure(error: Exception) -> Response:
    """The one table from what went wrong to what HTTP says about it."""
    if isinstance(error, HTTPException):
        status = error.code or 500
        message = "The request cannot be read." if status == 400 else (error.name or "the request failed")
        response = _said(status, message)
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            response = _said(status, str(error))
            if status == 503:
                response.headers["Retry-After"] = _RETRY_AFTER
            return response
    _log(error, request.endpoint or "")
    return _said(500, "something went wrong here; the server's log tells more")


def _said(status: int, message: str) -> Response:
    body = json.dumps({"error": message})
    response = Response(body, status=status, content_type="application/json")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _log(error: Exception, endpoint: str) -> None:
    """What failed and where; the exception's own words may quote an object and are left out."""
    place = "".join(traceback.format_tb(error.__traceback__, limit=-16))
    _LOG.error("%s while answering %s\n%s", type(error).__name__, endpoint, place)


def _streamed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, made within the request although it was answered: absolute URLs in them are those of the request."""
    return stream_with_context(_guarded(pieces))


def _guarded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces; a failure on the way is logged and breaks the connection, so that nobody takes half for all."""
    endpoint = request.endpoint or ""

    def guarded() -> Iterator[bytes]:
        try:
            yield from pieces
        except Exception as error:
            _log(error, endpoint)
            raise ConnectionAbortedError("the answer could not be completed") from None

    return guarded()


def _array(items: Iterable[bytes]) -> Iterator[bytes]:
    yield b"["
    for number, item in enumerate(items):
        yield b"," + item if number else item
    yield b"]"
