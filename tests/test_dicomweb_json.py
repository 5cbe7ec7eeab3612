"""The DICOM JSON model (PS3.18 Annex F): what `describe` promises for every dataset."""

from __future__ import annotations

import base64
import io
import json
import warnings
from pathlib import Path

import pydicom
import pytest
from dicomweb_archive import samples
from pydicom.data import get_charset_files
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from lethe.dicomweb.dicomjson import BULK, describe, served
from lethe.storage.errors import Refused

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


def raw(tag: int, vr: str | None, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(tag), vr, len(value), value, 0, vr is None, True)


def of(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def test_every_file_pydicom_brings_becomes_valid_json_and_stays_unchanged():
    seen = 0
    for path in samples():
        try:
            ds = pydicom.dcmread(path)
        except Exception:
            continue
        before = list(ds._dict.values())
        text = json.dumps(describe(ds), allow_nan=False, ensure_ascii=False).encode()
        assert list(ds._dict.values()) == before, path.name
        tags = list(json.loads(text))
        assert tags == sorted(tags), path.name
        assert not any(tag.startswith("0002") or tag.endswith("0000") for tag in tags), path.name
        seen += 1
    assert seen > 100


def test_empty_elements_have_a_vr_only():
    described = describe(of(PatientName="", AccessionNumber=None, SeriesNumber=None, RequestAttributesSequence=[]))
    assert described == {
        "00080050": {"vr": "SH"},
        "00100010": {"vr": "PN"},
        "00200011": {"vr": "IS"},
        "00400275": {"vr": "SQ"},
    }


def test_person_names_have_their_groups_and_no_empty_ones():
    described = describe(of(PatientName="Wang^XiaoDong=王^小東=", ReferringPhysicianName="^^^^"))
    assert described["00100010"]["Value"] == [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}]
    assert described["00080090"] == {"vr": "PN"}


@pytest.mark.parametrize(
    ("charset", "encoded", "name"),
    [
        (
            b"\\ISO 2022 IR 149",
            b"Hong^Gildong=\033$)C\373\363^\033$)C\321\316\324\327=\033$)C\310\253^\033$)C\261\346\265\277",
            {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞", "Phonetic": "홍^길동"},
        ),
        (
            b"GB18030",
            b"Wang^XiaoDong=\315\365^\320\241\266\253=",
            {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"},
        ),
        (
            b"\\ISO 2022 IR 58",  # the example of PS3.5 K.2
            b"Zhang^XiaoDong=\033$)A\325\305^\033$)A\320\241\266\253=",
            {"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"},
        ),
        (
            b"ISO_IR 13\\ISO 2022 IR 87",
            b"\324\317\300\336^\300\333\263=\033$B;3ED\033(J^\033$BB@O:\033(J=",
            {"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎"},
        ),
        (b"ISO_IR 144", b"\273\356\332\341", {"Alphabetic": "Люкс"}),
        (b"NO_SUCH_SET", b"M\374ller^Anna", {"Alphabetic": "Müller^Anna"}),
        (b"ISO_IR 192", b"M\374ller", {"Alphabetic": "M�ller"}),
    ],
)
def test_names_are_decoded_by_their_character_set_and_a_wrong_one_is_survived(charset, encoded, name):
    ds = Dataset({Tag(0x00080005): raw(0x00080005, "CS", charset), Tag(0x00100010): raw(0x00100010, "PN", encoded)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described = describe(ds)
    assert described["00080005"]["Value"] == ["ISO_IR 192"]
    assert described["00100010"]["Value"] == [name]


@pytest.mark.parametrize("file", ["chrH31.dcm", "chrH32.dcm", "chrKoreanMulti.dcm", "chrJapMulti.dcm"])
def test_padded_character_sets_mean_the_same_whatever_was_read_before(file):
    (path,) = get_charset_files(file)
    untouched, asked, decoded = (pydicom.dcmread(path) for _ in range(3))
    asked.get("SpecificCharacterSet")
    decoded.decode()
    described = describe(untouched)
    assert described == describe(asked) == describe(decoded)
    assert not described["00100010"]["Value"][0]["Alphabetic"].startswith("\x1b")


JAPANESE = "日本電子".encode("iso2022_jp")  # of which one byte is that of a backslash
assert b"\\" in JAPANESE


@pytest.mark.parametrize(
    "charset", [b"\\ISO 2022 IR 87 ", b"ISO 2022 IR 13\\ISO 2022 IR 87 ", b" ISO 2022 IR 6 \\ ISO 2022 IR 87\0"]
)
def test_blanks_around_the_names_of_character_sets_do_not_count_in_sequences_neither(charset):
    named = {Tag(0x00080005): raw(0x00080005, "CS", charset), Tag(0x00080070): raw(0x00080070, "LO", JAPANESE)}
    inherits = Dataset({Tag(0x00080070): raw(0x00080070, "LO", JAPANESE)})
    inner = Sequence([Dataset(dict(named)), inherits])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = describe(Dataset({**named, Tag(0x00400275): DataElement(0x00400275, "SQ", inner)}))
    assert described["00080070"]["Value"] == ["日本電子"]
    assert [item["00080070"]["Value"] for item in described["00400275"]["Value"]] == [["日本電子"]] * 2


@pytest.mark.parametrize(
    ("vr", "text", "value"),
    [
        ("IS", b"12 ", [12]),
        ("IS", b" +7\\-0003", [7, -3]),
        ("IS", b"1A", ["1A"]),
        ("IS", b"99999999999999999999", ["99999999999999999999"]),
        ("IS", b"1\\\\3", [1, None, 3]),
        ("DS", b"1.5\\2", [1.5, 2]),
        ("DS", b"1e400", ["1e400"]),
        ("DS", b"nan", ["nan"]),
        ("DS", b"0.1234567890123456789", ["0.1234567890123456789"]),
        ("DS", b"1_000", ["1_000"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("FD", b"\x00\x00\x00\x00\x00\x00\xf8\x7f" + b"\x00" * 8, [None, 0.0]),
        ("FL", b"\xcd\xcc\xcc\x3d", [0.1]),
        ("FL", b"\x00\x00\x80\x7f\x00\x00\x80\x3f", [None, 1.0]),
        ("US", b"\x01\x00\x02", [1]),
        ("AT", b"\x10\x00\x20\x00", ["00100020"]),
        ("UV", b"\xff" * 8, [str(2**64 - 1)]),
        ("LT", b" a\\b ", [" a\\b"]),
        ("LO", b"a\\b ", ["a", "b"]),
    ],
)
def test_values_are_exact_numbers_or_their_text_but_always_valid_json(vr, text, value):
    ds = Dataset({Tag(0x00091001): raw(0x00091001, vr, text)})
    described = describe(ds)
    assert described["00091001"] == {"vr": vr, "Value": value}
    json.dumps(described, allow_nan=False)


def test_values_set_in_memory_are_described_like_those_read():
    ds = of(SeriesNumber="7", SliceThickness="0.10", WindowCenter=["40", "400"], Rows=5, PatientName="Doe^Jane")
    ds.add_new(0x00209165, "AT", 0x00189306)
    out = io.BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True)
    read = pydicom.dcmread(out, force=True)
    assert describe(ds) == describe(read)
    assert describe(ds)["00280010"]["Value"] == [5]


def test_small_binary_values_are_inline_and_large_ones_have_a_uri_below_the_instance():
    ds = of(StudyInstanceUID="1.2", SeriesInstanceUID="1.3", SOPInstanceUID="1.4")
    item = Dataset()
    item.add_new(0x00282006, "OW", b"\x01\x02" * 600)
    ds.IconImageSequence = [Dataset(), item]
    ds.add_new(0x00420011, "OB", b"%PDF")
    described = describe(ds, pixel_data_vr="OB")
    assert described["00420011"] == {"vr": "OB", "InlineBinary": base64.b64encode(b"%PDF").decode()}
    place = f"{BULK}studies/1.2/series/1.3/instances/1.4/bulkdata"
    nested = described["00880200"]["Value"]
    assert nested == [{}, {"00282006": {"vr": "OW", "BulkDataURI": f"{place}/00880200/1/00282006"}}]
    assert described["7FE00010"] == {"vr": "OB", "BulkDataURI": f"{place}/7FE00010"}
    text = served(json.dumps(described, separators=(",", ":")).encode(), "https://a.test/dicom-web")
    uri = json.loads(text)["7FE00010"]["BulkDataURI"]
    assert uri == "https://a.test/dicom-web/studies/1.2/series/1.3/instances/1.4/bulkdata/7FE00010"


def test_a_value_that_looks_like_a_bulk_data_uri_is_left_alone():
    ds = of(PatientComments=f'"BulkDataURI":"{BULK}x')
    text = json.dumps(describe(ds), separators=(",", ":")).encode()
    assert served(text, "https://a.test") == text


def test_pixel_data_is_never_inline_however_small():
    ds = of(PixelData=b"\x00\x01")
    ds["PixelData"].VR = "OW"
    assert list(describe(ds)["7FE00010"]) == ["vr", "BulkDataURI"]


def test_big_endian_words_are_little_endian_in_json():
    ds = Dataset()
    for tag, vr, value in (
        (0x00281201, "OW", b"\x01\x02\x03\x04"),
        (0x00720067, "OL", b"\x01\x02\x03\x04"),
        (0x00420011, "OB", b"\x01\x02"),
        (0x00280010, "US", b"\x01\x02"),
        (0x00209165, "AT", b"\x00\x18\x93\x06"),
    ):
        ds[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, False)
    described = describe(ds)
    assert base64.b64decode(described["00281201"]["InlineBinary"]) == b"\x02\x01\x04\x03"
    assert base64.b64decode(described["00720067"]["InlineBinary"]) == b"\x04\x03\x02\x01"
    assert base64.b64decode(described["00420011"]["InlineBinary"]) == b"\x01\x02"
    assert described["00280010"]["Value"] == [258]
    assert described["00209165"]["Value"] == ["00189306"]


def test_implicit_vrs_come_from_the_dictionary_and_the_context():
    ds = Dataset()
    ds[0x00280103] = raw(0x00280103, None, b"\x01\x00")
    ds[0x00280106] = raw(0x00280106, None, b"\xff\xff")
    ds[0x00091001] = raw(0x00091001, None, b"abc ")
    ds[0x00100020] = raw(0x00100020, "UN", b"id")
    described = describe(ds)
    assert described["00280106"] == {"vr": "SS", "Value": [-1]}
    assert described["00091001"]["vr"] == "UN"
    assert described["00100020"] == {"vr": "LO", "Value": ["id"]}


def test_a_hundred_levels_of_nesting_are_described_and_a_thousand_refused():
    def nested(levels: int) -> Dataset:
        ds = of(PatientID="deep")
        for _ in range(levels):
            ds = of(ContentSequence=Sequence([ds]))
        return ds

    text = json.dumps(describe(nested(100)))
    assert text.count("0040A730") == 100
    assert "deep" in text
    with pytest.raises(Refused):
        describe(nested(300))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_every_shared_file_becomes_valid_json():
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in SHARED.rglob("*"):
            try:
                ds = pydicom.dcmread(path, defer_size=1 << 20) if path.is_file() else None
            except Exception:
                ds = None
            if ds is not None:
                json.dumps(describe(ds), allow_nan=False, ensure_ascii=False).encode()
                seen += 1
    assert seen > 0
