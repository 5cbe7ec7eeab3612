"""C-FIND: what PS3.4 C.4.1 wants, asked by DCMTK's findscu, and by pynetdicom where findscu cannot say it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from dicomweb_archive import publish, sample
from programs import dcmtk, need
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from query_peer import PATIENT_FIND, STUDY_FIND, STUDY_GET, answering, asking, found, identifier

from lethe.node.choices import Ability, Queries
from lethe.node.config import Peer
from lethe.node.dimse.wanted import STUDY_ROOT, wanted
from lethe.storage.archive import Archive
from lethe.storage.query import Level, Query

CT, MR, PLAN = "CT_small.dcm", "MR_small.dcm", "rtplan.dcm"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    archive = Archive(tmp_path_factory.mktemp("find") / "data")
    publish(archive, CT, SpecificCharacterSet="ISO_IR 192", PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    publish(archive, MR, ReferringPhysicianName="Éluard^Paul", SpecificCharacterSet="ISO_IR 100")
    publish(archive, PLAN)
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def port(archive: Archive) -> Iterator[int]:
    with answering(archive) as port:
        yield port


def asked(port: int, ds: Dataset, model: str = STUDY_FIND, **arguments: object) -> tuple[list[Dataset], list[int]]:
    with asking(port, model, **arguments) as association:  # type: ignore[arg-type]
        return found(association, ds, model)


def findscu(port: int, *arguments: str) -> str:
    need("findscu")
    said = dcmtk("findscu", "-v", *arguments, "-aec", "LETHE", "127.0.0.1", str(port))
    return said.stdout + said.stderr


def keys(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("-k", pair)]


@pytest.mark.peer
@pytest.mark.parametrize("model", ["-P", "-S"])
@pytest.mark.parametrize(
    ("level", "unique", "count"),
    [("STUDY", "StudyInstanceUID", 3), ("SERIES", "SeriesInstanceUID", 3), ("IMAGE", "SOPInstanceUID", 3)],
)
def test_findscu_finds_at_every_level(port: int, model: str, level: str, unique: str, count: int) -> None:
    said = findscu(port, model, *keys(f"QueryRetrieveLevel={level}", unique, "PatientID"))
    assert said.count("Find Response:") == count
    assert "(Success)" in said
    assert said.count("(0008,0054) AE [LETHE ]") == said.count("(0008,0056) CS [ONLINE]") == count


@pytest.mark.peer
def test_findscu_finds_patients_in_the_patient_root_only(port: int) -> None:
    query = keys("QueryRetrieveLevel=PATIENT", "PatientID", "PatientName", "NumberOfPatientRelatedInstances")
    assert findscu(port, "-P", *query).count("(0020,1204) IS [1 ]") == 3
    assert "DataSetDoesNotMatchSOPClass" in findscu(port, "-S", *query)


@pytest.mark.peer
@pytest.mark.parametrize("level", ["", "=IMAGES", "=INSTANCE", "=study", "=FRAME"])
def test_findscu_without_a_level_of_the_standard_is_told_so(port: int, level: str) -> None:
    said = findscu(port, "-S", *keys(f"QueryRetrieveLevel{level}", "PatientID"))
    assert "Find Response:" not in said
    assert "DataSetDoesNotMatchSOPClass" in said


@pytest.mark.peer
@pytest.mark.parametrize(
    ("level", "key", "count"),
    [
        ("STUDY", "PatientName=yamada*", 1),
        ("STUDY", "PatientName=*", 3),
        ("STUDY", "PatientID=4MR?", 1),
        ("STUDY", "PatientID=4mr1", 0),
        ("STUDY", "StudyDate=20040826-", 1),
        ("STUDY", "StudyDate=-20040119", 2),
        ("STUDY", "StudyDate=20040119-20040119", 1),
        ("STUDY", "StudyDate=2004.01.19", 1),
        ("STUDY", "StudyDate=2004.01.01-2004.01.31", 1),
        ("STUDY", "StudyDate=*", 3),
        ("STUDY", "StudyTime=070000-080000", 1),
        ("STUDY", "StudyTime=072730.000000-072730.000000", 1),
        ("STUDY", "ModalitiesInStudy=MR", 1),
        ("SERIES", "Modality=MR\\CT", 2),
        ("STUDY", "Modality=CT", 1),
        ("STUDY", "SOPClassesInStudy=1.2.840.10008.5.1.4.1.1.4", 1),
        ("STUDY", "SpecificCharacterSet=ISO_IR 58", 3),
        ("IMAGE", "Rows=64", 1),
        ("IMAGE", "PatientPosition=HFS", 1),
        ("IMAGE", "SliceThickness=5.0", 1),
        ("IMAGE", "BeamSequence[0].TreatmentMachineName=unit*", 1),
        ("STUDY", "BeamSequence[0].TreatmentMachineName=unit00?", 1),
        ("IMAGE", "BeamSequence[0].TreatmentMachineName=other", 0),
        ("IMAGE", "BeamSequence[0].ControlPointSequence[0].NominalBeamEnergy=6", 1),
    ],
)
def test_findscu_matches(port: int, level: str, key: str, count: int) -> None:
    said = findscu(port, "-S", *keys(f"QueryRetrieveLevel={level}", "StudyInstanceUID", key))
    assert "(Success)" in said
    assert said.count("Find Response:") == count


def test_every_key_comes_back_and_nothing_of_the_command(port: int) -> None:
    query = identifier("STUDY", StudyInstanceUID="", PatientName="", StudyComments="", AccessionNumber="", Rows=None)
    query.add_new(0x00080000, "UL", 40)
    results, statuses = asked(port, query)
    assert statuses == [0xFF01] * 3 + [0x0000]  # a study has no rows
    for result in results:
        assert {element.keyword for element in query if element.tag.element} <= {element.keyword for element in result}
        assert result.QueryRetrieveLevel == "STUDY"
        assert result.RetrieveAETitle == "LETHE"
        assert not [element for element in result if element.tag.group in (0, 2) or not element.tag.element]


def test_all_keys_supported_is_plain_pending(port: int) -> None:
    query = identifier("SERIES", Modality="", RequestAttributesSequence=[], NumberOfSeriesRelatedInstances="")
    results, statuses = asked(port, query)
    assert statuses == [0xFF00] * 3 + [0x0000]
    assert {result.NumberOfSeriesRelatedInstances for result in results} == {1}


@pytest.mark.parametrize("value", ["", "1.2.840.10008.1.2.4.90"])
def test_the_transfer_syntax_in_which_an_instance_is_kept_is_told(archive: Archive, port: int, value: str) -> None:
    results, statuses = asked(port, identifier("IMAGE", SOPInstanceUID="", AvailableTransferSyntaxUID=value))
    assert statuses == [0xFF00] * 3 + [0x0000]
    kept = {entry.sop_uid: entry.transfer_syntax for entry in archive.index.find(Query(Level.INSTANCE))}
    assert {str(one.SOPInstanceUID): str(one.AvailableTransferSyntaxUID) for one in results} == kept
    assert asked(port, identifier("STUDY", AvailableTransferSyntaxUID=value))[1] == [0xFF01] * 3 + [0x0000]


def test_counts(port: int) -> None:
    names = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfPatientRelatedStudies")
    names += ("NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
    query = identifier(
        "STUDY", SOPClassesInStudy="", ModalitiesInStudy="", PatientID="4MR1", **dict.fromkeys(names, "")
    )
    ((result,), statuses) = asked(port, query, PATIENT_FIND)
    assert statuses[0] == 0xFF00
    assert [result[name].value for name in names] == [1] * 5
    assert result.ModalitiesInStudy == "MR"
    assert result.SOPClassesInStudy == "1.2.840.10008.5.1.4.1.1.4"


def test_sequences_come_back_as_they_were_asked_for(port: int) -> None:
    beam = identifier(BeamName="", BeamType="", BlockName="")
    ((result,), _) = asked(port, identifier("IMAGE", Modality="RTPLAN", BeamSequence=[beam]))
    (item,) = result.BeamSequence
    assert {element.keyword for element in item} == {"BeamName", "BeamType", "BlockName"}
    assert item.BeamType == "STATIC"
    assert item.BlockName is None or item.BlockName == ""
    ((whole,), _) = asked(port, identifier("IMAGE", Modality="RTPLAN", BeamSequence=[Dataset()]))
    assert len(whole.BeamSequence[0].ControlPointSequence) == 2


def test_private_attributes_are_asked_for_by_creator(archive: Archive, port: int) -> None:
    query = identifier("IMAGE", SOPInstanceUID="")
    block = query.private_block(0x0009, "GEMS_IDEN_01", create=True)
    block.add_new(0x01, "LO", "GE_GENESIS*")
    ((result,), _) = asked(port, query)
    assert result.private_block(0x0009, "GEMS_IDEN_01")[0x01].value == "GE_GENESIS_FF"
    query[0x00090010].value = "SOMEBODY"
    assert asked(port, query)[0] == []


def test_a_private_value_is_read_as_text_where_nothing_says_what_it_is(tmp_path: Path) -> None:
    """Of a creator that no dictionary has, in an encoding without VRs."""
    archive = Archive(tmp_path / "data")
    path = tmp_path / "private.dcm"
    ds = pydicom.dcmread(sample(CT))
    ds.SpecificCharacterSet = "ISO_IR 100"
    block = ds.private_block(0x0011, "SOMEBODY'S OWN", create=True)
    block.add_new(0x01, "LO", "Schädel")
    block.add_new(0x02, "DS", "1.50")
    ds.save_as(path)
    publish(archive, path)
    with answering(archive) as port:
        for number, value, count in (
            (0x01, "Sch?del", 1),
            (0x01, "Schädel\\x", 1),
            (0x02, "1.5", 1),
            (0x01, "Sch", 0),
            (0x02, "\x01\x02", None),
        ):
            query = identifier("IMAGE", SpecificCharacterSet="ISO_IR 100", SOPInstanceUID="")
            query.private_block(0x0011, "SOMEBODY'S OWN", create=True).add_new(number, "LO", value)
            results, statuses = asked(port, query, syntax=ImplicitVRLittleEndian)
            assert (len(results), statuses[-1]) == ((0, 0xC000) if count is None else (count, 0x0000))
    archive.close()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_transfer_syntax_of_messages(port: int, syntax: str) -> None:
    query = identifier("IMAGE", Rows=64, ReferencedImageSequence=[], Modality="MR", ImagePositionPatient=None)
    ((result,), _) = asked(port, query, syntax=syntax)
    assert result.Rows == 64
    assert len(result.ImagePositionPatient) == 3


@pytest.mark.parametrize(
    ("asks", "answers"),
    [
        ("", "ISO_IR 192"),
        ("ISO_IR 100", "ISO_IR 192"),
        ("ISO_IR 192", "ISO_IR 192"),
        ("GB18030", "GB18030"),
        (["", "ISO 2022 IR 87"], ["", "ISO 2022 IR 87"]),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
        ("ISO_IR 13", "ISO_IR 192"),  # which has no kanji
        (["ISO_IR 192", "ISO 2022 IR 87"], "ISO_IR 192"),  # which is never one of several
        ("ISO_IR 999", "ISO_IR 192"),
    ],
)
def test_the_character_set_of_an_answer_can_express_it(port: int, asks: str | list[str], answers: object) -> None:
    query = identifier("STUDY", PatientName="Yamada*")
    if asks:
        query.SpecificCharacterSet = asks
    ((result,), _) = asked(port, query)
    assert result.PatientName == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert result.SpecificCharacterSet == answers


def test_latin_alphabet_9_is_written(port: int) -> None:
    query = identifier("STUDY", SpecificCharacterSet="ISO_IR 203", ReferringPhysicianName="eluard*")
    ((result,), _) = asked(port, query)
    assert (result.ReferringPhysicianName, result.SpecificCharacterSet) == ("Éluard^Paul", "ISO_IR 203")


def test_latin_alphabet_9_is_read(port: int) -> None:
    """Which the receiver at that port has learned; its bytes mean something else in Latin alphabet No. 1."""
    assert port
    elements = (
        (0x00080005, b"CS", b"ISO_IR 203"),
        (0x00080052, b"CS", b"STUDY "),
        (0x00100010, b"PN", b"\xa6\xb4\xbc* "),
    )
    data = b"".join(
        struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value for tag, vr, value in elements
    )
    asked_for = wanted(pydicom.dcmread(BytesIO(data), force=True), STUDY_ROOT)
    assert asked_for.keys["00100010"]["Value"] == [{"Alphabetic": "ŠŽŒ*"}]


def test_ascii_names_no_character_set(port: int) -> None:
    ((result,), _) = asked(port, identifier("STUDY", PatientID="4MR1", PatientName=""))
    assert "SpecificCharacterSet" not in result


@pytest.mark.parametrize(
    ("sets", "name", "count"),
    [
        ("ISO_IR 100", "Éluard*", 1),
        ("ISO_IR 192", "éLUARD^paul", 1),
        ("ISO_IR 100", "Eluard^P*", 1),
        ("ISO_IR 192", "Elüard*", 1),  # accents do not count, as in QIDO-RS
        ("ISO_IR 192", "Aragon*", 0),
    ],
)
def test_the_character_set_of_a_request_is_read(port: int, sets: str, name: str, count: int) -> None:
    query = identifier("STUDY", SpecificCharacterSet=sets, ReferringPhysicianName=name)
    assert len(asked(port, query)[0]) == count


@pytest.mark.parametrize(
    ("sets", "name", "count"),
    [
        (["", "ISO 2022 IR 87"], "山田*", 1),
        ("ISO_IR 192", "*=山田*", 1),
        ("GB18030", "Yamada*=山田*", 1),
        (["", "ISO 2022 IR 87"], "==やまだ*", 1),
        ("ISO_IR 192", "*=佐藤*", 0),
    ],
)
def test_names_in_three_groups(port: int, sets: str | list[str], name: str, count: int) -> None:
    assert len(asked(port, identifier("STUDY", SpecificCharacterSet=sets, PatientName=name))[0]) == count


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_list_of_uids_longer_than_64_kib(archive: Archive, port: int, syntax: str) -> None:
    (entry,) = [entry for entry in archive.index.stream(Query(Level.STUDY)) if entry.text("00100020") == "4MR1"]
    many = [f"1.2.840.99999.{'7' * 40}.{number}" for number in range(1500)]
    query = identifier("STUDY", StudyInstanceUID=[*many, entry.study_uid])
    results, _ = asked(port, query, syntax=syntax)
    assert [result.StudyInstanceUID for result in results] == [entry.study_uid]


@pytest.mark.parametrize(
    ("keys", "comment"),
    [
        ({"StudyDate": "yesterday"}, "StudyDate"),
        ({"SeriesNumber": "1.x"}, "SeriesNumber"),
        ({"NumberOfPatientRelatedStudies": "1"}, "counted"),
    ],
)
def test_a_value_that_nothing_can_be_compared_with_is_named(port: int, keys: dict[str, str], comment: str) -> None:
    query = identifier("STUDY", StudyInstanceUID="")
    for keyword, value in keys.items():
        query.add_new(keyword, "LO", value)
    with asking(port, STUDY_FIND, syntax=ImplicitVRLittleEndian) as association:
        ((status, _),) = association.send_c_find(query, STUDY_FIND)
    assert status.Status == 0xC000
    assert comment in status.ErrorComment


@pytest.mark.parametrize("level", ["", "STUDY\\SERIES"])
def test_a_missing_level_says_why(port: int, level: str) -> None:
    with asking(port, STUDY_FIND) as association:
        ((status, _),) = association.send_c_find(identifier(level, PatientID=""), STUDY_FIND)
    assert status.Status == 0xA900
    assert "0008,0052" in status.ErrorComment
    assert status.OffendingElement == 0x00080052


def negotiation(model: str, *wanted: int) -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = model
    item.service_class_application_information = bytes(wanted)
    return item


def test_extended_negotiation_is_answered_with_what_is_supported(port: int) -> None:
    item = negotiation(STUDY_FIND, 1, 1, 1, 1, 1, 1, 1)
    with asking(port, STUDY_FIND, ext_neg=[item]) as association:
        assert association.acceptor.sop_class_extended == {STUDY_FIND: bytes((1, 1, 0, 0, 0, 1, 0))}
    with asking(port, STUDY_FIND, ext_neg=[negotiation(STUDY_FIND, 1)]) as association:
        assert association.acceptor.sop_class_extended == {STUDY_FIND: b"\1"}
    with asking(port, STUDY_FIND) as association:
        assert association.acceptor.sop_class_extended == {}


def test_dates_and_times_are_one_moment_if_negotiated(port: int) -> None:
    query = identifier("STUDY", StudyDate="20040119-20040826", StudyTime="080000-190000", PatientID="")
    apart = {result.PatientID for result in asked(port, query)[0]}
    together = {result.PatientID for result in asked(port, query, ext_neg=[negotiation(STUDY_FIND, 0, 1)])[0]}
    assert apart == {"4MR1"}
    assert together == {"4MR1"}
    query.StudyTime = "080000-180000"
    assert asked(port, query)[0] == []
    query.StudyTime, query.StudyDate = "050000-190000", "20040118-20040826"
    assert len(asked(port, query, ext_neg=[negotiation(STUDY_FIND, 0, 1)])[0]) == 2


def test_a_time_zone_is_not_agreed_to_and_changes_nothing(port: int) -> None:
    plain = identifier("STUDY", StudyDate="20040826", StudyTime="", PatientID="")
    zoned = identifier("STUDY", StudyDate="20040826", StudyTime="", PatientID="", TimezoneOffsetFromUTC="+1400")
    with asking(port, STUDY_FIND, ext_neg=[negotiation(STUDY_FIND, 0, 0, 0, 1)]) as association:
        assert association.acceptor.sop_class_extended == {STUDY_FIND: bytes(4)}
        (one,), _ = found(association, plain)
        (other,), statuses = found(association, zoned)
    assert (one.PatientID, one.StudyTime) == (other.PatientID, other.StudyTime)
    assert statuses == [0xFF00, 0x0000]


def test_hierarchical_queries_want_the_keys_of_higher_levels_unless_negotiated(archive: Archive) -> None:
    relational = negotiation(STUDY_FIND, 1)
    series = identifier("SERIES", SeriesInstanceUID="", StudyInstanceUID="")
    with answering(archive, queries=Queries.HIERARCHICAL) as port:
        assert asked(port, series) == ([], [0xA900])
        found_all, _ = asked(port, series, ext_neg=[relational])
        studies = {one.StudyInstanceUID for one in found_all}
        assert len(studies) > 1
        series.StudyInstanceUID = sorted(studies)
        assert asked(port, series) == ([], [0xA900])
        series.StudyInstanceUID = found_all[0].StudyInstanceUID
        assert {one.StudyInstanceUID for one in asked(port, series)[0]} == {series.StudyInstanceUID}
        assert asked(port, identifier("STUDY", StudyInstanceUID=""))[1][-1] == 0x0000
        with asking(port, STUDY_GET) as association:
            wanted = identifier("SERIES", SeriesInstanceUID=found_all[0].SeriesInstanceUID)
            assert [status.Status for status, _ in association.send_c_get(wanted, STUDY_GET)] == [0xA900]


def test_an_empty_value_can_be_asked_for(port: int) -> None:
    results, _ = asked(port, identifier("STUDY", AccessionNumber='""', PatientID=""))
    assert len(results) == 3


def test_more_than_may_be_given_ends_in_out_of_resources(archive: Archive) -> None:
    with answering(archive, most=2) as port, asking(port, STUDY_FIND) as association:
        answers = list(association.send_c_find(identifier("STUDY", PatientID=""), STUDY_FIND))
    assert [int(status.Status) for status, _ in answers] == [0xFF00, 0xFF00, 0xA700]
    assert "more than 2" in answers[-1][0].ErrorComment


def test_a_cancelled_query_stops(archive: Archive, tmp_path: Path) -> None:
    own = Archive(tmp_path / "many")
    for number in range(40):
        publish(own, MR, SOPInstanceUID=f"1.2.3.{number}")
    with answering(own) as port, asking(port, STUDY_FIND) as association:
        statuses = []
        for number, (status, _) in enumerate(
            association.send_c_find(identifier("IMAGE", SOPInstanceUID=""), STUDY_FIND, msg_id=7)
        ):
            if number == 0:
                association.send_c_cancel(7, association.accepted_contexts[0].context_id)
            statuses.append(int(status.Status))
        again, _ = found(association, identifier("STUDY", PatientID=""))
    assert statuses[-1] in (0xFE00, 0x0000)  # all may have been sent when the cancel came
    assert len(again) == 1  # and the association goes on
    own.close()


def test_a_cancel_that_is_there_before_the_first_result_is_heeded(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lethe.node.dimse.replies import Asked

    monkeypatch.setattr(Asked, "is_cancelled", lambda _asked: True)
    with answering(archive) as port:
        assert asked(port, identifier("STUDY", PatientID=""))[1] == [0xFE00]


def test_only_a_peer_that_may_find_is_answered(archive: Archive) -> None:
    peers = [
        Peer("reader", "READER", "127.0.0.1", 1, (Ability.FIND,)),
        Peer("sender", "SENDER", "127.0.0.1", 1, (Ability.STORE,)),
    ]
    with answering(archive, peers, trust=False) as port:
        assert len(asked(port, identifier("STUDY", PatientID=""), caller="READER")[0]) == 3
        with asking(port, STUDY_FIND, caller="SENDER") as association:
            assert found(association, identifier("STUDY", PatientID="")) == ([], [0x0124])
            assert found(association, identifier("STUDY", PatientID="")) == ([], [0x0124])


def test_originals_are_never_found(tmp_path: Path) -> None:
    import shutil

    from dicomweb_archive import sample

    from lethe.storage.intake import Origin

    own = Archive(tmp_path / "data")
    incoming = own.files.incoming() / "object"
    shutil.copyfile(sample(CT), incoming)
    own.accept(incoming, "1.2.3", Origin("test"), ["default"])
    with answering(own) as port:
        assert asked(port, identifier("STUDY", PatientID="")) == ([], [0x0000])
    own.close()


def test_a_query_is_put_on_record_without_what_it_asked(archive: Archive, port: int) -> None:
    asked(port, identifier("STUDY", PatientID="4MR1"), caller="CURIOUS")
    from programs import wait_for

    def recorded() -> bool:
        entry = archive.audit.newest(1)[0]
        return (entry.actor, entry.action) == ("CURIOUS@127.0.0.1", "found")

    wait_for(recorded, seconds=10)
    entry = archive.audit.newest(1)[0]
    assert entry.detail == '{"level": "STUDY", "results": 1}'
    assert not re.search("4MR1", entry.detail + entry.subject)
