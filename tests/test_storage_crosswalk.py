"""The crosswalk: what was written is found again by those who hold its key, and tells nobody else anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.crosswalk import CrosswalkEntry, Kind
from lethe.storage.database import transaction
from lethe.storage.entries import CleanInstance
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.intake import Origin
from lethe.storage.jobs import Job, Stage
from lethe.storage.names import clean_name

ACTOR = Actor("command line")
PATIENT = CrosswalkEntry(Kind.PATIENT, "MRN-7741-ÄÖ", "PQRSTUVWXYZ23456")
UID = CrosswalkEntry(Kind.UID, "1.2.276.0.7230010.3.1.4.99", "2.25.1234567")
ACCESSION = CrosswalkEntry(Kind.ACCESSION, "ACC9920771", "ABCDEFGHIJKLMNOP")
ALL = [UID, PATIENT, ACCESSION]


def add(archive: Archive, entries: list[CrosswalkEntry], project: str = "trial") -> None:
    rows = archive.crosswalk.sealed(project, entries)
    with transaction(archive.database):
        archive.crosswalk.add(rows)


def bare(entries: object) -> list[tuple[str, str, str, str]]:
    return [(one.project, str(one.kind), one.original, one.pseudonym) for one in entries]  # type: ignore[attr-defined]


def raw(archive: Archive) -> bytes:
    """Every byte of the database and its write-ahead log."""
    return b"".join(path.read_bytes() for path in sorted(archive.folder.glob("lethe.db*")))


@pytest.fixture
def again(tmp_path: Path, archive: Archive) -> Iterator[Archive]:
    """Another process over the same folder."""
    other = Archive(archive.folder)
    yield other
    other.close()


def test_what_was_added_is_found_by_original_and_by_pseudonym(archive: Archive, again: Archive) -> None:
    add(archive, ALL)
    for entry in ALL:
        found = [("trial", str(entry.kind), entry.original, entry.pseudonym)]
        assert bare(again.crosswalk.find(entry.original)) == found
        assert bare(again.crosswalk.find(entry.pseudonym, "trial")) == found
        assert again.crosswalk.find(entry.original, "another") == []
    assert bare(again.crosswalk.entries()) == [("trial", str(one.kind), one.original, one.pseudonym) for one in ALL]
    assert again.crosswalk.find("MRN-7741") == []


def test_adding_again_changes_nothing(archive: Archive) -> None:
    add(archive, ALL)
    before = archive.database.execute_sql("SELECT * FROM crosswalk ORDER BY id").fetchall()
    add(archive, ALL)
    assert archive.database.execute_sql("SELECT * FROM crosswalk ORDER BY id").fetchall() == before


def test_what_stayed_as_it_was_is_not_written(archive: Archive) -> None:
    add(archive, [CrosswalkEntry(Kind.UID, "1.2.3", "1.2.3"), CrosswalkEntry(Kind.PATIENT, "", "X")])
    assert archive.crosswalk.count() == 0


def test_many_entries_of_one_object(archive: Archive) -> None:
    add(archive, [CrosswalkEntry(Kind.UID, f"1.2.3.{number}", f"2.25.{number}") for number in range(1, 2001)])
    assert archive.crosswalk.count("trial") == len(list(archive.crosswalk.entries("trial"))) == 2000


def test_the_database_holds_no_original_and_two_projects_share_nothing(archive: Archive) -> None:
    add(archive, ALL)
    add(archive, ALL, "other")
    content = raw(archive)
    assert PATIENT.pseudonym.encode() in content, "the search would find it"
    for entry in ALL:
        for encoding in ("utf-8", "utf-16-le", "latin-1"):
            assert entry.original.encode(encoding) not in content
        assert entry.original.encode().hex().encode() not in content
    rows = archive.database.execute_sql("SELECT digest, sealed FROM crosswalk").fetchall()
    assert len({digest for digest, _ in rows}) == len({sealed for _, sealed in rows}) == 2 * len(ALL)


def test_the_key_is_made_with_the_first_entry_for_its_owner_alone(archive: Archive) -> None:
    key = archive.folder / "keys" / "crosswalk.key"
    assert archive.crosswalk.count() == 0
    assert not key.exists()
    add(archive, ALL)
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(key.read_text())) == 32


@pytest.mark.parametrize(
    ("key", "says"), [("f" * 64, "another key"), ("not a key", "holds no key"), ("ab" * 16, "holds no key")]
)
def test_with_another_key_nothing_is_read_or_written(archive: Archive, again: Archive, key: str, says: str) -> None:
    add(archive, ALL)
    (archive.folder / "keys" / "crosswalk.key").write_text(key)
    for use in (
        lambda: again.crosswalk.find(UID.original),
        lambda: list(again.crosswalk.entries()),
        lambda: add(again, ALL, "other"),
    ):
        with pytest.raises(Unavailable, match=says):
            use()
    (problem,) = again.verify()
    assert says in problem
    assert archive.crosswalk.count() == len(ALL)


def test_a_key_that_is_gone_is_not_made_anew(archive: Archive, again: Archive) -> None:
    add(archive, ALL)
    key = archive.folder / "keys" / "crosswalk.key"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(Unavailable, match=r"crosswalk\.key is missing"):
        again.crosswalk.find(UID.original)
    assert not key.exists()
    key.write_bytes(kept)
    assert len(again.crosswalk.find(UID.original)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "pseudonym = 'ANOTHER'",
        "project = 'other'",
        "kind = 'accession'",
        "listed = 1",
        "digest = zeroblob(16)",
        "sealed = zeroblob(60)",
        "sealed = x''",
        "sealed = (SELECT sealed FROM crosswalk WHERE id = 1)",
    ],
)
def test_an_altered_row_is_noticed(archive: Archive, change: str) -> None:
    add(archive, ALL)
    assert list(archive.verify()) == []
    with sqlite3.connect(archive.folder / "lethe.db") as thief:
        thief.execute(f"UPDATE crosswalk SET {change} WHERE id = 2")
    with pytest.raises(Refused, match="row 2 of the crosswalk was altered") as error:
        list(archive.crosswalk.entries())
    assert PATIENT.original not in str(error.value)
    assert list(archive.verify()) == ["row 2 of the crosswalk was altered and cannot be read"]


def test_a_forged_place_on_the_list_gives_nobody_a_trial_id(archive: Archive) -> None:
    archive.import_patients("trial", [("MRN-1", "T-001"), ("MRN-2", "T-002")], ACTOR)
    with sqlite3.connect(archive.folder / "lethe.db") as thief:
        thief.execute("UPDATE crosswalk SET pseudonym = 'T-003' WHERE id = 1")
    with pytest.raises(Refused):
        archive.crosswalk.patients("trial").trial_id("MRN-1")
    assert archive.crosswalk.patients("trial").trial_id("MRN-2") == "T-002"


def claimed(archive: Archive, content: bytes = b"an object") -> Job:
    path = archive.files.incoming() / "object"
    path.write_bytes(content)
    archive.accept(path, "1.2.3", Origin("CT01"), ["trial"])
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    return job


def publish(archive: Archive, job: Job, entries: list[CrosswalkEntry], chunks: object = (b"clean",)) -> bool:
    values = {"00080018": "2.25.1", "0020000D": "2.25.2", "0020000E": "2.25.3"}
    metadata = {tag: {"vr": "UI", "Value": [value]} for tag, value in values.items()}
    clean = CleanInstance(metadata, "1.2.840.10008.1.2.1", "trial", clean_name(job.subject), receipt={})
    return archive.publish(job, chunks, clean, [], entries)  # type: ignore[arg-type]


def test_it_is_written_with_the_publication_or_not_at_all(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    job = claimed(archive)
    with monkeypatch.context() as patch:
        patch.setattr(archive.audit, "record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(archive, job, ALL)
    assert archive.crosswalk.count() == 0
    assert publish(archive, job, ALL)
    assert archive.crosswalk.count() == len(ALL)
    assert not publish(archive, job, [*ALL, CrosswalkEntry(Kind.UID, "1.9", "2.25.9")]), "its lease is gone"
    assert archive.crosswalk.count() == len(ALL)


def test_with_the_wrong_key_nothing_is_published(archive: Archive, again: Archive) -> None:
    add(archive, ALL)
    (archive.folder / "keys" / "crosswalk.key").write_text("f" * 64)
    with pytest.raises(Unavailable):
        publish(again, claimed(archive), ALL)
    assert not list(archive.files.names("clean"))


def test_a_list_gives_trial_ids_and_a_snapshot_stays_as_it_was(archive: Archive) -> None:
    empty = archive.crosswalk.patients("trial")
    assert (empty.version, empty.trial_id("MRN-1")) == (0, None)
    archive.import_patients("trial", [("MRN-1", "T-001")], ACTOR)
    first = archive.crosswalk.patients("trial", empty)
    assert (first.version, first.trial_id("MRN-1"), first.trial_id("MRN-2")) == (1, "T-001", None)
    assert archive.crosswalk.patients("trial", first) is first
    archive.import_patients("trial", [("MRN-1", "T-001"), ("MRN-2", "T-002"), ("MRN-3", "T-003")], ACTOR)
    assert (first.trial_id("MRN-2"), first.trial_id("MRN-3"), empty.trial_id("MRN-1")) == (None, None, None)
    second = archive.crosswalk.patients("trial", first)
    assert [second.trial_id(f"MRN-{number}") for number in (1, 2, 3)] == ["T-001", "T-002", "T-003"]
    assert archive.crosswalk.patients("other").trial_id("MRN-1") is None


CONFLICTS = {
    "another trial ID on the list": ("MRN-1", "T-009", "this Patient ID has another pseudonym already"),
    "another patient on the list": ("MRN-9", "T-001", "another patient has this trial ID already"),
    "published before": ("MRN-5", "T-005", "this Patient ID has another pseudonym already"),
    "a pseudonym of another patient": ("MRN-9", "MADE", "another patient has this trial ID already"),
    "two trial IDs in one file": ("MRN-8", "T-009", "this Patient ID has another pseudonym already"),
    "two patients in one file": ("MRN-9", "T-008", "another patient has this trial ID already"),
}


@pytest.mark.parametrize(("original", "trial_id", "why"), CONFLICTS.values(), ids=CONFLICTS)
def test_conflicts_and_then_all_or_nothing(archive: Archive, original: str, trial_id: str, why: str) -> None:
    archive.import_patients("trial", [("MRN-1", "T-001")], ACTOR)
    add(archive, [CrosswalkEntry(Kind.PATIENT, "MRN-5", "MADE")])
    pairs = [("MRN-1", "T-001"), ("MRN-8", "T-008"), (original, trial_id)]
    for use in (archive.try_patients, archive.import_patients):
        comparison = use("trial", pairs, ACTOR)
        assert (comparison.added, comparison.unchanged) == ([("MRN-8", "T-008")], 1)
        assert comparison.conflicts == [(2, why)]
    assert archive.crosswalk.count() == 2
    assert archive.crosswalk.patients("trial").trial_id("MRN-8") is None


def test_a_pseudonym_that_was_made_may_come_onto_the_list_and_nothing_is_imported_twice(archive: Archive) -> None:
    add(archive, [CrosswalkEntry(Kind.PATIENT, "MRN-5", "MADE")])
    pairs = [("MRN-5", "MADE"), ("MRN-6", "T-006"), ("MRN-6", "T-006")]
    tried = archive.try_patients("trial", pairs, ACTOR)
    assert archive.crosswalk.patients("trial").version == 0
    assert tried == archive.import_patients("trial", pairs, ACTOR)
    assert (tried.added, tried.unchanged, tried.conflicts) == ([("MRN-5", "MADE"), ("MRN-6", "T-006")], 1, [])
    assert archive.crosswalk.patients("trial").trial_id("MRN-5") == "MADE"
    assert archive.crosswalk.count() == 2
    assert list(archive.verify()) == []
    assert archive.import_patients("trial", pairs, ACTOR).unchanged == 3
    assert archive.crosswalk.patients("trial").version == 1


def test_a_patient_who_came_onto_the_list_while_he_was_cleaned_is_cleaned_again(archive: Archive) -> None:
    job = claimed(archive)
    archive.import_patients("trial", [(PATIENT.original, "T-001")], ACTOR)
    with pytest.raises(Unavailable, match="come onto the project's list"):
        publish(archive, job, ALL)
    assert archive.index.totals() == (0, 0, 0)
    assert publish(archive, job, [UID, CrosswalkEntry(Kind.PATIENT, PATIENT.original, "T-001")])


def test_every_use_is_audited_without_values(archive: Archive) -> None:
    add(archive, ALL)
    archive.look_up([PATIENT.original, "nobody"], "", ACTOR)
    list(archive.export_crosswalk("trial", ACTOR))
    archive.try_patients("trial", [("MRN-1", "T-001")], ACTOR)
    archive.import_patients("trial", [("MRN-1", "T-001"), ("MRN-1", "T-002")], ACTOR)
    archive.import_patients("trial", [("MRN-1", "T-001")], ACTOR)
    entries = [entry.as_dict() for entry in archive.audit.entries()]
    assert [(entry["actor"], entry["action"], entry["subject"], entry["detail"]) for entry in entries] == [
        ("command line", "crosswalk-looked-up", "", {"asked": 2, "found": 1}),
        ("command line", "crosswalk-exported", "trial", {"entries": 3}),
        ("command line", "patients-import-tried", "trial", {"added": 1, "unchanged": 0, "conflicts": 0}),
        ("command line", "patients-import-refused", "trial", {"added": 0, "unchanged": 0, "conflicts": 1}),
        ("command line", "patients-imported", "trial", {"added": 1, "unchanged": 0, "conflicts": 0}),
    ]


def test_a_replaced_secret_is_kept_under_the_next_number(archive: Archive) -> None:
    files, keys = archive.files, archive.folder / "keys"
    with pytest.raises(NotFound, match="does not exist yet"):
        files.replace_secret("some.key", b"two")
    files.secret("some.key", lambda: b"one")
    before = files.secret_version("some.key")
    assert files.replace_secret("some.key", b"two") == "some.key.1"
    assert files.secret_version("some.key") != before
    assert files.replace_secret("some.key", b"three") == "some.key.2"
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == {
        "some.key": b"three",
        "some.key.1": b"one",
        "some.key.2": b"two",
    }
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    (keys / "some.key").unlink()
    with pytest.raises(Unavailable, match=r"keys/some\.key is missing"):
        files.secret_version("some.key")
