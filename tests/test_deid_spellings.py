"""Names, numbers and days are found however somebody writes them: in other letters, parted, joined, packed, or in
another character set than the object says."""

from __future__ import annotations

import base64
import zlib

import pydicom
import pytest
from deid_objects import BASIC, EVERYTHING, clean, clean_bytes, ct, raw_of
from test_deid_disguises import element

from lethe.node.deid.naming import Kind
from lethe.node.deid.terms import TermBank


def bank(kind: Kind, *values: str) -> TermBank:
    terms = TermBank()
    for value in values:
        terms.note(kind, value)
    return terms


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SØRENSEN^BJØRN", "SORENSEN"),
        ("SØRENSEN^BJØRN", "Soerensen, Bjoern"),
        ("Kjær^Åse", "KJAER AASE"),
        ("KOWALCZYK^ŁUKASZ", "Lukasz"),
        ("Yılmaz^Işık", "YILMAZ"),
        ("YILMAZ^ŞÜKRÜ", "Yılmaz"),
        ("राजेश^शर्मा", "राजेश"),
        ("ใจดี^สมชาย", "นายสมชาย"),
        ("やまだ^たろう", "ヤマダ"),
        ("やまだ^たろう", "ﾔﾏﾀﾞ ﾀﾛｳ"),
        ("ИВАНОВ^ПЁТР", "Иванову"),
        ("أحمد^محمد", "والأحمد"),
        ("王^明", "王，明"),
        ("FEATHERSTONE^ANTONIA", "Feather Stone"),
        ("FEATHERSTONE^ANTONIA", "FEATHER-\nSTONE"),
        ("FEATHERSTONE^ANTONIA", "F E A T H E R S T O N E"),
        ("FEATHERSTONE^ANTONIA", "FeatherstoneHead"),
        ("FEATHERSTONE^ANTONIA", "the Featherstones"),
        ("FEATHERSTONE^ANTONIA", "Fea\0therstone"),
        ("FEATHERSTONE^ANTONIA", "feather\u00adstone"),
        ("SMITH^JOHN^Q", "jqsmith"),
        ("LEE^JOHN", "jlee"),
        ("LEE^AN", "LEE01"),
        ("O'DAY^TIM", "ODAY"),
        ("NG^AN", "NG, AN"),
        ("NG^AN", "ng_an"),
    ],
)
def test_names(name: str, text: str) -> None:
    assert bank(Kind.PERSON, name).finds(f"of {text} 2")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CORONA^ANA", "coronal coronary"),
        ("LONG^ANN", "along the vein"),
        ("COSTA^RUI", "costal margin"),
        ("CHEST^MARY", "chestpain"),
        ("CHEST^MARY", "CHESTABDOMEN"),
        ("LEE^AN", "sleeve"),
        ("NG^AN", "an angle"),
    ],
)
def test_what_is_no_name(name: str, text: str) -> None:
    assert not bank(Kind.PERSON, name).finds(text)


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("MRN7741774", "7741774"),
        ("MRN7741774", "MRN 0007741774"),
        ("MRN7741774", "7 741 774"),
        ("MRN7741774", "xMRN7741774y"),
        ("MRN7741774", "17741774"),
        ("000123456", "123456"),
        ("123-45-6789", "12345-6789"),
        ("ACC-2019-004417", "2019004417"),
        ("SN-88123", "88123"),
        ("+1 (555) 123-4567", "555-123-4567"),
        ("mailto:a.feather@mail.example", "a.feather"),
        ("mailto:a.feather@mail.example", "AFEATHER"),
    ],
)
def test_identifiers(identifier: str, text: str) -> None:
    assert bank(Kind.IDENTIFIER, identifier).finds(f"of {text}")


@pytest.mark.parametrize("text", ["7.741774", "774 1775", "74177"])
def test_what_is_no_identifier(text: str) -> None:
    assert not bank(Kind.IDENTIFIER, "MRN7741774").finds(text)


@pytest.mark.parametrize("number", ["7741774", "0007741774", "7741774.0", "+7741774"])
def test_an_identifier_does_not_stay_as_a_number(number: str) -> None:
    assert bank(Kind.IDENTIFIER, "MRN7741774").is_number(number)


@pytest.mark.parametrize("text", ["13061947", "06131947", "470613", "130647", "1947164", "13-jun-47"])
def test_days(text: str) -> None:
    assert bank(Kind.BIRTHDAY, "19470613").finds(f"born {text}")


def test_a_code_that_looks_like_a_day_stays() -> None:
    assert not bank(Kind.DAY, "20130310").finds("5.10.3-13")


@pytest.mark.parametrize("packed", [base64.b64encode, zlib.compress, lambda data: b"\0\1desc" + data])
def test_what_bytes_hold_in_turn(packed: object) -> None:
    assert callable(packed)
    assert bank(Kind.PERSON, "FEATHERSTONE^ANTONIA").in_bytes(b"\0\1 " + packed(b"Antonia Featherstone"))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16-le", "utf-16-be", "gb18030", "shift_jis", "euc_jp", "iso2022_jp"]
)
def test_names_in_bytes(encoding: str) -> None:
    terms = bank(Kind.PERSON, "Yamada^Tarou=山田^太郎")
    assert terms.in_bytes(b"\0\1\2" + "山田太郎".encode(encoding) + b"\0\1")
    assert not terms.in_bytes(b"\0\1\2" + "田山".encode(encoding) + b"\0\1")


def test_short_names_in_bytes_that_are_printed() -> None:
    terms = bank(Kind.PERSON, "DOE^JANE")
    assert terms.in_bytes(b"\0\1\2desc\0Scanner of Doe\xff")
    assert not terms.in_bytes(b"\0\1\2\0doe\xff\xfe")


def with_raw(character_set: bytes, name: bytes, text: bytes) -> bytes:
    """An object whose Software Versions and name are those bytes."""
    ds = ct()
    del ds[0x00080005], ds[0x00181020]
    data = raw_of(ds)
    for tag, vr, value in ((0x00100010, "PN", name), (0x00181020, "LO", text), (0x00080005, "CS", character_set)):
        at = _place(data, tag)
        end = at + 8 + int.from_bytes(data[at + 6 : at + 8], "little") if tag == 0x00100010 else at
        data = data[:at] + element(tag, vr, value + b" " * (len(value) % 2)) + data[end:]
    return data


def _place(data: bytes, tag: int) -> int:
    """Where an element is, or would be."""
    with pydicom.dcmread(pydicom.filebase.DicomBytesIO(data)) as ds:
        following = next(int(one) for one in sorted(ds.keys()) if int(one) >= tag)
    return data.index((following >> 16).to_bytes(2, "little") + (following & 0xFFFF).to_bytes(2, "little"), 300)


@pytest.mark.parametrize("profile", [BASIC, EVERYTHING], ids=["basic", "everything"])
@pytest.mark.parametrize(
    ("said", "name", "text"),
    [
        (b"", "张三".encode("gbk"), "患者张三头部".encode("gbk")),
        (b"ISO_IR 100", "张三".encode("gbk"), "患者张三头部".encode("gbk")),
        (b"GBK", "张三".encode("gbk"), "患者张三头部".encode()),
        (b"ISO_IR 192", "张三".encode(), "张三".encode("gbk")),
        (b"ISO_IR 100", "GRÜN^JÖRG".encode("latin-1"), "GRÜN".encode()),
        (b"ISO_IR 192", "GRÜN^JÖRG".encode(), "GRÜN".encode("latin-1")),
        (b"", b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", b"of \x1b$B;3ED\x1b(B"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田".encode("shift_jis")),
        (b"", "김^민수".encode("euc_kr"), "환자김민수님".encode("euc_kr")),
        (b"ISO_IR 144", "Иванов^Пётр".encode("iso8859_5"), "Иванов".encode("cp1251")),
        (b"ISO_IR 192", b"FEATHERSTONE^A", "Featherstone".encode("utf-16-le")),
    ],
)
def test_a_text_in_another_character_set_than_is_said(said: bytes, name: bytes, text: bytes, profile: object) -> None:
    data = with_raw(said, name, text)
    assert text in data
    assert text not in clean_bytes(data, profile)  # type: ignore[arg-type]


def test_values_that_name_somebody_together() -> None:
    ds = ct(SoftwareVersions=["Feather", "Stone"], ScanOptions=["CHEST", "FS"], OtherPatientNames="CHEST^FS")
    result = clean(ds)
    assert "ANONYMOUS" in str(result.SoftwareVersions)
    assert list(result.ScanOptions) == ["CHEST", "FS"]


def test_a_text_in_the_character_set_that_is_said_loses_the_name_alone() -> None:
    ds = ct(SpecificCharacterSet="ISO_IR 100", PatientName="GRÜN^JÖRG", SoftwareVersions="für Grün über")
    assert clean(ds).SoftwareVersions == "für über"


@pytest.mark.parametrize("code", ["7 741 774", "13JUN1947", "NG AN", "F_E_A_T_H_E_R"])
def test_a_code_string_of_short_words_that_name_somebody_goes(code: str) -> None:
    ds = ct(PatientName="NG^AN", PatientID="7741774", PatientBirthDate="19470613", OtherPatientNames="FEATHER^A")
    ds.ScanOptions = code
    assert clean(ds).ScanOptions == "ANONYMOUS"
