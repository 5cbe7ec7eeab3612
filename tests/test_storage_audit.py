"""The audit trail: the chain proves itself, each kind of tampering is found, and the database refuses it anyway."""

import json
import os
import sqlite3

import pytest

from lethe.storage.audit import Actor, AuditTrail
from lethe.storage.database import open_database, transaction
from lethe.storage.errors import Refused


@pytest.fixture
def trail(database):
    trail = AuditTrail(database)
    for number in range(5):
        record(trail, f"subject{number}")
    return trail


def record(trail, subject):
    with transaction(trail._database):
        trail.record(Actor("ann", "10.0.0.1"), "looked", subject, {"b": 2, "a": "ä"})


def tamper(tmp_path, *statements):
    """Change the trail behind Lethe's back, its triggers removed first."""
    with sqlite3.connect(tmp_path / "lethe.db") as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)
    raw.close()


def test_a_chain_verifies_and_its_head_is_the_last_digest(trail):
    verdict = trail.verify()
    assert verdict.broken_at is None
    assert verdict.entries == 5
    assert verdict.head == trail.newest(1)[0].digest


def test_an_empty_chain_verifies(database):
    verdict = AuditTrail(database).verify()
    assert (verdict.entries, verdict.broken_at) == (0, None)


def test_entries_come_oldest_first_and_after_a_number(trail):
    assert [entry.seq for entry in trail.entries()] == [1, 2, 3, 4, 5]
    assert [entry.seq for entry in trail.entries(after=3)] == [4, 5]
    assert [entry.seq for entry in trail.newest(2)] == [5, 4]


def test_the_newest_are_told_without_those_of_some_actions(trail):
    with transaction(trail._database):
        trail.record(Actor("viewer"), "accessed", "1.2.3")
    assert [entry.seq for entry in trail.newest(2, but=("accessed",))] == [5, 4]


def test_entries_are_complete_across_pages(trail, monkeypatch):
    monkeypatch.setattr("lethe.storage.audit._PAGE", 2)
    assert [entry.seq for entry in trail.entries()] == [1, 2, 3, 4, 5]
    assert trail.verify().entries == 5


def test_a_slow_reader_of_the_trail_does_not_stop_a_writer(trail, tmp_path):
    entries = trail.entries()
    next(entries)
    with sqlite3.connect(tmp_path / "lethe.db") as other:
        other.execute("INSERT INTO person VALUES ('other', '', 0, '')")
    other.close()
    record(trail, "meanwhile")  # a snapshot held open would make this fail
    assert [entry.seq for entry in entries][:4] == [2, 3, 4, 5]


def test_an_entry_is_exported_with_its_detail_as_data(trail):
    entry = trail.newest(1)[0].as_dict()
    assert entry["detail"] == {"a": "ä", "b": 2}
    assert entry["actor"] == "ann@10.0.0.1"
    assert json.dumps(entry)


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "detail", "previous", "digest"])
def test_an_edited_entry_is_found(trail, tmp_path, column):
    tamper(tmp_path, f"UPDATE audit SET {column} = '{{}}' WHERE seq = 3")
    verdict = trail.verify()
    assert verdict.broken_at == 3
    assert "3" in verdict.why


def test_an_edited_entry_with_a_fitting_digest_is_found_at_the_next(trail, tmp_path):
    entry = list(trail.entries())[2]
    forged = type(entry)(**{**entry.__dict__, "subject": "nobody"})
    tamper(tmp_path, f"UPDATE audit SET subject = 'nobody', digest = '{forged.expected_digest()}' WHERE seq = 3")
    assert trail.verify().broken_at == 4


def test_a_deleted_entry_is_found(trail, tmp_path):
    tamper(tmp_path, "DELETE FROM audit WHERE seq = 3")
    assert trail.verify().broken_at == 3


def test_a_deleted_entry_is_found_where_the_rest_moved_up(trail, tmp_path):
    tamper(tmp_path, "DELETE FROM audit WHERE seq = 3", "UPDATE audit SET seq = seq - 1 WHERE seq > 3")
    assert trail.verify().broken_at == 3


def test_a_deleted_first_entry_is_found(trail, tmp_path):
    tamper(tmp_path, "DELETE FROM audit WHERE seq = 1")
    assert trail.verify().broken_at == 1


def test_swapped_entries_are_found(trail, tmp_path):
    tamper(
        tmp_path,
        "UPDATE audit SET seq = 99 WHERE seq = 2",
        "UPDATE audit SET seq = 2 WHERE seq = 3",
        "UPDATE audit SET seq = 3 WHERE seq = 99",
    )
    assert trail.verify().broken_at == 2


def test_a_cut_off_end_is_found_with_a_digest_noted_earlier(trail, tmp_path):
    anchor = trail.verify().head
    record(trail, "after the anchor")
    assert trail.verify(anchor).broken_at is None
    tamper(tmp_path, "DELETE FROM audit WHERE seq >= 5")
    assert trail.verify().broken_at is None
    assert trail.verify(anchor).broken_at is not None
    record(trail, "covers the gap")
    assert trail.verify(anchor).broken_at is not None


def test_an_emptied_trail_is_found_with_a_digest_noted_earlier(trail, tmp_path):
    anchor = trail.verify().head
    tamper(tmp_path, "DELETE FROM audit")
    assert trail.verify(anchor).broken_at is not None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'bob' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'bob', action, subject, detail, previous, digest FROM audit",
    ],
)
def test_the_database_refuses_to_alter_an_entry(trail, database, statement):
    with pytest.raises(Exception, match="append-only"):
        database.execute_sql(statement)
    assert trail.verify().broken_at is None
    assert trail.verify().entries == 5


def test_an_entry_outside_a_transaction_is_refused(trail):
    with pytest.raises(Refused):
        trail.record(Actor("ann"), "looked")
    assert trail.verify().entries == 5


def test_an_entry_of_a_transaction_that_failed_is_not_there(trail, database):
    with pytest.raises(ZeroDivisionError), transaction(database):
        trail.record(Actor("ann"), "looked")
        raise ZeroDivisionError
    assert trail.verify().entries == 5
    record(trail, "next")
    assert trail.verify().broken_at is None


def test_writers_in_several_processes_keep_the_chain_whole(tmp_path):
    url = f"sqlite:///{tmp_path}/lethe.db"
    open_database(url).close()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                trail = AuditTrail(open_database(url))
                for number in range(25):
                    record(trail, str(number))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    database = open_database(url)
    verdict = AuditTrail(database).verify()
    assert (verdict.entries, verdict.broken_at) == (100, None)
    database.close()
