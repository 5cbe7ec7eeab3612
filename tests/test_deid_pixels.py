"""What may carry burned-in text is refused, each kind with its reason; what is known not to is cleaned."""

from __future__ import annotations

import subprocess
import sys

import pytest
from deid_objects import cleaned, ct, raw_of, sample, sequence

from lethe.node.deid.deidentify import PixelRule, pass_pixels
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.pixels import SLIDE, beside_frames, is_video, may_carry_text

ROOT = "1.2.840.10008.5.1.4.1.1"
CAPTURES = ["3", "3.1", "6", "6.1", "6.2", "7", "7.1", "7.2", "7.3", "7.4", "77.1", "77.1.1", "77.1.4"]


def refusal(**attributes: object) -> str | None:
    return may_carry_text(ct(**attributes), "1.2.840.10008.1.2.1")


@pytest.mark.parametrize("number", CAPTURES)
@pytest.mark.parametrize("annotation", [None, "", "YES", "MAYBE", ["NO", "YES"]])
def test_capture_classes(number: str, annotation: object) -> None:
    assert refusal(SOPClassUID=f"{ROOT}.{number}", BurnedInAnnotation=annotation)


@pytest.mark.parametrize("number", CAPTURES)
def test_capture_classes_whose_word_is_no(number: str) -> None:
    assert refusal(SOPClassUID=f"{ROOT}.{number}", BurnedInAnnotation="NO") is None


@pytest.mark.parametrize("modality", ["US", "SC", "XC", "ES", "OT", "us ", "IVUS"])
def test_capture_modalities(modality: str) -> None:
    assert "modality" in str(refusal(Modality=modality))
    assert refusal(Modality=modality, BurnedInAnnotation="NO") is None


@pytest.mark.parametrize("number", ["88.11", "88.22", "88.33", "88.34", "88.59", "88.67", "88.71"])
def test_structured_reports(number: str) -> None:
    assert "report" in str(refusal(SOPClassUID=f"{ROOT}.{number}", BurnedInAnnotation="NO"))


def test_content_items_make_a_report_of_anything() -> None:
    assert "report" in str(refusal(ContentSequence=sequence(ValueType="TEXT")))


@pytest.mark.parametrize("number", ["104.1", "104.2", "104.3"])
def test_documents_are_not_judged_by_their_pixels(number: str) -> None:
    document = sample("rtplan.dcm", SOPClassUID=f"{ROOT}.{number}", BurnedInAnnotation="YES", Modality="DOC")
    assert may_carry_text(document, "") is None
    assert refusal(SOPClassUID=f"{ROOT}.{number}", BurnedInAnnotation="YES")


@pytest.mark.parametrize("number", ["4.100", "4.100.1", "4.101", "4.102", "4.103", "4.106", "4.107", "4.108", "7.1"])
def test_video_syntaxes(number: str) -> None:
    assert "video" in str(may_carry_text(ct(BurnedInAnnotation="NO"), f"1.2.840.10008.1.2.{number}"))


@pytest.mark.parametrize("number", ["77.1.1.1", "77.1.2.1", "77.1.4.1"])
def test_video_classes(number: str) -> None:
    assert "video" in str(refusal(SOPClassUID=f"{ROOT}.{number}", BurnedInAnnotation="NO"))


@pytest.mark.parametrize("number", ["4.50", "4.90", "4.110", "5"])
def test_still_pictures_are_no_video(number: str) -> None:
    assert may_carry_text(ct(), f"1.2.840.10008.1.2.{number}") is None


@pytest.mark.parametrize("tag", [0x60000010, 0x60023000, 0x601E0022])
def test_overlays(tag: int) -> None:
    ds = ct(BurnedInAnnotation="NO")
    ds.add_new(tag, "LO", "x")
    assert "overlays" in str(may_carry_text(ds, ""))


def test_captures_by_their_other_marks() -> None:
    assert refusal(ConversionType="DF")
    assert refusal(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"])
    assert "label" in str(refusal(ImageType=["ORIGINAL", "PRIMARY", "LABEL"], BurnedInAnnotation="NO"))
    assert "label" in str(refusal(SpecimenLabelInImage="YES", BurnedInAnnotation="NO"))
    assert refusal(BurnedInAnnotation="yes")


@pytest.mark.parametrize("rule", [may_carry_text, beside_frames])
@pytest.mark.parametrize(
    ("flavour", "why"), [("OVERVIEW", "label included"), ("LABEL", "label"), ("VOLUME", None), ("THUMBNAIL", None)]
)
def test_images_of_slides_by_their_flavour(rule: PixelRule, flavour: str, why: str | None) -> None:
    """Overview and label show what is written on the slide; a thumbnail is a small volume image."""
    header = ct(SOPClassUID=SLIDE, ImageType=["DERIVED", "PRIMARY", flavour, "NONE"], Modality="SM")
    refused = rule(header, "1.2.840.10008.1.2.1", ())
    assert refused is None if why is None else why in str(refused)


@pytest.mark.parametrize("number", ["4.102", "4.107", "7.1"])
def test_films_are_left_to_who_looks_at_frames(number: str) -> None:
    assert beside_frames(ct(), f"1.2.840.10008.1.2.{number}") is None and is_video(f"1.2.840.10008.1.2.{number}")


def test_an_ordinary_image_passes() -> None:
    assert refusal() is None


def test_what_has_no_pixels_is_not_judged_by_its_modality() -> None:
    assert may_carry_text(sample("rtplan.dcm", Modality="OT"), "") is None


def test_the_rule_is_the_default_and_the_reason_the_message() -> None:
    with pytest.raises(CannotClean, match="Secondary Capture images may carry burned-in text"):
        cleaned(sample("SC_rgb_rle.dcm", StudyInstanceUID="1.2.3.4"), rule=may_carry_text)
    assert cleaned(sample("SC_rgb_rle.dcm", StudyInstanceUID="1.2.3.4"), rule=pass_pixels).header


def test_marks_that_cannot_be_read_are_refused_not_raised() -> None:
    ds = ct()
    ds.add_new(0x00280301, "US", 1)
    data = raw_of(ds)
    with pytest.raises(CannotClean):
        cleaned(data, rule=may_carry_text)


@pytest.mark.parametrize("number", ["4.110", "4.111", "4.112", "8.1"])
def test_transfer_syntaxes_that_are_newer_than_pydicom_are_known_whatever_else_is_loaded(number: str) -> None:
    """pynetdicom adds JPEG XL to pydicom's own list: what does DIMSE knew more than what does not."""
    look = "import sys; from lethe.node.deid.registry import *; "
    look += (
        f"print(is_transfer_syntax(u := '1.2.840.10008.1.2.{number}'), u in known_uids(), 'pynetdicom' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["True", "True", "False"], run.stderr


@pytest.mark.parametrize("kind", ["MB", "AB"])
def test_speech_in_a_waveform_that_is_called_something_else(kind: str) -> None:
    """PS3.3 C.10.9.1.5: mu-law and A-law are how speech is compressed."""
    ecg = {"SOPClassUID": f"{ROOT}.9.1.1", "Modality": "ECG"}
    assert "sound" in str(refusal(**ecg, WaveformSequence=sequence(WaveformSampleInterpretation=kind)))
    assert refusal(**ecg, WaveformSequence=sequence(WaveformSampleInterpretation="SS")) is None
