"""Compares our DICOM JSON of a file with what DCMTK's dcm2json makes of it. docs/integrator.md lists where both may
differ; everything else is an error of ours."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pydicom
import pytest

from lethe.dicomweb.locate import locate
from lethe.storage.entries import DicomJson
from lethe.storage.errors import NotFound

_PIXELS = 0x7FE00010
_EXPLICIT_HEAD = 12


class Unread(Exception):
    """dcm2json cannot read the file."""


def theirs(path: Path) -> DicomJson:
    """What dcm2json writes, of compressed objects without pixel data, which it would refuse. Raises Unread."""
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "short.dcm"
        end = _compressed_pixels(path)
        if end:
            with path.open("rb") as whole:
                short.write_bytes(whole.read(end))
        command = ["dcm2json", "-q", "-fc", str(short if end else path)]
        done = subprocess.run(command, capture_output=True, timeout=60)
    if done.returncode:
        raise Unread
    written: DicomJson = json.loads(done.stdout.decode("utf-8", "replace"))
    return written


def compare(ours: DicomJson, others: DicomJson, where: str, *, other_names: bool = False) -> int:
    """How many elements agree. `other_names`: the file has names in a character set that DCMTK leaves as it is."""
    compared = 0
    tags = [tag for tag in ours if tag != "00080005" and tag < "7FE0"]
    assert tags == [tag for tag in others if tag != "00080005" and tag < "7FE0"], where
    for tag in tags:
        place = f"{where} {tag}"
        mine, other = ours[tag], others[tag]
        if mine["vr"] != other["vr"]:
            assert other["vr"] == "UN", place
        elif mine["vr"] == "SQ":
            pairs = zip(mine.get("Value", []), other.get("Value", []), strict=True)
            compared += sum(compare(one, two, place, other_names=other_names) for one, two in pairs)
        elif mine["vr"] in ("FL", "FD"):
            assert mine.get("Value", []) == pytest.approx(other.get("Value", []), rel=1e-6), place
        elif "BulkDataURI" not in mine and not (other_names and mine["vr"] == "PN"):
            assert mine == other or _padded(mine) == other.get("InlineBinary"), place
        compared += 1
    return compared


def _padded(element: dict[str, Any]) -> str | None:
    """A value of an odd length as DCMTK gives it: with one byte more."""
    data = base64.b64decode(element.get("InlineBinary", ""))
    return base64.b64encode(data + b"\0").decode() if len(data) % 2 else None


def _compressed_pixels(path: Path) -> int:
    """Where compressed pixel data begin; 0 where there are none."""
    with path.open("rb") as file:
        syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID", "")
        try:
            place = locate(file, syntax, [_PIXELS])
        except NotFound:
            return 0
    return place.offset - _EXPLICIT_HEAD if place.length is None else 0
