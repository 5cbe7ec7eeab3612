"""Makes what others make of a clean study and send back: SEG, SR, RTSTRUCT and presentation state, by hand."""

from __future__ import annotations

from copy import deepcopy

import pydicom
from deid_objects import sequence
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

TODAY = "20261120"
CLASSES = {
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "SR": "1.2.840.10008.5.1.4.1.1.88.33",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "PR": "1.2.840.10008.5.1.4.1.1.11.1",
}
COPIED = (
    "PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber "
    "ReferringPhysicianName StudyDescription PatientIdentityRemoved DeidentificationMethod "
    "DeidentificationMethodCodeSequence LongitudinalTemporalInformationModified SpecificCharacterSet"
).split()


def returned(kind: str, clean: Dataset) -> FileDataset:
    """An object of that kind about a clean image, as an AI would make it: patient and study copied, the rest new."""
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    for keyword in COPIED:
        if keyword in clean:
            ds[keyword] = deepcopy(clean[keyword])
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = CLASSES[kind], generate_uid(), generate_uid()
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = kind, 900, 1
    ds.ContentDate = ds.SeriesDate = ds.InstanceCreationDate = TODAY
    ds.ContentTime = "101500"
    ds.Manufacturer, ds.SoftwareVersions = "AI of the tests", "1.0"
    _CONTENT[kind](ds, clean)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _image(clean: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = clean.SOPClassUID, clean.SOPInstanceUID
    return item


def _series(clean: Dataset, keyword: str) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = clean.SeriesInstanceUID
    setattr(item, keyword, [_image(clean)])
    return item


def _seg(ds: FileDataset, clean: Dataset) -> None:
    ds.FrameOfReferenceUID = clean.FrameOfReferenceUID
    ds.Rows, ds.Columns, ds.NumberOfFrames = 4, 4, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.ImageType, ds.SegmentationType = ["DERIVED", "PRIMARY"], "BINARY"
    ds.ContentLabel, ds.ContentCreatorName = "LESION", "AI"
    ds.ReferencedSeriesSequence = [_series(clean, "ReferencedInstanceSequence")]
    derivation = Dataset()
    derivation.SourceImageSequence = [_image(clean)]
    frame = Dataset()
    frame.DerivationImageSequence = [derivation]
    ds.PerFrameFunctionalGroupsSequence = [frame]
    ds.AcquisitionDate = clean.get("AcquisitionDate")
    ds.AcquisitionDateTime = f"{clean.get('AcquisitionDate') or TODAY}101112.5+0100"
    ds.PixelData = bytes(range(16))
    ds["PixelData"].VR = "OB"


def _sr(ds: FileDataset, clean: Dataset) -> None:
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    study = Dataset()
    study.StudyInstanceUID = clean.StudyInstanceUID
    study.ReferencedSeriesSequence = [_series(clean, "ReferencedSOPSequence")]
    ds.CurrentRequestedProcedureEvidenceSequence = [study]
    request = Dataset()
    request.StudyInstanceUID, request.AccessionNumber = clean.StudyInstanceUID, clean.AccessionNumber
    ds.ReferencedRequestSequence = [request]
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    uid, text, image, name, subject = (Dataset() for _ in range(5))
    uid.ValueType, uid.UID = "UIDREF", clean.SeriesInstanceUID
    text.ValueType, text.TextValue = (
        "TEXT",
        f"Series {clean.SeriesInstanceUID} of {clean.PatientID}, {clean.PatientID}.",
    )
    image.ValueType, image.ReferencedSOPSequence = "IMAGE", [_image(clean)]
    name.ValueType, name.PersonName = "PNAME", f"{clean.PatientID}^^^^"
    subject.ValueType, subject.PatientID = "CONTAINER", clean.PatientID
    subject.ContentSequence = [image, name]
    ds.ContentSequence = [uid, text, subject]


def _rtstruct(ds: FileDataset, clean: Dataset) -> None:
    ds.StructureSetLabel, ds.StructureSetDate = "AI", TODAY
    series = Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = clean.SeriesInstanceUID, [_image(clean)]
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", clean.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = clean.FrameOfReferenceUID, [study]
    ds.ReferencedFrameOfReferenceSequence = [frame]
    ds.StructureSetROISequence = sequence(
        ROINumber=1, ROIName="liver", ReferencedFrameOfReferenceUID=clean.FrameOfReferenceUID
    )


def _pr(ds: FileDataset, clean: Dataset) -> None:
    ds.ContentLabel, ds.PresentationCreationDate = "AI", TODAY
    ds.ReferencedSeriesSequence = [_series(clean, "ReferencedImageSequence")]
    ds.DisplayedAreaSelectionSequence = sequence(ReferencedImageSequence=[_image(clean)], PresentationSizeMode="SCALE")


_CONTENT = {"SEG": _seg, "SR": _sr, "RTSTRUCT": _rtstruct, "PR": _pr}


def texts_of(ds: pydicom.Dataset) -> str:
    """Every value at every depth but pixel data, to be searched."""
    return "\n".join(str(element.value) for element in ds.iterall() if element.VR not in ("SQ", "OB", "OW"))
