"""Cleans the text of a CDA section: its paragraphs, lists and tables stay, marks within them go, their words stay
(CDA R2 4.3.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element, SubElement

from .text import TextCleaner

HL7 = "{urn:hl7-org:v3}"
_BLOCKS = frozenset({"paragraph", "item", "caption", "footnote"})
_GROUPS = frozenset({"list", "table", "thead", "tbody", "tfoot"})
_INLINE = frozenset({"content", "sub", "sup", "linkHtml", "footnoteRef"})
_CELLS = frozenset({"th", "td"})
_KEPT_ATTRIBUTES = {"listType": re.compile("ordered|unordered"), "colspan": re.compile(r"\d{1,3}"),
                    "rowspan": re.compile(r"\d{1,3}")}  # fmt: skip


class Narrative:
    """Writes one section's text anew."""

    def __init__(self, text: TextCleaner) -> None:
        self._text = text
        self._headings: list[str] = []

    def write(self, old: Element, new: Element) -> None:
        """The text of a section: paragraphs, lists and tables; what marks words within them goes, the words stay."""
        if old.tag == f"{HL7}table":
            self._headings = []
        for part in _parts(old):
            if isinstance(part, str):
                self._fill(SubElement(new, "paragraph"), part)
                continue
            made = SubElement(new, part.tag.removeprefix(HL7), _attributes(part))
            if part.tag == f"{HL7}tr":
                self._headings = self._row(part, made, self._headings)
            elif made.tag in _GROUPS or any(child.tag.removeprefix(HL7) in _BLOCKS | _GROUPS for child in part):
                self.write(part, made)
            else:
                self._fill(made, flat(part))

    def _fill(self, new: Element, text: str) -> None:
        new.text = "\n".join(self._text.clean_lines(text.split("\n")))

    def _row(self, old: Element, new: Element, above: list[str]) -> list[str]:
        """The cells of a row, cleaned as one text, because one names what another holds, and below what heads their
        columns. What heads the columns of the next row: this one, if it is made of headings."""
        cells = [cell for cell in old if cell.tag.removeprefix(HL7) in _CELLS]
        texts = [" ".join(flat(cell).split()) for cell in cells]
        cleaned = self._text.clean_lines([text or "-" for text in texts])  # an empty line would part the cells
        for cell, before, after, heading in zip(cells, texts, cleaned, [*above, *[""] * len(cells)], strict=False):
            made = SubElement(new, cell.tag.removeprefix(HL7), _attributes(cell))
            below = self._text.clean_lines([heading, before])[1] if heading else after
            made.text = _shared(after, below) if before else ""
        return texts if all(cell.tag == f"{HL7}th" for cell in cells) else above


def _shared(one: str, other: str) -> str:
    """Of one text cleaned in two ways that which lost more; nothing where each lost what the other kept."""
    for less, more in ((one, other), (other, one)):
        rest = iter(more.split())
        if all(word in rest for word in less.split()):
            return less
    return ""


def _parts(old: Element) -> Iterator[Element | str]:
    """What a text is made of: blocks, and what stands loosely between them."""
    loose = [_spaced(old.text)]
    for child in old:
        kind = child.tag.removeprefix(HL7)
        if kind in _BLOCKS or kind in _GROUPS or kind == "tr":
            yield from _told(loose)
            loose = []
            yield child
        elif kind in _INLINE:
            loose.append(_run(child))
        else:
            loose.append("\n")
        loose.append(_spaced(child.tail))
    yield from _told(loose)


def _told(loose: Iterable[str]) -> Iterator[str]:
    text = _tidy("".join(loose))
    if text:
        yield text


def flat(element: Element) -> str:
    """The words of an element without its marks; blocks and line breaks within it part them."""
    return _tidy(_run(element))


def _run(element: Element) -> str:
    parts = [_spaced(element.text)]
    for child in element:
        if child.tag.startswith(HL7):
            inline = child.tag.removeprefix(HL7) in _INLINE
            parts.append(_run(child) if inline else f"\n{_run(child)}\n")
        parts.append(_spaced(child.tail))
    return "".join(parts)


def _tidy(text: str) -> str:
    return re.sub(r" *\n\s*", "\n", re.sub(" +", " ", text)).strip()


def _spaced(text: str | None) -> str:
    """Text as it is read: where lines of the file end says nothing."""
    return re.sub(r"\s+", " ", text or "")


def _attributes(old: Element) -> dict[str, str]:
    return {name: value for name, form in _KEPT_ATTRIBUTES.items() if form.fullmatch(value := old.get(name, ""))}
