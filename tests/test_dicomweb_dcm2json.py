"""DCMTK reads the same out of every file as we do."""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest
from dcm2json import Unread, compare, theirs
from dicomweb_archive import sample
from programs import SHARED

from lethe.dicomweb.dicomjson import describe
from lethe.storage.entries import DicomJson

DATA = SHARED / "data"
NAMES_AS_THEY_ARE = {"chrSQEncoding.dcm"}
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("dcm2json") is None, reason="DCMTK is not installed"),
]


def test_of_a_few_files() -> None:
    compared = 0
    for name in ("CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "test-SR.dcm", "reportsi.dcm"):
        compared += compare(describe(pydicom.dcmread(sample(name))), theirs(sample(name)), name)
    assert compared > 400


@pytest.mark.shared
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data is not here")
def test_of_every_shared_file() -> None:
    paths = [path for path in sorted(DATA.rglob("*")) if path.is_file() and _is_part_10(path)]
    paths = list({path.read_bytes(): path for path in paths}.values())
    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(_theirs, paths))
    files = unread = compared = 0
    for path, other in zip(paths, written, strict=True):
        if other is None:
            unread += 1
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = describe(pydicom.dcmread(path, stop_before_pixels=True))
        files += 1
        where = str(path.relative_to(DATA))
        compared += compare(ours, other, where, other_names=path.name in NAMES_AS_THEY_ARE)
    print(f"{files} files, {compared} elements agree; dcm2json reads {unread} not")
    assert files > 200 > 20 > unread
    assert compared > 20_000


def _theirs(path: Path) -> DicomJson | None:
    try:
        return theirs(path)
    except Unread:
        return None


def _is_part_10(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
