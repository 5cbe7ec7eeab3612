"""A project's own command removes faces: pixel data alone are taken of its result, if it is the same instance."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from deid_objects import KEY, ct, raw_of, sample
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lethe.node.config import Config, Project, Step
from lethe.node.deface import Defacer
from lethe.node.deid.deidentify import deidentify, pass_pixels
from lethe.node.deid.documents import refuse_documents
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.profile import Option, Profile
from lethe.node.projects import projects_of
from lethe.storage.archive import Archive

FACES = Profile([Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES])
BLANK = """
ds.PixelData = bytes(len(ds.PixelData))
ds.PatientName, ds.StudyDescription = "Somebody^Else", "put there by the step"
ds.add_new(0x00091001, "LO", "private")
"""


def defacer(tmp_path: Path, change: str, *, after: str = "", seconds: int = 60) -> Defacer:
    """A step that reads the object, changes it in some way and writes it."""
    script = tmp_path / "step.py"
    script.write_text(
        "import os, sys, time\nimport pydicom\nfrom pydicom.uid import *\n"
        f"ds = pydicom.dcmread(sys.argv[1])\n{change}\nds.save_as(sys.argv[2])\n{after}\n",
        encoding="utf-8",
    )
    spool = tmp_path / "spool"
    spool.mkdir(exist_ok=True)
    return Defacer("blank", (sys.executable, str(script), "{in}", "{out}"), seconds, lambda: spool)


def head(**attributes: object) -> pydicom.FileDataset:
    return ct(BodyPartExamined="HEAD", **attributes)


def run(step: Defacer, ds: pydicom.FileDataset) -> pydicom.FileDataset:
    with BytesIO(raw_of(ds)) as file:
        cleaned = deidentify(file, FACES, KEY, pass_pixels, refuse_documents, step)
        return pydicom.dcmread(BytesIO(b"".join(cleaned.chunks())))


def test_pixel_data_are_taken_and_nothing_else(tmp_path: Path) -> None:
    result = run(defacer(tmp_path, BLANK), head())
    assert not any(result.PixelData) and len(result.PixelData) == 128 * 128 * 2
    assert "Somebody" not in str(result) and "put there" not in str(result) and 0x00091001 not in result
    assert "113102" in {item.CodeValue for item in result.DeidentificationMethodCodeSequence}
    assert result.RecognizableVisualFeatures == "NO"
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_shows_no_face_is_not_given_to_the_step(tmp_path: Path) -> None:
    result = run(defacer(tmp_path, "sys.exit(9)"), ct(BodyPartExamined="CHEST"))
    assert any(result.PixelData)


def test_the_step_sees_files_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LETHE_ADMIN_TOKEN", "secret")
    seen = tmp_path / "seen"
    note = f"open({str(seen)!r}, 'w').write(repr((sys.argv[1:], sorted(os.environ), os.getcwd())))"
    run(defacer(tmp_path, BLANK + note), head())
    arguments, environment, folder = eval(seen.read_text())
    assert set(environment) - {"GDCM_RESOURCES_PATH"} <= {"PATH", "HOME", "LANG", "LC_CTYPE"}  # gdcm sets its own
    assert [Path(one).name for one in arguments] == ["in.dcm", "out.dcm"]
    assert {str(Path(one).parent) for one in arguments} == {folder}
    assert Path(folder).parent == tmp_path / "spool"


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_native_syntax_stays(tmp_path: Path, syntax: str) -> None:
    ds = head()
    if syntax == ExplicitVRBigEndian:
        ds = sample("ExplVR_BigEnd.dcm", BodyPartExamined="HEAD", Modality="CT", StudyInstanceUID="1.2.3.4")
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    result = run(defacer(tmp_path, "ds.PixelData = bytes(len(ds.PixelData))"), ds)
    assert result.file_meta.TransferSyntaxUID == syntax
    assert not any(result.PixelData)


def test_a_compressed_object_may_come_back_uncompressed(tmp_path: Path) -> None:
    ds = sample("MR_small_RLE.dcm", BodyPartExamined="HEAD")
    result = run(
        defacer(tmp_path, "ds.decompress(generate_instance_uid=False)\nds.PixelData = bytes(len(ds.PixelData))"), ds
    )
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert not any(result.PixelData)


@pytest.mark.parametrize(
    ("change", "after", "said"),
    [
        ("ds.SOPInstanceUID = '1.2.3'", "", "another instance"),
        ("ds.Rows = 64", "", "another form of pixel data"),
        ("ds.NumberOfFrames = 2", "", "another form of pixel data"),
        ("del ds.PixelData", "", "without the pixel data"),
        ("ds.PixelData = bytes(16)", "", "too short"),
        ("ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian", "", "transfer syntax of another kind"),
        ("sys.exit(7)", "", "ended with status 7"),
        ("", "os.unlink(sys.argv[2])", "made no file"),
        ("", "os.unlink(sys.argv[2]); os.symlink('/etc/passwd', sys.argv[2])", "made no file"),
        ("", "open(sys.argv[2], 'wb').write(b'no object')", "no DICOM object"),
        ("time.sleep(600)", "", "took longer than 2 s"),
    ],
)
def test_what_is_not_the_same_instance_is_refused(tmp_path: Path, change: str, after: str, said: str) -> None:
    with pytest.raises(CannotClean, match=said) as refusal:
        run(defacer(tmp_path, change, after=after, seconds=2 if "sleep" in change else 60), head())
    assert "the defacing step 'blank'" in str(refusal.value)
    assert "FEATHERSTONE" not in str(refusal.value) and "MRN" not in str(refusal.value)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    step = Defacer("gone", (str(tmp_path / "gone"), "{in}", "{out}"), 60, lambda: tmp_path)
    with pytest.raises(CannotClean, match="could not be started"):
        run(step, head())


def test_what_the_step_leaves_running_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"import subprocess; one = subprocess.Popen(['sleep', '600']); open({str(note)!r}, 'w').write(str(one.pid))"
    run(defacer(tmp_path, BLANK + child), head())
    with pytest.raises(ProcessLookupError):
        _wait_for_end(int(note.read_text()))


def _wait_for_end(process: int) -> None:
    """Raises ProcessLookupError as soon as the process is gone; one that was killed may wait for its parent."""
    for _ in range(1000):
        os.kill(process, 0)
        if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            raise ProcessLookupError
        os.sched_yield()


@pytest.mark.parametrize("change", [lambda step: step, lambda step: Step(step.name, (*step.command, "x"))])
def test_a_project_is_given_its_step(tmp_path: Path, archive: Archive, change: Callable[[Step], Step]) -> None:
    command = defacer(tmp_path, BLANK).command
    options = (Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES,)
    step = change(Step("blank", command))
    config = Config(projects=(Project("default", options=options, deface="blank"),), steps=(step,))
    project = projects_of(config, archive.files)["default"]
    plain = projects_of(Config(projects=(Project("default", options=options),)), archive.files)["default"]
    assert project.defacer is not None
    assert project.digest == plain.digest.replace(":auto", f":{project.defacer.digest}:auto") != plain.digest
    data = raw_of(head())
    with pytest.raises(CannotClean, match="it needs a defacing step"):
        plain.clean(BytesIO(data))
    result = pydicom.dcmread(BytesIO(b"".join(project.clean(BytesIO(data)).chunks())))
    assert not any(result.PixelData)
