"""Writes multipart/related bodies (RFC 2387, PS3.18 8.6.1), part by part, without holding a part in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part: its type, where it could be had alone, and a function that gives its bytes when its turn comes."""

    content_type: str
    location: str
    chunks: Callable[[], Iterable[bytes]]
    length: int | None = None


def new_boundary() -> str:
    """A boundary that will not occur in any payload: 122 random bits."""
    return uuid.uuid4().hex


def content_type(part_type: str, boundary: str) -> str:
    """The Content-Type of the whole body."""
    return f'multipart/related; type="{part_type}"; boundary={boundary}'


def body(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """The body. A part that yields another number of bytes than it promised breaks it off."""
    between = b""
    for part in parts:
        yield between + _head(part, boundary)
        sent = 0
        for chunk in part.chunks():
            sent += len(chunk)
            yield chunk
        if part.length not in (None, sent):
            raise OSError("a part has another length than was promised")
        between = b"\r\n"
    yield between + f"--{boundary}--\r\n".encode()


def body_length(parts: Sequence[Part], boundary: str) -> int | None:
    """How long the body will be, where every part knows its length."""
    total = len(boundary) + 6
    for part in parts:
        if part.length is None:
            return None
        total += len(_head(part, boundary)) + part.length + 2
    return total


def _head(part: Part, boundary: str) -> bytes:
    lines = [f"--{boundary}", f"Content-Type: {part.content_type}"]
    if part.length is not None:
        lines.append(f"Content-Length: {part.length}")
    if part.location:
        lines.append(f"Content-Location: {part.location}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
