"""The originals come back at every depth, in every transfer syntax; what is new stays, what is doubtful is refused."""

from __future__ import annotations

import struct
from collections.abc import Collection
from io import BytesIO

import pydicom
import pytest
from deid_objects import BASIC, EVERYTHING, KEY, MODIFIED_DATES, cleaned, ct, raw_of, sample, sequence
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from returned_objects import CLASSES, TODAY, returned, texts_of

from lethe.node.deid.asked import Asked
from lethe.node.deid.deidentify import Cleaned
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.identity import BY_NAME, who
from lethe.node.deid.part10 import read_part10
from lethe.node.deid.profile import Profile
from lethe.node.deid.reidentify import Originals, reidentify

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


class Known:
    """What the cleaning of some objects gave, by pseudonym."""

    def __init__(self, *objects: Cleaned) -> None:
        self.studies = {(str(one.header.StudyInstanceUID), who(one.header)): one.identity for one in objects}
        self.uids = {new: old for one in objects for old, new in one.uids.items() if new != old}
        self.patients = {new: old for one in objects for old, new in (one.others | one.patients).items()}
        self.accessions = {new: old for one in objects for old, new in one.accessions.items()}

    def originals(self, asked: Asked) -> Originals:
        identity = self.studies.get((asked.study, asked.patient))
        if identity is None:
            raise CannotClean("unknown")
        patients, accessions = (
            {new: old for new, old in known.items() if new in asked.words} for known in (self.patients, self.accessions)
        )
        patients = patients or {asked.patient.removeprefix(BY_NAME): ""}
        return Originals(identity, {new: self.uids[new] for new in asked.uids & self.uids.keys()}, patients, accessions)

    def pseudonyms(self, uids: Collection[str]) -> Collection[str]:
        return self.uids.keys() & uids


def original(**attributes: object) -> FileDataset:
    ds = ct(
        PatientBirthDate="19580317",
        PatientSex="F",
        IssuerOfPatientID="Corbinian",
        AccessionNumber="ACC9920771",
        StudyID="S17",
        StudyDescription="CT of Featherstone",
        ReferringPhysicianName="VANDERQUIST^HOLGER",
        StudyDate="20190822",
        AcquisitionDate="20190823",
    )
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def back(data: bytes | FileDataset, *known: Cleaned) -> FileDataset:
    raw = data if isinstance(data, bytes) else raw_of(data)
    return pydicom.dcmread(BytesIO(b"".join(reidentify(BytesIO(raw), Known(*known)).chunks())))


def encoded(ds: FileDataset, syntax: str) -> bytes:
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(buffer, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return buffer.getvalue()


def prove_it_is_of(ds: pydicom.Dataset, source: FileDataset, clean: Cleaned) -> None:
    for keyword in (
        "PatientName PatientID PatientBirthDate PatientSex IssuerOfPatientID AccessionNumber StudyInstanceUID "
        "StudyID StudyDescription ReferringPhysicianName StudyDate StudyTime"
    ).split():
        assert ds.get(keyword) == source.get(keyword), keyword
    said = texts_of(ds)
    for pseudonym in (*clean.uids.values(), *clean.patients.values(), *clean.accessions.values()):
        assert pseudonym not in said
    assert ds.PatientIdentityRemoved == "NO"
    for keyword in (
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
    ):
        assert keyword not in ds


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("kind", CLASSES)
def test_each_kind_of_result_in_each_transfer_syntax(kind: str, syntax: str) -> None:
    source = original()
    clean = cleaned(source, MODIFIED_DATES)
    made = returned(kind, clean.header)
    result = back(encoded(made, syntax), clean)
    prove_it_is_of(result, source, clean)
    assert result.file_meta.TransferSyntaxUID == syntax
    assert result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert (result.SOPClassUID, result.SeriesInstanceUID) == (made.SOPClassUID, made.SeriesInstanceUID)
    assert result.Manufacturer == "AI of the tests"
    assert str(source.SOPInstanceUID) in texts_of(result)
    assert str(source.SeriesInstanceUID) in texts_of(result)


def test_a_segmentation_refers_to_the_original_images_and_keeps_its_pixels() -> None:
    source = original()
    clean = cleaned(source, MODIFIED_DATES)
    made = returned("SEG", clean.header)
    result = back(made, clean)
    derivation = result.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    assert derivation.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert derivation.SourceImageSequence[0].ReferencedSOPClassUID == source.SOPClassUID
    assert result.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert result.PixelData == made.PixelData


def test_a_report_names_the_original_patient_and_images_at_every_depth() -> None:
    source = original()
    clean = cleaned(source, MODIFIED_DATES)
    result = back(returned("SR", clean.header), clean)
    uid, text, subject = result.ContentSequence
    assert source.SeriesInstanceUID == uid.UID
    assert text.TextValue == f"Series {source.SeriesInstanceUID} of MRN7741, MRN7741."
    assert subject.PatientID == "MRN7741"
    assert subject.ContentSequence[1].PersonName == "FEATHERSTONE^ANTONIA"
    assert result.ReferencedRequestSequence[0].AccessionNumber == "ACC9920771"


def test_moved_dates_move_back_and_new_ones_stay() -> None:
    clean = cleaned(original(), MODIFIED_DATES)
    assert clean.header.AcquisitionDate != "20190823"
    result = back(returned("SEG", clean.header), clean)
    assert (result.StudyDate, result.AcquisitionDate) == ("20190822", "20190823")
    assert result.AcquisitionDateTime == "20190823101112.5+0100"
    assert result.ContentDate == result.SeriesDate == result.InstanceCreationDate == TODAY


def test_without_modified_dates_only_those_of_the_study_come_back() -> None:
    clean = cleaned(original(), BASIC)
    made = returned("SEG", clean.header)
    made.AcquisitionDate, made.AcquisitionDateTime = "20180101", "20180101101112"
    result = back(made, clean)
    assert (result.StudyDate, result.AcquisitionDate, result.ContentDate) == ("20190822", "20180101", TODAY)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_sequence_hidden_in_un_is_opened(syntax: str) -> None:
    """PS3.5 6.2.2: whatever the transfer syntax, it is encoded as implicit VR little endian."""
    source = original()
    clean = cleaned(source, MODIFIED_DATES)
    made = returned("PR", clean.header)
    uid = str(clean.header.SOPInstanceUID).encode()
    uid += bytes(len(uid) % 2)
    element = struct.pack("<HHL", 0x0008, 0x1155, len(uid)) + uid
    hidden = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(element)) + element
    made.add_new(0x00091001, "UN", hidden)
    made[0x00081199] = DataElement(0x00081199, "OB", hidden)  # Referenced SOP Sequence, which pydicom would open
    raw = encoded(made, syntax).replace(b"\x08\x00\x99\x11OB", b"\x08\x00\x99\x11UN")
    raw = raw.replace(b"\x00\x08\x11\x99OB", b"\x00\x08\x11\x99UN")
    if syntax == DeflatedExplicitVRLittleEndian:
        del made[0x00081199]
        made.ReferencedSOPSequence = sequence(ReferencedSOPInstanceUID=uid.decode())
        raw = encoded(made, syntax)
    result = back(raw, clean)
    assert result.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    again = encoded(result, ExplicitVRLittleEndian)
    assert again.count(str(source.SOPInstanceUID).encode()) >= 2
    assert uid.rstrip(b"\0") not in again


def test_a_uid_in_a_private_text_of_unknown_vr_comes_back_and_in_other_bytes_is_refused() -> None:
    source = original()
    clean = cleaned(source)
    made = returned("PR", clean.header)
    made.add_new(0x00090010, "LO", "AI")
    made.add_new(0x00091001, "UN", str(clean.header.SOPInstanceUID).encode())
    result = back(made, clean)
    assert bytes(result[0x00091001].value).rstrip(b"\0").decode() == source.SOPInstanceUID
    made.add_new(0x00091001, "OB", b"\x01\x02" + str(clean.header.SOPInstanceUID).encode())
    with pytest.raises(CannotClean, match=r"\(0009,1001\): a pseudonym stands in a value of unknown form"):
        back(made, clean)


def test_values_keep_their_places_and_plain_bytes_are_read_as_text() -> None:
    clean = cleaned(original())
    made = returned("PR", clean.header)
    made.OtherPatientIDs = ["", "", str(clean.header.PatientID)]
    made.add_new(0x00090010, "LO", "AI")
    made.add_new(0x00091001, "UN", f"of {clean.header.PatientID}".encode())
    result = back(made, clean)
    assert list(result.OtherPatientIDs) == ["", "", "MRN7741"]
    assert bytes(result[0x00091001].value).rstrip(b"\0") == b"of MRN7741"


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
def test_the_clean_study_itself_comes_back_with_its_pixels_byte_for_byte(name: str) -> None:
    source = sample(name, PatientName="FEATHERSTONE^ANTONIA", PatientID="MRN7741", StudyDate="20190822")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        setattr(source, keyword, source.get(keyword) or generate_uid())
    clean = cleaned(source, MODIFIED_DATES)
    data = b"".join(clean.chunks())
    result = b"".join(reidentify(BytesIO(data), Known(clean)).chunks())
    ds = pydicom.dcmread(BytesIO(result))
    assert (ds.SOPInstanceUID, ds.PatientID) == (source.SOPInstanceUID, "MRN7741")
    assert ds.file_meta.MediaStorageSOPInstanceUID == source.SOPInstanceUID
    assert ds.PatientName == "FEATHERSTONE^ANTONIA"
    assert pixels(result) == pixels(data)


def pixels(data: bytes) -> bytes:
    source = read_part10(BytesIO(data))
    assert source.pixels
    source.data.seek(source.pixels.start)
    return source.data.read(source.pixels.end - source.pixels.start)


@pytest.mark.parametrize(
    ("charset", "name", "said"),
    [
        ("ISO_IR 100", "Müller^Jörg", None),
        ("ISO_IR 192", "Ōe^Kenzaburō", None),
        ("ISO_IR 144", "Люкceмбypг", None),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", None),
        ("ISO_IR 100", "Müller^Jörg", "ISO_IR 144"),
        ("ISO_IR 100", "Müller^Jörg", "ISO_IR 100"),
    ],
)
def test_a_name_comes_back_in_characters_the_object_can_express(charset: object, name: str, said: str | None) -> None:
    source = original(SpecificCharacterSet=charset, PatientName=name)
    clean = cleaned(source)
    made = returned("SR", clean.header)
    del made.SpecificCharacterSet
    if said:
        made.SpecificCharacterSet = said
        made.ContentCreatorName = "Ж^Я" if said == "ISO_IR 144" else "É"
    written = made.get("ContentCreatorName")
    result = back(made, clean)
    assert result.PatientName == name
    assert result.ContentSequence[2].ContentSequence[1].PersonName == name
    assert result.get("ContentCreatorName") == written
    assert result.SpecificCharacterSet == ("ISO_IR 100" if said == "ISO_IR 100" else "ISO_IR 192")


def test_a_plain_object_of_a_plain_patient_keeps_its_character_set() -> None:
    clean = cleaned(original())
    made = returned("SR", clean.header)
    made.SpecificCharacterSet = "ISO_IR 100"
    assert back(made, clean).SpecificCharacterSet == "ISO_IR 100"


def test_issuers_come_back_with_their_items() -> None:
    issuer = sequence(UniversalEntityID="1.2.3.4.5.6", UniversalEntityIDType="ISO", IdentifierTypeCode="MR")
    place = sequence(LocalNamespaceEntityID="Köln")
    source = original(SpecificCharacterSet="ISO_IR 100")
    source.IssuerOfPatientIDQualifiersSequence, source.IssuerOfAccessionNumberSequence = issuer, place
    clean = cleaned(source)
    assert "IssuerOfAccessionNumberSequence" not in clean.header
    made = returned("PR", clean.header)
    del made.SpecificCharacterSet
    result = back(made, clean)
    assert result.IssuerOfPatientIDQualifiersSequence == issuer
    assert result.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "Köln"
    assert result.SpecificCharacterSet == "ISO_IR 192"


def test_orders_and_patients_that_stand_only_deeper_come_back_too() -> None:
    order = sequence(AccessionNumber="ACC-OF-ANOTHER", StudyInstanceUID="1.2.3.4")
    source = sample("reportsi.dcm", PatientID="MRN7741", AccessionNumber="", ReferencedRequestSequence=order)
    clean = cleaned(source, EVERYTHING)
    pseudonym = clean.header.ReferencedRequestSequence[0].AccessionNumber
    assert clean.accessions == {"ACC-OF-ANOTHER": pseudonym}
    made = returned("PR", clean.header)
    made.RequestAttributesSequence = sequence(AccessionNumber=pseudonym, RequestedProcedureComments=f"see {pseudonym}")
    result = back(made, clean)
    assert result.RequestAttributesSequence[0].AccessionNumber == "ACC-OF-ANOTHER"
    assert result.RequestAttributesSequence[0].RequestedProcedureComments == "see ACC-OF-ANOTHER"


def test_a_uid_derived_from_a_pseudonym_is_a_new_one() -> None:
    clean = cleaned(original())
    made = returned("PR", clean.header)
    made.SeriesInstanceUID = "2.25.9.1"
    made.ImageComments = f"{clean.header.SOPInstanceUID}, {clean.header.SOPInstanceUID}.1"
    result = back(made, clean)
    assert result.ImageComments == f"{original().SOPInstanceUID}, {clean.header.SOPInstanceUID}.1"


@pytest.mark.parametrize("noise", [b"1" * 2_000_000, b"1." * 1_000_000, b"A" * 2_000_000])
def test_no_run_of_digits_or_letters_holds_it_up(noise: bytes) -> None:
    clean = cleaned(original())
    made = returned("PR", clean.header)
    made.add_new(0x00090010, "LO", "AI")
    made.add_new(0x00091001, "OB", noise)
    made.add_new(0x00091002, "UT", noise.decode())
    assert back(made, clean)[0x00091001].value == noise


def test_what_signs_or_marks_is_taken_away_at_every_depth() -> None:
    clean = cleaned(original())
    made = returned("PR", clean.header)
    made.DigitalSignaturesSequence = sequence(DigitalSignatureUID="1.2.3.4.5")
    made.ReferencedSeriesSequence[0].PatientIdentityRemoved = "YES"
    made.ReferencedSeriesSequence[0].DeidentificationMethod = "some"
    result = back(made, clean)
    assert "DigitalSignaturesSequence" not in result
    assert result.ReferencedSeriesSequence[0].PatientIdentityRemoved == "NO"
    assert "DeidentificationMethod" not in result.ReferencedSeriesSequence[0]


def test_another_patient_in_it_is_refused() -> None:
    clean, other = cleaned(original()), cleaned(original(PatientID="MRN-OTHER", StudyInstanceUID=generate_uid()))
    made = returned("SR", clean.header)
    item = Dataset()
    item.ValueType, item.PatientID = "CONTAINER", other.header.PatientID
    made.ContentSequence.append(item)
    with pytest.raises(CannotClean, match="names another patient"):
        back(made, clean, other)


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_a_study_and_a_patient_that_do_not_belong_together_are_refused(keyword: str) -> None:
    clean, other = cleaned(original()), cleaned(original(PatientID="MRN-OTHER", StudyInstanceUID=generate_uid()))
    made = returned("PR", clean.header)
    setattr(made, keyword, other.header[keyword].value)
    with pytest.raises(CannotClean, match="unknown"):
        back(made, clean, other)


def test_a_patient_without_an_id_gets_the_name_back() -> None:
    source = original(PatientID="")
    clean = cleaned(source)
    assert clean.header.PatientName and not clean.header.PatientID
    result = back(returned("PR", clean.header), clean)
    assert (result.PatientName, result.PatientID) == ("FEATHERSTONE^ANTONIA", "")


def test_a_pseudonym_that_only_another_look_finds_is_refused() -> None:
    """An original that is itself a pseudonym of the project: the object would be half re-identified."""
    first = cleaned(original())
    second = cleaned(b"".join(first.chunks()))
    made = returned("PR", second.header)
    with pytest.raises(CannotClean, match="a pseudonym of the project is left"):
        back(made, first, second)


def test_the_same_object_gives_the_same_bytes() -> None:
    clean = cleaned(original(), MODIFIED_DATES)
    raw = raw_of(returned("SR", clean.header))
    one, two = (b"".join(reidentify(BytesIO(raw), Known(clean)).chunks()) for _ in range(2))
    assert one == two


def test_a_result_that_pydicom_would_take_for_one_in_explicit_vr_is_refused() -> None:
    """It would be looked through as other elements than it has. Here the length of the first becomes letters: the UIDs
    in it are longer than their pseudonyms."""
    source = original(StudyInstanceUID="1." + "2" * 60)
    clean = cleaned(source)
    made = returned("PR", clean.header)
    del made.SpecificCharacterSet
    pseudonym, length = str(clean.header.StudyInstanceUID), int.from_bytes(b"LO", "little")
    times, rest = divmod(length, len(source.StudyInstanceUID) + 1)
    made.ImageType = [*[pseudonym] * times, "X" * rest]
    with pytest.raises(CannotClean, match="the result cannot be read again for certain"):
        back(encoded(made, ImplicitVRLittleEndian), clean)
    made.ImageType = [*[pseudonym] * times, "X" * (rest + 2 * len("LO") + 20)]
    assert back(encoded(made, ImplicitVRLittleEndian), clean).ImageType[0] == source.StudyInstanceUID


def test_what_is_broken_is_refused() -> None:
    clean = cleaned(original())
    raw = raw_of(returned("PR", clean.header))
    with pytest.raises(CannotClean):
        back(raw[:-5], clean)
    with pytest.raises(CannotClean, match="not readable"):
        back(b"no DICOM", clean)


def test_the_identity_is_taken_before_cleaning_and_holds_only_what_files_a_study() -> None:
    clean = cleaned(original(PatientComments="never"), Profile())
    assert clean.identity is not None
    assert clean.identity.attributes["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "FEATHERSTONE^ANTONIA"}]}
    assert clean.identity.days == 0
    assert {"20190822", "20190823"} <= clean.identity.dates
    assert "never" not in str(clean.identity)
    moved = cleaned(original(), MODIFIED_DATES)
    assert moved.identity is not None
    assert moved.identity.days == KEY.days("MRN7741")
