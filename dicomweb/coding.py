"""Compresses answers in the content coding that a client accepts (RFC 9110 8.4.1): gzip, or else deflate."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator

from flask import request

GZIP, DEFLATE, IDENTITY = "gzip", "deflate", ""
_WINDOW = {GZIP: zlib.MAX_WBITS | 16, DEFLATE: zlib.MAX_WBITS}  # deflate is the zlib format
_LEVEL = 5


def accepted_coding() -> str:
    """The coding for the answer to this request; a client that names none gets it as it is."""
    if not request.headers.get("Accept-Encoding"):
        return IDENTITY
    accepted = request.accept_encodings
    best = max((GZIP, DEFLATE), key=accepted.quality)
    # As it is, an answer is acceptable even where that is not said; only who likes it better says so.
    as_it_is = max((weight for name, weight in accepted if name == "identity"), default=0.0)
    return best if accepted.quality(best) > as_it_is else IDENTITY


def coded(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """The pieces in that coding, as they come."""
    if coding == IDENTITY:
        yield from pieces
        return
    compressor = zlib.compressobj(level=_LEVEL, wbits=_WINDOW[coding])
    for piece in pieces:
        if packed := compressor.compress(piece):
            yield packed
    yield compressor.flush()


def from_gzip(body: bytes, coding: str) -> bytes:
    """A body that is kept as gzip, in that coding."""
    return body if coding == GZIP else b"".join(coded((gzip.decompress(body),), coding))
