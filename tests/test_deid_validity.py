"""The result is as valid as its original: dciodvfy (dicom3tools) finds no more errors in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from deid_objects import BASIC, EVERYTHING, KEY
from programs import SHARED, need

from lethe.node.deid.deidentify import pass_pixels
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.lanes import Deidentifier
from lethe.node.deid.profile import Profile

# What it says of a file that it cannot read on, so that its errors are not counted; deflated ones it never can.
_UNREADABLE = ("Tags out of order", "Dicom dataset read failed")


def errors(file: Path) -> list[str]:
    """What dciodvfy holds against a file."""
    said = subprocess.run(["dciodvfy", str(file)], capture_output=True, check=False).stderr.decode("latin-1")
    return [line for line in said.splitlines() if line.startswith("Error")]


@pytest.mark.shared
@pytest.mark.peer
@pytest.mark.parametrize("profile", [BASIC, EVERYTHING], ids=["basic", "everything"])
def test_no_file_has_more_errors_than_before(profile: Profile, tmp_path: Path) -> None:
    need("dciodvfy")
    deidentifier, result, compared = Deidentifier(profile, KEY, pass_pixels), tmp_path / "result.dcm", 0
    for file in sorted(file for file in (SHARED / "data").rglob("*") if file.is_file()):
        before = errors(file)
        if any(word in line for line in before for word in _UNREADABLE):
            continue
        try:
            with file.open("rb") as source:
                result.write_bytes(b"".join(deidentifier.clean(source).chunks()))
        except CannotClean as refusal:
            assert str(refusal)
            continue
        after = errors(result)
        assert len(after) <= len(before), (file.name, [line for line in after if line not in before])
        compared += 1
    assert compared > 250
