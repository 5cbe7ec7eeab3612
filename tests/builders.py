"""Makes objects for the tests: real files that ship with pydicom, given the patient a test needs."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

PHI = {
    "PatientName": "FEATHERSTONE^ANTONIA^ZOE",
    "PatientID": "MRN-7741-AZF",
    "PatientBirthDate": "19580317",
    "AccessionNumber": "ACC9920771",
    "InstitutionName": "Saint Corbinian Infirmary",
    "ReferringPhysicianName": "VANDERQUIST^HOLGER",
    "StudyDate": "20190822",
}
"""What a test plants, and must not find again."""


def ct(**attributes: object) -> FileDataset:
    """A CT image of a patient who must not be recognised, with UIDs of its own."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword, value in {**PHI, **attributes}.items():
        setattr(ds, keyword, value)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if keyword not in attributes:
            setattr(ds, keyword, generate_uid())
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def secondary_capture(**attributes: object) -> FileDataset:
    """An image of a kind that may carry burned-in text."""
    ds = bundled("SC_rgb_jpeg_gdcm.dcm")
    for keyword, value in {**PHI, **attributes}.items():
        setattr(ds, keyword, value)
    return ds


def slide_label(**attributes: object) -> FileDataset:
    """An image that is always refused, for what it is: the picture of a slide's label."""
    return secondary_capture(ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"], **attributes)


def bundled(name: str) -> FileDataset:
    """A file that ships with pydicom, as an instance of its own; nothing is downloaded."""
    path = get_testdata_file(name, download=False)
    assert path is not None, f"pydicom does not ship {name}"
    ds = pydicom.dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = ds.get("StudyInstanceUID") or generate_uid()
    ds.SeriesInstanceUID = ds.get("SeriesInstanceUID") or generate_uid()
    return ds


def saved(ds: FileDataset, folder: Path, name: str = "") -> Path:
    """The object as a file in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{ds.SOPInstanceUID}.dcm")
    ds.save_as(path)
    return path


def series(folder: Path, count: int, *, patient: str = "MRN-1") -> list[Path]:
    """A CT series of that many slices as files."""
    study, one = generate_uid(), generate_uid()
    return [
        saved(
            ct(StudyInstanceUID=study, SeriesInstanceUID=one, PatientID=patient, InstanceNumber=number + 1),
            folder,
            f"{number:04d}.dcm",
        )
        for number in range(count)
    ]
