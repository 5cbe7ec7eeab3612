"""The worklist: files and a table as sources, DCMTK's findscu and pynetdicom as modalities."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from programs import dcmtk, need
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind as FIND  # type: ignore[attr-defined]

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.worklist import worklist_service
from lethe.node.routing import always
from lethe.node.worklist import Worklist
from lethe.storage.archive import Archive

DUMP = """(0008,0005) CS [{charset}]
(0008,0050) SH [{accession}]
(0009,0010) LO [SITE]
(0009,1001) LO [{accession}-P]
(0010,0010) PN [{name}]
(0010,0020) LO [{patient}]
(0010,0030) DA [19580317]
(0020,000d) UI [1.2.276.0.7230010.3.2.{accession}]
(0040,0100) SQ
(fffe,e000) na
(0008,0060) CS [{modality}]
(0040,0001) AE [{station}]
(0040,0002) DA [{date}]
(0040,0003) TM [{time}]
(0040,0006) PN [HOUSE^GREGORY]
(0040,0009) SH [SPS{accession}]
(fffe,e00d) na
(fffe,e0dd) na
(0040,1001) SH [RP{accession}]
"""
STEPS = [
    ("101", "VIVALDI^ANTONIO", "AV35674", "MR", "AA01", "20240131", "0930", "ISO_IR 100"),
    ("102", "MÜLLER^ÉMILE", "AV35675", "CT", "AA02", "20240201", "1000", "ISO_IR 100"),
    ("103", "VERDI^GIUSEPPE", "AV35676", "CT", "AA01", "20240301", "113000", "ISO_IR 192"),
]
FIELDS = ("accession", "name", "patient", "modality", "station", "date", "time", "charset")
ENCODINGS = {"ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Worklist files as DCMTK makes them, among what else lies in such a folder."""
    need("dump2dcm")
    folder = tmp_path_factory.mktemp("worklist")
    for step in STEPS:
        values = dict(zip(FIELDS, step, strict=True))
        text = folder / f"{values['accession']}.dump"
        text.write_bytes(DUMP.format(**values).encode(ENCODINGS[values["charset"]]))
        done = dcmtk("dump2dcm", "-g", str(text), str(folder / f"{values['accession']}.wl"))
        assert done.returncode == 0, done.stderr
    (folder / "lockfile").touch()
    (folder / "broken.wl").write_bytes(b"not a worklist")
    return folder


def serving(archive: Archive, worklist: Worklist) -> Receiver:
    known = Peer("ct", "CT01", "127.0.0.1", 104, (Ability.WORKLIST,))
    admission = Admission("LETHE", [known], trust_loopback=True)
    return Receiver(archive, admission, always(), services=[worklist_service(worklist)])


@pytest.fixture
def port(archive: Archive, folder: Path) -> Iterator[int]:
    receiver = serving(archive, Worklist(folder, None))
    yield receiver.start("127.0.0.1", 0)
    receiver.stop(0.5)


def query(step: dict[str, object] | None = None, **attributes: object) -> Dataset:
    ds, item = Dataset(), Dataset()
    ds.AccessionNumber = ""
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    for keyword, value in {"ScheduledProcedureStepID": "", **(step or {})}.items():
        setattr(item, keyword, value)
    ds.ScheduledProcedureStepSequence = [item]
    return ds


def found(port: int, ds: Dataset, caller: str = "CT01") -> tuple[list[Dataset], int]:
    """The answers, by accession number, and the final status."""
    ae = AE(caller)
    ae.add_requested_context(FIND)
    association = ae.associate("127.0.0.1", port, ae_title="LETHE")
    *pending, (final, _) = association.send_c_find(ds, FIND)
    association.release()
    answers = [answer for status, answer in pending if status.Status == 0xFF00]
    assert len(answers) == len(pending)
    return sorted(answers, key=lambda one: str(one.get("AccessionNumber", ""))), int(final.Status)


def accessions(port: int, ds: Dataset) -> list[str]:
    return [str(one.AccessionNumber) for one in found(port, ds)[0]]


@pytest.mark.parametrize(
    ("step", "attributes", "expected"),
    [
        ({}, {}, ["101", "102", "103"]),
        ({"Modality": "CT"}, {}, ["102", "103"]),
        ({"Modality": ["MR", "CT"]}, {}, ["101", "102", "103"]),
        ({"Modality": "US"}, {}, []),
        ({"ScheduledStationAETitle": "AA01"}, {}, ["101", "103"]),
        ({"ScheduledStationAETitle": "aa01"}, {}, []),
        ({"ScheduledStationAETitle": "AA01", "Modality": "CT"}, {}, ["103"]),
        ({"ScheduledProcedureStepStartDate": "20240201"}, {}, ["102"]),
        ({"ScheduledProcedureStepStartDate": "20240101-20240215"}, {}, ["101", "102"]),
        ({"ScheduledProcedureStepStartDate": "20240201-"}, {}, ["102", "103"]),
        ({"ScheduledProcedureStepStartDate": "-20240201"}, {}, ["101", "102"]),
        ({"ScheduledProcedureStepStartTime": "0900-1000"}, {}, ["101", "102"]),
        ({"ScheduledProcedureStepStartTime": "11"}, {}, ["103"]),
        ({"ScheduledProcedureStepStartTime": "09:00:00.000000-1000"}, {}, ["101", "102"]),
        ({"ScheduledProcedureStepStartTime": "100000.000000-"}, {}, ["102", "103"]),
        ({"ScheduledPerformingPhysicianName": "House*"}, {}, ["101", "102", "103"]),
        ({}, {"PatientName": "V*"}, ["101", "103"]),
        ({}, {"PatientName": "vivaldi^ant?nio"}, ["101"]),
        ({}, {"PatientName": "*"}, ["101", "102", "103"]),
        ({}, {"PatientName": "Muller*", "SpecificCharacterSet": "ISO_IR 100"}, ["102"]),
        ({}, {"PatientName": "MÜLLER*", "SpecificCharacterSet": "ISO_IR 192"}, ["102"]),
        ({}, {"PatientID": "AV3567[46]"}, []),
        ({}, {"PatientID": "AV3567?"}, ["101", "102", "103"]),
        ({}, {"StudyInstanceUID": ["1.2.276.0.7230010.3.2.101", "1.2.276.0.7230010.3.2.103"]}, ["101", "103"]),
        ({}, {"RequestedProcedureID": "RP102"}, ["102"]),
        ({}, {"InstitutionName": "X"}, []),
        ({}, {"QueryRetrieveLevel": "WORKLIST"}, ["101", "102", "103"]),
    ],
)
def test_keys_match_as_the_standard_says(
    port: int, step: dict[str, object], attributes: dict[str, object], expected: list[str]
) -> None:
    assert accessions(port, query(step, **attributes)) == expected


def test_the_answer_has_the_structure_of_the_query(port: int) -> None:
    answers, status = found(port, query({"Modality": "MR", "ScheduledStationName": ""}, PatientSex="", PatientName=""))
    (answer,) = answers
    assert status == 0x0000
    assert [element.keyword for element in answer] == [
        "AccessionNumber",
        "PatientName",
        "PatientSex",
        "ScheduledProcedureStepSequence",
    ]
    (item,) = answer.ScheduledProcedureStepSequence
    assert (item.Modality, item.ScheduledStationName, item.ScheduledProcedureStepID) == ("MR", "", "SPS101")
    assert len(item) == 3
    assert answer.PatientSex == ""


def test_without_a_sequence_or_with_an_empty_one(port: int) -> None:
    ds = query()
    del ds.ScheduledProcedureStepSequence
    assert accessions(port, ds) == ["101", "102", "103"]
    for items in ([], [Dataset()]):
        ds.ScheduledProcedureStepSequence = Sequence(items)
        for ds.ScheduledProcedureStepSequence.is_undefined_length in (False, True):
            answers, _ = found(port, ds)
            assert [one.ScheduledProcedureStepSequence[0].Modality for one in answers] == ["MR", "CT", "CT"]


def test_a_private_attribute_is_found_by_its_creator(port: int) -> None:
    ds = query()
    ds.private_block(0x0009, "SITE", create=True).add_new(0x01, "LO", "102-P")
    assert accessions(port, ds) == ["102"]
    assert found(port, ds)[0][0].private_block(0x0009, "SITE")[0x01].value.strip() in ("102-P", b"102-P")
    foreign = query()
    foreign.private_block(0x0009, "ANOTHER", create=True).add_new(0x01, "LO", "102-P")
    assert accessions(port, foreign) == []


def test_characters_survive(port: int) -> None:
    for charset in ("ISO_IR 6", "ISO_IR 100", "ISO_IR 192", "ISO_IR 144", "ISO_IR 999", ""):
        ds = query({}, PatientID="AV35675", PatientName="")
        ds.SpecificCharacterSet = charset
        (answer,) = found(port, ds)[0]
        expected = "ISO_IR 192" if charset == "ISO_IR 192" else "ISO_IR 100"  # that of the source
        assert (answer.PatientName, answer.SpecificCharacterSet) == ("MÜLLER^ÉMILE", expected)


@pytest.mark.parametrize(
    ("charset", "accession", "expected"),
    [
        ("ISO_IR 100", "1", "ISO_IR 100"),
        ("ISO_IR 192", "1", "ISO_IR 192"),
        ("", "1", "ISO_IR 192"),
        ("ISO_IR 101", "2", "ISO_IR 101"),
        ("ISO_IR 100", "2", "ISO_IR 192"),  # which has no Č
        (["", "ISO 2022 IR 87"], "3", ["", "ISO 2022 IR 87"]),
        ("ISO_IR 100", "4", None),  # nothing but ASCII
        ("ISO_IR 192", "4", None),
    ],
)
def test_a_modality_is_answered_in_its_character_set_if_it_can_write_the_answer(
    archive: Archive, tmp_path: Path, charset: str | list[str], accession: str, expected: str | list[str] | None
) -> None:
    rows = {
        "1": ("MÜLLER^ÉMILE", "Schädel"),
        "2": ("ČAPEK^KAREL", "hlava"),
        "3": ("YAMADA^TAROU=山田^太郎", "頭部"),
        "4": ("DOE^JANE", "head"),
    }
    table = tmp_path / "list.csv"
    lines = [f"{number},{name},{step}" for number, (name, step) in rows.items()]
    table.write_text("AccessionNumber,PatientName,ScheduledProcedureStepDescription\n" + "\n".join(lines))
    receiver = serving(archive, Worklist(None, table))
    try:
        ds = query({"ScheduledProcedureStepDescription": ""}, AccessionNumber=accession, PatientName="")
        ds.SpecificCharacterSet = charset
        (answer,) = found(receiver.start("127.0.0.1", 0), ds)[0]
        assert answer.get("SpecificCharacterSet") == expected
        (step,) = answer.ScheduledProcedureStepSequence
        assert (str(answer.PatientName), step.ScheduledProcedureStepDescription) == rows[accession]
    finally:
        receiver.stop(0.5)


def test_a_source_that_changes_is_read_again(archive: Archive, folder: Path, tmp_path: Path) -> None:
    for name in ("101", "102"):
        (tmp_path / f"{name}.wl").write_bytes((folder / f"{name}.wl").read_bytes())
    receiver = serving(archive, Worklist(tmp_path, None))
    try:
        port = receiver.start("127.0.0.1", 0)
        assert accessions(port, query()) == ["101", "102"]
        (tmp_path / "102.wl").unlink()
        ds = pydicom.dcmread(folder / "103.wl")
        ds.save_as(tmp_path / "101.wl")
        os.utime(tmp_path / "101.wl", (1, 1))
        assert accessions(port, query()) == ["103"]
    finally:
        receiver.stop(0.5)


def test_each_step_of_a_procedure_is_an_answer_of_its_own(archive: Archive, folder: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(folder / "103.wl")
    second = Dataset()
    second.Modality, second.ScheduledProcedureStepID = "MR", "SPS104"
    ds.ScheduledProcedureStepSequence.append(second)
    ds.save_as(tmp_path / "two.wl")
    receiver = serving(archive, Worklist(tmp_path, None))
    try:
        port = receiver.start("127.0.0.1", 0)
        answers = [list(one.ScheduledProcedureStepSequence) for one in found(port, query())[0]]
        assert [[step.ScheduledProcedureStepID for step in steps] for steps in answers] == [["SPS103"], ["SPS104"]]
        assert len(found(port, query({"Modality": "MR"}))[0]) == 1
    finally:
        receiver.stop(0.5)


def test_a_table_is_a_source(archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        "PatientName,PatientID,AccessionNumber,Modality,ScheduledStationAETitle,ScheduledProcedureStepStartDate\n"
        'YAMADA^TAROU=山田^太郎,P1,201,CT,AA01,20240131\n"ČAPEK^KAREL",P2,202,MR,"AA01\\AA02",20240201\n'
        "TOO^SHORT,P3\nBAD^DATE,P4,204,CT,AA01,yesterday\nBAD^DATE,P5,205,CT,AA01,2024-01-31\n"
        "A^RANGE,P6,206,CT,AA01,20240131-20240201\n",
        encoding="utf-8-sig",
    )
    receiver = serving(archive, Worklist(None, table))
    try:
        port = receiver.start("127.0.0.1", 0)
        assert accessions(port, query({"Modality": "CT"})) == ["201"]
        assert "row 6 of the worklist's table is left out: ScheduledProcedureStepStartDate is not" in caplog.text
        assert accessions(port, query({"ScheduledStationAETitle": "AA02"})) == ["202"]
        for name in ("*=山田*", "=山田*", "山田^太郎", "yamada*", "Yamada*=*太郎"):
            (answer,) = found(port, query({}, PatientName=name, SpecificCharacterSet="ISO_IR 192"))[0]
            assert str(answer.PatientName) == "YAMADA^TAROU=山田^太郎"
        assert not found(port, query({}, PatientName="=yamada*", SpecificCharacterSet="ISO_IR 192"))[0]
        for between in (";", "\t"):  # as spreadsheets write it where a comma is the decimal sign
            rows = ("PatientName", "AccessionNumber"), ("SEMI^COLON, DR", f"3{ord(between)}")
            table.write_text("\r\n".join(between.join(row) for row in rows), encoding="utf-8-sig")
            assert accessions(port, query({}, PatientName="semi^colon, dr")) == [f"3{ord(between)}"]
        table.write_text("PatientName,Nonsense\nA^B,C\n", encoding="utf-8")
        assert found(port, query()) == ([], 0xC000)
        table.unlink()
        assert found(port, query()) == ([], 0xC000)
    finally:
        receiver.stop(0.5)


def test_a_query_for_nothing_is_told_so(port: int) -> None:
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    assert found(port, asked) == ([], 0xA900)


def test_only_peers_named_for_it_are_answered(port: int) -> None:
    assert found(port, query(), caller="CT02") == ([], 0x0124)  # on this machine itself, and trusted for all else


def test_a_query_can_be_cancelled(archive: Archive) -> None:
    class Endless(Worklist):
        def entries(self) -> Iterator[Dataset]:
            while True:
                yield query()

    receiver = serving(archive, Endless(None, None))
    try:
        ae = AE("CT01")
        ae.add_requested_context(FIND)
        association = ae.associate("127.0.0.1", receiver.start("127.0.0.1", 0), ae_title="LETHE")
        answers = association.send_c_find(query(), FIND, msg_id=1)
        assert next(answers)[0].Status == 0xFF00
        association.send_c_cancel(1, query_model=FIND)
        assert [status.Status for status, _ in answers][-1] == 0xFE00
        association.release()
    finally:
        receiver.stop(0.5)


def test_no_name_is_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="lethe"):
        assert accessions(port, query({}, PatientName="VIVALDI*")) == ["101"]
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("lethe"))
    assert "CT01" in ours
    for step in STEPS:
        assert not [value for value in step[1:3] if value in ours]
    assert "VIVALDI" not in ours


@pytest.mark.peer
def test_dcmtk_asks(port: int, tmp_path: Path) -> None:
    need("findscu")
    keys = ("-k", "0010,0010=V*", "-k", "0008,0050", "-k", "(0040,0100)[0].0008,0060=CT")
    done = dcmtk(
        "findscu", "-W", "-X", "-od", str(tmp_path), *keys, "-aet", "CT01", "-aec", "LETHE", "127.0.0.1", str(port)
    )
    assert done.returncode == 0, done.stderr
    (answer,) = [pydicom.dcmread(path, force=True) for path in sorted(tmp_path.glob("rsp*"))]
    assert (answer.AccessionNumber, answer.PatientName) == ("103", "VERDI^GIUSEPPE")
    assert answer.ScheduledProcedureStepSequence[0].Modality == "CT"


def test_an_object_cannot_be_stored_under_a_context_that_is_not_of_storage(archive: Archive, port: int) -> None:
    ae = AE("CT01")
    ae.add_requested_context(FIND)
    association = ae.associate("127.0.0.1", port, ae_title="LETHE")
    ds = query(SOPClassUID=FIND, SOPInstanceUID="1.2.3")
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert association.send_c_store(ds).Status == 0x0211
    *_, (final, _) = association.send_c_find(query(), FIND)
    association.release()
    assert final.Status == 0x0000
    assert not list(archive.files.names("inbox"))
    assert not archive.jobs.find()
