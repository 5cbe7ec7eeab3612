"""What names the patient is found where it is written over line breaks, and the document is refused."""

from __future__ import annotations

import pytest
from deid_objects import BASIC, cleaned
from document_files import encapsulated, pdf

from lethe.node.deid.breaks import is_broken_over_lines
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.terms import Kind, TermBank


@pytest.fixture
def terms() -> TermBank:
    bank = TermBank()
    bank.note(Kind.PERSON, "FEATHERSTONE^ANTONIA")
    bank.note(Kind.IDENTIFIER, "MRN7741")
    bank.note(Kind.BIRTHDAY, "19580317")
    return bank


@pytest.mark.parametrize(
    "text",
    [
        "seen: Feather\nstone in bed",
        "Fea\nther\nst\none",
        "F\nE\nA\nT\nH\nE\nR\nS\nT\nO\nN\nE\nA\nN\nT\nO\nN\nI\nA",
        "number MRN\n77\n41 again",
        "1\n7\n0\n3\n1\n9\n5\n8",
        "O\nK\nO\nN\nK\nW\nO",
    ],
)
def test_found(text: str, terms: TermBank) -> None:
    assert is_broken_over_lines(text, terms)


@pytest.mark.parametrize(
    "text",
    [
        "The chest\nis normal.\nNo effusion.",
        "L\nR\nL\nR\nL\nR\nL\nR",
        "1\n2\n3\n4\n5\n6\n7\n8",
        "feather\nlight stone",
        "",
    ],
)
def test_not_there(text: str, terms: TermBank) -> None:
    assert not is_broken_over_lines(text, terms)


def test_a_hyphen_at_the_end_of_a_line_hides_no_short_number() -> None:
    bank = TermBank()
    bank.note(Kind.IDENTIFIER, "77412")
    assert is_broken_over_lines("number 77-\n412 again", bank)
    assert not is_broken_over_lines("between 77-\n413 and more", bank)


def test_a_pdf_that_is_broken_so_is_refused() -> None:
    ds = encapsulated(pdf(["A fe", "at", "her", "st", "one in bed"]), PatientName="FEATHERSTONE^ANTONIA")
    with pytest.raises(CannotClean, match=r"\(0042,0011\): something of the original patient"):
        cleaned(ds, BASIC)
