"""Nothing of the patient is left in any result: a search that knows nothing of how the engine searches.

The terms are taken from the source by pydicom alone, in every encoding; the result is looked at as bytes, outside its
pixel data. What may be found is listed below with the reason.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from deid_objects import BASIC, EVERYTHING, KEY, MODIFIED_DATES
from programs import SHARED
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from lethe.node.deid.deidentify import deidentify, pass_pixels
from lethe.node.deid.documents import RewriteDocuments
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import read_part10
from lethe.node.deid.pixels import may_carry_text
from lethe.node.deid.profile import Profile

DATA = SHARED / "data"
WHEEL = Path(get_testdata_file("CT_small.dcm")).parent
IDS = {0x00100020, 0x00101000, 0x00080050, 0x00101090, 0x00380010, 0x00402016, 0x00402017}
# Words of the standard, of vendors and of our own marks that happen to be somebody's name in the test data.
COINCIDENCES = {
    "perfusion",  # Image Type
    "toshiba",  # an institution, and the manufacturer
    "patient",  # Retain Patient Characteristics Option
    "test",  # "Test Manufacturer"; a patient called so is none
    "name",  # "Recording Observer's Name", PNAME
    "text",  # Value Type, CONTEXT
    "pre",  # PREDECESSOR
    "remove",  # (0028,0303) REMOVED
    "anonymous",  # our dummy
}
NEWER_THAN_PYDICOM = {"1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.1.2.8.1"}
ENCODINGS = (
    "utf-8",
    "latin-1",
    "utf-16-le",
    "shift_jis",
    "euc_kr",
    "gb18030",
    "iso8859_5",
    "iso8859_7",
    "iso2022_jp_2",
)


def elements(ds: Dataset) -> Iterator[pydicom.DataElement]:
    for tag in list(ds.keys()):
        try:
            element = ds[tag]
        except Exception:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item)
        elif not tag.is_private:
            yield element


def terms(ds: Dataset) -> set[str]:
    found: set[str] = set()
    for element in elements(ds):
        value = element.value
        single = isinstance(value, str | bytes) or not hasattr(value, "__iter__") or hasattr(value, "components")
        try:
            vr = dictionary_VR(element.tag)
        except KeyError:
            vr = element.VR
        for text in (str(one).strip(" \0") for one in ([value] if single else value) if one is not None):
            if vr == "PN":
                found |= {part for part in re.split(r"[\^= ,\\]+", text) if len(part) >= (3 if part.isascii() else 2)}
            elif (int(element.tag) in IDS and len(text) >= 5) or (int(element.tag) == 0x00080080 and len(text) >= 3):
                found.add(text)
            elif vr in ("DA", "DT") and re.match(r"[12]\d{7}", text):
                found.add(text[:8])
            elif vr == "UI" and len(text) > 8 and UID(text).name == text:
                found.add(text)
    return {term for term in found if term.lower() not in COINCIDENCES and not re.fullmatch(r"\d{1,4}", term)}


def outside_pixels(data: bytes) -> bytes:
    source = read_part10(BytesIO(data))
    meta = pydicom.dcmread(BytesIO(data), stop_before_pixels=True).file_meta
    if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        start = 144 + meta.FileMetaInformationGroupLength
        data = data[:start] + zlib.decompress(data[start:], -15)
        assert source.pixels is None or source.pixels.end <= len(data)
        return data if source.pixels is None else data[: start + source.pixels.start]
    return data if source.pixels is None else data[: source.pixels.start] + data[source.pixels.end :]


def spellings(term: str) -> Iterator[bytes]:
    for encoding in ENCODINGS:
        try:
            yield term.lower().encode(encoding)
        except UnicodeEncodeError:
            continue


def leaks(path: Path, profile: Profile) -> tuple[str, list[str]]:
    """How cleaning the file ends, and what of its source is left."""
    try:
        with path.open("rb") as file:
            result = b"".join(deidentify(file, profile, KEY, pass_pixels, RewriteDocuments()).chunks())
    except CannotClean as refusal:
        return f"refused: {refusal}", []
    source, searched = pydicom.dcmread(path), outside_pixels(result).lower()
    known = terms(source) | ({str(source.file_meta.get("MediaStorageSOPInstanceUID", ""))} - {""})
    if profile is not BASIC:  # a date that was moved may be another that was there
        known = {term for term in known if not re.fullmatch(r"[12]\d{7}", term)}
    for element in pydicom.dcmread(BytesIO(result)).iterall():
        assert element is not None
    left = [term for term in sorted(known - NEWER_THAN_PYDICOM) if any(one in searched for one in spellings(term))]
    return "clean", left


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".md", ".txt"))


@pytest.mark.parametrize("profile", [BASIC, MODIFIED_DATES, EVERYTHING], ids=["basic", "modified dates", "options"])
def test_nothing_is_left_in_pydicoms_files(profile: Profile) -> None:
    ends = {path: leaks(path, profile) for path in files(WHEEL)}
    assert {path.name: left for path, (_, left) in ends.items() if left} == {}
    assert sum(end == "clean" for end, _ in ends.values()) >= 70


@pytest.mark.shared
@pytest.mark.parametrize("profile", [BASIC, MODIFIED_DATES, EVERYTHING], ids=["basic", "modified dates", "options"])
def test_nothing_is_left_in_the_shared_files(profile: Profile) -> None:
    ends = {path: leaks(path, profile) for path in files(DATA)}
    assert {str(path.relative_to(DATA)): left for path, (_, left) in ends.items() if left} == {}
    assert sum(end == "clean" for end, _ in ends.values()) >= 320


@pytest.mark.shared
def test_every_shared_file_ends_as_a_result_or_a_refusal_that_holds_no_value() -> None:
    counts = {"clean": 0, "refused": 0}
    for path in files(DATA):
        try:
            with path.open("rb") as file:
                deidentify(file, BASIC, KEY, may_carry_text, RewriteDocuments())
            counts["clean"] += 1
        except CannotClean as refusal:
            counts["refused"] += 1
            words = re.sub(r"\([0-9A-F]{4},[0-9A-F]{4}\)(\[\d+\])?|PS3\.\d+", "", str(refusal))
            assert not re.search(r"\d{5}|\^|\d\.\d+\.\d", words)
    assert counts["clean"] >= 210
    assert counts["refused"] >= 100
