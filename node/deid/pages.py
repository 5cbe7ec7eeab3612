"""Reads the text of a PDF page by page, and counts what is on its pages beside text.

Text only, as its fonts say what their glyphs mean: what is drawn, filled in, attached or noted is never looked at, and
so cannot get into what is written anew. Made for hostile files, within the limits below and pypdf's own; who reads
files of others does it in a process of its own (`node/pdfreader.py`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pypdf import PageObject, PdfReader, apply_configuration
from pypdf.errors import LimitReachedError, PdfReadError

from .errors import CannotClean

MOST_PAGES = 1000
_MOST_CHARACTERS = 1_000_000
_MOST_INFLATED = 32 << 20
_LIMITS: dict[str, Any] = {
    "maximum_declared_stream_length": 128 << 20,
    "zlib_maximum_output_length": _MOST_INFLATED,
    "lzw_maximum_output_length": _MOST_INFLATED,
    "run_length_maximum_output_length": _MOST_INFLATED,
    "brotli_maximum_output_length": _MOST_INFLATED,
    "array_based_stream_maximum_output_length": _MOST_INFLATED,
    "page_tree_maximum_entries": 2 * MOST_PAGES,
    "stream_parsing_work_maximum_count": 2_000_000,
    "jbig2dec_binary": None,
}
_CURVES = frozenset({b"c", b"v", b"y", b"sh"})
_MANY_LINES = 200
"""A page with fewer straight lines has rules and tables, no drawing."""
_SYMBOLIC = 4
_MOST_UNREADABLE = 0.05


@dataclass(frozen=True)
class Page:
    """One page: its text, how many pictures, drawings and annotations (form fields too, links not) it shows, and
    whether some of its text cannot be read, because a font does not say what its glyphs mean."""

    text: str
    pictures: int = 0
    drawings: int = 0
    annotations: int = 0
    unreadable: bool = False


def read_pages(data: bytes) -> list[Page]:
    """The pages of a PDF. Raises CannotClean with the reason where it cannot be read."""
    try:
        with apply_configuration(**_LIMITS):
            return _pages(data)
    except CannotClean:
        raise
    except LimitReachedError:
        raise CannotClean("the PDF asks for more memory or work than is given to one") from None
    except Exception as error:
        raise CannotClean(f"the PDF cannot be read ({type(error).__name__})") from None


def _pages(data: bytes) -> list[Page]:
    reader = _opened(data)
    if reader.is_encrypted:
        raise CannotClean("the PDF is encrypted")
    count = len(reader.pages)
    if not 0 < count <= MOST_PAGES:
        raise CannotClean("the PDF has no page" if not count else f"the PDF has more than {MOST_PAGES} pages")
    pages, characters = [], 0
    for page in reader.pages:
        pages.append(_Look().at(page))
        characters += len(pages[-1].text)
        if characters > _MOST_CHARACTERS:
            raise CannotClean(f"the PDF has more than {_MOST_CHARACTERS} characters")
    return pages


def _opened(data: bytes) -> PdfReader:
    """A reader of the file; where the end of the file is lost, with it the table of its objects, they are looked for
    one by one."""
    if not data.lstrip(b"\0\t\n\f\r ").startswith(b"%PDF-"):
        raise CannotClean("the document is no PDF")
    data = data.rstrip(b"\0")
    try:
        return PdfReader(BytesIO(data))
    except PdfReadError:
        return PdfReader(BytesIO(data + b"\nstartxref\n0\n%%EOF\n"))


@dataclass
class _Look:
    """One look at one page."""

    pictures: int = 0
    curves: int = 0
    lines: int = 0
    readable: int = 0
    unreadable: int = 0
    _images: frozenset[str] = field(default=frozenset())

    def at(self, page: PageObject) -> Page:
        self._images = frozenset(_image_names(page.get("/Resources"), 0))
        text = page.extract_text(visitor_operand_before=self._operand, visitor_text=self._piece)
        strange = sum(unicodedata.category(one) in ("Co", "Cn", "Cc") or one == "\ufffd" for one in text)
        strange -= text.count("\n") + text.count("\t") + text.count("\r")
        whole = max(1, self.readable + self.unreadable)
        unreadable = max(self.unreadable / whole, strange / max(1, len(text))) > _MOST_UNREADABLE
        drawings = int(self.curves > 0 or self.lines >= _MANY_LINES)
        return Page(text, self.pictures, drawings, _annotations(page), unreadable)

    def _operand(self, operator: bytes, operands: Any, _cm: Any, _tm: Any) -> None:
        if operator == b"INLINE IMAGE" or (operator == b"Do" and operands and str(operands[0]) in self._images):
            self.pictures += 1
        elif operator in _CURVES:
            self.curves += 1
        elif operator == b"l":
            self.lines += 1

    def _piece(self, text: str, _cm: Any, _tm: Any, font: Any, _size: Any) -> None:
        if _says_what_it_shows(font):
            self.readable += len(text.strip())
        else:
            self.unreadable += len(text.strip())


def _says_what_it_shows(font: Any) -> bool:
    """Whether codes of the font can be turned into text: by a table in it, or by an encoding that is known. Else what
    is read may be the text in another alphabet, which no cleaning finds a name in."""
    if not font or "/ToUnicode" in font:
        return True
    kind, encoding = font.get("/Subtype"), font.get("/Encoding")
    if kind == "/Type0":
        return not str(encoding).startswith("/Identity")
    if kind == "/Type3":
        return False
    about = font["/FontDescriptor"].get_object() if "/FontDescriptor" in font else {}
    if kind == "/Type1" and "/FontFile" in about:  # has an encoding of its own, which pypdf reads
        return True
    return encoding is not None or not int(about.get("/Flags", 0)) & _SYMBOLIC


def _annotations(page: PageObject) -> int:
    notes: Any = page["/Annots"].get_object() if "/Annots" in page else []
    return sum(note.get_object().get("/Subtype") not in ("/Link", "/Popup") for note in notes)


def _image_names(resources: Any, depth: int) -> set[str]:
    """The names by which a page, or a form on it, calls its pictures."""
    found: set[str] = set()
    objects = (resources.get_object() if resources else {}).get("/XObject")
    for name, one in (objects.get_object() if objects else {}).items():
        one = one.get_object()
        if one.get("/Subtype") == "/Image":
            found.add(str(name))
        elif one.get("/Subtype") == "/Form" and depth < 8:
            found |= _image_names(one.get("/Resources"), depth + 1)
    return found
