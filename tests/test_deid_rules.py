"""Each action of PS3.15 Table E.1-1, each composite code with each type, the options, and what the result says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pydicom
import pytest
from deid_objects import (
    BASIC,
    EVERYTHING,
    KEY,
    MODIFIED_DATES,
    OTHER_KEY,
    clean,
    clean_bytes,
    cleaned,
    ct,
    sample,
    sequence,
)
from PIL import ImageCms
from pydicom.dataset import Dataset

from lethe.node.deid import pseudonyms
from lethe.node.deid.decisions import Decisions
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.header import HeaderCleaner
from lethe.node.deid.iod import Types, types_of
from lethe.node.deid.profile import APPLIED, Action, Option, Profile, Rule
from lethe.node.deid.pseudonyms import Pseudonyms
from lethe.node.deid.report import Report
from lethe.node.deid.terms import TermBank
from lethe.node.deid.values import ValueCleaner

FULL_DATES = Profile([Option.RETAIN_LONGITUDINAL_FULL_DATES])
CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


# Action codes


def test_x_removes() -> None:
    assert "PatientAddress" not in clean(ct(PatientAddress="12 Mill Lane"))


def test_z_empties() -> None:
    result = clean(ct(PatientBirthDate="19580317", ReferringPhysicianName="VANDERQUIST^HOLGER"))
    assert result["PatientBirthDate"].is_empty
    assert result["ReferringPhysicianName"].is_empty


def test_d_leaves_a_value_that_says_nothing() -> None:
    result = clean(ct(ObservationSubjectUIDTrial="1.2.3.4.5.6.7.8", ParameterSetName=None, DeviceSettingDescription=""))
    assert result.ObservationSubjectUIDTrial.startswith("2.25.")
    graphic = sequence(UnformattedTextValue="FEATHERSTONE left")
    assert clean(ct(WaveformAnnotationSequence=None, TextObjectSequence=graphic)).TextObjectSequence[
        0
    ].UnformattedTextValue == ("ANONYMOUS")


def test_d_on_a_uid_gives_a_uid() -> None:
    groups = sequence(AnnotationGroupUID="1.2.3.4.5.6.7.8", AnnotationGroupNumber=1)
    result = clean(ct(AnnotationGroupSequence=groups))
    assert result.AnnotationGroupSequence[0].AnnotationGroupUID == KEY.uid("1.2.3.4.5.6.7.8")


def test_d_on_a_sequence_keeps_its_codes_and_drops_its_words() -> None:
    content = sequence(ValueType="TEXT", TextValue="seen by Dr Holger", ObservationDateTime="20190822101112")
    content[0].ConceptNameCodeSequence = sequence(
        CodeValue="121070", CodingSchemeDesignator="DCM", CodeMeaning="Finding"
    )
    item = clean(ct(ContentSequence=content)).ContentSequence[0]
    assert (item.ValueType, item.TextValue) == ("TEXT", "ANONYMOUS")
    assert item.ConceptNameCodeSequence[0].CodeMeaning == "Finding"


def test_u_replaces_uids_and_leaves_those_of_the_standard() -> None:
    ds = ct(FrameOfReferenceUID="1.2.3.4.5.6.7.8")
    result = clean(ds)
    assert result.FrameOfReferenceUID == KEY.uid("1.2.3.4.5.6.7.8")
    assert result.SOPClassUID == ds.SOPClassUID
    assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID == KEY.uid(ds.SOPInstanceUID)


def test_a_uid_has_one_pseudonym_whatever_was_asked_for_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "_MOST_REMEMBERED", 3)
    one, other = (Pseudonyms(bytes([number] * 32)) for number in (1, 2))
    asked = [*(f"1.2.3.{number % 5}" for number in range(40)), CT, "1" * 100, CT, "1" * 100]
    for uid in asked:
        assert one.uid(uid) == Pseudonyms(bytes([1] * 32)).uid(uid)
        assert (one.uid(uid) == other.uid(uid)) == (uid == CT)


def test_k_keeps() -> None:
    result = clean(ct(InstitutionName="Saint Corbinian"), Profile([Option.RETAIN_INSTITUTION_IDENTITY]))
    assert result.InstitutionName == "Saint Corbinian"


def test_k_does_not_keep_the_patient() -> None:
    ds = ct(InstitutionName="House of Featherstone", StudyDate="20190822")
    ds["StudyDate"]._value = "FEATHERSTONE"
    for option in (Option.RETAIN_INSTITUTION_IDENTITY, Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_UIDS):
        assert b"FEATHERSTONE" not in clean_bytes(ds, Profile([option])).upper()


def test_c_moves_dates_and_keeps_times() -> None:
    result = clean(
        ct(StudyDate="20190822", StudyTime="101112.5", AcquisitionDateTime="20190823101112+0100"), MODIFIED_DATES
    )
    days = KEY.days("MRN7741")
    study = pydicom.valuerep.DA(result.StudyDate)
    assert (study - pydicom.valuerep.DA("20190822")).days == days
    assert result.StudyTime == "101112.5"
    assert result.AcquisitionDateTime.endswith("101112+0100")
    assert pydicom.valuerep.DA(result.AcquisitionDateTime[:8]).toordinal() - study.toordinal() == 1


@pytest.mark.parametrize(
    "value", ["2019", "201908", "20190822-20190901", "20191341", "FEATHER", "00000000", "2019082", "19.8.22"]
)
def test_c_drops_what_is_no_date(value: str) -> None:
    ds = ct(SeriesDate="20190822")
    ds["SeriesDate"]._value = value
    assert not clean(ds, MODIFIED_DATES).get("SeriesDate")


@pytest.mark.parametrize("value", ["FEATHERSTONE", "5551234567890", "10:11 Holger"])
def test_a_time_that_is_none_goes(value: str) -> None:
    ds = ct(SeriesTime="101112")
    ds["SeriesTime"]._value = value
    assert not clean(ds, MODIFIED_DATES).get("SeriesTime")
    assert not clean(ds, FULL_DATES).get("SeriesTime")


def test_old_dates_with_dots_move() -> None:
    ds = ct()
    ds["StudyDate"]._value = "2004.01.19"
    assert pydicom.valuerep.DA(clean(ds, MODIFIED_DATES).StudyDate)


def test_dates_outside_the_table_follow_those_within() -> None:
    ds = ct(ProcedureStepCancellationDateTime="20190822", DateOfDocumentOrVerbalTransactionTrial="20190822")
    assert b"20190822" not in clean_bytes(ds)
    assert b"20190822" in clean_bytes(ds, FULL_DATES)


# Composite codes: what PS3.15 Table E.1-1a asks for each type in PS3.3, "?" where the IOD is not known


@pytest.mark.parametrize(
    ("code", "by_type"),
    [
        ("X", "1=D 1C=X 2=Z 2C=X 3=X ?=X"),
        ("Z", "1=D 1C=D 2=Z 2C=Z 3=Z ?=Z"),
        ("Z/D", "1=D 1C=D 2=Z 2C=Z 3=Z ?=D"),
        ("X/Z", "1=D 1C=D 2=Z 2C=Z 3=X ?=Z"),
        ("X/D", "1=D 1C=D 2=Z 2C=Z 3=X ?=D"),
        ("X/Z/D", "1=D 1C=D 2=Z 2C=Z 3=X ?=D"),
        ("X/Z/U*", "1=K 1C=K 2=K 2C=K 3=X ?=K"),
        ("D", "1=D 2=D 3=D ?=D"),
        ("U", "1=U 2=U 3=U ?=U"),
        ("K", "1=K 2=K 3=K ?=K"),
        ("C", "1=C 2=C 3=C ?=C"),
    ],
)
def test_composite_codes_by_type(code: str, by_type: str) -> None:
    for kind, expected in (pair.split("=") for pair in by_type.split()):
        types = SimpleNamespace(known=kind != "?", of=lambda _path, kind=kind: kind)
        decisions = Decisions(BASIC, cast(Types, types))
        assert decisions.resolved(Rule(Action(code), ""), (0x00080012,)) == Action(expected), kind


@pytest.mark.parametrize("patient", [f"MRN{number}" for number in range(40)])
def test_dates_may_move_by_whole_weeks(patient: str) -> None:
    weekly = Pseudonyms(bytes(range(32)), day_step=7)
    assert weekly.days(patient) % 7 == 0
    assert KEY.days(patient) - 7 < weekly.days(patient) <= KEY.days(patient) <= -365


def test_a_weekday_stays_in_dates_and_in_text() -> None:
    ds = ct(StudyDate="20190822", StudyDescription="control of 22.08.2019")
    result = clean(ds, EVERYTHING, key=Pseudonyms(bytes(range(32)), day_step=7))
    moved = pydicom.valuerep.DA(result.StudyDate)
    assert moved.weekday() == pydicom.valuerep.DA("20190822").weekday()
    assert moved.strftime("%d.%m.%Y") in result.StudyDescription


def test_types_are_those_of_the_iod() -> None:
    assert types_of(CT).of((0x00080022,)) == "3"
    assert types_of("1.2.840.10008.5.1.4.1.1.1.1").of((0x00181000,)) in ("2", "3")
    assert types_of(CT).of((0x00100020,)) == "2"
    assert not types_of("1.2.3").known


def test_references_stay_where_the_object_lists_them() -> None:
    image = sequence(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="1.2.3.4.5.6.7.8")
    assert "ReferencedImageSequence" not in clean(ct(ReferencedImageSequence=image))
    series = sequence(SeriesInstanceUID="1.2.3.4.5.6.7.9", ReferencedInstanceSequence=image)
    result = clean(ct(SourceImageSequence=image, ReferencedSeriesSequence=series))
    new = KEY.uid("1.2.3.4.5.6.7.8")
    assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == new
    assert result.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == new


# What the table does not name


def test_private_and_unknown_elements_go_at_every_depth() -> None:
    ds = ct(RequestAttributesSequence=None, AnatomicRegionSequence=sequence(CodeValue="T-A0100", CodeMeaning="Brain"))
    for level in (ds, ds.AnatomicRegionSequence[0]):
        level.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "FEATHERSTONE")
        level.add_new(0x00189FFF, "LO", "unknown")
    result = clean(ds)
    for level in (result, result.AnatomicRegionSequence[0]):
        assert not [tag for tag in level.keys() if tag.is_private or tag == 0x00189FFF]  # noqa: SIM118
    assert result.AnatomicRegionSequence[0].CodeMeaning == "Brain"


def test_text_outside_the_table_stays_unless_it_names_the_patient() -> None:
    result = clean(
        ct(Manufacturer="ACME", ManufacturerModelName="Model of Feather-stone", ConvolutionKernel=["B30s", "MRN7741"])
    )
    assert result.Manufacturer == "ACME"
    assert list(result.ConvolutionKernel) == ["B30s", "ANONYMOUS"]
    assert "ANONYMOUS" in clean(ct(ManufacturerModelName="antonia's")).ManufacturerModelName


@pytest.mark.parametrize(
    "keyword",
    [
        "SegmentLabel",
        "RTImageLabel",
        "BeamName",
        "ProcedureStepLabel",
        "StrainDescription",
        "PotentialReasonsForProcedure",
    ],
)
def test_labels_that_people_give_are_cleaned_as_what_people_write(keyword: str) -> None:
    result = clean(ct(**{keyword: "liver Q8123904K Abernathy"}))
    assert result[keyword].value == "liver"
    assert clean(ct(DimensionDescriptionLabel="IsoQuorble")).DimensionDescriptionLabel == "IsoQuorble"


def test_the_label_of_an_overlay_that_stays_is_cleaned() -> None:
    ds = ct()
    ds.add_new(0x60001500, "LO", "Q8123904K")
    values = ValueCleaner(
        Decisions(BASIC, types_of(ds.SOPClassUID), overlays=frozenset({0x6000})), KEY, TermBank(), "", Report()
    )
    HeaderCleaner(values).clean(ds)
    assert ds[0x60001500].value == "ANONYMOUS"


def test_code_words_of_the_standard_stay_whatever_the_patient_is_called() -> None:
    result = clean(
        ct(PatientName="BRAIN^PRIMARY", BodyPartExamined="BRAIN", ImageType=["DERIVED", "PRIMARY", "PRIMARYX"])
    )
    assert result.BodyPartExamined == "BRAIN"
    assert list(result.ImageType) == ["DERIVED", "PRIMARY", "PRIMARYX"]
    assert clean(ct(BodyPartExamined="FEATHERSTONE")).BodyPartExamined == "ANONYMOUS"
    assert clean(ct(Modality="ANTONIA")).Modality == "ANONYMOUS"


def test_what_is_done_at_a_place_stays_in_texts_and_its_name_goes() -> None:
    ds = ct(InstitutionName="Heart and Lung Clinic Gauting", StationName="ANGIO", StudyID="THORAX")
    ds.StudyDescription = "CT angio of heart, lung and thorax, Gauting"
    ds.SoftwareVersions, ds.ConvolutionKernel = "Heart and Lung Clinic Gauting V1", "LUNG"
    result = clean(ds, EVERYTHING)
    assert (result.StudyDescription, result.ConvolutionKernel) == ("CT angio of heart, lung and thorax", "LUNG")
    assert result.SoftwareVersions == "V1"


@pytest.mark.parametrize("place", ["St. Elsewhere Hospital", "Heidelberg Clinic", "Jefferson Center", "Baker Clinic"])
def test_the_name_of_a_place_goes_although_the_vocabulary_knows_it(place: str) -> None:
    name = max(place.split(), key=lambda word: (word not in ("Hospital", "Clinic", "Center"), len(word)))
    ds = ct(InstitutionName=place, SoftwareVersions=f"V1 {name}", StudyDescription=f"CT head, {name}")
    assert name.encode() not in clean_bytes(ds, EVERYTHING)


@pytest.mark.parametrize(("value", "scheme"), [("69536005", "SCT"), ("T-D1100", "SRT")])
def test_the_meaning_of_a_standard_code_stays_whatever_the_patient_is_called(value: str, scheme: str) -> None:
    code = sequence(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning="Head")
    result = clean(ct(PatientName="HEAD^MAY", AnatomicRegionSequence=code))
    assert result.AnatomicRegionSequence[0].CodeMeaning == "Head"
    code[0].CodeMeaning = "Head, May"
    assert clean(ct(PatientName="HEAD^MAY", AnatomicRegionSequence=code)).AnatomicRegionSequence[0].CodeMeaning == (
        "ANONYMOUS"
    )
    code[0].CodeMeaning, code[0].CodeValue = "Head", "69536006"
    assert "Head" not in str(clean(ct(PatientName="HEAD^MAY", AnatomicRegionSequence=code)))


@pytest.mark.parametrize("tag", [0x00100033, 0x00100034, 0x00081190, 0x00401006, 0x00181003, 0x21000160, 0x4010101A])
def test_what_identifies_goes_although_the_table_forgets_it(tag: int) -> None:
    ds = ct()
    ds.add_new(tag, pydicom.datadict.dictionary_VR(tag), "20190822")
    assert tag not in clean(ds)


def test_what_identifies_a_device_stays_with_its_likes() -> None:
    kept = clean(ct(DeviceID="room 3", GridID="G1"), Profile([Option.RETAIN_DEVICE_IDENTITY]))
    assert (kept.DeviceID, kept.GridID) == ("room 3", "G1")


@pytest.mark.parametrize("outer", ["PersonIdentificationCodeSequence", "VerifyingObserverSequence"])
def test_codes_that_stand_for_people_go(outer: str) -> None:
    """PS3.3 10.1: the code is the person's number, its meaning the name."""
    code = sequence(CodeValue="8817263", CodingSchemeDesignator="99STAFF", CodeMeaning="Quartermain Allan")
    person = sequence(PersonIdentificationCodeSequence=code)
    ds = ct(**{outer: code if outer.startswith("Person") else person})
    assert outer in clean(ds)
    for profile in (BASIC, Profile(option for option in Option if option != Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES)):
        result = clean_bytes(ds, profile)
        assert not any(word in result for word in (b"8817263", b"99STAFF", b"Quartermain"))


@pytest.mark.parametrize("keyword", ["RequestingPhysicianIdentificationSequence", "HumanPerformerCodeSequence"])
def test_sequences_of_people_go_although_the_table_forgets_them(keyword: str) -> None:
    ds = ct(**{keyword: sequence(CodeValue="8817263", CodeMeaning="Quartermain Allan", InstitutionName="Elsewhere")})
    assert keyword not in clean(ds)


@pytest.mark.parametrize("keyword", ["SpecimenIdentifier", "UniqueDeviceIdentifier", "TopicAuthor", "GantryID"])
def test_what_one_attribute_names_goes_from_all_others(keyword: str) -> None:
    ds = ct(**{keyword: "Quartermain 4471"}, SoftwareVersions="V1 Quartermain 4471")
    assert b"Quartermain" not in clean_bytes(ds)


def test_numbers_are_numbers() -> None:
    ds = ct(InstanceNumber=1, SliceThickness="2.5", PatientID="7741234")
    ds.add_new(0x00180060, "DS", "")
    ds["KVP"]._value = "FEATHERSTONE"
    ds["AcquisitionNumber"]._value = "7741234"
    result = clean(ds)
    assert (result.SliceThickness, result.InstanceNumber) == (2.5, 1)
    assert result["KVP"].is_empty
    assert result.AcquisitionNumber == 0


def test_a_coding_scheme_stays_if_it_is_a_public_one() -> None:
    loinc, nci, own = "2.16.840.1.113883.6.1", "2.16.840.1.113883.3.26.1.1", "1.2.276.0.7230010.3.0.0.1"
    hospital, person = "2.16.840.1.113883.3.9127", "2.16.840.1.113883.4.1.123456789"
    schemes = sequence(CodingSchemeUID=loinc)
    for uid in (nci, own, hospital, person):
        schemes.extend(sequence(CodingSchemeUID=uid))
    result = clean(ct(CodingSchemeIdentificationSequence=schemes)).CodingSchemeIdentificationSequence
    assert [item.CodingSchemeUID for item in result] == [loinc, nci, *map(KEY.uid, (own, hospital, person))]


def test_a_uid_in_the_text_of_a_device_goes_with_all_others() -> None:
    ds = ct(SoftwareVersions="1.3.6.1.4.1.5962.1.2.77.3 by 1.2.840.10008.5.1.4.1.1.2")
    kept = Profile([Option.RETAIN_UIDS])
    assert clean(ds).SoftwareVersions == "by 1.2.840.10008.5.1.4.1.1.2"
    assert clean(ds, kept).SoftwareVersions == ds.SoftwareVersions


@pytest.mark.parametrize("version", ["5.1.0.2", "syngo CT 12.0.1.3", "10.1.0.2", "VE11C.1.0"])
def test_a_version_of_four_numbers_is_no_address(version: str) -> None:
    assert clean(ct(SoftwareVersions=version)).SoftwareVersions == version


@pytest.mark.parametrize("address", ["192.168.10.12", "10.20.30.40", "141.42.206.35"])
def test_an_address_of_the_network_is_no_version(address: str) -> None:
    assert clean(ct(SoftwareVersions=f"V1 {address}")).SoftwareVersions == "V1"


def test_an_identifier_in_the_place_of_a_uid_does_not_stay_with_the_uids() -> None:
    ds = ct(PatientID="7741774", FrameOfReferenceUID="7741774", StorageMediaFileSetUID="7741774")
    assert b"7741774" not in clean_bytes(ds, Profile([Option.RETAIN_UIDS]))


def test_new_tags_of_the_table_that_pydicom_cannot_name() -> None:
    ds = ct()
    for tag, vr in ((0x00100011, "SQ"), (0x00100012, "LT"), (0x0040E012, "UR"), (0x00100041, "SQ")):
        ds.add_new(tag, vr, sequence(PatientName="TONI") if vr == "SQ" else "TONI")
    assert b"TONI" not in clean_bytes(ds)


# What the result says


@pytest.mark.parametrize(
    ("options", "temporal"),
    [
        ([], "REMOVED"),
        ([Option.RETAIN_LONGITUDINAL_FULL_DATES], "UNMODIFIED"),
        ([Option.RETAIN_LONGITUDINAL_MODIFIED_DATES, Option.RETAIN_UIDS], "MODIFIED"),
        ([Option.RETAIN_INSTITUTION_IDENTITY, Option.CLEAN_DESCRIPTORS], "REMOVED"),
    ],
)
def test_the_result_says_what_was_done(options: list[Option], temporal: str) -> None:
    result = clean(ct(), Profile(options))
    applied = [APPLIED[option][0] for option in Option if option in options and option in APPLIED]
    assert [item.CodeValue for item in result.DeidentificationMethodCodeSequence] == ["113100", *applied]
    assert result.PatientIdentityRemoved == "YES"
    assert result.LongitudinalTemporalInformationModified == temporal
    assert result.DeidentificationMethod.startswith("Lethe")
    assert len(result.DeidentificationMethod) <= 64


@pytest.mark.parametrize("name", ["Basic^Profile", "Lethe^Application", "Yes^Removed", "REMOVED"])
def test_a_patient_called_like_our_marks_is_cleaned(name: str) -> None:
    assert clean(ct(PatientName=name)).PatientIdentityRemoved == "YES"


def test_marks_of_an_earlier_tool_are_replaced() -> None:
    result = clean(ct(DeidentificationMethod="by FEATHERSTONE", PatientIdentityRemoved="NO"))
    assert "FEATHERSTONE" not in str(result)


def code(value: str, scheme: str = "DCM", meaning: str = "by FEATHERSTONE") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


@pytest.mark.parametrize("changed", ["MODIFIED", "REMOVED", "UNMODIFIED", ""])
def test_what_was_done_before_stays_true(changed: str) -> None:
    came = ct(
        DeidentificationMethodCodeSequence=[code("113100"), code("113107"), code("113107", "99X"), code("999999")],
        LongitudinalTemporalInformationModified=changed,
    )
    result = clean(came, Profile([Option.RETAIN_LONGITUDINAL_FULL_DATES]))
    codes = {item.CodeValue: item.CodeMeaning for item in result.DeidentificationMethodCodeSequence}
    assert list(codes) == ["113100", "113107", "113106"]
    assert result.LongitudinalTemporalInformationModified == (changed or "UNMODIFIED")
    assert "FEATHERSTONE" not in str(result)
    again = clean(result, Profile([Option.RETAIN_LONGITUDINAL_FULL_DATES]))
    assert again.DeidentificationMethodCodeSequence == result.DeidentificationMethodCodeSequence
    assert clean(came).LongitudinalTemporalInformationModified == "REMOVED"


def test_the_receipt_holds_places_and_rules_and_no_value() -> None:
    receipt = cleaned(ct(PatientAddress="12 Mill Lane")).receipt
    assert ("(0010,1040)", "basic") in receipt["elements"]["removed"]
    assert "Mill" not in str(receipt) and "FEATHERSTONE" not in str(receipt)


# Relations


def test_what_must_agree_within_a_patient_and_what_must_differ_between_two() -> None:
    one, two = (
        ct(AccessionNumber="A1", StudyInstanceUID="1.2.3.4.5.1"),
        ct(AccessionNumber="A2", StudyInstanceUID="1.2.3.4.5.2"),
    )
    other = ct(PatientID="MRN7742", PatientName="FEATHERSTONE^OTTO", StudyInstanceUID="1.2.3.4.5.3")
    a, b, c = (clean(ds, MODIFIED_DATES) for ds in (one, two, other))
    assert (a.PatientID, a.PatientName, a.StudyDate) == (b.PatientID, b.PatientName, b.StudyDate)
    assert a.AccessionNumber != b.AccessionNumber
    assert a.StudyInstanceUID != b.StudyInstanceUID
    assert (
        len({a.PatientID, c.PatientID}) == len({a.PatientName, c.PatientName}) == len({a.StudyDate, c.StudyDate}) == 2
    )
    assert a.FrameOfReferenceUID == c.FrameOfReferenceUID


def test_intervals_hold_within_a_patient() -> None:
    early, late = (clean(ct(StudyDate=day), MODIFIED_DATES).StudyDate for day in ("20190822", "20200301"))
    assert (pydicom.valuerep.DA(late) - pydicom.valuerep.DA(early)).days == 192


@pytest.mark.parametrize("spelling", ["MRN7741", " MRN7741", "MRN7741 ", "MRN7741\0"])
def test_padding_makes_no_other_patient(spelling: str) -> None:
    assert clean(ct(PatientID=spelling)).PatientID == KEY.patient_id("MRN7741")


def test_a_reference_in_another_object_follows() -> None:
    image = ct()
    image_uid = image.SOPInstanceUID
    report = sample("test-SR.dcm", PatientID="MRN7741")
    report.CurrentRequestedProcedureEvidenceSequence = sequence(
        StudyInstanceUID=image.StudyInstanceUID,
        ReferencedSeriesSequence=sequence(
            SeriesInstanceUID=image.SeriesInstanceUID,
            ReferencedSOPSequence=sequence(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=image_uid + "\0"),
        ),
    )
    result, new = clean(report), clean(image)
    study = result.CurrentRequestedProcedureEvidenceSequence[0]
    series = study.ReferencedSeriesSequence[0]
    assert study.StudyInstanceUID == new.StudyInstanceUID
    assert series.SeriesInstanceUID == new.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == new.SOPInstanceUID


def test_another_key_makes_everything_different() -> None:
    ds = ct(AccessionNumber="A1")
    a, b = clean(ds, MODIFIED_DATES), clean(ds, MODIFIED_DATES, key=OTHER_KEY)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SOPInstanceUID", "AccessionNumber", "StudyDate"):
        assert a[keyword].value != b[keyword].value, keyword


def test_without_an_id_the_name_and_then_the_study_stand_for_the_patient() -> None:
    named = clean(ct(PatientID=""), MODIFIED_DATES)
    assert named.PatientName == KEY.patient_id("FEATHERSTONE^ANTONIA")
    assert named["PatientID"].is_empty
    nameless = ct(PatientID="", PatientName="", StudyDate="20190822")
    shift = pydicom.valuerep.DA(clean(nameless, MODIFIED_DATES).StudyDate) - pydicom.valuerep.DA("20190822")
    assert shift.days == KEY.days(nameless.StudyInstanceUID)


def test_maps_tell_which_became_which() -> None:
    ds = ct()
    result = cleaned(ds)
    assert result.uids[ds.SOPInstanceUID] == KEY.uid(ds.SOPInstanceUID)
    assert result.patients == {"MRN7741": KEY.patient_id("MRN7741")}


def test_pseudonyms_are_the_same_for_ever() -> None:
    """Changing them would break what a project has published already."""
    assert KEY.patient_id("MRN7741") == "UASJD4PIVJXZ5IWS"
    assert KEY.uid("1.2.3") == "2.25.323208961630152148644988635546095983220"


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_what_every_object_needs(keyword: str) -> None:
    ds = ct()
    ds[keyword].value = ""
    with pytest.raises(CannotClean, match="missing or empty"):
        cleaned(ds)
    ds[keyword].value = ["1.2.3.4.5.6.7.8", "1.2.3.4.5.6.7.9"]
    with pytest.raises(CannotClean, match="several values"):
        cleaned(ds)


@pytest.mark.parametrize(
    "sop_class", ["1.2.840.10008.1.20.1", "1.2.840.10008.1.1", "1.2.3.4", "1.2.840.10008.3.1.2.3.3"]
)
def test_what_is_no_storage_class_is_refused(sop_class: str) -> None:
    with pytest.raises(CannotClean, match="not a storage class"):
        cleaned(ct(SOPClassUID=sop_class))


def test_a_storage_class_newer_than_pydicom_is_cleaned() -> None:
    assert clean(ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.7")).SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"


def test_a_role_goes_with_its_person() -> None:
    assert "ResponsiblePersonRole" not in clean(ct(ResponsiblePerson="A^B", ResponsiblePersonRole="OWNER"))


def test_several_values_where_one_is_due() -> None:
    ds = ct()
    ds.PatientID, ds.PatientName = ["MRN7741", "MRN7742"], ["A^B", "FEATHERSTONE^C"]
    result = clean(ds)
    assert result.PatientID == KEY.patient_id("MRN7741\\MRN7742")
    assert result.PatientName == result.PatientID


@pytest.mark.parametrize("value", ["76543210", "19610417"])
def test_a_patients_number_in_a_code_string_goes(value: str) -> None:
    ds = ct(PatientID="76543210", PatientBirthDate="19610417", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", value])
    assert value not in clean(ds).ImageType
    assert clean(ds).ImageType[:3] == ["ORIGINAL", "PRIMARY", "AXIAL"]


def test_originals_that_another_program_has_encrypted_go() -> None:
    """PS3.15 E.1.1: whoever has the key would read the patient's name out of them."""
    item = sequence(EncryptedContentTransferSyntaxUID="1.2.840.10008.1.2.1", EncryptedContent=b"secret" * 4)
    result = clean_bytes(ct(EncryptedAttributesSequence=item))
    assert b"secret" not in result
    assert b"secret" not in clean_bytes(ct(EncryptedContent=b"secret" * 4))


_PNG, _JPEG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1"
_BMP = b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"


@pytest.mark.parametrize("file", [_PNG, _JPEG, _BMP, b"%PDF-1.7\n", b"preamble" * 16 + b"DICM"])
@pytest.mark.parametrize("keyword", ["ICCProfile", "RedPaletteColorLookupTableData", "SpectroscopyData"])
def test_a_file_in_the_bytes_of_an_element_goes(keyword: str, file: bytes) -> None:
    """Nobody looks at what it shows."""
    result = clean_bytes(ct(**{keyword: file + bytes(-len(file) % 8)}))
    assert file.strip(b"\0") not in result


@pytest.mark.parametrize("picture", [_PNG, b"%PDF-1.7\n"])
def test_and_one_behind_a_colour_profile(picture: bytes) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile += bytes(len(profile) % 2)
    assert clean(ct(ICCProfile=profile)).ICCProfile == profile
    assert picture not in clean_bytes(ct(ICCProfile=profile + picture + bytes(len(picture) % 2)))


def test_what_we_remove_beyond_the_table_is_emptied_where_its_type_demands_it() -> None:
    """RT Image Module (PS3.3 C.8.8.2) has Radiation Machine Name (3002,0020) as type 2."""
    image = clean(ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.1", RadiationMachineName="LINAC 3"))
    assert image.RadiationMachineName == ""
    assert "RadiationMachineName" not in clean(ct(RadiationMachineName="LINAC 3"))
