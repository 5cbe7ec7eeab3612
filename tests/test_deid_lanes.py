"""The fast lane gives what the careful lane gives, byte for byte, whatever it has seen before; or it gives nothing."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from struct import pack

import pytest
from conftest import SHARED
from deid_objects import BASIC, EVERYTHING, KEY, MODIFIED_DATES, content, ct, raw_of, sample, sequence, spliced
from pydicom.data import get_testdata_files
from pydicom.dataset import FileDataset
from pydicom.uid import ImplicitVRLittleEndian

from lethe.node.deid import fast
from lethe.node.deid.deidentify import PixelRule, deidentify, pass_pixels
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.fast import FastLane
from lethe.node.deid.lanes import Deidentifier
from lethe.node.deid.part10 import file_meta, read_again
from lethe.node.deid.pixels import may_carry_text
from lethe.node.deid.profile import Option, Profile

RETAIN = Profile(
    [
        Option.RETAIN_UIDS,
        Option.RETAIN_LONGITUDINAL_FULL_DATES,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_INSTITUTION_IDENTITY,
    ]
)
PROFILES = {"basic": BASIC, "dates": MODIFIED_DATES, "everything": EVERYTHING, "retain": RETAIN}


def careful(data: bytes, profile: Profile, rule: PixelRule = pass_pixels) -> object:
    """What the careful lane makes of an object, or its reason to refuse it."""
    try:
        return content(deidentify(BytesIO(data), profile, KEY, rule))
    except CannotClean as refusal:
        return str(refusal)


def went_fast(objects: Iterable[bytes], profile: Profile, rule: PixelRule = pass_pixels) -> int:
    """How many of the objects, given to one fast lane twice in their order, it cleaned. Each as the careful lane."""
    objects, lane, count = list(objects), FastLane(profile, KEY, rule), 0
    expected = [careful(data, profile, rule) for data in objects]
    for _again in range(2):
        for data, one in zip(objects, expected, strict=True):
            result = lane.clean(BytesIO(data))
            assert result is None or content(result) == one
            count += result is not None
    return count


def series(count: int = 5, **attributes: object) -> list[FileDataset]:
    """Slices that differ where those of a scanner do."""
    slices = []
    for number in range(count):
        ds = ct(**deepcopy(attributes))
        ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.{number + 1}"
        ds.InstanceNumber, ds.SliceLocation = number + 1, -12.5 * number
        ds.ImagePositionPatient = [1.5, -0.25, 12.5 * number]
        ds.ContentTime, ds.AcquisitionTime = f"1015{number:02d}.125000", f"1014{number:02d}"
        ds.AcquisitionDateTime = f"20040119101{number}00.5"
        ds.ReferencedImageSequence = sequence(
            ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=f"{ds.SeriesInstanceUID}.{number}"
        )
        ds.WindowCenter, ds.ExposureTime = f"{40 + number}", 500 + number
        ds.add_new("SmallestImagePixelValue", "SS", number)
        slices.append(ds)
    return slices


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_every_sample(profile: Profile) -> None:
    files = [Path(file).read_bytes() for file in sorted(get_testdata_files("*.dcm"))]
    assert went_fast(files, profile) > len(files) / 2


@pytest.mark.shared
@pytest.mark.parametrize(("profile", "rule"), [(EVERYTHING, pass_pixels), (BASIC, may_carry_text)])
def test_every_shared_file(profile: Profile, rule: PixelRule) -> None:
    files = [file for folder in ("data", "midi/dev/files") for file in (SHARED / folder).rglob("*") if file.is_file()]
    fair = [file.read_bytes() for file in sorted(files) if file.stat().st_size < 2 << 20]
    assert went_fast(fair, profile, rule) > len(fair) / 4


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_a_series_goes_fast(profile: Profile, syntax: str | None) -> None:
    slices = series()
    for ds in slices if syntax else ():
        ds.file_meta.TransferSyntaxUID = syntax
    assert went_fast([raw_of(ds) for ds in slices], profile, may_carry_text) == 2 * len(slices)


def test_what_is_remembered_of_one_patient_is_not_believed_of_another() -> None:
    objects = []
    for name, number in (("JONES^MARY", "A100200"), ("DUPUYTREN^ANNE", "B100200"), ("JONES^MARY", "B100200")):
        for text in ("Dupuytren contracture of Mary", "seen by Jones A100200", "control of B100200"):
            ds = ct(PatientName=name, PatientID=number, StudyDescription=text, ImageComments=text, StudyID=number)
            ds.RequestAttributesSequence = sequence(ScheduledProcedureStepDescription=text)
            objects.append(raw_of(ds))
    assert went_fast(objects, EVERYTHING) == 2 * len(objects)
    assert went_fast(objects, BASIC) == 2 * len(objects)


def test_a_uid_in_a_text_is_looked_for_in_each_object_anew() -> None:
    slices = series(4)
    uids = [ds.SOPInstanceUID for ds in slices]
    for ds in slices:
        ds.ImageComments = f"copy of {uids[1]}"
        ds.ICCProfile = f"\x01 made of {uids[2]}".encode()
        ds.DerivationDescription = f"from {uids[3]}"
    assert went_fast([raw_of(ds) for ds in slices], EVERYTHING) == 2 * len(slices)
    assert went_fast([raw_of(ds) for ds in slices], BASIC) == 2 * len(slices)


def test_a_uid_that_is_called_as_another_is_going_to_be() -> None:
    ds = ct()
    ds.FrameOfReferenceUID = KEY.uid(ds.SOPInstanceUID)
    assert went_fast([raw_of(ct()), raw_of(ds), raw_of(ct())], BASIC) == 4


def test_dates_of_the_same_text_under_another_patient() -> None:
    objects = [ct(PatientID=number, ImageComments="control 2004-01-19", StudyDate="20040119") for number in ("1", "2")]
    assert went_fast([raw_of(ds) for ds in objects], EVERYTHING) == 4


def test_character_sets_do_not_mix() -> None:
    objects = [ct(SpecificCharacterSet=charset) for charset in ("ISO_IR 100", "ISO_IR 101", "ISO_IR 192")]
    for ds in objects:
        ds.PatientName, ds.StudyDescription = "MÜLLER^JÖRG", "Schädel Müller"
    assert went_fast([raw_of(ds) for ds in objects], EVERYTHING) == 6


def test_private_blocks_come_and_go() -> None:
    objects = []
    for creator, other in (("SIEMENS MEDCOM HEADER", "GEMS_PARM_01"), ("GEMS_PARM_01", "ACME"), ("ACME", "ACME 2")):
        ds = ct()
        for group in (0x0029, 0x0043):
            block = ds.private_block(group, creator, create=True)
            block.add_new(0x08, "CS", "IMAGE NUM 4")
            block.add_new(0x6F, "DS", "1.5")
            ds.private_block(group, other, create=True).add_new(0x10, "PN", "QUARTERMAIN^ALLAN")
        ds.ImageComments = "Quartermain"
        objects += [raw_of(ds), raw_of(ct())]
    assert went_fast(objects, EVERYTHING) == 2 * len(objects)
    assert went_fast(objects, BASIC) == 2 * len(objects)


def test_values_that_are_not_of_their_form_take_the_long_way_to_the_same() -> None:
    objects = []
    for keyword, value in (
        ("InstanceNumber", "7741774"),
        ("ContentTime", "half past"),
        ("ContentDate", "20041399"),
        ("StudyDate", "2004.01.19"),
        ("AcquisitionDateTime", "2004"),
        ("SliceLocation", "MRN7741"),
        ("PatientID", "7741774"),
    ):
        ds = ct(PatientID="7741774", OtherPatientIDs="7741774")
        ds.add_new(keyword, ds[keyword].VR if keyword in ds else "DT", "")
        ds[keyword]._value = value
        objects.append(raw_of(ds))
    for profile in PROFILES.values():
        went_fast(objects, profile)


def test_what_it_leaves_to_the_careful_lane() -> None:
    lane = FastLane(BASIC, KEY, pass_pixels)
    twice = spliced(ct(), b"\x10\x00\x10\x00PN\x04\x00EVE ")
    others = [raw_of(sample(name)) for name in ("image_dfl.dcm", "MR_small_bigendian.dcm")]
    for data in (b"", b"DICM", twice, raw_of(ct())[:-40000], *others):
        assert lane.clean(BytesIO(data)) is None
    assert FastLane(BASIC, KEY, lambda *_: None).clean(BytesIO(raw_of(ct()))) is None


def test_a_refusal_has_the_careful_lanes_reason() -> None:
    both = Deidentifier(BASIC, KEY)
    ds = ct(BurnedInAnnotation="YES")
    for _again in range(2):
        with pytest.raises(CannotClean, match="Burned In Annotation"):
            both.clean(BytesIO(raw_of(ds)))


def test_it_forgets_when_it_has_remembered_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "_MOST_REMEMBERED", 10_000)
    assert went_fast([raw_of(ds) for ds in series(4)], EVERYTHING) == 8


def test_the_length_of_a_private_group_is_no_private_attribute() -> None:
    data = raw_of(ct())
    at = data.index(b"\x09\x00\x10\x00LO")
    length = b"\x09\x00\x00\x00UL\x04\x00" + bytes(4)
    assert went_fast([data[:at] + length + data[at:]], BASIC) == 2
    assert went_fast([data[:at] + length + data[at:]], EVERYTHING) == 2


def test_pixel_representation_of_unknown_vr() -> None:
    data = raw_of(ct())
    known, unknown = b"\x28\x00\x03\x01US\x02\x00", b"\x28\x00\x03\x01UN\x00\x00\x02\x00\x00\x00"
    assert known in data
    assert went_fast([data.replace(known, unknown), data], BASIC) == 2


def implicit(*elements: tuple[int, bytes]) -> bytes:
    """A CT image in implicit VR, with no character set and little else."""
    uids = {0x00080016: b"1.2.840.10008.5.1.4.1.1.2\0", 0x00080018: b"1.2.3.4.5.6.7.8.1\0"}
    uids |= {0x0020000D: b"1.2.3.4.5.6.7.8.2\0", 0x0020000E: b"1.2.3.4.5.6.7.8.3\0", 0x00100020: b"A100200 "}
    values = sorted({**uids, **dict(elements), 0x7FE00010: bytes(8)}.items())
    body = b"".join(pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in values)
    return file_meta("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5.6.7.8.1", ImplicitVRLittleEndian) + body


@pytest.mark.parametrize("vr", [b"LO", b"LT", b"DS", b"UN", b"SQ"])
@pytest.mark.parametrize("tag", [0x00180010, 0x00204000, 0x00281201, 0x00081140, 0x00080051])
def test_a_length_that_looks_like_a_vr(tag: int, vr: bytes) -> None:
    """Read alone, pydicom would take the element for one in explicit VR, and its text for elements of its own."""
    length = int.from_bytes(vr, "little") & ~1
    hidden = pack("<HH2sHL", 0x0040, 0x4001, b"UT", 0, length - 12) + b"seen by Allan Quartermain " * 1000
    went_fast([implicit((tag, hidden[:length]))], EVERYTHING)
    went_fast([implicit((tag, (b"Quartermain " * 2000)[:length]))], BASIC)


def test_a_result_is_not_decoded_in_another_encoding_than_its_own() -> None:
    """As the fast lane's results are, when somebody asks for their header."""
    length = int.from_bytes(b"LO", "little")
    encoded = pack("<HHL", 0x0008, 0x0008, length) + b"X" * length
    with pytest.raises(CannotClean, match="cannot be read again for certain"):
        read_again(encoded, implicit=True, little=True)
    with pytest.raises(CannotClean, match="cannot be read again for certain"):
        read_again(b"\x08\x00\x60\x00CS\x02\x00CT", implicit=True, little=True)
    assert read_again(b"\x08\x00\x60\x00CS\x02\x00CT", implicit=False, little=True).Modality == "CT"


def test_bytes_of_another_encoding_mean_another_thing() -> None:
    explicit = ct(SliceThickness="1.5")
    thickness = b"\x18\x00\x50\x00DS\x04\x001.5 "
    assert thickness in raw_of(explicit)
    length = int.from_bytes(thickness[4:8], "little")
    text = b"seen by Allan Quartermain, " * (length // 27)
    value = b"1.5 " + pack("<HHL", 0x0018, 0x9345, length - 12) + text
    went_fast([raw_of(explicit), implicit((0x00180050, value[:length])), raw_of(explicit)], EVERYTHING)


def test_a_patient_within_a_safe_private_sequence_is_in_the_crosswalk() -> None:
    ds = ct()
    other = sequence(PatientID="OTHERPAT1")
    ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x5F, "SQ", other)
    lane = FastLane(EVERYTHING, KEY, pass_pixels)
    for _again in range(2):
        result = lane.clean(BytesIO(raw_of(ds)))
        assert result is not None and "OTHERPAT1" in result.others
    assert went_fast([raw_of(ds)], EVERYTHING) == 2
