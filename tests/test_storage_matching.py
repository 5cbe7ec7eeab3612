"""What no column answers: sequences, private attributes, groups of names, date-times; and results without end."""

import sqlite3

import pytest
from test_storage_index import Clock, enter, equals, match

from lethe.storage.errors import Refused, TooWide
from lethe.storage.index import Index
from lethe.storage.query import AnyOf, Level, Match, Moment, Not, Query, Within

_STORED = ("20240131100000+0000", "20240131120000.5", "20240201", "20240131130000+0500")
REQUEST, STEP, CODE = "00400275", "00400009", "00400008"


@pytest.fixture
def index(database):
    return Index(database, Clock())


def sequence(*items):
    return {"vr": "SQ", "Value": list(items)}


def text(value, vr="SH"):
    return {"vr": vr, "Value": [value]}


def found(index, level, *terms):
    results = index.find(Query(level, terms))
    assert index.count(Query(level, terms)) == len(results)
    assert sorted(entry.sop_uid or entry.series_uid or entry.study_uid for entry in index.stream(Query(level, terms)))
    return [entry.sop_uid or entry.series_uid or entry.study_uid for entry in results]


def none(index, level, *terms):
    return not index.find(Query(level, terms)) and not list(index.stream(Query(level, terms)))


def test_keys_of_one_item_must_match_within_one_item(index):
    enter(index, 1, extra={REQUEST: sequence({STEP: text("A"), "00401001": text("P1")}, {STEP: text("B")})})
    enter(index, 2, extra={REQUEST: sequence({STEP: text("B"), "00401001": text("P1")})})
    both = Within(REQUEST, (Match(STEP, ("B",)), Match("00401001", ("P1",))))
    for level, one in ((Level.STUDY, "1.2"), (Level.SERIES, "1.2.1"), (Level.INSTANCE, "1.2.1.1")):
        assert found(index, level, both) == [one]
        assert len(found(index, level, Within(REQUEST, (Match(STEP, ("B",)),)))) == 2
        assert len(found(index, level, Within(REQUEST, (Match(STEP, ("*",)),)))) == 2
        assert len(found(index, level, Within(REQUEST, ()))) == 2
        assert len(found(index, level, Not(both))) == 1
        assert none(index, level, Within(REQUEST, (Match(STEP, ("C",)),)))


def test_sequences_in_sequences(index):
    code = {CODE: sequence({"00080100": text("CT-1"), "00080102": text("99X")})}
    enter(index, 1, extra={REQUEST: sequence(code)})
    enter(index, 2)

    def nested(value):
        return Within(REQUEST, (Within(CODE, (Match("00080100", (value,)),)),))

    assert found(index, Level.SERIES, nested("CT-?")) == ["1.1.1"]
    assert none(index, Level.SERIES, nested("ct-?"))  # case counts in all but names
    with pytest.raises(Refused):
        deep = Match("00080100", ("x",))
        for _ in range(40):
            deep = Within(CODE, (deep,))
        index.find(Query(Level.SERIES, (deep,)))


def test_any_attribute_of_an_instance_is_matched_at_every_level(index):
    enter(index, 1, extra={"00181030": text("HEAD ROUTINE", "LO"), "00180050": {"vr": "DS", "Value": [2.5]}})
    enter(index, 2, extra={"00181030": text("CHEST", "LO"), "00180050": {"vr": "DS", "Value": ["2.50", 5]}})
    assert found(index, Level.STUDY, Match("00181030", ("HEAD*",))) == ["1.1"]
    assert found(index, Level.SERIES, Match("00181030", ("HEAD*", "CHE??"))) == ["1.1.1", "1.2.1"]
    assert found(index, Level.INSTANCE, Match("00180050", ("2.50",))) == ["1.1.1.1", "1.2.1.1"]
    assert found(index, Level.INSTANCE, Match("00180050", ("5",))) == ["1.2.1.1"]
    assert found(index, Level.STUDY, AnyOf((Match("00180050", ("5",)), match("StudyInstanceUID", "1.1")))) == [
        "1.1",
        "1.2",
    ]
    assert none(index, Level.INSTANCE, Match("00180081", ("1",)))
    assert len(found(index, Level.INSTANCE, Match("00180081", ('""',)))) == 2
    with pytest.raises(Refused, match="SliceThickness"):
        index.find(Query(Level.INSTANCE, (Match("00180050", ("thin",)),)))
    with pytest.raises(Refused, match="PixelData"):
        index.find(Query(Level.INSTANCE, (Match("7FE00010", ("x",)),)))


def test_a_private_attribute_is_known_by_its_creator_not_its_block(index):
    enter(index, 1, extra={"00090011": text("ACME", "LO"), "00091101": text("blue", "LO")})
    enter(index, 2, extra={"00090010": text("OTHER", "LO"), "00091001": text("blue", "LO")})
    assert found(index, Level.INSTANCE, Match("00091001", ("blue",), "ACME")) == ["1.1.1.1"]
    assert found(index, Level.STUDY, Match("00091001", ("bl*",), "OTHER")) == ["1.2"]
    assert none(index, Level.INSTANCE, Match("00091001", ("blue",), "NOBODY"))


@pytest.mark.parametrize(
    ("asked", "matches"),
    [
        ("yamada*", True),
        ("YAMADA^TAROU", True),
        ("山田^太郎", True),
        ("山田*", True),
        ("やまだ*", True),
        ("=山田*", True),
        ("Yamada*=山田*=やまだ*", True),
        ("*=山田*", True),
        ("==やまだ^*", True),
        ("=Yamada*", False),
        ("Yamada*=佐藤*", False),
        ("佐藤*", False),
    ],
)
def test_the_groups_of_a_name(index, asked, matches):
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    enter(index, 1, extra={"00100010": {"vr": "PN", "Value": [name]}}, PatientName="Yamada^Tarou")
    enter(index, 2, PatientName="Doe^John")
    results = index.find(Query(Level.STUDY, (match("PatientName", asked),)))
    assert [entry.study_uid for entry in results] == (["1.1"] if matches else [])


def test_case_does_not_count_in_any_name(index):
    enter(index, 1, ReferringPhysicianName="Vanderquist^Holger")
    enter(index, 2, extra={"00081070": {"vr": "PN", "Value": [{"Alphabetic": "SMITH^ANN"}]}})
    assert found(index, Level.STUDY, match("ReferringPhysicianName", "VANDERQUIST*")) == ["1.1"]
    assert found(index, Level.SERIES, Match("00081070", ("smith^*",))) == ["1.2.1"]


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ("20240131", [1, 2, 4]),
        ("202401-", [1, 2, 3, 4]),
        ("-20240131", [1, 2, 4]),
        ("20240131120000-20240201", [2, 3, 4]),
        ("2024", [1, 2, 3, 4]),
        ("20240131110000+0100", [1]),
        ("20240131090000-0100 - 20240131100000+0000", [1]),
        ("2025-", []),
        ("20240131130000", [4]),
        ("20240131080000+0000", [4]),
    ],
)
def test_ranges_of_date_times(index, asked, numbers):
    for number, value in enumerate(_STORED, 1):
        enter(index, 1, 1, number, extra={"0008002A": {"vr": "DT", "Value": [value]}})
    results = index.find(Query(Level.INSTANCE, (Match("0008002A", (asked,)),)))
    assert [int(entry.sop_uid.rpartition(".")[2]) for entry in results] == numbers


@pytest.mark.parametrize("asked", ["-", "2024-2025-2026", "yesterday", "20240231", "20"])
def test_what_is_no_date_time_is_refused(index, asked):
    with pytest.raises(Refused, match="AcquisitionDateTime"):
        index.find(Query(Level.INSTANCE, (Match("0008002A", (asked,)),)))


def test_a_date_and_a_time_as_one_moment(index):
    for number, (day, time) in enumerate((("20240101", "0900"), ("20240101", "1800"), ("20240102", "0900")), 1):
        enter(index, number, StudyDate=day, StudyTime=time)

    def studies(days, times):
        term = Moment(match("StudyDate", days), match("StudyTime", times))
        return [entry.study_uid for entry in index.find(Query(Level.STUDY, (term,)))]

    assert studies("20240101-20240102", "1200-1200") == ["1.2", "1.3"]
    assert studies("20240101-", "1200-") == ["1.2", "1.3"]
    assert studies("-20240101", "-1200") == ["1.1"]
    assert studies("20240101-20240102", "0900-0800") == ["1.1", "1.2"]


def test_patients_and_what_they_have(index):
    enter(index, 1, 1, 1, PatientID="A", PatientName="Doe^A", StudyDate="20240101")
    enter(index, 1, 1, 2, PatientID="A", PatientName="Doe^A", StudyDate="20240101")
    enter(index, 2, 1, 1, PatientID="A", PatientName="Doe^A", StudyDate="20240202", Modality="MR")
    enter(index, 3, 1, 1, PatientID="B", PatientName="Roe^B", StudyDate="20240303")
    wanted = frozenset(("00201200", "00201202", "00201204", "00080062"))
    first, second = index.find(Query(Level.PATIENT, counted=wanted))
    assert [first.text("00100020"), second.text("00100020")] == ["A", "B"]
    assert [first.text(tag) for tag in ("00201200", "00201202", "00201204")] == ["2", "2", "3"]
    assert "00080062" not in first.attributes  # it is a study's
    assert "00080020" not in first.attributes
    assert index.count(Query(Level.PATIENT)) == 2
    assert [entry.text("00100020") for entry in index.stream(Query(Level.PATIENT, limit=1))] == ["A"]
    (only,) = index.find(Query(Level.PATIENT, (match("Modality", "MR"),)))
    assert only.text("00100020") == "A"
    assert [one.text("00100020") for one in index.find(Query(Level.PATIENT, (match("PatientName", "roe*"),)))] == ["B"]
    (study,) = index.find(Query(Level.STUDY, (match("StudyInstanceUID", "1.2"),), counted=wanted))
    assert study.attributes["00080062"]["Value"] == ["1.2.840.10008.5.1.4.1.1.2"]
    assert study.text("00201204") == "3"


def test_counts_and_classes_are_matched(index):
    enter(index, 1, 1, 1, SOPClassUID="1.2.3")
    enter(index, 1, 2, 1, SOPClassUID="1.2.4")
    enter(index, 2)
    assert found(index, Level.STUDY, match("SOPClassesInStudy", "1.2.4")) == ["1.1"]
    assert found(index, Level.STUDY, match("NumberOfStudyRelatedInstances", "2")) == ["1.1"]
    assert found(index, Level.SERIES, match("NumberOfStudyRelatedSeries", "1")) == ["1.2.1"]


def test_a_long_list_of_uids(index):
    for number in range(1, 4):
        enter(index, number)
    many = [f"1.2.840.99999.{'7' * 40}.{number}" for number in range(2000)]  # more than 64 KiB
    assert found(index, Level.STUDY, match("StudyInstanceUID", "1.2", *many, "1.3")) == ["1.2", "1.3"]


def test_too_much_reading_is_refused_and_narrowing_helps(index, monkeypatch):
    monkeypatch.setattr("lethe.storage.selection.MOST_READ", 2)
    for number in range(1, 5):
        enter(index, number, extra={"00181030": text("HEAD", "LO"), "00180060": text("120", "DS")})
    with pytest.raises(TooWide, match="ask for a study"):
        index.find(Query(Level.STUDY, (Match("00180060", ("120",)),)))
    with pytest.raises(TooWide):
        list(index.stream(Query(Level.STUDY, (Not(Match("00180060", ("120",))),))))
    assert found(index, Level.STUDY, match("StudyInstanceUID", "1.3"), Match("00180060", ("120",))) == ["1.3"]
    assert len(found(index, Level.STUDY, Match("00181030", ("HEAD",)))) == 4  # a series' own, read from the series


def test_columns_are_compared_before_attributes_are_read(index, monkeypatch):
    for number in range(1, 30):
        enter(index, number, PatientID=f"P{number}", extra={"00180060": text("120", "DS")})
    read = []
    unpack = __import__("gzip").decompress
    monkeypatch.setattr("lethe.storage.holding.gzip.decompress", lambda data: read.append(1) or unpack(data))
    terms = (Match("00180060", ("120",)), match("PatientID", "P7"))
    for level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
        read.clear()
        assert len(list(index.stream(Query(level, terms)))) == 1
        assert len(read) == 1


def test_a_stream_has_each_entry_once_and_stops_no_writer(index, tmp_path, monkeypatch):
    monkeypatch.setattr("lethe.storage.index._FIRST_PORTION", 2)
    monkeypatch.setattr("lethe.storage.index._PORTION", 3)
    for number in range(9):
        enter(index, 1, 1, number + 1)
    stream = index.stream(Query(Level.INSTANCE))
    first = next(stream)
    with sqlite3.connect(tmp_path / "lethe.db") as other:
        other.execute("INSERT INTO person VALUES ('other', '', 0, '')")
    other.close()
    enter(index, 2)  # a snapshot held open would make this fail
    assert [entry.sop_uid for entry in (first, *stream)] == [*(f"1.1.1.{n}" for n in range(1, 10)), "1.2.1.1"]
    assert len(list(index.stream(Query(Level.INSTANCE, limit=4)))) == 4
    whole = list(index.stream_whole(Query(Level.INSTANCE, limit=4)))
    assert [entry.sop_uid for entry, _ in whole] == ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]


def test_the_encodings_of_what_matches(index):
    enter(index, 1, 1, 1)
    enter(index, 1, 1, 2, SOPClassUID="1.2.3")
    enter(index, 2, 1, 1, SOPClassUID="1.2.9")
    syntax = "1.2.840.10008.1.2.1"
    query = Query(Level.INSTANCE, (equals("StudyInstanceUID", "1.1"),))
    assert index.encodings(query) == [("1.2.3", syntax), ("1.2.840.10008.5.1.4.1.1.2", syntax)]
