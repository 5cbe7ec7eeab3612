"""`lethe receipts export` and what `lethe audit verify` says of receipts, with real objects and the worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import PHI, ct, saved

from lethe.node.cli import main
from lethe.node.config_file import load_config
from lethe.node.deid.part10 import MOST_KEPT
from lethe.node.projects import projects_of
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.intake import Origin
from lethe.storage.query import Level, Query

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """A data folder in the current one, with two studies of one instance each."""
    monkeypatch.chdir(tmp_path)
    archive = Archive(tmp_path / "data")
    for _ in range(2):
        publish(archive)
    yield archive
    archive.close()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def say(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return say


def publish(archive: Archive, **attributes: object) -> None:
    ds = ct(**attributes)
    archive.accept(saved(ds, archive.files.incoming()), str(ds.SOPInstanceUID), Origin("CT01"), ["default"])
    projects = projects_of(load_config(Path("config.toml"), must_exist=False), archive.files, archive.crosswalk)
    assert Worker(archive, projects, "worker-1").step()


def audited(archive: Archive) -> list[tuple[str, dict[str, object]]]:
    entries = [entry.as_dict() for entry in archive.audit.entries()]
    return [(entry["action"], entry["detail"]) for entry in entries if entry["actor"] == "command line"]


def test_all_receipts_without_a_value(archive: Archive, say: Say) -> None:
    assert say("receipts", "export", "--all", "out.json") == (0, "2 receipts written\n", "")
    text = Path("out.json").read_text()
    assert [told["instance"] for told in json.loads(text)] == [one.sop_uid for one in archive.receipts.of_studies()]
    assert all(told["vouched_for"] for told in json.loads(text))
    assert not [value for value in PHI.values() if value in text]
    assert Path("out.json").stat().st_mode & 0o777 == 0o600
    assert audited(archive) == [("receipts-exported", {"studies": "all", "receipts": 2})]


def test_one_study_with_originals(archive: Archive, say: Say) -> None:
    study = archive.index.find(Query(Level.STUDY))[0].study_uid
    assert say("receipts", "export", "--originals", study, "out.json") == (0, "1 receipts written\n", "")
    (told,) = json.loads(Path("out.json").read_text())
    before = {element["place"]: element["before"] for element in told["elements"]}
    assert (before["(0010,0010)"], before["(0010,0020)"]) == (PHI["PatientName"], PHI["PatientID"])
    assert told["study"] == study and told["original_header"] is True
    assert audited(archive) == [("originals-exported", {"studies": [study], "receipts": 1})]


def test_of_nothing_is_an_empty_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say) -> None:
    monkeypatch.chdir(tmp_path)
    assert say("receipts", "export", "--all", "out.json") == (0, "0 receipts written\n", "")
    assert json.loads(Path("out.json").read_text()) == []


@pytest.mark.parametrize("words", [["out.json"], ["1.2.3", "out.json", "--all"]])
def test_says_what_to_name(archive: Archive, say: Say, words: list[str]) -> None:
    code, _, err = say("receipts", "export", *words)
    assert code == 2 and "lethe receipts export STUDY_UID OUT.json" in err
    assert not Path("out.json").exists() and audited(archive) == []


def test_of_a_study_that_is_not_there(archive: Archive, say: Say) -> None:
    assert say("receipts", "export", "1.2.3", "out.json") == (1, "", "lethe: there is no such study\n")
    assert not Path("out.json").exists() and audited(archive) == []


def test_an_export_that_breaks_off_leaves_no_file(archive: Archive, say: Say) -> None:
    archive.database.execute_sql("UPDATE sealed_header SET sealed = x'00'")
    code, _, err = say("receipts", "export", "--all", "out.json", "--originals")
    assert code == 1 and "was altered" in err
    assert [path.name for path in Path().iterdir()] == ["data"]


def test_audit_verify_names_the_instance_whose_receipt_was_changed(archive: Archive, say: Say) -> None:
    code, out, _ = say("audit", "verify")
    assert code == 0 and "unbroken" in out
    first, second = archive.receipts.of_studies()
    text = first.text.replace('"verified":true', '"verified":false')
    archive.database.execute_sql("UPDATE instance SET receipt = ? WHERE uid = ?", (text, first.sop_uid))
    code, out, _ = say("audit", "verify")
    assert code == 1 and first.sop_uid in out and second.sop_uid not in out
    assert "1 receipts are not those that were published" in out
    code, out, _ = say("verify")
    assert code == 1 and first.sop_uid in out


def test_a_header_beyond_reason_is_not_kept_and_the_receipt_says_so(archive: Archive, say: Say) -> None:
    Path("config.toml").write_text('[projects.default]\noptions = ["clean-descriptors"]\n')
    publish(archive, ImageComments="x " * (MOST_KEPT // 2))
    stored = list(archive.receipts.of_studies())[-1]
    assert stored.content["original_header"] == "too large to keep"
    assert not archive.headers.holds(stored.sop_uid)
