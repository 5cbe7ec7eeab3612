"""Finds the sample objects for the demonstration: the images that ship with pydicom and pynetdicom."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from .dimse.contexts import storage_classes

_FOLDERS = (("pydicom", "data/test_files"), ("pydicom", "data/charset_files"), ("pynetdicom", "tests/dicom_files"))


@dataclass(frozen=True)
class Sample:
    """One file that can be sent: its SOP Class and transfer syntax as its file meta information names them."""

    path: Path
    sop_class: str
    transfer_syntax: str


def samples() -> list[Sample]:
    """All bundled files that a modality could send: a storage class and a transfer syntax are named in them. Of files
    that share a SOP Instance UID, which are one image encoded in different ways, the first."""
    found: dict[str, Sample] = {}
    classes = set(storage_classes())
    for package, folder in _FOLDERS:
        for path in sorted(Path(str(files(package))).joinpath(folder).glob("*.dcm")):
            try:
                meta = read_file_meta_info(path)
                sample = Sample(path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
            except Exception:  # noqa: S112 - some are broken on purpose
                continue
            if sample.sop_class in classes and "MediaStorageSOPInstanceUID" in meta:
                found.setdefault(str(meta.MediaStorageSOPInstanceUID), sample)
    return list(found.values())
