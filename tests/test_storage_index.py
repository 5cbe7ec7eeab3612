"""The index: what PS3.4 C.2.2.2 says about matching, pages that are stable, and one entry for each instance."""

import gzip
import json
import sqlite3
from dataclasses import replace

import pytest

from lethe.storage.database import transaction
from lethe.storage.entries import (
    COUNTS,
    INSTANCE_ATTRIBUTES,
    SEARCHABLE,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
    CleanInstance,
    first_text,
    is_uid,
)
from lethe.storage.errors import NotFound, Refused
from lethe.storage.index import Index
from lethe.storage.matching import fold
from lethe.storage.query import AnyOf, Changed, Equals, Level, Match, Not, Order, Query

TAGS = {attribute.keyword: tag for tag, (_, attribute) in SEARCHABLE.items()}
VRS = {attribute.keyword: attribute.vr for _, attribute in SEARCHABLE.values()}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def index(database, clock):
    return Index(database, clock)


def instance(study, series=1, number=1, *, file="", size=1, receipt=None, extra=None, **values):
    """An instance of that study, series and number; other attributes by keyword, None for no value."""
    values = {
        "StudyInstanceUID": f"1.{study}",
        "SeriesInstanceUID": f"1.{study}.{series}",
        "SOPInstanceUID": f"1.{study}.{series}.{number}",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "Modality": "CT",
        "SeriesNumber": series,
        "InstanceNumber": number,
        **values,
    }
    metadata = {}
    for keyword, value in values.items():
        vr = VRS[keyword]
        content = {"Alphabetic": value} if vr == "PN" and isinstance(value, str) else value
        metadata[TAGS[keyword]] = {"vr": vr} if value is None else {"vr": vr, "Value": [content]}
    sop_uid = values["SOPInstanceUID"]
    return CleanInstance(
        metadata | (extra or {}), "1.2.840.10008.1.2.1", "default", file or f"file{sop_uid}", size, receipt or {}
    )


def enter(index, *arguments, **values):
    with transaction(index._database):
        return index.add(instance(*arguments, **values))


def match(keyword, *values):
    return Match(TAGS[keyword], values)


def equals(keyword, *values):
    return Equals(TAGS[keyword], values)


def uids(index, level, *terms, **options):
    found = index.find(Query(level, terms, **options))
    counted = index.count(Query(level, terms, **options))
    if "limit" not in options and "offset" not in options:
        assert counted == len(found)
    return [entry.sop_uid or entry.series_uid or entry.study_uid for entry in found]


def studies(index, *terms, **options):
    """The numbers of the studies that match."""
    return [int(uid[2:]) for uid in uids(index, Level.STUDY, *terms, **options)]


# Entering


def test_an_entry_says_what_it_was_told(index):
    enter(index, 7, size=99, receipt={"removed": 3}, PatientName="Doe^Jane", StudyDescription="Chest")
    entry = index.instance("1.7.1.1")
    assert (entry.study_uid, entry.series_uid, entry.sop_uid) == ("1.7", "1.7.1", "1.7.1.1")
    assert (entry.file, entry.size, entry.project, entry.level) == ("file1.7.1.1", 99, "default", Level.INSTANCE)
    assert entry.text("00100010") == "Doe^Jane"
    assert entry.text("00081030") == "Chest"
    assert index.receipt("1.7.1.1") == {"removed": 3}
    assert index.files() == {"1.7.1.1": ("file1.7.1.1", 99, "")}
    assert index.mentions("file1.7.1.1")
    assert not index.mentions("file1")


def test_the_same_instance_again_changes_nothing(index):
    assert enter(index, 1)
    before = index.find(Query(Level.STUDY))
    assert not enter(index, 1)
    assert index.find(Query(Level.STUDY)) == before
    assert index.totals() == (1, 1, 1)


def test_the_same_sop_uid_with_another_file_is_refused(index):
    enter(index, 1)
    with pytest.raises(Refused, match="SOP Instance UID"):
        enter(index, 1, file="other")
    with pytest.raises(Refused):
        enter(index, 2, SOPInstanceUID="1.1.1.1", file="other")
    assert index.totals() == (1, 1, 1)
    assert index.instance("1.1.1.1").file == "file1.1.1.1"


def test_the_same_series_uid_in_another_study_is_refused_and_leaves_no_study(index):
    enter(index, 1)
    with pytest.raises(Refused, match="another study"):
        enter(index, 2, SeriesInstanceUID="1.1.1")
    assert studies(index) == [1]
    assert index.totals() == (1, 1, 1)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", [None, ""])
def test_an_instance_without_its_uids_is_refused(index, keyword, value):
    with pytest.raises(Refused, match="missing"):
        enter(index, 1, file="f", **{keyword: value})
    assert index.totals() == (0, 0, 0)


def test_counts_and_modalities_are_computed(index):
    for series, number, modality in ((1, 1, "CT"), (1, 2, "CT"), (2, 1, "SEG"), (3, 1, None)):
        enter(index, 1, series, number, Modality=modality)
    study = index.one(Level.STUDY, "1.1")
    assert study.attributes["00080061"]["Value"] == ["CT", "SEG"]
    assert study.attributes["00201206"]["Value"] == [3]
    assert study.attributes["00201208"]["Value"] == [4]
    assert index.one(Level.SERIES, "1.1", "1.1.1").attributes["00201209"]["Value"] == [2]
    assert list(index.miscounts()) == []


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ({"vr": "LO"}, ""),
        ({"vr": "LO", "Value": []}, ""),
        ({"vr": "LO", "Value": None}, ""),
        ({"vr": "LO", "Value": [None]}, ""),
        ({"vr": "LO", "Value": [None, "b"]}, ""),
        ({"vr": "LO", "Value": ["a", "b"]}, "a"),
        ({"vr": "IS", "Value": [5]}, "5"),
        ({"vr": "IS", "Value": [0]}, "0"),
        ({"vr": "DS", "Value": [1.5]}, "1.5"),
        ({"vr": "PN", "Value": [{}]}, ""),
        ({"vr": "PN", "Value": [{"Alphabetic": None}]}, ""),
        ({"vr": "PN", "Value": [{"Ideographic": "山田^太郎"}]}, "山田^太郎"),
        ({"vr": "PN", "Value": [{"Alphabetic": "", "Phonetic": "やまだ"}]}, ""),
        ({"vr": "PN", "Value": ["Doe^Jane"]}, "Doe^Jane"),
        ({"vr": "OB", "InlineBinary": "AAAA"}, ""),
    ],
)
def test_odd_values_of_the_dicom_json_model_have_a_text(element, text):
    assert first_text({"00100010": element}, "00100010") == text
    assert first_text({}, "00100010") == ""


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((5, 5), ("5", 5), (" 5 ", 5), (5.0, 5), ("5.0", 5), ("+5", 5), (-3, -3), (0, 0)),
        *((value, None) for value in (None, "", "five", "nan", "inf", "1e400", 2**70)),
    ],
)
def test_a_number_is_entered_whatever_its_form(index, value, number):
    enter(index, 1, number=value, SOPInstanceUID="1.1.1.1")
    found = uids(index, Level.INSTANCE, match("InstanceNumber", str(5 if number is None else number)))
    assert found == ([] if number is None else ["1.1.1.1"])
    assert (uids(index, Level.INSTANCE, equals("InstanceNumber", "")) == ["1.1.1.1"]) == (number is None)


# Matching


@pytest.fixture
def described(index):
    for number, text in enumerate(
        ("Chest", "CHEST", "100%", "100x", "a_b", "axb", "[ab]", "a", "a*b", None, "Ünï", "a\\b")
    ):
        enter(index, number, StudyDescription=text)
    return index


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Chest", [0]),
        ("chest", []),
        ("Ch*", [0]),
        ("*e*", [0]),
        ("C????", [0, 1]),
        ("100%", [2]),
        ("100?", [2, 3]),
        ("a_b", [4]),
        ("a_*", [4]),
        ("a?b", [4, 5, 8, 11]),
        ("[ab]", [6]),
        ("[ab]*", [6]),
        ("*[*", [6]),
        ("?ab]", [6]),
        ("[!x]*", []),
        ("*]", [6]),
        ("a\\*", [11]),
        ("Ün?", [10]),
        ("", list(range(12))),
        ("*", list(range(12))),
        ("**", list(range(12))),
        ("?*", [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]),
        ("' OR 1=1 --", []),
    ],
)
def test_wildcards_in_text(described, value, found):
    assert studies(described, match("StudyDescription", value)) == found


def test_one_of_several_values_is_enough(described):
    assert studies(described, match("StudyDescription", "Chest", "100*")) == [0, 2, 3]
    assert len(studies(described, match("StudyDescription", "Chest", ""))) == 12
    assert len(studies(described, match("StudyDescription"))) == 12


def test_no_wildcards_where_an_exact_value_is_asked_for(described):
    assert studies(described, equals("StudyDescription", "a*b")) == [8]
    assert studies(described, equals("StudyDescription", "*")) == []
    assert studies(described, equals("StudyDescription", "")) == [9]
    assert studies(described, equals("StudyDescription")) == []


@pytest.fixture
def named(index):
    names = (
        "Müller^Jörg",
        "MULLER^JORG",
        "Иванов^Пётр",
        "иванов^петр",
        "Çelik^İpek",
        "Doe^Jane^^^",
        None,
        "Straße",
        "山田^太郎",
    )
    for number, name in enumerate(names):
        enter(index, number, PatientName=name)
    return index


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("muller^jorg", [0, 1]),
        ("MÜLLER^JÖRG", [0, 1]),
        ("Mu\u0308ller^Jo\u0308rg", [0, 1]),
        ("müller*", [0, 1]),
        ("*jorg", [0, 1]),
        ("ИВАНОВ^ПЕТР", [2, 3]),
        ("иван*", [2, 3]),
        ("*пётр", [2, 3]),
        ("celik^ipek", [4]),
        ("doe^jane", [5]),
        ("DOE^JANE^^", [5]),
        ("doe", []),
        ("d?e*", [5]),
        ("strasse", [7]),
        ("山田*", [8]),
        ("*", list(range(9))),
        ("%", []),
        ("[dm]*", []),
    ],
)
def test_person_names_without_regard_to_case_and_accents(named, value, found):
    assert studies(named, match("PatientName", value)) == found


def test_a_folded_name_stays_as_it_is():
    for name in ("Müller^Jörg", "ИВАНОВ", "İ", "ß", "ﬁ", "™", "Å", "ǅ", "ͅ"):
        assert fold(fold(name)) == fold(name)


@pytest.fixture
def dated(index):
    dates = ("20231231", "20240101", "20240115", "20240131", "20240201", None, "", "2024.01.20", "unknown")
    times = ("235959", "000000", "093000.500", "0930", "10", None, "", "120000", "noon")
    for number, (date, time) in enumerate(zip(dates, times, strict=True)):
        enter(index, number, StudyDate=date, StudyTime=time)
    return index


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("20240115", [2]),
        ("20240101-20240131", [1, 2, 3, 7]),
        ("-20240101", [0, 1]),
        ("20240131-", [3, 4]),
        ("202401", [1, 2, 3, 7]),
        ("2023-2024", [0, 1, 2, 3, 4, 7]),
        ("20240120", [7]),
        ("20250101-20230101", []),
        ("", list(range(9))),
    ],
)
def test_dates_and_their_ranges(dated, value, found):
    assert studies(dated, match("StudyDate", value)) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("235959", [0]),
        ("09", [2, 3]),
        ("0930", [2, 3]),
        ("093000", [2, 3]),
        ("093000.0", [3]),
        ("093000.5", [2]),
        ("093000.50", [2]),
        ("093000.500000", [2]),
        ("093000.000000-093000.499999", [3]),
        ("100000.000000", [4]),
        ("000000.000000", [1]),
        ("000000-", [0, 1, 2, 3, 4, 7]),
        ("0930-10", [2, 3, 4]),
        ("09:30-10:00", [2, 3, 4]),
        ("-0000", [1]),
        ("1200-", [0, 7]),
    ],
)
def test_times_and_their_ranges(dated, value, found):
    assert studies(dated, match("StudyTime", value)) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("072730.000000-", [0, 1, 2, 3, 4]),
        ("072730.000000-072730.000000", [0]),
        ("093431.700000", [1]),
        ("093431.7", [1, 2]),
        ("09:34:31.75", [2]),
        ("112000", [3]),
        ("14:00-14:10", [4]),
        ("1404", [4]),
        ("-072729.999999", [5]),
        ("072730.1-09", [1, 2]),
    ],
)
def test_times_match_in_whatever_form_they_are_stored(index, value, found):
    for number, time in enumerate(("072730", "093431.70", "093431.750", "11:20:00", "14:04:38.5", "000000.000")):
        enter(index, number, StudyTime=time, extra={"00080032": {"vr": "TM", "Value": [time]}})
    assert studies(index, match("StudyTime", value)) == found
    assert studies(index, Match("00080032", (value,))) == found  # which no column answers


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(
            ("StudyDate", value)
            for value in ("20041340", "200413", "20040100", "20230229", "0000", "20040101-20041301")
        ),
        *(("StudyTime", value) for value in ("25", "2400", "0960", "093061", "0930-2500")),
    ],
)
def test_dates_and_times_that_do_not_exist_are_refused(dated, keyword, value):
    with pytest.raises(Refused, match=f"{keyword}.*that exist"):
        studies(dated, match(keyword, value))


def test_a_leap_day_and_a_leap_second_exist(dated):
    assert studies(dated, match("StudyDate", "20240101-20240229")) == [1, 2, 3, 4, 7]
    assert studies(dated, match("StudyTime", "235959-235960")) == [0]


@pytest.mark.parametrize(
    "value", ["-", "2024-01-15", "yesterday", "20240101-20240131-", "2024*", "２０２４", "1", " ", "*"]
)
def test_what_is_no_date_is_refused_with_an_example(dated, value):
    with pytest.raises(Refused, match=r"StudyDate.*20240131"):
        studies(dated, match("StudyDate", value))


@pytest.mark.parametrize("value", ["five", "1.5", "1-3", "*", "1e3", "٣", "9" * 30])
def test_what_is_no_number_is_refused(dated, value):
    for term in (match("InstanceNumber", value), equals("InstanceNumber", value)):
        with pytest.raises(Refused, match="whole number"):
            uids(dated, Level.INSTANCE, term)


def test_numbers_match_as_numbers(index):
    for number in (1, 2, 10):
        enter(index, 1, 1, number)
    assert uids(index, Level.INSTANCE, match("InstanceNumber", "2")) == ["1.1.1.2"]
    assert uids(index, Level.INSTANCE, match("InstanceNumber", "002", " 10 ")) == ["1.1.1.2", "1.1.1.10"]
    assert uids(index, Level.INSTANCE, equals("InstanceNumber", "01")) == ["1.1.1.1"]
    assert uids(index, Level.SERIES, match("SeriesNumber", "1")) == ["1.1.1"]


def test_uid_lists_match_exactly(index):
    for study in range(4):
        enter(index, study)
    assert studies(index, match("StudyInstanceUID", "1.1", "1.3", "1.99")) == [1, 3]
    assert studies(index, match("StudyInstanceUID", "1.*")) == []
    assert studies(index, match("StudyInstanceUID", "1.?")) == []
    assert len(studies(index, match("StudyInstanceUID", *(f"1.{n}" for n in range(5000))))) == 4
    with pytest.raises(Refused, match="at most"):
        studies(index, match("StudyInstanceUID", *("1.1" for _ in range(10_001))))


def test_too_many_values_are_refused_and_many_are_not(index):
    enter(index, 1, PatientID="P7")
    assert studies(index, match("PatientID", *(f"P{number}" for number in range(1000)))) == [1]
    assert studies(index, AnyOf(tuple(equals("PatientID", f"P{number}") for number in range(1000)))) == [1]
    with pytest.raises(Refused, match="at most"):
        studies(index, match("PatientID", *(f"P{number}" for number in range(5000))))


def test_exactness_is_only_asked_of_a_column(index):
    with pytest.raises(Refused, match="PatientComments"):
        index.find(Query(Level.STUDY, (Equals("00104000", ("x",)),)))


@pytest.mark.parametrize("keyword", sorted(TAGS.keys() - {attribute.keyword for _, attribute in COUNTS.values()}))
def test_every_searchable_attribute_is_searched_at_every_level(index, keyword):
    values = {"UI": "1.5", "DA": "20240101", "TM": "0930", "IS": 7, "PN": "Doe"}
    value = values.get(VRS[keyword], "V")
    entered = {"Modality": "V"} if keyword == "ModalitiesInStudy" else {keyword: value}
    enter(index, 1, **entered)
    enter(index, 2)
    for level in (Level.STUDY, Level.SERIES, Level.INSTANCE):
        assert len(uids(index, level, match(keyword, str(value)))) == 1
        assert len(uids(index, level, match(keyword, ""))) == 2
        assert len(uids(index, level, Not(equals(keyword, str(value))))) == 1


def test_attributes_of_lower_levels_ask_that_there_is_one(index):
    enter(index, 1, 1, 1, Modality="CT", SeriesDescription="axial")
    enter(index, 1, 2, 1, Modality="SEG")
    enter(index, 2, 1, 5, Modality="CT")
    assert studies(index, match("Modality", "SEG")) == [1]
    assert studies(index, match("Modality", "CT")) == [1, 2]
    assert studies(index, match("ModalitiesInStudy", "SEG")) == [1]
    assert studies(index, match("ModalitiesInStudy", "S*")) == [1]
    assert studies(index, match("ModalitiesInStudy", "CT"), match("ModalitiesInStudy", "SEG")) == [1]
    assert studies(index, match("ModalitiesInStudy", "MR", "SEG")) == [1]
    assert uids(index, Level.SERIES, match("ModalitiesInStudy", "SEG")) == ["1.1.1", "1.1.2"]
    assert uids(index, Level.SERIES, match("Modality", "SEG")) == ["1.1.2"]
    assert uids(index, Level.SERIES, match("SOPInstanceUID", "1.2.1.5")) == ["1.2.1"]
    assert studies(index, match("InstanceNumber", "5")) == [2]
    assert studies(index, Not(match("Modality", "SEG"))) == [2]
    assert uids(index, Level.INSTANCE, match("Modality", "CT"), match("PatientID", "*")) == ["1.1.1.1", "1.2.1.5"]


def test_terms_are_combined(index):
    for study, (patient, sex) in enumerate((("A", "M"), ("B", "F"), ("C", None))):
        enter(index, study, PatientID=patient, PatientSex=sex)
    assert studies(index, AnyOf((equals("PatientID", "A"), equals("PatientSex", "F")))) == [0, 1]
    assert studies(index, AnyOf(())) == []
    assert studies(index, Not(AnyOf(()))) == [0, 1, 2]
    assert studies(index, Not(equals("PatientSex", "M"))) == [1, 2]
    assert studies(index, Not(Not(equals("PatientSex", "M")))) == [0]
    assert studies(index, equals("PatientID", "A"), equals("PatientSex", "F")) == []


def test_what_has_no_number_does_not_have_that_number(index):
    enter(index, 1, 1, 1)
    enter(index, 1, 1, None, SOPInstanceUID="1.1.1.9")
    assert uids(index, Level.INSTANCE, Not(equals("InstanceNumber", "1"))) == ["1.1.1.9"]
    assert uids(index, Level.INSTANCE, Not(match("InstanceNumber", "2"))) == ["1.1.1.9", "1.1.1.1"]
    assert uids(index, Level.INSTANCE, equals("InstanceNumber", "", "1")) == ["1.1.1.9", "1.1.1.1"]


def test_what_changed_since(index, clock):
    enter(index, 1)
    moment = clock()
    enter(index, 2)
    assert studies(index, Changed(since=moment)) == [2]
    assert studies(index, Changed(before=moment)) == [1]
    assert studies(index, changed_since=moment) == [2]
    enter(index, 1, 2)
    assert studies(index, Changed(since=moment)) == [1, 2]
    assert uids(index, Level.SERIES, Changed(since=moment)) == ["1.1.2", "1.2.1"]


# One


def test_one_is_found_by_its_uids_from_the_study_down(index):
    enter(index, 1)
    enter(index, 2)
    assert index.one(Level.STUDY, "1.1").study_uid == "1.1"
    assert index.one(Level.INSTANCE, "1.1", "1.1.1", "1.1.1.1").sop_uid == "1.1.1.1"
    for wrong in (("1.2", "1.1.1", "1.1.1.1"), ("1.1", "1.1.1", "1.2.1.1"), ("1.1", "1.2.1", "1.1.1.1")):
        with pytest.raises(NotFound):
            index.one(Level.INSTANCE, *wrong)


@pytest.mark.parametrize("uid", ["", "*", "1.*", "1.9", "?", "%", "../1.1", "1.1 OR 1=1"])
def test_nothing_is_found_by_what_is_no_uid(index, uid):
    enter(index, 1)
    with pytest.raises(NotFound):
        index.one(Level.STUDY, uid)
    with pytest.raises(NotFound):
        index.instance(uid)
    with pytest.raises(NotFound):
        index.receipt(uid)


@pytest.mark.parametrize(
    ("text", "yes"), [("1.2.3", True), ("1.02", True), ("", False), ("1..2", False), ("1.a", False)]
)
def test_what_has_the_form_of_a_uid(text, yes):
    assert is_uid(text) == yes
    assert not is_uid("1." + "2" * 63)
    assert not is_uid("１.２")


# Order and pages


def test_pages_are_complete_and_stable_while_studies_arrive(index):
    for study in range(10):
        enter(index, study)
    seen = []
    for page in range(7):
        seen += studies(index, limit=3, offset=3 * page)
        if page < 3:
            enter(index, 10 + page)
            enter(index, page, 2)  # an old study grows
    assert seen == list(range(13))


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("level", list(Level))
def test_pages_add_up_to_the_whole_in_every_order(index, order, level):
    for study in range(3):
        for series in range(3):
            enter(index, study, series, None, StudyDate="20240101", SeriesNumber=1)
    whole = uids(index, level, order=order)
    pages = [uid for page in range(10) for uid in uids(index, level, order=order, limit=1, offset=page)]
    assert pages == whole
    assert len(set(whole)) == len(whole)
    assert uids(index, level, order=order, offset=2) == whole[2:]
    assert index.count(Query(level, limit=1, offset=1)) == len(whole)
    assert uids(index, level, limit=0) == []


@pytest.mark.parametrize("then", [(), (Order.NEWEST,), (Order.STARTED_DESCENDING, Order.OLDEST)])
@pytest.mark.parametrize("order", list(Order))
def test_a_page_goes_on_after_a_place(index, order, then):
    for study in range(6):
        enter(index, study, StudyDate="20240101" if study % 2 else None, StudyTime=f"1{study % 3}'x\x1f")
    query = Query(Level.STUDY, order=order, then=then)
    placed = index.page(query)
    assert [entry for entry, _ in placed] == index.find(query)
    for number, (_, place) in enumerate(placed, 1):
        assert index.page(replace(query, after=place)) == placed[number:]


def test_an_order_decides_among_those_that_are_alike_in_the_one_before(index):
    for study, date in ((1, "20240102"), (2, "20240101"), (3, "20240102"), (4, "20240101")):
        enter(index, study, StudyDate=date)
    assert studies(index, order=Order.STARTED, then=(Order.NEWEST,)) == [4, 2, 3, 1]
    assert studies(index, order=Order.STARTED, then=(Order.OLDEST,)) == [2, 4, 1, 3]
    assert studies(index, order=Order.NEWEST, then=(Order.STARTED,)) == [4, 3, 2, 1]


@pytest.mark.parametrize("place", [("x",), ("1", "2"), (str(2**63),)])
def test_a_place_of_another_order_is_refused(index, place):
    enter(index, 1)
    with pytest.raises(Refused):
        index.page(Query(Level.STUDY, after=place))


def test_the_order_of_numbers_is_by_value_within_a_series(index):
    for series, number in ((2, 1), (1, 10), (1, 9), (10, 1)):
        enter(index, 5, series, number)
    enter(index, 1, 1, 1)
    assert uids(index, Level.INSTANCE) == ["1.5.1.9", "1.5.1.10", "1.5.2.1", "1.5.10.1", "1.1.1.1"]
    assert uids(index, Level.SERIES) == ["1.5.1", "1.5.2", "1.5.10", "1.1.1"]


def test_the_order_by_change_and_by_date(index):
    for study, date in ((1, "20240102"), (2, "20240101"), (3, None)):
        enter(index, study, StudyDate=date)
    enter(index, 1, 2)
    assert studies(index, order=Order.NEWEST) == [1, 3, 2]
    assert studies(index, order=Order.OLDEST) == [2, 3, 1]
    assert studies(index, order=Order.STARTED) == [3, 2, 1]
    assert studies(index, order=Order.STARTED_DESCENDING) == [1, 2, 3]


def test_the_distinct_values_of_an_attribute(index):
    for study, patient in enumerate(("B", "A", "B", None)):
        enter(index, study, PatientID=patient)
    assert index.values(TAGS["PatientID"]) == ["A", "B"]


# Metadata


def test_metadata_are_kept_whole_and_attributes_small(index):
    extra = {
        "00091001": {"vr": "UN", "InlineBinary": "AAAA"},
        "00082112": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
        "00280030": {"vr": "DS", "Value": [0.5, 0.5]},
        "00720080": {"vr": "DS", "Value": list(range(17))},
        "00080008": {"vr": "CS"},
    }
    enter(index, 1, extra=extra, PatientName="Дoe")
    [body] = index.metadata(Query(Level.INSTANCE))
    metadata = json.loads(gzip.decompress(body))
    assert metadata == instance(1, extra=extra, PatientName="Дoe").metadata
    own = index.instance("1.1.1.1").attributes
    assert {"00280030", "00080008", "00100010"} <= own.keys()
    assert not {"00091001", "00082112", "00720080"} & own.keys()


def test_metadata_come_in_order_and_in_pages_across_portions(index, monkeypatch):
    monkeypatch.setattr("lethe.storage.index._PORTION", 2)
    for number in (5, 3, 1, 2, 4):
        enter(index, 1, 1, number, size=number)
    whole = list(index.metadata(Query(Level.INSTANCE)))
    assert len(whole) == len(set(whole)) == 5
    assert list(index.metadata(Query(Level.INSTANCE, limit=2, offset=1))) == whole[1:3]
    assert list(index.metadata(Query(Level.INSTANCE, (match("InstanceNumber", "3"),)))) == [whole[2]]
    assert list(index.metadata(Query(Level.INSTANCE, (match("InstanceNumber", "9"),)))) == []


def test_a_slow_reader_of_metadata_does_not_stop_a_writer(index, tmp_path):
    for number in range(5):
        enter(index, 1, 1, number)
    bodies = index.metadata(Query(Level.INSTANCE))
    next(bodies)
    with sqlite3.connect(tmp_path / "lethe.db") as other:
        other.execute("INSERT INTO person VALUES ('other', '', 0, '')")
    other.close()
    enter(index, 2)  # a snapshot held open would make this fail
    assert len(list(bodies)) == 4


# Speed: the plans SQLite makes, for 100,000 rows are no time to test with


@pytest.mark.parametrize(
    ("level", "terms", "key"),
    [
        (Level.STUDY, (match("PatientID", "A"),), "study_patient (patient_id=?)"),
        (Level.STUDY, (match("PatientName", "doe"),), "study_patient_key (patient_key=?)"),
        (Level.STUDY, (match("StudyDate", "20240101-20240131"),), "study_date (study_date>? AND study_date<?)"),
        (Level.STUDY, (match("AccessionNumber", "A"),), "study_accession (accession_number=?)"),
        (Level.STUDY, (match("ModalitiesInStudy", "MR"),), "series_modality (modality=?)"),
        (Level.STUDY, (match("SOPInstanceUID", "1.2"),), "INDEX sqlite_autoindex_instance_1 (uid=?)"),
        (Level.SERIES, (match("StudyInstanceUID", "1.2"),), "series_study (study=?)"),
        (Level.SERIES, (), "SCAN series USING INDEX series_study"),
        (Level.INSTANCE, (match("SeriesInstanceUID", "1.2"),), "instance_series (series=?)"),
        (Level.INSTANCE, (match("SOPInstanceUID", "1.2"),), "sqlite_autoindex_instance_1 (uid=?)"),
    ],
)
def test_a_search_uses_an_index(index, database, monkeypatch, level, terms, key):
    asked = []
    execute = database.execute_sql
    monkeypatch.setattr(
        database, "execute_sql", lambda sql, params=None: asked.append((sql, params)) or execute(sql, params)
    )
    index.find(Query(level, terms, limit=100))
    [(sql, params)] = asked
    plan = [row[3] for row in execute("EXPLAIN QUERY PLAN " + sql, params).fetchall()]
    assert any(key in step for step in plan), plan


def test_the_table_of_attributes_is_consistent():
    tables = (STUDY_ATTRIBUTES, SERIES_ATTRIBUTES, INSTANCE_ATTRIBUTES, COUNTS)
    assert len(SEARCHABLE) == sum(map(len, tables))
    for level, attribute in (SEARCHABLE[tag] for tag in SEARCHABLE.keys() - COUNTS.keys()):
        assert attribute.column.table == level.name.lower()
