"""Values that a file hides from whoever trusts its tags, VRs and lengths; `test_deid_fuzz.py` found them."""

from __future__ import annotations

import struct

import pytest
from deid_objects import BASIC, EVERYTHING, MODIFIED_DATES, clean, clean_bytes, cleaned, ct, raw_of, sample, spliced

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.profile import Profile


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An element with a short length field, explicit VR little endian."""
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + struct.pack("<H", len(value)) + value


def item_of(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content


def sequence_of(tag: int, content: bytes) -> bytes:
    item = item_of(content)
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"SQ\0\0" + struct.pack("<L", len(item)) + item


@pytest.mark.parametrize("tag", [0x00280002, 0x00280103])
def test_a_name_in_the_place_of_numbers_goes(tag: int) -> None:
    """Pixel Representation (0028,0103) is one that pydicom reads before anybody asks."""
    data = raw_of(ct())
    at = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"US")
    result = clean_bytes(data[:at] + element(tag, "US", b"FEATHERSTONE") + data[at + 10 :])
    assert b"FEATHERSTONE" not in result


@pytest.mark.parametrize("value", ["1.2.999.887766.7741.2", "19470613.1.2", "--..", "1e5e"])
def test_what_is_no_number_does_not_stay_as_one(value: str) -> None:
    data = raw_of(ct(SeriesInstanceUID="1.2.999.887766.7741.2"))
    at = data.index(b"\x18\x00\x60\x00DS")
    padded = value.encode() + b" " * (len(value) % 2)
    result = clean_bytes(data[:at] + element(0x00180060, "DS", padded) + data[at + 12 :])
    assert value.encode() not in result


@pytest.mark.parametrize("number", ["5", "-0.5", "+.5", "5.", " 1e-3", "1.5E+10"])
def test_what_is_a_number_stays(number: str) -> None:
    ds = ct()
    ds["KVP"]._value = number
    assert str(clean(ds)["KVP"].value).strip() == str(ds["KVP"].value).strip()


@pytest.mark.parametrize(("tag", "vr", "value"), [(0x00280106, "US", b"abc"), (0x00189073, "FD", b"1.5 ")])
def test_a_value_that_is_no_whole_number_of_words_is_refused(tag: int, vr: str, value: bytes) -> None:
    ds = ct()
    if tag in ds:
        del ds[tag]
    with pytest.raises(CannotClean, match="VR"):
        cleaned(spliced(ds, element(tag, vr, value)))


def test_an_item_that_stands_as_an_attribute_goes() -> None:
    hidden = element(0xFFFEE0DD, "UN", b"")[:6] + b"\0\0" + struct.pack("<L", 12) + b"FEATHERSTONE"
    raw = sequence_of(0x00082218, element(0x00080104, "LO", b"Head") + hidden)
    try:
        assert b"FEATHERSTONE" not in clean_bytes(spliced(ct(), raw))
    except CannotClean as refusal:
        assert "FEATHERSTONE" not in str(refusal)


@pytest.mark.parametrize("profile", [BASIC, MODIFIED_DATES], ids=["basic", "modified dates"])
@pytest.mark.parametrize("tag", [0x00081155, 0x00080020, 0x00080201, 0x00080018])
def test_a_sequence_that_stands_for_a_uid_or_a_date_is_refused_or_goes(tag: int, profile: Profile) -> None:
    raw = sequence_of(0x00082218, sequence_of(tag, element(0x00204000, "LT", b"KOMMENTZIX")))
    try:
        assert b"KOMMENTZIX" not in clean_bytes(spliced(ct(), raw), profile)
    except CannotClean as refusal:
        assert "VR is not that of the standard" in str(refusal)


@pytest.mark.parametrize(
    ("tag", "vr", "value"), [(0x00080050, "US", b"ACN8830172"), (0x00081048, "OB", b"HOLGERSON^ANNA")]
)
def test_an_identifier_is_known_whatever_vr_the_file_gives_it(tag: int, vr: str, value: bytes) -> None:
    ds = ct(ManufacturerModelName=f"for {value.decode().partition('^')[0]}")
    if tag in ds:
        del ds[tag]
    raw = (
        element(tag, vr, value) if vr == "US" else struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"OB", 0, 14) + value
    )
    data = raw_of(ds)
    at = data.index(b"\x08\x00\x60\x00CS" if tag == 0x00080050 else b"\x08\x00\x90\x10LO")
    result = clean_bytes(data[:at] + raw + data[at:])
    assert value.partition(b"^")[0] not in result


@pytest.mark.parametrize("vr", ["SQ", "LO", "UT", "zz"])
def test_pixel_data_of_a_vr_that_they_cannot_have_are_refused(vr: str) -> None:
    data = raw_of(ct())
    at = data.rfind(b"\xe0\x7f\x10\x00OW")
    with pytest.raises(CannotClean):
        cleaned(data[: at + 4] + vr.encode() + data[at + 6 :])


def test_fragments_of_unknown_vr_are_refused() -> None:
    data = raw_of(sample("JPEG2000.dcm"))
    at = data.rfind(b"\xe0\x7f\x10\x00OB")
    with pytest.raises(CannotClean, match="unknown VR"):
        cleaned(data[: at + 4] + b"UN" + data[at + 6 :])


@pytest.mark.parametrize("keyword", ["ConceptNameCodeSequence", "MeasuredValueSequence"])
def test_a_content_item_whose_code_is_no_sequence_ends_in_a_verdict(keyword: str) -> None:
    ds = sample("reportsi.dcm")
    ds.ContentSequence[0][keyword] = type(ds["Modality"])(keyword, "LT", "FEATHERSTONE")
    with pytest.raises(CannotClean):
        cleaned(ds, EVERYTHING)


@pytest.mark.parametrize("vr", ["PN", "LO", "UT"])
def test_a_sop_class_that_is_called_a_name_is_read_all_the_same(vr: str) -> None:
    data = raw_of(ct())
    at = data.index(b"\x08\x00\x16\x00UI")
    end = at + 8 + struct.unpack_from("<H", data, at + 6)[0]
    value = data[at + 8 : end]
    head = struct.pack("<HL", 0, len(value)) if vr == "UT" else struct.pack("<H", len(value))
    clean_bytes(data[: at + 4] + vr.encode() + head + value + data[end:])


def test_a_safe_private_value_that_is_no_whole_number_of_words_goes() -> None:
    block = element(0x00250010, "LO", b"GEMS_SERS_01") + element(0x00251007, "SL", b"\x2c\0\0\0\0")
    data = raw_of(ct())
    at = data.index(b"\x25\0\x10\0LO") if b"\x25\0\x10\0LO" in data else data.index(b"\x27\0\x10\0LO")
    end = data.index(b"\x27\0\x10\0LO")
    result = clean(data[:at] + block + data[end:], EVERYTHING)
    assert 0x00251007 not in result


def test_an_element_that_poses_as_pixel_data_amid_private_ones_is_refused() -> None:
    """What follows it would be taken for what trails, and its value would pass as pixels do."""
    data = raw_of(ct())
    at = data.index(b"\x27\0\x10\0LO")
    posing = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", 12) + b"FEATHERSTONE"
    with pytest.raises(CannotClean, match="out of order"):
        cleaned(data[:at] + posing + data[at:])
