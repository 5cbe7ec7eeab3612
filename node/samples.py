"""Finds the sample objects for the demonstration: the images that ship with pydicom and pynetdicom."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydicom import dcmread

from .dimse.contexts import storage_classes

_FOLDERS = (("pydicom", "data/test_files"), ("pydicom", "data/charset_files"), ("pynetdicom", "tests/dicom_files"))


@dataclass(frozen=True)
class Sample:
    """One file that can be sent. SOP Class, SOP Instance and transfer syntax are those of its file meta information,
    which a sender goes by; study and modality are its own, empty where it has none."""

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    study: str
    modality: str


def samples() -> list[Sample]:
    """All bundled files that a modality could send: a storage class and a transfer syntax are named in them. Of files
    that share a SOP Instance UID, which are one image encoded in different ways, the first."""
    found: dict[str, Sample] = {}
    classes = set(storage_classes())
    for package, folder in _FOLDERS:
        for path in sorted(Path(str(files(package))).joinpath(folder).glob("*.dcm")):
            sample = _sample(path)
            if sample is not None and sample.sop_class in classes:
                found.setdefault(sample.sop_instance, sample)
    return list(found.values())


def _sample(path: Path) -> Sample | None:
    try:
        ds = dcmread(path, stop_before_pixels=True)
        meta = ds.file_meta
        return Sample(
            path,
            str(meta.MediaStorageSOPClassUID),
            str(meta.MediaStorageSOPInstanceUID),
            str(meta.TransferSyntaxUID),
            str(ds.get("StudyInstanceUID", "")),
            str(ds.get("Modality", "")),
        )
    except Exception:  # some are broken on purpose
        return None
