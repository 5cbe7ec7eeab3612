"""Makes an encapsulated PDF anew from its text alone, page for page, as a plain PDF.

Nothing of the old file is taken over: no metadata, picture, drawing, attachment, form, note, link or script. What was
there and is not any more is counted, and named on its page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from .errors import CannotClean
from .pages import Page, read_pages
from .paper import drawable, write_pdf
from .pseudonyms import Pseudonyms
from .rewritten import Rewritten
from .terms import TermBank
from .text import TextCleaner

_NO_TEXT = "[page without text removed]"
_UNREADABLE = "[page removed: its text cannot be read]"
_NOTE = re.compile(
    r"\[(?:\d+ )?(?:picture|drawing|annotation)s? removed\]|" + "|".join(map(re.escape, (_NO_TEXT, _UNREADABLE)))
)


class Pdf:
    """A PDF whose pages were read. Raises CannotClean where none of them has text: text in pictures is not read."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = pages
        if not any(_is_legible(page) for page in pages):
            raise CannotClean("the PDF has no text that can be read: its pages are pictures or empty")

    def note_names(self, terms: TermBank) -> None:
        """Nothing: a PDF has no places for names that can be relied on."""

    def rewritten(self, text: TextCleaner, pseudonyms: Pseudonyms) -> Rewritten:  # noqa: ARG002 - as all documents
        """A PDF of as many pages. Raises CannotClean where it cannot be written or read again."""
        counts: Counter[str] = Counter(pages=len(self._pages))
        pages = [_written_anew(page, text, counts) for page in self._pages]
        data = write_pdf(pages)
        if _signs("".join(page.text for page in read_pages(data))) != _signs("".join(map("".join, pages))):
            raise CannotClean("the PDF that was made is not read as it was written")
        return Rewritten(data, "application/pdf", counts, words_of)


def words_of(data: bytes) -> str:
    """The text of a PDF made here, without the notes about what was removed."""
    return _NOTE.sub("", "\n".join(page.text for page in read_pages(data)))


def _written_anew(page: Page, text: TextCleaner, counts: Counter[str]) -> list[str]:
    """The lines of the new page."""
    counts["pictures_removed"] += page.pictures
    counts["drawings_removed"] += page.drawings
    counts["annotations_removed"] += page.annotations
    if not _is_legible(page):
        blank = not (page.text.strip() or page.pictures or page.drawings or page.annotations)
        counts["pages_removed"] += not blank
        return [] if blank else [_UNREADABLE if page.unreadable else _NO_TEXT]
    lines = []
    for line in _without_gaps(text.clean_lines([_visible(line) for line in page.text.splitlines()])):
        drawn, lost = drawable(line)
        counts["characters_not_drawn"] += lost
        lines.append(drawn)
    return [*lines, *_notes(page)]


def _is_legible(page: Page) -> bool:
    return bool(page.text.strip()) and not page.unreadable


def _notes(page: Page) -> list[str]:
    return [
        f"[{kind} removed]" if count == 1 else f"[{count} {kind}s removed]"
        for kind, count in (("picture", page.pictures), ("drawing", page.drawings), ("annotation", page.annotations))
        if count
    ]


def _visible(line: str) -> str:
    """The line without what is not seen: soft hyphens and the like would hide a name from who looks for it."""
    return "".join(" " if one.isspace() else one for one in line if one.isspace() or one.isprintable())


def _without_gaps(lines: Iterable[str]) -> list[str]:
    """The lines with no more than one empty one in a row."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1]):
            kept.append(line.rstrip())
    return kept


def _signs(text: str) -> Counter[str]:
    """How often each character stands in a text, blanks apart: some readers turn the order of Hebrew and Arabic."""
    return Counter("".join(text.split()))
