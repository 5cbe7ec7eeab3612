"""A hostile PDF ends its reader, in bounds of memory and time, and never who asked."""

from __future__ import annotations

import zlib

import pytest
from document_files import pdf

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.pages import read_pages
from lethe.node.pdfreader import read_in_bounds


def objects(*bodies: bytes) -> bytes:
    """A PDF of these objects, without a table of them."""
    numbered = (b"%d 0 obj\n%s\nendobj\n" % (number, body) for number, body in enumerate(bodies, 1))
    return b"%PDF-1.7\n" + b"".join(numbered) + b"trailer<</Root 1 0 R>>\n%%EOF\n"


def one_page(content: bytes, *more: bytes, resources: bytes = b"<<>>", filters: bytes = b"") -> bytes:
    stream = b"<</Length %d %s>>stream\n%s\nendstream" % (len(content), filters, content)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources " + resources + b">>"
    return objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", page, stream, *more)


def bomb(layers: int) -> bytes:
    """A page of spaces, packed again and again."""
    content = b" " * (1 << 28 if layers > 1 else 1 << 27)
    for _ in range(layers):
        content = zlib.compress(content, 9)
    return one_page(content, filters=b"/Filter[" + b"/FlateDecode" * layers + b"]")


def calling_itself() -> bytes:
    """A form on a page that draws itself twice."""
    resources = b"<</XObject<</F 5 0 R>>>>"
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources %s/Length 10>>stream\n/F Do /F Do\nendstream"
    return one_page(b"/F Do", form % resources, resources=resources)


HOSTILE = {
    "bomb": bomb(1),
    "bomb in a bomb": bomb(2),
    "form that draws itself": calling_itself(),
    "deep arrays": one_page(b"[" * 500_000),
    "deep dictionaries": objects(b"<</A" * 100_000),
    "page tree that holds itself": objects(
        b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 9>>"
    ),
    "no pages": objects(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"),
    "length that lies": one_page(b"q " * 100).replace(b"/Length 200", b"/Length 99999999999"),
    "catalog that is a number": objects(b"7"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pdf_is_refused_or_has_no_text(name: str) -> None:
    try:
        pages = read_in_bounds(HOSTILE[name])
    except CannotClean as refusal:
        assert str(refusal).startswith("the PDF ")
    else:
        assert not "".join(page.text for page in pages).strip()


def test_what_is_read_in_bounds_is_what_is_read_here() -> None:
    data = pdf(["Liver normal.", "Ω"], ["Spleen"], pictures=2, drawing=True)
    assert read_in_bounds(data) == read_pages(data)


def test_too_little_memory_or_time_is_a_refusal() -> None:
    with pytest.raises(CannotClean, match="too much memory or time"):
        read_in_bounds(one_page(b" " * (60 << 20)), memory=60 << 20)
    busy = one_page(
        b"BT /F1 1 Tf " + b"(a) Tj " * 600_000,
        resources=b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>",
    )
    with pytest.raises(CannotClean, match=r"too much memory or time|characters|more memory or work"):
        read_in_bounds(busy, seconds=1)


def test_the_reason_of_a_refusal_arrives() -> None:
    with pytest.raises(CannotClean, match="the document is no PDF"):
        read_in_bounds(b"Featherstone")
