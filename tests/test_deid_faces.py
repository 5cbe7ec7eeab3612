"""What may show a face is held back where the project asks for it, and what cannot is not."""

from __future__ import annotations

from io import BytesIO

import pytest
from deid_objects import BASIC, clean, clean_bytes, cleaned, ct, sample, sequence
from pydicom import dcmread
from pydicom.dataset import FileDataset

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.faces import may_show_face
from lethe.node.deid.profile import Option, Profile

ROOT = "1.2.840.10008.5.1.4.1.1"
FACES = Profile([Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES])


def ct_of(part: str | None, **attributes: object) -> FileDataset:
    ds = ct(StudyDescription="", SeriesDescription="", ProtocolName="", **attributes)
    ds.BodyPartExamined = part
    return ds


@pytest.mark.parametrize("part", ["HEAD", "BRAIN", "head", "HEADNECK", "NECK", "WHOLEBODY", "SKULL", "", None, "OTHER"])
@pytest.mark.parametrize("sop_class", ["2", "2.1", "4", "4.1", "128", "130"])
def test_slices_of_the_head_or_of_nothing_named_may(part: str | None, sop_class: str) -> None:
    assert may_show_face(ct_of(part, SOPClassUID=f"{ROOT}.{sop_class}"))


@pytest.mark.parametrize("part", ["CHEST", "ABDOMEN", "KNEE", "knee", "LSPINE", "CHESTABDOMEN"])
def test_slices_of_another_part_may_not(part: str) -> None:
    assert may_show_face(ct_of(part)) is None


@pytest.mark.parametrize("keyword", ["StudyDescription", "SeriesDescription", "ProtocolName"])
@pytest.mark.parametrize("text", ["CT chest and BRAIN", "Kopf-Thorax", "paranasal sinuses", "Whole body PET"])
def test_a_word_that_people_wrote_raises_the_suspicion(keyword: str, text: str) -> None:
    ds = ct_of("CHEST")
    setattr(ds, keyword, text)
    assert "head or neck" in str(may_show_face(ds))
    ds = ct_of("")
    setattr(ds, keyword, "CT chest")
    assert "no known part" in str(may_show_face(ds))


def test_the_region_is_read_from_codes_as_well() -> None:
    chest, brain = sequence(CodeMeaning="Chest"), sequence(CodeMeaning="Brain")
    assert may_show_face(ct_of("", AnatomicRegionSequence=chest)) is None
    assert may_show_face(ct_of("CHEST", AnatomicRegionSequence=brain))
    frame = sequence(FrameAnatomySequence=sequence(AnatomicRegionSequence=brain))
    assert may_show_face(ct_of("CHEST", SharedFunctionalGroupsSequence=frame))


@pytest.mark.parametrize("sop_class", ["77.1.4", "77.1.4.1", "77.1.7"])
def test_photographs_may_unless_of_another_part(sop_class: str) -> None:
    photograph = ct_of("", SOPClassUID=f"{ROOT}.{sop_class}", Modality="XC")
    assert "photograph" in str(may_show_face(photograph))
    photograph.BodyPartExamined = "FOOT"
    assert may_show_face(photograph) is None


def test_captures_of_volumes_may() -> None:
    assert may_show_face(ct_of("HEAD", SOPClassUID=f"{ROOT}.7", Modality="MR"))


def test_contours_and_segmentations_may_if_they_follow_the_skin() -> None:
    organs = sequence(RTROIInterpretedType="ORGAN")
    structures = ct_of("", SOPClassUID=f"{ROOT}.481.3", Modality="RTSTRUCT", RTROIObservationsSequence=organs)
    assert may_show_face(structures) is None
    structures.RTROIObservationsSequence[0].RTROIInterpretedType = "EXTERNAL"
    assert "contours of the skin" in str(may_show_face(structures))
    segments = ct_of("", SOPClassUID=f"{ROOT}.66.4", Modality="SEG", SegmentSequence=sequence(SegmentLabel="Tumor"))
    assert may_show_face(segments) is None
    segments.SegmentSequence[0].SegmentLabel = "Skin of face"
    assert may_show_face(segments)


@pytest.mark.parametrize("sop_class", ["1.1", "6.1", "88.11", "481.2", "481.5", "77.1.6"])
def test_other_kinds_may_not(sop_class: str) -> None:
    assert may_show_face(ct_of("HEAD", SOPClassUID=f"{ROOT}.{sop_class}", Modality="DX")) is None


def test_the_word_of_the_header() -> None:
    assert may_show_face(ct_of("HEAD", RecognizableVisualFeatures="NO")) is None
    assert may_show_face(ct_of("CHEST", RecognizableVisualFeatures="YES"))


def test_the_option_holds_back_and_names_what_helps() -> None:
    with pytest.raises(CannotClean, match=r"may show a face: it needs a defacing step; configure `deface`") as refusal:
        cleaned(ct_of("HEAD"), FACES)
    assert "head or neck" in str(refusal.value)
    assert cleaned(ct_of("HEAD"), BASIC).header


def test_what_shows_no_face_states_the_option() -> None:
    result = clean(ct_of("CHEST"), FACES)
    assert "113102" in {item.CodeValue for item in result.DeidentificationMethodCodeSequence}
    assert result.RecognizableVisualFeatures == "NO"
    assert "RecognizableVisualFeatures" not in clean(ct_of("CHEST"), BASIC)
    report = dcmread(BytesIO(clean_bytes(sample("rtplan.dcm"), FACES)))
    assert "113102" in {item.CodeValue for item in report.DeidentificationMethodCodeSequence}
    assert "RecognizableVisualFeatures" not in report
