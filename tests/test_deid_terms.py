"""The words that give a patient away are found in every usual spelling, in time that grows with the text alone."""

from __future__ import annotations

import base64
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe.node.deid.terms import TermBank, plain

NAME, ID, INSTITUTION, BIRTH_DATE = 0x00100010, 0x00100020, 0x00080080, 0x00100030


def bank(tag: int, vr: str, *values: str) -> TermBank:
    terms = TermBank()
    terms.add(tag, vr, values)
    return terms


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FEATHERSTONE^ANTONIA", "seen: featherstone, A."),
        ("FEATHERSTONE^ANTONIA", "FeatherstoneAntonia_T1"),
        ("FEATHERSTONE^ANTONIA", "antoniafeatherstone"),
        ("FEATHERSTONE^ANTONIA", "Featherstone2"),
        ("O'Brien^Sean", "O Brien"),
        ("O'Brien^Sean", "obrien"),
        ("Müller-Lüdenscheidt^Ute", "MUELLER"),
        ("Müller-Lüdenscheidt^Ute", "Mullerludenscheidt"),
        ("Groß^Eva", "GROSS"),
        ("Σπύρος^Α", "ΣΠΥΡΟΣ"),
        ("Yamada^Tarou=山田^太郎", "患者山田太郎様"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "길동님"),
        ("Lee^Ann", "Lee"),
        ("Wang^XiaoDong", "WANGXD"),
        ("Featherstone^Mary Ann", "mafeatherstone"),
    ],
)
def test_names(name: str, text: str) -> None:
    assert bank(NAME, "PN", name).finds(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Lee^Ann", "sleeve annotation"),
        ("Test^Patient", "test object"),
        ("ANONYMOUS", "anonymous"),
        ("Doe^J", "does J"),
        ("12^3", "12 3"),
    ],
)
def test_what_is_no_name(name: str, text: str) -> None:
    assert not bank(NAME, "PN", name).finds(text)


@pytest.mark.parametrize("text", ["MRN-7741-AZF", "mrn 7741 azf", "MRN7741AZF", "x_MRN7741AZF.dcm"])
def test_identifiers(text: str) -> None:
    assert bank(ID, "LO", "MRN-7741-AZF").finds(text)


@pytest.mark.parametrize(("identifier", "text"), [("1", "1"), ("0001", "0001"), ("774199", "7741990"), ("MR", "MR")])
def test_what_is_no_identifier(identifier: str, text: str) -> None:
    assert bank(ID, "LO", identifier).finds(text) == (identifier == "0001")


def test_vendors_stay_although_an_institution_bears_their_name() -> None:
    terms = bank(INSTITUTION, "LO", "Siemens Healthineers Forchheim")
    assert not terms.finds("SIEMENS")
    assert terms.finds("Forchheim")
    assert terms.finds("siemens healthineers forchheim")


@pytest.mark.parametrize(
    "text",
    [
        "19580317",
        "1958-03-17",
        "17.03.1958",
        "03/17/1958",
        "17.3.1958",
        "17 Mar 1958",
        "March 17, 1958",
        "19580317101112",
        "b19580317x",
    ],
)
def test_dates(text: str) -> None:
    assert bank(BIRTH_DATE, "DA", "19580317").finds(f"born {text}!")
    assert bank(BIRTH_DATE, "DA", "1958.03.17").finds(text)


def test_uids() -> None:
    terms = TermBank()
    terms.add_uid("1.2.3.4.5.6.7.8")
    for text in ("1.2.3.4.5.6.7.8", "see 1.2.3.4.5.6.7.8.", "MR.1.2.3.4.5.6.7.8.dcm", "1.2.3.4.5.6.7.8.9"):
        assert terms.finds(text), text
    assert not terms.finds("1.2.3.4.5.6.7.88")


def test_bytes_that_are_text_and_bytes_that_hold_some() -> None:
    terms = bank(NAME, "PN", "FEATHERSTONE^LEE")
    assert terms.in_bytes(b"of Lee")
    assert terms.in_bytes(b"\x00\x01\x02Featherstone\xff")
    assert terms.in_bytes("Featherstone".encode("utf-16-le"))
    assert not terms.in_bytes(b"\x00\x01\x02 lee \xff")


@pytest.mark.parametrize(
    "packed",
    [
        b"%46eatherstone", b"&#70;eatherstone", b"=46eatherstone", b"4665617468657273746f6e65",
        b"46 65 61 74 68 65 72 73",
        base64.b64encode(b"Antonia"), base64.b64encode(zlib.compress(b"of Featherstone")),
        base64.b64encode("Featherstone".encode("utf-16-le")), base64.b64encode(base64.b64encode(b"Featherstone")),
        base64.urlsafe_b64encode(b"\xff\xfe?Featherstone??>"), b"enotsrehtaef",
    ],
)  # fmt: skip
def test_a_name_is_found_however_it_is_packed(packed: bytes) -> None:
    terms = bank(NAME, "PN", "FEATHERS^ANTONIA" if packed.endswith(b"72 73") else "FEATHERSTONE^ANTONIA")
    assert terms.finds_in_any_reading(packed) or terms.finds(packed.decode())
    assert terms.in_bytes(b"\0\1\2 " + packed + b" \0")
    others = bank(NAME, "PN", "OKONKWO^BRIGID")
    assert not others.finds_in_any_reading(packed) and not others.in_bytes(b"\0\1\2 " + packed + b" \0")


def test_long_texts_are_searched_across_their_pieces() -> None:
    terms = bank(BIRTH_DATE, "DA", "19580317")
    for length in range((1 << 20) - 14, (1 << 20) + 2):
        assert terms.finds("x" * length + " 17 March 1958")


@given(st.text(max_size=200), st.text(max_size=60))
def test_any_name_is_found_in_itself_and_takes_no_time(text: str, name: str) -> None:
    terms = bank(NAME, "PN", name)
    terms.finds(text)
    words = [word for word in plain(name).split("^") if word.isalpha() and word.isascii() and len(word) >= 5]
    for word in words:
        assert terms.finds(f"{text} {word} {text}") or word in (
            "anonymous",
            "anonymized",
            "anonymised",
            "unknown",
            "patient",
            "phantom",
        )


def test_time_grows_with_the_text_only() -> None:
    terms = bank(NAME, "PN", *(f"{'a ' * 50}x{number}^b" for number in range(100)))
    started = time.process_time()  # of this process alone: a busy machine is no reason to fail
    terms.add(ID, "LO", ["MRN7741774", "12-34-56-78", "a.b@c"])
    for text in (
        "a " * 200_000,
        "a" * 1_000_000,
        "1." * 300_000,
        "1" * 1_000_000,
        "e\u0301\u0323" * 200_000,
        "1 " * 300_000,
        "0" * 1_000_000 + "x",
        "1\0" * 200_000,
        "x\x9c" * 100_000,
    ):
        terms.finds(text)
        terms.is_number(text)
        terms.in_bytes(text.encode())
        terms.finds_in_any_reading(text[:20_000].encode())
    assert time.process_time() - started < 30
