"""The result is encoded as its source was, pixel data byte for byte, and what cannot be read for sure is refused."""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO

import pydicom
import pytest
from deid_objects import BASIC, KEY, MODIFIED_DATES, clean, clean_bytes, cleaned, ct, raw_of, sample, sequence, spliced
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_fragments
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lethe.node.deid import part10
from lethe.node.deid.deidentify import pass_through
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import pixel_vr, read_part10

SAMPLES = {
    "implicit": "MR_small_implicit.dcm",
    "explicit": "CT_small.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "deflated": "image_dfl.dcm",
    "JPEG": "SC_rgb_small_odd_jpeg.dcm",
    "JPEG 2000": "JPEG2000.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "RLE": "MR_small_RLE.dcm",
    "multi-frame": "rtdose_rle.dcm",
    "8 bit": "examples_ybr_color.dcm",
}
SQ_ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
NAME = b"\x10\x00\x10\x00PN\x0c\x00FEATHERSTONE"
IMPLICIT_NAME = b"\x10\x00\x10\x00\x0c\x00\x00\x00FEATHERSTONE"
ANATOMY = b"\x08\x00\x18\x22"  # Anatomic Region Sequence, outside the table


def body(data: bytes) -> bytes:
    """What follows the file meta, inflated."""
    meta = pydicom.dcmread(BytesIO(data), stop_before_pixels=True).file_meta
    rest = data[144 + meta.FileMetaInformationGroupLength :]
    return zlib.decompress(rest, -15) if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian else rest


def pixel_element(data: bytes) -> bytes:
    source = read_part10(BytesIO(data))
    assert source.pixels
    source.data.seek(source.pixels.start)
    return source.data.read(source.pixels.end - source.pixels.start)


@pytest.mark.parametrize("name", SAMPLES.values(), ids=SAMPLES.keys())
def test_each_family_of_transfer_syntaxes(name: str) -> None:
    with open(get_testdata_file(name), "rb") as file:
        source = file.read()
    result = clean_bytes(source)
    assert clean_bytes(source) == result
    before, after = pydicom.dcmread(BytesIO(source)), pydicom.dcmread(BytesIO(result))
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert after.original_encoding == before.original_encoding
    assert body(result).endswith(pixel_element(source))
    assert pixel_element(result) == pixel_element(source)
    assert all(str(element.value) is not None for element in after.iterall())
    assert after.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(("keyword", "vr"), [("FloatPixelData", "OF"), ("DoubleFloatPixelData", "OD")])
def test_floating_point_pixels(keyword: str, vr: str) -> None:
    ds = ct()
    del ds.PixelData
    setattr(ds, keyword, bytes(range(256)) * 64)
    data = raw_of(ds)
    assert pixel_element(clean_bytes(data)) == pixel_element(data)
    assert pixel_vr(cleaned(data).source) is None


def test_a_result_cleaned_again_is_a_result() -> None:
    once = clean_bytes(ct())
    assert clean(once).PatientID == KEY.patient_id(KEY.patient_id("MRN7741"))


def test_preamble_file_meta_and_what_trails_are_new() -> None:
    ds = ct()
    ds.preamble = b"FEATHERSTONE".ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = "FEATHERSTONE"
    ds.file_meta.PrivateInformationCreatorUID = "1.2.3.4.5.6.7.8"
    ds.file_meta.PrivateInformation = b"FEATHERSTONE"
    ds.add_new(0xFFFCFFFC, "OB", b"FEATHERSTONE")
    result = clean_bytes(raw_of(ds) + b"FEATHERSTONE rests")
    assert b"FEATHERSTONE" not in result
    assert result[:128] == bytes(128)
    assert pydicom.dcmread(BytesIO(result)).file_meta.ImplementationVersionName == "LETHE"


def test_private_elements_and_signatures_after_the_pixel_data_go() -> None:
    ds = ct()
    ds.add_new(0x7FE10010, "LO", "ACME")
    ds.add_new(0x7FE11001, "PN", "FEATHERSTONE^ANTONIA")
    ds.DigitalSignaturesSequence = sequence(MACIDNumber=1)
    result = clean(ds)
    assert max(result.keys()) == 0x7FE00010


def test_group_lengths_go() -> None:
    assert b"\x10\x00\x00\x00UL" not in clean_bytes(spliced(ct(), b"\x12\x00\x00\x00UL\x04\x00\x08\x00\x00\x00"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("CT_small.dcm", "OW"), ("JPEG2000.dcm", "OB"), ("MR_small_RLE.dcm", "OB"), ("rtplan.dcm", None)],
)
def test_pixel_vr(name: str, expected: str | None) -> None:
    with open(get_testdata_file(name), "rb") as file:
        assert pixel_vr(read_part10(file)) == expected


def test_pass_through_changes_nothing() -> None:
    data = raw_of(ct()) + b"trailing"
    assert b"".join(pass_through(BytesIO(data)).chunks()) == data
    with pytest.raises(CannotClean):
        pass_through(BytesIO(b"no DICOM"))


# Sequences in disguise


@pytest.mark.parametrize("name", [NAME, IMPLICIT_NAME], ids=["explicit", "implicit"])
@pytest.mark.parametrize("padding", [0, 70_000], ids=["short", "long"])
@pytest.mark.parametrize("undefined", [False, True], ids=["length", "no length"])
def test_un_that_hides_a_sequence(name: bytes, padding: int, undefined: bool) -> None:
    """PS3.5 6.2.2: within UN the encoding is implicit; from 64 KB on pydicom leaves it alone."""
    length = b"LO\x04\x00" if name is NAME else b"\x04\x00\x00\x00"
    content = b"\x08\x00\x04\x01" + length + b"Head" + name
    items = (SQ_ITEM + struct.pack("<L", len(content)) + content) * (1 + padding // len(content))
    whole = b"\xff" * 4 if undefined else struct.pack("<L", len(items))
    raw = ANATOMY + b"UN\0\0" + whole + items + SEQUENCE_END * undefined
    result = clean_bytes(spliced(ct(PatientName="SOMEONE^ELSE"), raw))
    assert b"FEATHERSTONE" not in result
    assert pydicom.dcmread(BytesIO(result))[0x00082218][0].CodeMeaning == "Head"


def test_un_where_the_dictionary_knows_better() -> None:
    ds = ct()
    for tag, value in ((0x00101040, b"12 Mill Lane"), (0x00080070, b"ACME"), (0x00081048, b"HOLGER^VAN")):
        ds.add_new(tag, "UN", value)
    data = clean_bytes(ds)
    assert b"Mill" not in data and b"HOLGER" not in data and b"ACME" in data


@pytest.mark.parametrize("tag", [0x00101040, 0x00082218, 0x00081140])
def test_nested_private_sequences_go(tag: int) -> None:
    ds = ct()
    inner = sequence(PatientName="FEATHERSTONE^B")
    inner[0].private_block(0x0029, "ACME", create=True).add_new(1, "SQ", sequence(PatientName="FEATHERSTONE^C"))
    ds.private_block(0x0031, "ACME", create=True).add_new(1, "SQ", inner)
    if tag == 0x00082218:
        ds.add_new(tag, "SQ", inner)
    assert b"FEATHERSTONE" not in clean_bytes(ds)


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00280010, "LO"),
        (0x00280010, "PN"),
        (0x00080070, "OB"),
        (0x00082218, "LT"),
        (0x00082218, "OB"),
        (0x00080070, "US"),
    ],
)
def test_a_vr_of_another_kind_is_refused(tag: int, vr: str) -> None:
    value = b"FEATHERSTONE"
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    raw = head + (struct.pack("<HL", 0, len(value)) if vr == "OB" else struct.pack("<H", len(value))) + value
    ds = ct()
    if tag in ds:
        del ds[tag]
    with pytest.raises(CannotClean, match=r"VR|sequence|read"):
        cleaned(spliced(ds, raw))


def test_a_vr_that_lies_about_a_name_does_not_keep_it() -> None:
    ds = ct(PatientName="SOMEONE^ELSE")
    for tag, vr in ((0x00081048, "LO"), (0x00140104, "LO"), (0x0040A075, "UT"), (0x00200052, "LO")):
        ds.add_new(tag, vr, "HOLGERSON")
    assert b"HOLGERSON" not in clean_bytes(ds)


@pytest.mark.parametrize(
    "value", ["FEATHERSTONE", "1.2.3.FEATHERSTONE", "1.02.3.4.5.6.7.8", "1.2.3.4.5.6.7.8" + ".9" * 40]
)
def test_a_name_in_a_uid_field(value: str) -> None:
    ds = ct()
    ds.add_new(0x00081155, "LO", value)
    ds["FrameOfReferenceUID"]._value = value
    result = clean_bytes(ds)
    assert value.encode() not in result and b"FEATHERSTONE" not in result


# Pixel data and overlays where they should not be


def test_pixel_data_within_a_sequence_goes() -> None:
    ds = ct(
        IconImageSequence=sequence(BitsAllocated=8, PixelData=b"icon"),
        AnatomicRegionSequence=sequence(CodeMeaning="Head"),
    )
    ds.AnatomicRegionSequence[0].add_new(0x7FE00010, "OW", b"hidden")
    result = clean(ds)
    assert "IconImageSequence" not in result
    assert 0x7FE00010 not in result.AnatomicRegionSequence[0]


def test_curves_overlays_and_old_pixel_groups_go() -> None:
    ds = ct()
    for tag in (0x50000022, 0x60000022, 0x60021500):
        ds.add_new(tag, "LO", "x")
    for tag in (0x50003000, 0x60023000, 0x7F000010):
        ds.add_new(tag, "OW", b"ab")
    assert all(tag.group not in (0x5000, 0x6000, 0x6002, 0x7F00) for tag in clean(ds).keys())  # noqa: SIM118


# Character sets


@pytest.mark.parametrize(
    ("character_set", "name", "comment"),
    [
        ("ISO_IR 100", "Müller^José", "for Herr MUELLER"),
        ("ISO_IR 192", "Müller^José", "jose m."),
        ("ISO_IR 144", "Иванов^Иван", "снимок Иванова".replace("Иванова", "ИВАНОВ")),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "患者山田様"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "길동 홍"),
        ("GB18030", "Wang^XiaoDong=王^小东", "病人小东的"),
    ],
)
def test_names_in_any_script(character_set: str | list[str], name: str, comment: str) -> None:
    ds = ct(SpecificCharacterSet=character_set, PatientName=name, ManufacturerModelName=comment)
    left = str(clean(ds).ManufacturerModelName)
    assert not any(part in left.lower() for part in re.split(r"[\^=]", name.lower()) if part), left


@pytest.mark.parametrize(
    ("character_set", "placeholder", "letter"),
    [("ISO_IR 203", "#", b"\xa6"), (["", "ISO 2022 IR 203"], "####", b"\x1b-b\xa6")],
)
def test_names_in_latin_alphabet_9(character_set: str | list[str], placeholder: str, letter: bytes) -> None:
    """The byte 0xA6, which is a broken bar in Latin alphabet No. 1, is an S with caron (PS3.3 Table C.12-2)."""
    ds = ct(PatientName=f"{placeholder}ilhan^Jan", ManufacturerModelName="for SILHAN")
    ds.SpecificCharacterSet = character_set
    left = clean(raw_of(ds).replace(placeholder.encode(), letter))
    assert "silhan" not in str(left.ManufacturerModelName).lower()


def test_a_wrong_character_set_is_no_crash() -> None:
    ds = ct(PatientName="")
    ds.add_new(0x00100010, "PN", "Muller")
    data = raw_of(ds).replace(b"Muller", b"M\xfcller").replace(b"ISO_IR 100", b"ISO_IR 192")
    assert b"M\xfcller" not in clean_bytes(data)


def test_an_unknown_character_set_is_refused() -> None:
    data = raw_of(ct()).replace(b"ISO_IR 100", b"DOE^JOHN  ")
    with pytest.raises(CannotClean):
        cleaned(data)


NAMED_JAPANESE = b"\\ISO 2022 IR 87 "


def _japanese(character_set: bytes) -> bytes:
    """An object that says its character sets so."""
    ds = ct(
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
        Manufacturer="日本電子",
        ManufacturerModelName="患者山田様",
    )
    before, after = (struct.pack("<HH2sH", 8, 5, b"CS", len(one)) + one for one in (NAMED_JAPANESE, character_set))
    assert raw_of(ds).count(before) == 1
    return raw_of(ds).replace(before, after)


@pytest.mark.parametrize("character_set", [NAMED_JAPANESE, b"ISO 2022 IR 6\\ISO 2022 IR 87"])
def test_padded_character_sets_are_read(character_set: bytes) -> None:
    result = clean(_japanese(character_set))
    assert (result.Manufacturer, result.ManufacturerModelName) == ("日本電子", "患者様")


@pytest.mark.parametrize("character_set", [b"ISO 2022 IR 6\\ ISO 2022 IR 87 ", b" \\ISO 2022 IR 87\\ ISO 2022 IR 149 "])
def test_character_sets_between_blanks_that_the_text_was_not_read_with_are_refused(character_set: bytes) -> None:
    with pytest.raises(CannotClean, match="character set"):
        cleaned(_japanese(character_set))


# Refused


def test_a_tag_that_comes_twice_is_refused() -> None:
    with pytest.raises(CannotClean, match=r"\(0008,0070\): the element is there twice"):
        cleaned(spliced(ct(), b"\x08\x00\x70\x00LO\x02\x00AB"))


def test_an_element_after_the_pixel_data_is_refused() -> None:
    with pytest.raises(CannotClean, match="after the pixel data"):
        cleaned(_without_padding(ct()) + NAME)


def _without_padding(ds: pydicom.FileDataset) -> bytes:
    for tag in [tag for tag in ds.keys() if tag > 0x7FE00010]:  # noqa: SIM118
        del ds[tag]
    return raw_of(ds)


@pytest.mark.parametrize("cut", [50, 131, 200, 701, 1501, 3001, -10])
@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm"])
def test_a_file_cut_short_is_refused(name: str, cut: int) -> None:
    data = _without_padding(sample(name)) if name == "CT_small.dcm" else open(get_testdata_file(name), "rb").read()  # noqa: SIM115
    with pytest.raises(CannotClean):
        clean_bytes(data[:cut])


@pytest.mark.parametrize("depth", [63, 70, 150, 3000])
@pytest.mark.parametrize("undefined", [False, True], ids=["length", "no length"])
def test_deep_nesting_ends_in_a_result_or_a_refusal(depth: int, undefined: bool) -> None:
    inner = NAME
    for _ in range(depth):
        if undefined:
            inner = ANATOMY + b"SQ\0\0" + b"\xff" * 4 + SQ_ITEM + b"\xff" * 4 + inner + ITEM_END + SEQUENCE_END
        else:
            item = SQ_ITEM + struct.pack("<L", len(inner)) + inner
            inner = ANATOMY + b"SQ\0\0" + struct.pack("<L", len(item)) + item
    data = spliced(ct(), inner)
    if depth < 64:
        assert b"FEATHERSTONE" not in clean_bytes(data)
    else:
        with pytest.raises(CannotClean, match="nested"):
            cleaned(data)


def test_nesting_is_told_wherever_it_is_noticed() -> None:
    """pydicom makes an OSError of it where it is noticed while the head of an item is read."""

    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return self.more(size)

        def more(self, size: int | None) -> bytes:
            return super().read(size)

    begin = ANATOMY + b"SQ\0\0" + b"\xff" * 4 + SQ_ITEM + b"\xff" * 4
    nested = spliced(ct(), begin * 3000 + NAME + (ITEM_END + SEQUENCE_END) * 3000)

    def read_from(depth: int) -> None:
        if depth:
            read_from(depth - 1)
        else:
            part10.read_part10(Slow(nested))

    for depth in range(12):
        with pytest.raises(CannotClean, match="nested"):
            read_from(depth)


def test_a_deflate_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10, "_MOST_INFLATED", 8 << 20)
    ds = ct()
    head = raw_of(ds)[: raw_of(ds).index(b"\x08\x00\x05\x00CS")]
    meta = head.replace(ExplicitVRLittleEndian.encode() + b"\0", DeflatedExplicitVRLittleEndian.encode())
    squeeze = zlib.compressobj(wbits=-15)
    packed = squeeze.compress(bytes(64 << 20)) + squeeze.flush()
    assert len(packed) < 1 << 20
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = raw_of(ds)
    at = 144 + pydicom.dcmread(BytesIO(whole), stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    assert meta[:132] == whole[:132]
    with pytest.raises(CannotClean, match="larger than 8 MiB"):
        cleaned(whole[:at] + packed)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRBigEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ExplicitVRBigEndian),
    ],
)
def test_a_transfer_syntax_that_lies_is_refused(said: pydicom.uid.UID, found: pydicom.uid.UID) -> None:
    ds = ct()
    for tag in [tag for tag in ds.keys() if tag.is_private or tag > 0x7FE00010]:  # noqa: SIM118
        del ds[tag]
    ds = pydicom.dcmread(BytesIO(raw_of(ds)))
    buffers = {}
    for syntax in (said, found):
        ds.file_meta.TransferSyntaxUID = syntax
        buffer = BytesIO()
        pydicom.dcmwrite(
            buffer, ds, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=syntax != ExplicitVRBigEndian
        )
        buffers[syntax] = buffer.getvalue()
    meta = buffers[said][: len(buffers[said]) - len(body(buffers[said]))]
    with pytest.raises(CannotClean):
        cleaned(meta + body(buffers[found]))


@pytest.mark.parametrize(
    "syntax", ["1.2.840.113619.5.2", "1.2.3", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "DOE^JOHN"]
)
def test_transfer_syntaxes_we_cannot_answer_for_are_refused(syntax: str) -> None:
    data = raw_of(ct())
    old = ExplicitVRLittleEndian.encode() + b"\0"
    at = data.index(old) - 8
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    with pytest.raises(CannotClean):
        cleaned(data[:at] + b"\x02\x00\x10\x00UI" + struct.pack("<H", len(new)) + new + data[at + 8 + len(old) :])


def test_reasons_name_places_and_never_values() -> None:
    ds = ct(SOPClassUID="1.2.3.4")
    for data in (
        raw_of(ds),
        raw_of(ct()).replace(b"ISO_IR 100", b"DOE^JOHN  "),
        spliced(ct(), NAME),
        b"FEATHERSTONE" * 50,
    ):
        with pytest.raises(CannotClean) as caught:
            cleaned(data)
        assert not {"FEATHERSTONE", "DOE", "1.2.3.4", "MRN7741"} & set(str(caught.value).replace(":", " ").split())


@pytest.mark.parametrize("profile", [BASIC, MODIFIED_DATES])
def test_odd_lengths_and_trailing_nuls(profile: object) -> None:
    raw = b"\x08\x00\x90\x10LO\x03\x00ABC"
    ds = ct()
    del ds["ManufacturerModelName"]
    assert clean(spliced(ds, raw)).ManufacturerModelName == "ABC"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"])
def test_values_of_odd_length_get_the_padding_they_lack(name: str) -> None:
    """Peers break the association off at a fragment of odd length (PS3.5 7.1.1)."""
    content = _with_odd_values(name)
    original, result = pydicom.dcmread(BytesIO(content)), clean_bytes(content)
    assert len(original.PixelData) % 2 == 1
    assert pydicom.dcmread(BytesIO(result)).PixelData == original.PixelData + b"\0"
    assert pydicom.dcmread(BytesIO(result)).Manufacturer == original.Manufacturer == "ODD"
    assert len(result) % 2 == 0


def test_fragments_of_odd_length_get_the_padding_they_lack() -> None:
    ds = sample("MR_small_RLE.dcm")
    fragments = list(generate_fragments(ds.PixelData))
    ds.PixelData = ds.PixelData.removesuffix(SEQUENCE_END) + SQ_ITEM + b"\x03\0\0\0abc" + SEQUENCE_END
    assert list(generate_fragments(clean(ds).PixelData)) == [*fragments, b"abc\0"]


def _with_odd_values(name: str) -> bytes:
    """The file with an odd Manufacturer and odd pixel data; pydicom would pad both when writing."""
    ds = sample(name, Manufacturer="ODDX")
    implicit, little = ds.original_encoding
    order = "little" if little else "big"
    del ds[0x7FE00011:]
    raw, length = raw_of(ds), len(ds.PixelData)
    at, size = raw.index(b"ODDX"), 4 if implicit else 2
    raw = raw[: at - size] + (3).to_bytes(size, order) + b"ODD" + raw[at + 4 :]
    at = len(raw) - length
    return raw[: at - 4] + (length - 1).to_bytes(4, order) + raw[at:-1]
