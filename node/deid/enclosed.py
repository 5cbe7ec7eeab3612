"""Tells a file that lies in the bytes of an element: a picture in a colour profile or a table, a document, an object.
Nobody looks at what it shows, so it does not stay."""

from __future__ import annotations

import re

# By what they begin with: those that chance would hardly write, wherever they stand; others at the beginning.
_ANYWHERE = re.compile(
    rb"\x89PNG\r\n\x1a\n|GIF8[79]a|%PDF-\d|\xff\xd8\xff[\xe0-\xef\xdb].{2}(JFIF|Exif)\0|\0\0\0\x0cjP  \r\n\x87\n"
    + rb"|\{\\rtf1|<svg[\s>]|RIFF.{4}WEBP",
    re.DOTALL,
)
_FIRST = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]|\xff\x4f\xff\x51\0|II\*\0|MM\0\*|PK\x03\x04|.{4}ftyp|.{128}DICM|\x1f\x8b\x08"
    + rb"|BM.{4}\0{4}.{4}[\x0c\x28\x38\x40\x6c\x7c]\0{3}",
    re.DOTALL,
)


def holds_a_file(data: bytes) -> bool:
    """Whether a picture, a document or an archive lies in there."""
    return bool(_FIRST.match(data) or _ANYWHERE.search(data))
