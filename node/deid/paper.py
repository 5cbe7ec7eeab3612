"""Writes text as a PDF of one page for each page of text, with nothing else in it; the same text gives the same bytes.

Western text is set in Helvetica, which every reader has, and not compressed, so that anybody can look for words in it;
other text in DejaVu Sans, which matplotlib brings, because it covers Latin, Greek, Cyrillic, Hebrew and Arabic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from .errors import CannotClean

_WESTERN, _WIDE = "Helvetica", "LetheText"
_SIZE, _LEADING, _MARGIN = 10, 12, 50
_WIDTH = A4[0] - 2 * _MARGIN
_TALLEST = 14_000
"""No page of a PDF is taller than 14,400 units (ISO 32000-1 Annex C.2)."""
_LAST_READ = 0xFFFF
"""Characters behind this one are written so that not all readers get them back."""
NOT_DRAWN = "\u25a1"
"""What stands for a character that the font does not have."""


def write_pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF of these pages, each of lines that may be wrapped. Raises CannotClean where a page holds more than a page
    can."""
    font = _WESTERN if all(_is_western(line) for lines in pages for line in lines) else _wide_font().fontName
    buffer = BytesIO()
    compressed = int(font == _WIDE)
    canvas = Canvas(buffer, pageCompression=compressed, invariant=1, initialFontName=font, initialFontSize=_SIZE)
    for set_about in (canvas.setTitle, canvas.setAuthor, canvas.setSubject, canvas.setCreator, canvas.setProducer):
        set_about("")
    for lines in pages:
        _draw(canvas, [part for line in lines for part in _wrapped(line, font)], font)
    canvas.save()
    return buffer.getvalue()


def drawable(text: str) -> tuple[str, int]:
    """The text as a font can draw it, and how many characters none has."""
    if _is_western(text):
        return text, 0
    has = _wide_font().face.charToGlyph
    drawn = "".join(one if ord(one) in has and ord(one) <= _LAST_READ else NOT_DRAWN for one in text)
    return drawn, sum(one != two for one, two in zip(text, drawn, strict=True))


def _is_western(text: str) -> bool:
    try:
        text.encode("cp1252")  # WinAnsiEncoding (ISO 32000-1 Annex D), whose bullet reportlab writes as a control
    except UnicodeEncodeError:
        return False
    return "\u2022" not in text


def _draw(canvas: Canvas, lines: list[str], font: str) -> None:
    height = max(A4[1], len(lines) * _LEADING + 2 * _MARGIN)
    if height > _TALLEST:
        raise CannotClean("a page of the document has more text than a page can hold")
    canvas.setPageSize((A4[0], height))
    text = canvas.beginText(_MARGIN, height - _MARGIN)
    text.setFont(font, _SIZE, _LEADING)
    for line in lines:
        text.textLine(line)
    canvas.drawText(text)
    canvas.showPage()


def _wrapped(line: str, font: str) -> Iterator[str]:
    """A line in parts that fit the page, broken between words where possible."""
    part, width = "", 0.0
    for word in line.split(" "):
        extent = pdfmetrics.stringWidth(f"{word} ", font, _SIZE)
        if part and width + extent > _WIDTH:
            yield part.rstrip()
            part, width = "", 0.0
        while extent > _WIDTH:
            fits = max(1, int(len(word) * _WIDTH / extent) - 1)
            yield word[:fits]
            word = word[fits:]
            extent = pdfmetrics.stringWidth(f"{word} ", font, _SIZE)
        part, width = f"{part}{word} ", width + extent
    yield part.rstrip()


@cache
def _wide_font() -> TTFont:
    rl_config.useA85 = 0  # written as text, compressed data look like words
    spec = find_spec("matplotlib")  # found, not imported: it takes long, and only its file is needed
    assert spec is not None and spec.submodule_search_locations
    (folder,) = spec.submodule_search_locations
    font = TTFont(_WIDE, str(Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"))
    pdfmetrics.registerFont(font)
    return font
