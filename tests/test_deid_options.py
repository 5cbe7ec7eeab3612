"""Each option keeps or cleans what its column says, states its code, and leaves nothing of the patient."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pydicom
import pytest
from deid_objects import BASIC, clean, clean_bytes, cleaned, ct, sample, sequence
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.pixels import may_carry_text
from lethe.node.deid.profile import Option, Profile

ROOT = Path(__file__).resolve().parents[1]
DATES = Option.RETAIN_LONGITUDINAL_MODIFIED_DATES
REPORT = Profile([Option.CLEAN_STRUCTURED_CONTENT, Option.CLEAN_DESCRIPTORS, DATES])


def codes(ds: Dataset) -> set[str]:
    return {item.CodeValue for item in ds.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize(
    ("option", "code"),
    [
        (Option.CLEAN_GRAPHICS, "113103"),
        (Option.CLEAN_STRUCTURED_CONTENT, "113104"),
        (Option.CLEAN_DESCRIPTORS, "113105"),
        (Option.RETAIN_PATIENT_CHARACTERISTICS, "113108"),
        (Option.RETAIN_DEVICE_IDENTITY, "113109"),
        (Option.RETAIN_SAFE_PRIVATE, "113111"),
    ],
)
def test_an_option_states_its_code(option: Option, code: str) -> None:
    assert codes(clean(ct(), Profile([option]))) == {"113100", code}
    assert codes(clean(ct(), BASIC)) == {"113100"}


@pytest.mark.parametrize(("age", "left"), [("089Y", "089Y"), ("090Y", "090Y"), ("101Y", "090Y"), ("014M", "014M")])
def test_patient_characteristics_stay_but_not_great_age(age: str, left: str) -> None:
    profile = Profile([Option.RETAIN_PATIENT_CHARACTERISTICS])
    result = clean(ct(PatientAge=age, PatientSex="F", PatientBirthDate="19200101"), profile)
    assert (result.PatientAge, result.PatientSex, result.PatientBirthDate) == (left, "F", "")


def test_device_identity_stays() -> None:
    result = clean(ct(DeviceSerialNumber="SN77141"), Profile([Option.RETAIN_DEVICE_IDENTITY]))
    assert result.DeviceSerialNumber == "SN77141"


def test_descriptors_are_cleaned_at_any_depth() -> None:
    step = sequence(ScheduledProcedureStepDescription="knee Featherstone 3.4.2015")
    ds = ct(StudyDescription="CHEST for Antonia FEATHERSTONE", RequestAttributesSequence=step)
    result = clean(ds, Profile([Option.CLEAN_DESCRIPTORS]))
    assert result.StudyDescription == "CHEST for"
    assert result.RequestAttributesSequence[0].ScheduledProcedureStepDescription == "knee"
    assert "StudyDescription" not in clean(ds, BASIC)


@pytest.mark.parametrize("implicit", [False, True])
def test_safe_private_attributes_stay_whatever_their_block(implicit: bool) -> None:
    ds = ct()
    ds.remove_private_tags()
    block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x01, "FL", 2.5)
    block.add_new(0xFE, "LO", "Featherstone")
    ds.private_block(0x2001, "Antonia Featherstone", create=True).add_new(0x01, "FL", 2.5)
    if implicit:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    result = clean(ds, Profile([Option.RETAIN_SAFE_PRIVATE]))
    private = [element.tag for element in result if element.tag.is_private]
    assert private == [Tag(0x2001, 0x0010), Tag(0x2001, 0x1001)]
    assert result[0x2001, 0x1001].value == 2.5
    assert not any(element.tag.is_private for element in clean(ds, BASIC))


def test_a_safe_private_attribute_of_vr_un_gets_its_own() -> None:
    ds = ct()
    block = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    ds.add_new(block.get_tag(0x23), "UN", b"12.5")
    element = clean(ds, Profile([Option.RETAIN_SAFE_PRIVATE]))[block.get_tag(0x23)]
    assert (element.VR, element.value) == ("DS", 12.5)


def item(kind: str, code: str, scheme: str = "DCM", **value: object) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ValueType = "CONTAINS", kind
    ds.ConceptNameCodeSequence = sequence(CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning="Concept")
    for keyword, one in value.items():
        setattr(ds, keyword, one)
    return ds


def report() -> pydicom.FileDataset:
    ds = sample("reportsi.dcm", PatientName="FEATHERSTONE^ANTONIA", PatientID="MRN7741")
    findings = item("CONTAINER", "121070", ContinuityOfContent="SEPARATE")
    findings.ContentSequence = Sequence(
        [item("TEXT", "121071", TextValue="Featherstone: stable nodule"), item("TEXT", "112050", TextValue="Quillon 7")]
    )
    ds.ContentSequence = Sequence(
        [
            item("PNAME", "121008", PersonName="Quillon^Ada"),
            item("TEXT", "121030", TextValue="Z-99318"),
            item("DATE", "121031", Date="19610203"),
            item("DATE", "111060", Date="20150403"),
            item("TEXT", "121106", TextValue="ID Z-99318, no fracture"),
            findings,
        ]
    )
    return ds


def test_structured_content_by_concept() -> None:
    content = clean(report(), REPORT).ContentSequence
    assert content[0].PersonName == "ANONYMOUS"
    assert content[1].TextValue == "ANONYMOUS"
    assert content[2].Date == "19000101"
    assert content[3].Date not in ("20150403", "19000101")
    assert content[4].TextValue == "ID, no fracture"
    assert content[5].ContentSequence[0].TextValue == "stable nodule"
    assert len(content) == 6


def test_what_a_report_says_of_the_subject_goes_without_the_option_that_keeps_it() -> None:
    ds = report()
    age = item("NUM", "121033", MeasuredValueSequence=sequence(NumericValue="42"))
    sex = item(
        "CODE",
        "121032",
        ConceptCodeSequence=sequence(CodeValue="F", CodingSchemeDesignator="DCM", CodeMeaning="Female"),
    )
    ds.ContentSequence = Sequence([age, sex])
    content = clean(ds, REPORT).ContentSequence
    assert not content[0].MeasuredValueSequence
    assert content[0].NumericValueQualifierCodeSequence[0].CodeMeaning == "Value unknown"
    assert content[1].ConceptCodeSequence[0].CodeMeaning == "Unknown sex"
    keeping = Profile([*REPORT.options, Option.RETAIN_PATIENT_CHARACTERISTICS])
    content = clean(ds, keeping).ContentSequence
    assert content[0].MeasuredValueSequence[0].NumericValue == 42
    assert content[1].ConceptCodeSequence[0].CodeMeaning == "Female"


@pytest.mark.parametrize(
    ("option", "code", "stays"),
    [
        (Option.RETAIN_UIDS, "112040", True),
        (Option.RETAIN_UIDS, "121012", True),
        (Option.RETAIN_DEVICE_IDENTITY, "121012", True),
        (Option.RETAIN_DEVICE_IDENTITY, "112040", False),
        (Option.RETAIN_INSTITUTION_IDENTITY, "121012", False),
    ],
)
def test_a_uid_in_a_report_stays_with_the_option_that_keeps_it(option: Option, code: str, stays: bool) -> None:
    ds = report()
    ds.ContentSequence = Sequence([item("UIDREF", code, UID="1.2.826.0.1.3680043.77.4242")])
    left = clean(ds, Profile([*REPORT.options, option])).ContentSequence[0].UID
    assert (left == "1.2.826.0.1.3680043.77.4242") == stays


def test_the_uid_of_a_device_stays_with_its_identity_unless_it_is_replaced_elsewhere() -> None:
    uid, profile = "1.2.826.0.1.3680043.77.1", Profile([Option.RETAIN_DEVICE_IDENTITY])
    assert clean(ct(DeviceUID=uid), profile).DeviceUID == uid
    assert clean(ct(DeviceUID=uid), BASIC).DeviceUID != uid
    both = clean(ct(DeviceUID=uid, IrradiationEventUID=uid), profile)
    assert both.DeviceUID == both.IrradiationEventUID != uid


def test_what_an_option_takes_care_of_is_not_refused() -> None:
    with pytest.raises(CannotClean, match="structured report"):
        cleaned(report(), rule=may_carry_text)
    assert cleaned(report(), REPORT, rule=may_carry_text).header
    overlay = ct()
    overlay.add_new(0x60003000, "OW", bytes(8))
    with pytest.raises(CannotClean, match="overlays"):
        cleaned(overlay, rule=may_carry_text)
    assert 0x60003000 not in cleaned(overlay, Profile([Option.CLEAN_GRAPHICS]), rule=may_carry_text).header


def test_the_text_of_graphics_is_cleaned() -> None:
    ds = ct()
    ds.GraphicAnnotationSequence = sequence(
        TextObjectSequence=sequence(UnformattedTextValue="Featherstone - nodule here")
    )
    ds.GraphicLayerSequence = sequence(
        GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerDescription="marks of Okafor"
    )
    result = clean(ds, Profile([Option.CLEAN_GRAPHICS]))
    assert result.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue == "nodule here"
    assert "Okafor" not in result.GraphicLayerSequence[0].GraphicLayerDescription


def test_all_options_give_the_same_bytes_each_time() -> None:
    conflicting = {Option.RETAIN_UIDS, Option.RETAIN_LONGITUDINAL_FULL_DATES}
    profile = Profile([option for option in Option if option not in conflicting])
    assert clean_bytes(report(), profile) == clean_bytes(report(), profile)


def make_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools" / "make_docs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_documentation_are_current() -> None:
    tool = make_docs()
    for document in tool.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert tool.current(text) == text
        assert all(f"`{option}`" in text for option in Option)
        tables = set(re.findall(r"<!-- ([\w-]+): python", text))
        assert tables and tables <= tool.TABLES.keys()


def test_the_conformance_statement_has_every_table() -> None:
    tool = make_docs()
    text = (ROOT / "CONFORMANCE.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- ([\w-]+): python", text)) == tool.TABLES.keys() - {"options"}
    assert (
        len(re.findall(r"^\| \([0-9A-Fxg]{4},[0-9A-Fxe]{4}\)[^|]*\| [^|]+(\|[^|]*){14}\|$", text, re.MULTILINE)) == 657
    )
    for row in ("(0008,0020) | Study Date | Z |", "(0010,0020) | Patient ID | Z/D |", "(0012,0010) | Clinical Trial S"):
        assert f"\n| {row}" in text
