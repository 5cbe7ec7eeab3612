"""The crosswalk, the site's own list of patients and keys, by the command line, with real objects and the worker."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from builders import PHI, ct, saved

from lethe.node.cli import main
from lethe.node.config_file import load_config
from lethe.node.deid.pseudonyms import Pseudonyms
from lethe.node.errors import ConfigError
from lethe.node.projects import projects_of
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.query import Level, Query

Say = Callable[..., tuple[int, str, str]]
CONFIG = """
[projects.trial]
[projects.strict]
unknown_patients = "hold"
[projects.rooted]
uid_root = "1.2.826.0.1.3680043.10"
[[routes]]
from = "*"
project = "trial"
"""


class Site:
    """A data folder with one worker, as `lethe serve` would run it, without the processes."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder / "data")
        self.config = load_config(folder / "config.toml")
        self.restart()

    def restart(self) -> None:
        projects = projects_of(self.config, self.archive.files, self.archive.crosswalk)
        self.worker = Worker(self.archive, projects, "worker-1")

    def take(self, ds: pydicom.FileDataset, project: str = "trial") -> None:
        path = saved(ds, self.archive.files.incoming())
        self.archive.accept(path, str(ds.SOPInstanceUID), Origin("CT01"), [project])
        assert self.worker.step()

    def published(self) -> list[pydicom.Dataset]:
        """The clean objects, in the order in which they were published."""
        found = []
        for entry in sorted(self.archive.index.find(Query(Level.INSTANCE)), key=lambda one: one.updated):
            with self.archive.files.open("clean", entry.file) as file:
                found.append(pydicom.dcmread(file))
        return found

    def audited(self) -> list[tuple[str, str, dict[str, object]]]:
        entries = [entry.as_dict() for entry in self.archive.audit.entries()]
        return [
            (entry["action"], entry["subject"], entry["detail"])
            for entry in entries
            if entry["actor"] == "command line"
        ]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG)
    site = Site(tmp_path)
    yield site
    site.archive.close()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def say(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(words)
        return code, *capsys.readouterr()

    return say


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def listed(tmp_path: Path, *pairs: tuple[str, str], text: str = "") -> str:
    path = tmp_path / "patients.csv"
    path.write_text(text or "id_old,id_new\n" + "".join(f"{old},{new}\n" for old, new in pairs), encoding="utf-8")
    return str(path)


def test_what_the_worker_publishes_is_in_the_crosswalk_and_nowhere_readable(site: Site, say: Say) -> None:
    original = ct(FrameOfReferenceUID="1.2.276.0.7230010.3.1.4.77")
    site.take(original)
    (clean,) = site.published()
    code, out, _ = say("crosswalk", "export")
    assert code == 0
    became = {(row["kind"], row["id_old"]): row["id_new"] for row in rows(out)}
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert became["uid", original[keyword].value] == clean[keyword].value
    assert became["patient", PHI["PatientID"]] == clean.PatientID == clean.PatientName
    assert became["accession", PHI["AccessionNumber"]] == clean.AccessionNumber
    content = b"".join(path.read_bytes() for path in site.archive.folder.glob("lethe.db*"))
    assert str(clean.StudyInstanceUID).encode() in content, "the search would find it"
    hidden = [original.StudyInstanceUID, original.SeriesInstanceUID, original.FrameOfReferenceUID, *PHI.values()]
    for value in hidden:
        assert str(value).encode() not in content, "the database tells an original"
    assert site.audited() == [("crosswalk-exported", "", {"entries": len(rows(out))})]


def test_work_that_is_done_again_writes_it_once(site: Site, say: Say) -> None:
    original = ct()
    path = saved(original, site.archive.files.incoming())
    site.archive.accept(path, str(original.SOPInstanceUID), Origin("CT01"), ["trial"])
    died = site.archive.jobs.claim(Stage.CLEAN, "died", 0.0)
    assert died is not None
    kept = site.archive.files.path("inbox", died.subject).read_bytes()
    assert site.worker.step()
    count = site.archive.crosswalk.count()
    site.archive.files.path("inbox", died.subject).write_bytes(kept)
    site.worker.clean(died)
    assert site.archive.crosswalk.count() == count
    series = {keyword: original[keyword].value for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}
    site.take(ct(**series))
    assert site.archive.crosswalk.count() == count + 1, "of the next slice, its own UID"


def test_lookup_by_original_by_pseudonym_and_from_the_input(
    site: Site, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.take(ct())
    site.take(ct(), "strict")  # held: nothing of it is in the crosswalk
    (clean,) = site.published()
    expected = [
        {"project": "trial", "kind": "patient", "id_old": PHI["PatientID"], "id_new": str(clean.PatientID)},
    ]
    for words in ([PHI["PatientID"]], [str(clean.PatientID)], [PHI["PatientID"], str(clean.PatientID)]):
        code, out, _ = say("crosswalk", "lookup", *words)
        assert (code, rows(out)) == (0, expected)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PHI['PatientID']}\n\n"))
    code, out, _ = say("crosswalk", "lookup", "-", "--project", "trial")
    assert (code, rows(out)) == (0, expected)
    code, out, error = say("crosswalk", "lookup", PHI["PatientID"], "--project", "strict")
    assert (code, out, error) == (1, "", "lethe: not in the crosswalk\n")
    assert site.audited()[-1] == ("crosswalk-looked-up", "strict", {"asked": 1, "found": 0})


def test_an_export_to_a_file_is_for_its_owner_alone(site: Site, say: Say, tmp_path: Path) -> None:
    site.take(ct())
    target = tmp_path / "out.csv"
    target.write_text("was here, and everybody could read it")
    target.chmod(0o644)
    code, out, _ = say("crosswalk", "export", "--project", "trial", "--output", str(target))
    assert code == 0
    exported = rows(target.read_text(encoding="utf-8"))
    assert out == f"{len(exported)} entries written\n"
    assert target.stat().st_mode & 0o777 == 0o600
    assert say("crosswalk", "export", "--project", "strict")[1] == "project,kind,id_old,id_new\n"


def test_with_another_key_or_an_altered_row_one_clear_line_says_so(site: Site, say: Say, tmp_path: Path) -> None:
    site.take(ct())
    key = tmp_path / "data" / "keys" / "crosswalk.key"
    right = key.read_text()
    key.write_text("0" * 64)
    code, out, error = say("crosswalk", "lookup", PHI["PatientID"])
    assert (code, out) == (1, "")
    assert error.startswith("lethe: the crosswalk was written with another key")
    assert error.count("\n") == 1
    key.write_text(right)
    with site.archive.database.atomic():
        site.archive.database.execute_sql("UPDATE crosswalk SET pseudonym = 'X' WHERE kind = 'patient'")
    code, _, error = say("crosswalk", "export", "--output", str(tmp_path / "out.csv"))
    assert code == 1
    assert re.fullmatch(r"lethe: row \d+ of the crosswalk was altered and cannot be read\n", error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "data"], "half an export is none"


def test_a_worker_with_the_wrong_key_waits_until_the_right_one_is_back(site: Site, tmp_path: Path) -> None:
    site.take(ct())
    key = tmp_path / "data" / "keys" / "crosswalk.key"
    right = key.read_text()
    key.write_text("0" * 64)
    other = Site(tmp_path)
    other.take(ct())
    (job,) = other.archive.jobs.find(states=[State.READY], stage=Stage.CLEAN)
    assert "another key" in job.reason
    key.write_text(right)
    other.archive.database.execute_sql("UPDATE job SET ready_at = 0")
    assert other.worker.step()
    assert other.archive.counts()["published"] == 2
    other.archive.close()


def test_an_imported_list_is_used_from_the_next_object_on(site: Site, say: Say, tmp_path: Path) -> None:
    site.take(ct(PatientID="MRN-1", StudyDate="20190822"))
    path = listed(tmp_path, ("MRN-7741-AZF", "TRIAL-017"), ("MRN-8", "TRIAL-018"))
    code, out, _ = say("crosswalk", "import", path, "--project", "trial", "--dry-run")
    assert (code, out) == (0, "2 would be added, 0 unchanged, 0 conflicts, 0 invalid; nothing was imported\n")
    code, out, _ = say("crosswalk", "import", path, "--project", "trial")
    assert (code, out) == (0, "2 added, 0 unchanged, 0 conflicts, 0 invalid; 0 held objects are tried again\n")
    site.take(ct())
    site.take(ct(PatientID="MRN-1"))
    first, second, third = site.published()
    assert second.PatientID == second.PatientName == "TRIAL-017"
    assert third.PatientID == first.PatientID
    key = bytes.fromhex((tmp_path / "data" / "keys" / "project-trial.key").read_text())
    days = Pseudonyms(key).days(PHI["PatientID"])
    moved = pydicom.valuerep.DA(second.StudyDate) - pydicom.valuerep.DA(PHI["StudyDate"])  # type: ignore[operator]
    assert moved.days == days, "dates do not depend on the list"
    code, out, _ = say("crosswalk", "lookup", "TRIAL-017")
    assert [row["id_old"] for row in rows(out)] == [PHI["PatientID"]]
    code, out, _ = say("crosswalk", "import", path, "--project", "trial")
    assert (code, out) == (0, "0 added, 2 unchanged, 0 conflicts, 0 invalid; 0 held objects are tried again\n")
    assert [entry[:2] for entry in site.audited()] == [
        ("patients-import-tried", "trial"),
        ("patients-imported", "trial"),
        ("crosswalk-looked-up", ""),
        ("patients-imported", "trial"),
    ]
    detail = str([entry[2] for entry in site.audited()])
    assert not [value for value in ("MRN", "TRIAL") if value in detail]
    assert list(site.archive.verify()) == []


def test_two_projects_have_two_lists(site: Site, say: Say, tmp_path: Path) -> None:
    say("crosswalk", "import", listed(tmp_path, (PHI["PatientID"], "A-1")), "--project", "trial")
    say("crosswalk", "import", listed(tmp_path, (PHI["PatientID"], "B-1")), "--project", "rooted")
    for project in ("trial", "rooted"):
        site.take(ct(), project)
    assert [clean.PatientID for clean in site.published()] == ["A-1", "B-1"]


def test_conflicts_are_told_by_line_and_nothing_is_imported(site: Site, say: Say, tmp_path: Path) -> None:
    site.take(ct())
    say("crosswalk", "import", listed(tmp_path, ("MRN-1", "T-1")), "--project", "trial")
    path = listed(
        tmp_path, ("MRN-1", "T-1"), ("MRN-2", "T-2"), ("MRN-1", "T-3"), (PHI["PatientID"], "T-4"), ("X", "T-2")
    )
    for words in (["--dry-run"], []):
        code, out, _ = say("crosswalk", "import", path, "--project", "trial", *words)
        assert code == 1
        assert out.splitlines() == [
            "line 4: this Patient ID has another pseudonym already",
            "line 5: this Patient ID has another pseudonym already",
            "line 6: another patient has this trial ID already",
            "1 could be added, 1 unchanged, 3 conflicts, 0 invalid; nothing was imported",
        ]
    assert say("crosswalk", "lookup", "MRN-2")[0] == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (",T-1", "the Patient ID is empty"),
        ("MRN-1, ", "the trial ID is empty"),
        (f"{'M' * 65},T-1", "the Patient ID is longer than 64 characters"),
        (f"MRN-1,{'T' * 65}", "the trial ID is longer than 64 characters"),
        ("MRN\\1,T-1", "the Patient ID holds a backslash or a control character"),
        ("MRN-1,T\\1", "the trial ID holds a backslash or a control character"),
        ('MRN-1,"T\n1"', "the trial ID holds a backslash or a control character"),
        ("MRN-1,T^1", "the trial ID holds more than letters"),
        ("MRN-1,T*", "the trial ID holds more than letters"),
        ("MRN-1,Tä", "the trial ID holds more than letters"),
        ("7,7", "the trial ID holds the Patient ID"),
        ("mrn-1,T-MRN-1", "the trial ID holds the Patient ID"),
        ("MRN-1", "1 columns instead of 2"),
        ("MRN-1,T-1,x", "3 columns instead of 2"),
    ],
)
def test_what_is_no_list_is_said_by_line(site: Site, say: Say, tmp_path: Path, line: str, says: str) -> None:
    path = listed(tmp_path, text=f"id_old,id_new\nMRN-9,T-9\n{line}\n")
    code, out, _ = say("crosswalk", "import", path, "--project", "trial")
    assert code == 1
    assert re.match(rf"line [34]: {re.escape(says)}", out)
    assert out.endswith("1 could be added, 0 unchanged, 0 conflicts, 1 invalid; nothing was imported\n")
    assert site.archive.crosswalk.count() == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the first line must be id_old,id_new"),
        (b"id_new,id_old\n", "the first line must be id_old,id_new"),
        (b"id_old,id_new\nM\xfcller,T-1\n", "it is not in UTF-8"),
        (b'id_old,id_new\n"MRN"x,T-1\n', "line 2: "),
    ],
)
def test_another_file_is_one_clear_line(site: Site, say: Say, tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes(content)
    code, out, error = say("crosswalk", "import", str(path), "--project", "trial")
    assert (code, out) == (1, "")
    assert error.startswith(f"lethe: {path}: {says}")
    assert error.count("\n") == 1


def test_a_list_from_a_spreadsheet_is_read(site: Site, say: Say, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_bytes(b'\xef\xbb\xbfid_old,id_new\r\n MRN-1 ,T-1\r\n\r\n"MRN,2",T-2\r\n')
    assert say("crosswalk", "import", str(path), "--project", "trial")[1].startswith("2 added")
    assert site.archive.crosswalk.patients("trial").trial_id("MRN,2") == "T-2"
    assert say("crosswalk", "import", str(tmp_path / "none.csv"))[0] == 2, "there is no project default here"
    assert say("crosswalk", "import", str(tmp_path / "none.csv"), "--project", "trial")[0] == 1


def test_unknown_patients_are_held_until_they_are_on_the_list(site: Site, say: Say, tmp_path: Path) -> None:
    site.take(ct(), "strict")
    site.take(ct(PatientID="MRN-2"), "strict")
    site.take(ct(PatientID=""), "strict")
    site.take(ct())
    held = site.archive.jobs.find(states=[State.QUARANTINED])
    assert {job.reason for job in held} == {
        "its patient is not on the list of project strict; import it (lethe crosswalk import), then try again"
    }
    assert (len(held), site.archive.counts()["published"]) == (3, 1)
    assert site.archive.crosswalk.count("strict") == 0
    code, out, _ = say("crosswalk", "import", listed(tmp_path, (PHI["PatientID"], "T-1")), "--project", "strict")
    assert (code, out.strip().rpartition("; ")[2]) == (0, "3 held objects are tried again")
    while site.worker.step():
        pass
    assert site.published()[-1].PatientID == "T-1"
    assert len(site.archive.jobs.find(states=[State.QUARANTINED])) == 2
    assert say("retry")[0] == 0
    assert [action for action, *_ in site.audited()].count("released") == 3 + 2


def test_folders_are_cleaned_with_the_same_list_and_policy(site: Site, say: Say, tmp_path: Path) -> None:
    saved(ct(), tmp_path / "in", "1.dcm")
    saved(ct(PatientID="MRN-2"), tmp_path / "in", "2.dcm")
    say("crosswalk", "import", listed(tmp_path, (PHI["PatientID"], "T-1")), "--project", "strict")
    code, out, _ = say("deidentify", "in", "out", "--project", "strict", "--jobs", "1", "--maps", "maps")
    assert code == 3
    assert "2.dcm: its patient is not on the list of project strict" in out
    (clean,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(clean).PatientID == "T-1"
    assert (tmp_path / "maps" / "patients.csv").read_text() == f"id_old,id_new\n{PHI['PatientID']},T-1\n"


def test_a_new_key_gives_other_pseudonyms_from_then_on_and_the_old_one_is_kept(
    site: Site, say: Say, tmp_path: Path
) -> None:
    keys = tmp_path / "data" / "keys"
    old = (keys / "project-trial.key").read_text()
    say("crosswalk", "import", listed(tmp_path, ("MRN-2", "T-2")), "--project", "trial")
    study = ct().StudyInstanceUID
    site.take(ct(StudyInstanceUID=study))
    site.take(ct(PatientID="MRN-2"))
    code, out, _ = say("key", "rotate", "trial")
    assert (code, out) == (
        0,
        "project trial has a new key from now on; the old one is kept as keys/project-trial.key.1\n",
    )
    site.take(ct(StudyInstanceUID=study))
    site.take(ct(PatientID="MRN-2"))
    before, listed_before, after, listed_after = site.published()
    for keyword in ("StudyInstanceUID", "PatientID", "AccessionNumber", "StudyDate"):
        assert before[keyword].value != after[keyword].value
    assert listed_before.PatientID == listed_after.PatientID == "T-2"
    assert (keys / "project-trial.key.1").read_text() == old != (keys / "project-trial.key").read_text()
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    assert Pseudonyms(bytes.fromhex(old)).patient_id(PHI["PatientID"]) == before.PatientID, "earlier ones can be read"
    found = rows(say("crosswalk", "lookup", PHI["PatientID"])[1])
    assert [row["id_new"] for row in found] == [before.PatientID, after.PatientID], "the crosswalk links the two"
    assert ("key-rotated", "trial", {"kept": "project-trial.key.1"}) in site.audited()
    assert say("key", "rotate", "trial")[1].endswith("project-trial.key.2\n")
    assert say("key", "rotate", "nothing")[0] == 2


def test_a_project_key_that_is_gone_is_waited_for(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data" / "keys" / "project-trial.key").unlink()
    site.take(ct())
    (job,) = site.archive.jobs.find()
    assert (job.state, job.reason) == (State.READY, "keys/project-trial.key is missing; put it back")


@pytest.mark.parametrize("spoilt", [None, "", "no key", "ab" * 31])
def test_a_project_key_that_was_used_is_never_made_anew(
    site: Site, say: Say, tmp_path: Path, spoilt: str | None
) -> None:
    study = "1.2.826.0.1.3680043.10.77"
    site.take(ct(StudyInstanceUID=study))
    path = tmp_path / "data" / "keys" / "project-trial.key"
    key = path.read_bytes()
    path.unlink()
    if spoilt is not None:
        path.write_text(spoilt)
    wrong = "is missing; put it back" if spoilt is None else "holds no key: 64 hexadecimal digits are expected"
    site.restart()
    site.take(ct(StudyInstanceUID=study))
    (job,) = site.archive.jobs.find(states=[State.READY])
    assert job.reason.startswith(f"keys/project-trial.key {wrong}")
    (tmp_path / "image.dcm").write_bytes(saved(ct(), tmp_path).read_bytes())
    code, _, err = say("deidentify", "image.dcm", "clean", "--project", "trial")
    assert (code, err.count("\n"), wrong in err) == (1, 1, True)
    assert path.exists() is (spoilt is not None)
    path.write_bytes(key)
    site.archive.database.execute_sql("UPDATE job SET ready_at = 0")
    assert site.worker.step()
    assert len({(str(ds.StudyInstanceUID), str(ds.PatientID)) for ds in site.published()}) == 1


def test_uids_under_a_root_of_ones_own(site: Site) -> None:
    site.take(ct(), "rooted")
    (clean,) = site.published()
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = pydicom.uid.UID(clean[keyword].value)
        assert uid.is_valid
        assert uid.startswith("1.2.826.0.1.3680043.10.")


@pytest.mark.parametrize("root", ["2.25", "1.2.826.0.1.3680043.10", "1.2.276.0.7230010.3.1.99", "2.999"])
def test_every_uid_under_an_accepted_root_is_valid(root: str) -> None:
    pseudonyms = Pseudonyms(bytes(32), uid_root=root)
    made = [pydicom.uid.UID(pseudonyms.uid(f"1.2.3.{number}")) for number in range(2000)]
    assert all(uid.is_valid and len(uid) <= 64 and uid.startswith(f"{root}.") for uid in made)
    assert len(set(made)) == len(made)
    assert pseudonyms.uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    "root", ["", "1", "3.1", "1.40", "1.2.", "1.02", "1.2.x", "1.2.840.10008", "1.2.840.10008.5", "1.2" + ".345678" * 4]
)
def test_another_root_is_not_accepted(tmp_path: Path, root: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[projects.default]\nuid_root = "{root}"\n')
    with pytest.raises(ConfigError, match=r"\[projects.default\]: uid_root = .* accepted: a UID root such as"):
        load_config(path)


def test_hold_needs_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[projects.default]\nprofile = "none"\nunknown_patients = "hold"\n')
    with pytest.raises(ConfigError, match=r'accepted with profile = "none": "pseudonym"'):
        load_config(path)
