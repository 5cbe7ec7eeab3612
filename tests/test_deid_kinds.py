"""Each kind of object that is no plain header: who is planted in each of its usual places is gone, and what is clinical
stays."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO

import pydicom
import pytest
from deid_objects import BASIC, EVERYTHING, clean_bytes, cleaned, ct, sample, sequence
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.pixels import may_carry_text
from lethe.node.deid.profile import Profile

ROOT = "1.2.840.10008.5.1.4.1.1"
WHO = {
    "PatientName": "FEATHERSTONE^ANTONIA",
    "PatientID": "MRN7741",
    "PatientBirthDate": "19580317",
    "ReferringPhysicianName": "Vanderquist^Holger",
    "AccessionNumber": "ACC9920771",
    "InstitutionName": "Corbinian Infirmary",
    "StudyDate": "20190822",
}
PLANTED = [
    "featherstone",
    "antonia",
    "mrn7741",
    "19580317",
    "vanderquist",
    "acc9920771",
    "corbinian",
    "20190822",
    "quillon",
]


def of_class(number: str, modality: str, base: FileDataset | None = None, **attributes: object) -> FileDataset:
    """An object of that SOP Class of Antonia Featherstone's."""
    ds = base if base is not None else sample("rtplan.dcm")
    if base is None:
        for tag in [element.tag for element in ds if element.tag.group >= 0x3000]:
            del ds[tag]
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = f"{ROOT}.{number}"
    ds.Modality = modality
    for keyword, value in {**WHO, **attributes}.items():
        setattr(ds, keyword, value)
    return ds


def waveform() -> FileDataset:
    ds = of_class("9.1.1", "ECG", sample("waveform_ecg.dcm"))
    notes = ["Antonia Featherstone: sinus rhythm", "rhythm regular MRN7741", "QRS 92 ms on 22.08.2019"]
    items = []
    for note in notes:
        item = Dataset()
        item.ReferencedWaveformChannels, item.AnnotationGroupNumber, item.UnformattedTextValue = [1, 1], 1, note
        items.append(item)
    ds.WaveformAnnotationSequence = Sequence(items)
    channel = ds.WaveformSequence[0].ChannelDefinitionSequence[0]
    channel.ChannelLabel = "Featherstone I"
    ds.WaveformSequence[0].MultiplexGroupLabel = "RHYTHM Featherstone"
    return ds


def presentation_state() -> FileDataset:
    text = Dataset()
    text.GraphicLayer = "ONE"
    text.TextObjectSequence = sequence(UnformattedTextValue="Featherstone MRN7741: nodule here")
    return of_class(
        "11.1",
        "PR",
        ContentLabel="FEATHERSTONE",
        ContentDescription="nodule of Antonia Featherstone",
        ContentCreatorName="Vanderquist^Holger",
        PresentationCreationDate="20190822",
        PresentationCreationTime="101010",
        GraphicLayerSequence=sequence(
            GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerDescription="marks of Dr Quillon"
        ),
        GraphicAnnotationSequence=Sequence([text]),
    )


def content(kind: str, meaning: str, **value: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    item.ConceptNameCodeSequence = sequence(CodeValue="113012", CodingSchemeDesignator="DCM", CodeMeaning=meaning)
    for keyword, one in value.items():
        setattr(item, keyword, one)
    return item


def key_objects() -> FileDataset:
    items = [
        content("TEXT", "Key Object Description", TextValue="for Dr. Quillon: nodule of Featherstone, 22.08.2019"),
        content("PNAME", "Person Observer Name", PersonName="Vanderquist^Holger"),
    ]
    return of_class("88.59", "KO", ValueType="CONTAINER", ContentSequence=Sequence(items))


def structure_set() -> FileDataset:
    return of_class(
        "481.3",
        "RTSTRUCT",
        StructureSetLabel="Featherstone",
        StructureSetName="plan of MRN7741",
        StructureSetDescription="contours for Featherstone",
        StructureSetDate="20190822",
        StructureSetROISequence=sequence(
            ROINumber=1,
            ROIName="PTV Featherstone",
            ROIDescription="tumor of Antonia",
            ROIGenerationDescription="drawn by Dr. Quillon",
            ROIGenerationAlgorithm="MANUAL",
        ),
        RTROIObservationsSequence=sequence(
            ObservationNumber=1,
            ReferencedROINumber=1,
            ROIObservationLabel="Quillon",
            ROIObservationDescription="bladder, see ACC9920771",
            RTROIInterpretedType="PTV",
            ROIInterpreter="Vanderquist^Holger",
        ),
        ReviewerName="Vanderquist^Holger",
    )


def segmentation() -> FileDataset:
    ds = of_class("66.4", "SEG", sample("liver_1frame.dcm"), ContentCreatorName="Vanderquist^Holger")
    ds.ContentLabel, ds.ContentDescription = "FEATHERSTONE", "liver of Antonia Featherstone"
    segment = ds.SegmentSequence[0]
    segment.SegmentLabel = "Liver Featherstone"
    segment.SegmentDescription = "liver, drawn by Dr. Quillon"
    segment.SegmentAlgorithmName = "net MRN7741"
    return ds


def icons() -> FileDataset:
    icon = sequence(Rows=8, Columns=8, BitsAllocated=8, PixelData=b"FEATHERSTONE" * 4)
    inner = sequence(ScheduledProcedureStepDescription="chest", IconImageSequence=icon)
    return ct(**WHO, IconImageSequence=icon, RequestAttributesSequence=inner, StudyDescription="CHEST")


def overlays_and_curves() -> FileDataset:
    ds = ct(**WHO, StudyDescription="CHEST")
    for tag, vr, value in (
        (0x60000010, "US", 8),
        (0x60000011, "US", 8),
        (0x60000022, "LO", "Featherstone"),
        (0x60001500, "LO", "MRN7741"),
        (0x60003000, "OW", b"FEATHERSTONE"),
        (0x60004000, "LT", "Antonia"),
        (0x50000005, "US", 1),
        (0x50000022, "LO", "Featherstone"),
        (0x5000200C, "OW", b"FEATHERSTONE speaks "),
        (0x5000200E, "LT", "Comment of Quillon"),
        (0x50003000, "OW", b"MRN7741 "),
    ):
        ds.add_new(tag, vr, value)
    return ds


def colour_profile() -> FileDataset:
    text = b"Made for Featherstone"
    profile = struct.pack(">I", 128 + len(text)) + bytes(124) + text
    return ct(**WHO, StudyDescription="CHEST", ICCProfile=profile + b"\0" * (len(profile) % 2))


def signatures() -> FileDataset:
    ds = ct(**WHO, StudyDescription="CHEST")
    ds.MACParametersSequence = sequence(MACIDNumber=1, MACAlgorithm="SHA1", DataElementsSigned=[0x00100010])
    ds.DigitalSignaturesSequence = sequence(
        MACIDNumber=1, DigitalSignatureUID="1.2.826.9", CertificateOfSigner=b"CN=Holger Vanderquist ", Signature=b"AB"
    )
    ds.EncryptedAttributesSequence = sequence(
        EncryptedContentTransferSyntaxUID=ExplicitVRLittleEndian, EncryptedContent=b"FEATHERSTONE"
    )
    ds.OriginalAttributesSequence = sequence(
        ModifiedAttributesSequence=sequence(PatientName="Featherstone^Antonia"), ModifyingSystem="Corbinian"
    )
    ds.ReferencedDigitalSignatureSequence = sequence(DigitalSignatureUID="1.2.826.9", Signature=b"MRN7741 ")
    return ds


def private_nest() -> FileDataset:
    """A sequence as bytes of VR UN in a private block, and another in a sequence of the standard."""
    inner = Dataset()
    inner.PatientName, inner.TextValue = "Featherstone^Antonia", "MRN7741"
    buffer = BytesIO()
    pydicom.filewriter.write_dataset(_implicit(buffer), inner)
    ds = ct(**WHO, StudyDescription="CHEST")
    block = ds.private_block(0x0099, "QUILLON SYSTEMS", create=True)
    raw = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(buffer.getvalue())) + buffer.getvalue()
    block.add_new(1, "UN", raw)
    step = sequence(ScheduledProcedureStepDescription="chest")
    step[0].private_block(0x0099, "QUILLON SYSTEMS", create=True).add_new(2, "UN", raw)
    ds.RequestAttributesSequence = step
    return ds


def _implicit(buffer: BytesIO) -> pydicom.filebase.DicomFileLike:
    file = pydicom.filebase.DicomFileLike(buffer)
    file.is_implicit_VR, file.is_little_endian = True, True
    return file


def acquisition_context() -> FileDataset:
    item = content("TEXT", "Comment", TextValue="contrast given by Dr. Quillon to Featherstone")
    return ct(**WHO, StudyDescription="CHEST", AcquisitionContextSequence=Sequence([item]))


def first(ds: Dataset, *keywords: str) -> Dataset:
    """The first item of a sequence in the first item of a sequence, and so on."""
    for keyword in keywords:
        ds = ds[keyword].value[0]
    return ds


KINDS: dict[str, tuple[Callable[[], FileDataset], Callable[[Dataset], list[object]], list[object]]] = {
    "waveform": (
        waveform,
        lambda ds: [
            *(item.UnformattedTextValue.partition(" on ")[0] for item in ds.WaveformAnnotationSequence),
            len(ds.WaveformSequence[0].WaveformData),
        ],
        ["sinus rhythm", "rhythm regular", "QRS 92 ms", 240000],
    ),
    "presentation state": (
        presentation_state,
        lambda ds: [
            first(ds, "GraphicAnnotationSequence", "TextObjectSequence").UnformattedTextValue,
            ds.ContentDescription,
            first(ds, "GraphicLayerSequence").GraphicLayer,
        ],
        ["nodule here", "nodule of", "ONE"],
    ),
    "key objects": (
        key_objects,
        lambda ds: [ds.ContentSequence[0].TextValue.rpartition(",")[0], str(ds.ContentSequence[1].PersonName)],
        ["for Dr.: nodule of", "ANONYMOUS"],
    ),
    "structure set": (
        structure_set,
        lambda ds: [
            first(ds, "StructureSetROISequence").ROIName,
            first(ds, "StructureSetROISequence").ROIDescription,
            first(ds, "RTROIObservationsSequence").ROIObservationDescription,
            first(ds, "RTROIObservationsSequence").RTROIInterpretedType,
            str(first(ds, "RTROIObservationsSequence").ROIInterpreter),
            ds.StructureSetDescription,
        ],
        ["PTV", "tumor of", "bladder, see", "PTV", "", "contours for"],
    ),
    "segmentation": (
        segmentation,
        lambda ds: [
            first(ds, "SegmentSequence").SegmentLabel,
            first(ds, "SegmentSequence").SegmentDescription,
            ds.ContentDescription,
        ],
        ["Liver", "liver, drawn by.", "liver of"],
    ),
    "icons": (
        icons,
        lambda ds: [
            "IconImageSequence" in ds,
            "IconImageSequence" in first(ds, "RequestAttributesSequence"),
            ds.StudyDescription,
        ],
        [False, False, "CHEST"],
    ),
    "overlays and curves": (
        overlays_and_curves,
        lambda ds: [[hex(one.tag.group) for one in ds if one.tag.group >> 8 in (0x50, 0x60)], ds.StudyDescription],
        [[], "CHEST"],
    ),
    "colour profile": (colour_profile, lambda ds: [ds.StudyDescription], ["CHEST"]),
    "signatures": (
        signatures,
        lambda ds: [
            [word for word in dir(ds) if "Signature" in word or "MAC" in word or "Encrypted" in word],
            "OriginalAttributesSequence" in ds,
            ds.StudyDescription,
        ],
        [[], False, "CHEST"],
    ),
    "private nest": (
        private_nest,
        lambda ds: [
            [one.tag for one in ds.iterall() if one.tag.group == 0x0099],
            first(ds, "RequestAttributesSequence").ScheduledProcedureStepDescription,
        ],
        [[], "chest"],
    ),
    "acquisition context": (
        acquisition_context,
        lambda ds: [first(ds, "AcquisitionContextSequence").TextValue],
        ["contrast given by. to"],
    ),
}


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("profile", [BASIC, EVERYTHING], ids=["basic", "options"])
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_left(kind: str, profile: Profile, implicit: bool) -> None:
    ds = KINDS[kind][0]()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    written = clean_bytes(ds, profile).lower()
    assert [planted for planted in PLANTED if planted.encode() in written] == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_clinical_stays(kind: str) -> None:
    build, look, expected = KINDS[kind]
    assert look(pydicom.dcmread(BytesIO(clean_bytes(build(), EVERYTHING)))) == expected


def test_each_sample_holds_what_is_planted() -> None:
    """Else nothing would be proven by its absence."""
    for build, _, _ in KINDS.values():
        buffer = BytesIO()
        build().save_as(buffer)
        assert sum(planted.encode() in buffer.getvalue().lower() for planted in PLANTED) >= 6


@pytest.mark.parametrize("number", ["9.4.1", "9.4.2"])
def test_recorded_speech_is_refused(number: str) -> None:
    with pytest.raises(CannotClean, match="sound"):
        cleaned(of_class(number, "AU"), rule=may_carry_text)


def test_a_directory_is_refused_with_a_clear_word() -> None:
    path = get_testdata_file("DICOMDIR")
    assert isinstance(path, str)
    with pytest.raises(CannotClean, match="a DICOMDIR: send the objects it lists"):
        cleaned(pydicom.dcmread(path))
