"""Reads what modalities are to do from where a site puts it: a folder of DICOM worklist files, or a CSV table.

A source is read again when it has changed, and nothing of it is kept anywhere else.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pydicom
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from lethe.storage.errors import Unavailable

log = logging.getLogger("lethe.worklist")

_STEP = {  # PS3.3 Table C.4-10: these stand in the one item of the Scheduled Procedure Step Sequence
    "Modality",
    "PreMedication",
    "RequestedContrastAgent",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepEndDate",
    "ScheduledProcedureStepEndTime",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepLocation",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepStatus",
    "ScheduledStationAETitle",
    "ScheduledStationName",
}
_STEPS = 0x00400100
Stamp = tuple[int, int]


class Worklist:
    """The scheduled steps of a folder, a table, or both; either may be None."""

    def __init__(self, folder: Path | None, table: Path | None) -> None:
        self._folder = folder
        self._table = table
        self._files: dict[Path, tuple[Stamp, list[Dataset]]] = {}
        self._rows: tuple[Stamp, list[Dataset]] | None = None

    def entries(self) -> Iterator[Dataset]:
        """Each scheduled step. Raises Unavailable where a source cannot be read as a whole."""
        try:
            if self._folder is not None:
                yield from self._from_folder(self._folder)
            if self._table is not None:
                yield from self._from_table(self._table)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise Unavailable(f"the worklist cannot be read: {type(error).__name__}") from error

    def _from_folder(self, folder: Path) -> Iterator[Dataset]:
        if not folder.is_dir():
            raise Unavailable("the folder of the worklist is not there")
        paths = sorted(folder.rglob("*.wl"))
        self._files = {path: known for path, known in self._files.items() if path in set(paths)}
        for path in paths:
            try:
                stamp = _stamp(path)
            except FileNotFoundError:  # it was done with in the meantime
                continue
            known = self._files.get(path)
            if known is None or known[0] != stamp:
                known = self._files[path] = (stamp, _read(path))
            yield from known[1]

    def _from_table(self, table: Path) -> list[Dataset]:
        stamp = _stamp(table)
        if self._rows is None or self._rows[0] != stamp:
            with table.open(encoding="utf-8-sig", newline="") as file:
                self._rows = (stamp, list(_rows(csv.DictReader(file, delimiter=_delimiter(file)))))
        return self._rows[1]


def _delimiter(file: TextIO) -> str:
    """What stands between the cells: where a comma is the decimal sign, spreadsheets write semicolons."""
    head = file.readline()
    file.seek(0)
    return next((one for one in ";\t" if one in head), ",")


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _read(path: Path) -> list[Dataset]:
    """The steps of a worklist file, none where it is none. Its name may tell of a patient and is not logged."""
    try:
        ds = pydicom.dcmread(path, force=True)
        ds.decode()  # now, with everything in it: a file that cannot be read must not fail in the middle of an answer
    except Exception as error:
        log.warning("a worklist file cannot be read (%s) and is left out", type(error).__name__)
        return []
    if not ds.get("ScheduledProcedureStepSequence"):
        log.warning("a worklist file has no scheduled procedure step and is left out")
        return []
    return [_with(ds, step) for step in ds.ScheduledProcedureStepSequence]


def _with(ds: Dataset, step: Dataset) -> Dataset:
    """An entry of one of the steps of a requested procedure: a response is about one (PS3.4 Table K.6-1)."""
    entry = Dataset({element.tag: element for element in ds})
    entry[_STEPS] = DataElement(_STEPS, "SQ", [step])  # a new one: the others are those of the file
    return entry


def _rows(reader: csv.DictReader[str]) -> Iterator[Dataset]:
    unknown = [number for number, name in enumerate(reader.fieldnames or (), 1) if not _is_text(name)]
    if unknown:
        raise Unavailable(f"the head of the worklist's table names no attribute of text in column {unknown[0]}")
    for number, row in enumerate(reader, 2):
        if None in row or None in row.values():
            log.warning("row %d of the worklist's table has not as many cells as its head and is left out", number)
            continue
        wrong = next((name.strip() for name, text in row.items() if not _may_be_matched(name.strip(), text)), "")
        if wrong:  # it would never be found by that, and a modality may stumble over it
            log.warning("row %d of the worklist's table is left out: %s is not as DICOM writes it", number, wrong)
            continue
        try:
            yield _entry(row)
        except Exception as error:  # pydicom says it in many ways
            log.warning("row %d of the worklist's table is left out (%s)", number, type(error).__name__)


def _is_text(keyword: str) -> bool:
    tag = tag_for_keyword(keyword.strip())
    return tag is not None and dictionary_VR(tag) not in ("SQ", "OB", "OW", "UN", "AT", "US or SS")


def _may_be_matched(keyword: str, text: str) -> bool:
    """Whether dates, times and UIDs have their form, such as 20240131."""
    vr = dictionary_VR(keyword)
    if vr not in ("DA", "TM", "DT", "UI"):
        return True
    try:
        validate_value(vr, text.strip(), RAISE)
    except ValueError:
        return False
    return vr not in ("DA", "TM") or "-" not in text  # a range is what queries ask for


def _entry(row: dict[str, str]) -> Dataset:
    ds, step = Dataset(), Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for name, text in row.items():
        keyword, value = name.strip(), text.strip()
        setattr(step if keyword in _STEP else ds, keyword, value.split("\\") if "\\" in value else value)
    ds.ScheduledProcedureStepSequence = [step]
    return ds
