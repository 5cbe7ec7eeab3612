"""The conditions that FHIR searches need of the index: exact values, negation, alternatives, last change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lethe.storage.archive import Archive
from lethe.storage.database import transaction
from lethe.storage.entries import CleanInstance
from lethe.storage.index import Index
from lethe.storage.matching import stored_text
from lethe.storage.query import AnyOf, Changed, Equals, Level, Match, Not, Order, Query, Term

UID, PATIENT, MODALITY, DATE = "0020000D", "00100020", "00080061", "00080020"
ROWS = (
    # study, patient, modality, date, changed at
    ("1.1", "P*", "CT", "20240101", 10.0),
    ("1.2", "P2", "MR", "2024.01.02", 20.0),
    ("1.3", "", "", "20240132", 30.0),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    yield from _filled(tmp_path_factory.mktemp("terms"))


def _filled(folder: Path) -> Iterator[Index]:
    now = [0.0]
    archive = Archive(folder, clock=lambda: now[0])
    for study, patient, modality, date, at in ROWS:
        now[0] = at
        values = {UID: study, "0020000E": f"{study}.1", "00080018": f"{study}.1.1", PATIENT: f" {patient} "}
        values |= {"00080060": modality, DATE: date}
        metadata = {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}
        with transaction(archive.database):
            archive.index.add(CleanInstance(metadata, "1.2.840.10008.1.2.1", "default", f"file-{study}", 1))
    yield archive.index
    archive.close()


NOTHING = AnyOf(())


@pytest.mark.parametrize(
    ("term", "found"),
    [
        (Match(PATIENT, ("P*",)), "12"),
        (Equals(PATIENT, ("P*",)), "1"),
        (Equals(PATIENT, ("",)), "3"),
        (Equals(PATIENT, ()), ""),
        (Equals(PATIENT, ("P2", "")), "23"),
        (Equals(MODALITY, ("",)), "3"),
        (Not(Equals(MODALITY, ("CT",))), "23"),
        (Not(Match(MODALITY, ("CT", "MR"))), "3"),
        (NOTHING, ""),
        (Not(NOTHING), "123"),
        (AnyOf((Equals(PATIENT, ("P2",)), Equals(UID, ("1.3",)))), "23"),
        (Not(AnyOf((Equals(PATIENT, ("P2",)), Equals(UID, ("1.3",))))), "1"),
        (Changed(since=20.0), "23"),
        (Changed(before=20.0), "1"),
        (Changed(20.0, 30.0), "2"),
        (Not(Changed(20.0, 30.0)), "13"),
        (Match(DATE, ("2024",)), "12"),
        (Match(DATE, ("20240102",)), "2"),
        (Equals("00080018", ("1.2.1.1",)), "2"),
        (Not(Equals("00080018", ("1.2.1.1",))), "13"),
        (Match(UID, tuple(f"1.{number}" for number in range(5000))), "123"),
    ],
)
def test_terms(index: Index, term: Term, found: str) -> None:
    query = Query(Level.STUDY, (term,))
    assert [entry.study_uid for entry in index.find(query)] == [f"1.{digit}" for digit in found]
    assert index.count(query) == len(found)


def test_oldest_is_newest_turned_round(index: Index) -> None:
    newest = [entry.study_uid for entry in index.find(Query(Level.STUDY, order=Order.NEWEST))]
    assert [entry.study_uid for entry in index.find(Query(Level.STUDY, order=Order.OLDEST))] == newest[::-1]


def test_values_are_distinct_and_not_empty(index: Index) -> None:
    assert index.values(PATIENT) == ["P*", "P2"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("20240229", "20240229"),
        ("20230229", ""),
        ("2024.02.29", "20240229"),
        ("2024-02-29", ""),
        ("2024", ""),
        ("", ""),
    ],
)
def test_a_column_of_dates_holds_dates(text: str, kept: str) -> None:
    assert stored_text("DA", text) == kept
