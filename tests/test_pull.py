"""`lethe pull`: studies are found at a PACS and moved to us, by Orthanc and by DCMTK's dcmqrscp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from time import sleep
from typing import Any

import pytest
import requests
from builders import PHI, bundled, ct, saved
from programs import Node, dcmtk, free_port, need, orthanc, running, running_node, wait_for
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, build_context, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from lethe.node.cli import main
from lethe.node.config import Config, Peer, Project, Route
from lethe.node.dimse.counting import instances_of_study
from lethe.node.dimse.fetching import GET, ByGet
from lethe.node.dimse.limits import Limits
from lethe.node.dimse.pulling import FIND, MOVE, BrokenOff, ByMove, asked_for
from lethe.node.errors import UserError
from lethe.node.pace import Pace
from lethe.node.pull import Pull, Study
from lethe.node.routing import Router, always
from lethe.node.wishlist import Wish, listed, query_wished, studies_wished
from lethe.storage.archive import Archive
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.pulls import digest
from lethe.storage.query import Level, Query

PEER = '[[peers]]\nname = "pacs"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {port}\n'
TRIAL = """
[projects.default]
[projects.trial]
[[routes]]
from = "ORTHANC"
called = "TRIAL"
project = "trial"
"""


def orthanc_holds(url: str, folder: Path, *accessions: str) -> list[str]:
    """Store a study of two instances for each accession number; their Study Instance UIDs."""
    uids = []
    for accession in accessions:
        first = ct(AccessionNumber=accession)
        second = ct(AccessionNumber=accession, StudyInstanceUID=first.StudyInstanceUID)
        for number, ds in enumerate((first, second)):
            path = saved(ds, folder, f"{accession}-{number}.dcm")
            assert requests.post(f"{url}/instances", data=path.read_bytes(), timeout=30).ok
        uids.append(str(first.StudyInstanceUID))
    return uids


def introduce(url: str, title: str, port: int) -> None:
    """Have Orthanc know us by that AE title."""
    modality = {"AET": title, "Host": "127.0.0.1", "Port": port}
    assert requests.put(f"{url}/modalities/{title.lower()}", json=modality, timeout=30).ok


@pytest.fixture()
def pacs(tmp_path: Path) -> Iterator[tuple[int, str]]:
    with orthanc(tmp_path / "orthanc") as one:
        yield one


def audited(node: Node, action: str) -> list[dict[str, object]]:
    entries = [json.loads(line) for line in node.lethe("audit", "export").stdout.splitlines()]
    return [entry["detail"] for entry in entries if entry["action"] == action]


@pytest.mark.peer
def test_a_list_is_pulled_and_a_second_run_goes_on(tmp_path: Path, pacs: tuple[int, str]) -> None:
    dicom, url = pacs
    one, _two, three = orthanc_holds(url, tmp_path, "ACC1", "ACC2", "ACC3")
    wanted = tmp_path / "list.txt"
    wanted.write_text(f"# what the trial wants\n{one}\nACC2\nNOTTHERE\n")
    with running_node(tmp_path / "node", PEER.format(port=dicom)) as node:
        introduce(url, "LETHE", node.dicom)
        said = node.lethe("pull", "pacs", "--list", str(wanted), "--dry-run")
        assert said.returncode == 3
        assert said.stdout.splitlines()[0] == one
        assert len(said.stdout.splitlines()) == 2
        assert node.settle()["published"] == 0

        said = node.lethe("pull", "pacs", "--list", str(wanted))
        assert said.returncode == 3, said.stderr
        assert said.stdout == ("not moved: line 4: pacs finds no such study\n2 found, 2 moved, 4 instances, 1 failed\n")
        assert node.settle()["published"] == 4

        wanted.write_text(f"{one}\nACC2\n{three}\n")
        said = node.lethe("pull", "pacs", "--list", str(wanted))
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout == "3 found (2 of them pulled before), 1 moved, 2 instances, 0 failed\n"
        assert node.settle()["published"] == 6

        said = node.lethe("pull", "pacs", "--list", str(wanted), "--again")
        assert said.stdout == "3 found, 3 moved, 6 instances, 0 failed\n"
        assert node.settle()["published"] == 6
        assert [entry["moved"] for entry in audited(node, "pulled")] == [2, 1, 3]
        assert [entry["by"] for entry in audited(node, "pull-began")] == ["list"] * 3
        assert not [text for text in (*PHI.values(), one, three) if text in node.log.read_text()]


@pytest.mark.peer
def test_a_query_moves_what_matches(tmp_path: Path, pacs: tuple[int, str]) -> None:
    dicom, url = pacs
    orthanc_holds(url, tmp_path, "ACC1", "ACC2", "OTHER")
    with running_node(tmp_path / "node", PEER.format(port=dicom)) as node:
        introduce(url, "LETHE", node.dicom)
        said = node.lethe("pull", f"ORTHANC@127.0.0.1:{dicom}", "--query", "AccessionNumber=ACC*", "--rate", "6000")
        assert (said.returncode, said.stdout) == (0, "2 found, 2 moved, 4 instances, 0 failed\n"), said.stderr
        assert node.settle()["published"] == 4


@pytest.mark.peer
def test_a_project_is_reached_by_the_ae_title_its_route_spells_out(tmp_path: Path, pacs: tuple[int, str]) -> None:
    dicom, url = pacs
    (uid,) = orthanc_holds(url, tmp_path, "ACC1")
    with running_node(tmp_path / "node", PEER.format(port=dicom) + TRIAL) as node:
        introduce(url, "LETHE", node.dicom)
        said = node.lethe("pull", "pacs", "--study", uid, "--project", "default")
        assert said.returncode == 2
        assert "add a route that does" in said.stderr
        said = node.lethe("pull", "pacs", "--study", uid, "--project", "trial")
        assert said.returncode == 3  # Orthanc answers 0xC000 instead of 0xA801
        assert "pacs sent nothing (0xC000); see that it knows LETHE and TRIAL with the address and port" in said.stdout
        introduce(url, "TRIAL", node.dicom)
        said = node.lethe("pull", "pacs", "--study", uid, "--project", "trial")
        assert said.returncode == 0, said.stderr
        assert node.settle()["published"] == 2
        assert [entry["projects"] for entry in audited(node, "received")] == [["trial"], ["trial"]]


@pytest.mark.peer
def test_a_pacs_that_does_not_know_us_or_sends_elsewhere_is_not_believed(tmp_path: Path, pacs: tuple[int, str]) -> None:
    dicom, url = pacs
    (uid,) = orthanc_holds(url, tmp_path, "ACC1")
    with running_node(tmp_path / "node", PEER.format(port=dicom)) as node:
        said = node.lethe("pull", "pacs", "--study", uid)
        assert said.returncode == 3
        assert (
            "pacs broke off the retrieval, or did not answer; see that it knows LETHE with the address" in said.stdout
        )
        introduce(url, "LETHE", dicom)  # to itself
        said = node.lethe("pull", "pacs", "--study", uid)
        assert said.returncode == 3
        assert said.stdout.startswith("not moved: study 1: pacs says it sent 2 instances, but 0 came; see that")


@pytest.mark.peer
def test_orthanc_that_cannot_call_us_is_asked_by_c_get_and_gives_what_it_has_as_it_has_it(
    tmp_path: Path, pacs: tuple[int, str]
) -> None:
    dicom, url = pacs
    one, two = orthanc_holds(url, tmp_path, "ACC1", "ACC2")
    compressed = bundled("MR_small_jp2klossless.dcm")
    compressed.StudyInstanceUID = one
    assert requests.post(f"{url}/instances", data=saved(compressed, tmp_path).read_bytes(), timeout=30).ok
    wanted = tmp_path / "list.txt"
    wanted.write_text(f"{one}\n")
    introduce(url, "LETHE", free_port())  # nobody is there
    with running_node(tmp_path / "node", PEER.format(port=dicom) + TRIAL) as node:
        pull = ("pull", "pacs", "--get", "--list", str(wanted), "--project", "trial")
        said = node.lethe(*pull)
        assert (said.returncode, said.stdout) == (0, "1 found, 1 moved, 3 instances, 0 failed\n"), said.stderr
        wanted.write_text(f"{one}\nACC2\n")
        said = node.lethe(*pull)
        assert said.stdout == "2 found (1 of them pulled before), 1 moved, 2 instances, 0 failed\n", said.stderr
        assert node.settle()["published"] == 5
        received = audited(node, "received")
        assert [entry["projects"] for entry in received] == [["trial"]] * 5
        assert [entry["service"] for entry in audited(node, "pulled")] == ["C-GET"] * 2
        assert not [text for text in (*PHI.values(), one, two) if text in node.log.read_text()]
        clean = Archive(node.folder / "data")
        encodings = {syntax for _, syntax in clean.index.encodings(Query(Level.INSTANCE))}
        clean.close()
        assert encodings == {ExplicitVRLittleEndian, JPEG2000Lossless}


@pytest.mark.peer
def test_dcmqrscp_is_pulled_from_and_says_that_it_does_not_know_us(tmp_path: Path) -> None:
    need("dcmqrscp", "storescu")
    store, port = tmp_path / "store", free_port()
    store.mkdir()
    with running_node(
        tmp_path / "node", f'[[peers]]\nname = "pacs"\nae_title = "QR"\nhost = "127.0.0.1"\nport = {port}\n'
    ) as node:
        settings = tmp_path / "dcmqrscp.cfg"
        settings.write_text(
            "NetworkTCPPort = 0\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\nus = (LETHE, 127.0.0.1, {node.dicom})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nQR {store} RW (9, 1024mb) ANY\nAETable END\n"
        )
        ds = ct()
        with running(["/usr/bin/dcmqrscp", "-c", str(settings), str(port)], port, tmp_path / "dcmqrscp.log"):
            sent = dcmtk("storescu", "-aec", "QR", "127.0.0.1", str(port), str(saved(ds, tmp_path)))
            assert sent.returncode == 0, sent.stderr
            said = node.lethe("pull", "pacs", "--get", "--again", "--study", str(ds.StudyInstanceUID))
            assert (said.returncode, said.stdout) == (0, "1 found, 1 moved, 1 instances, 0 failed\n"), said.stderr
            query = (f"PatientID={ds.PatientID}", "StudyDate=20190101-20191231", "PatientName=FEATHERSTONE*")
            said = node.lethe("pull", "pacs", "--query", *query)
            assert (said.returncode, said.stdout) == (0, "1 found, 1 moved, 1 instances, 0 failed\n"), said.stderr
            assert node.settle()["published"] == 1
            plain = node.config.read_text(encoding="utf-8")
            node.config.write_text(plain.replace("[node]\n", '[node]\nae_title = "STRANGER"\n'), encoding="utf-8")
            said = node.lethe("pull", "pacs", "--query", f"PatientID={ds.PatientID}")
            assert said.returncode == 1
            assert "pacs does not know the AE title STRANGER: on the PACS, add the destination STRANGER" in said.stderr
            assert f"port {node.dicom}" in said.stderr
            assert "Traceback" not in said.stderr


class Stubborn:
    """A PACS of pynetdicom's that finds whatever `answers` says and sends `image`, if there is one, to itself."""

    def __init__(self, *answers: tuple[int, dict[str, str]], image: Dataset | None = None) -> None:
        self.answers, self.image, self.port, self.moves = answers, image, free_port(), 0
        self._ae = AE("PACS")
        for uid in (FIND, MOVE, CTImageStorage):
            self._ae.add_supported_context(uid)
        self._ae.add_requested_context(CTImageStorage)

    def __enter__(self) -> Stubborn:
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_MOVE, self._move), (evt.EVT_C_STORE, lambda _event: 0)]
        self._server = self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()

    @property
    def is_busy(self) -> bool:
        """Whether somebody has an association with it."""
        return bool(self._ae.active_associations)

    def take(self, associations: int) -> None:
        """Take so many associations at once."""
        self._ae._maximum_associations = associations  # the setter takes no 0

    def pacs(self) -> ByMove:
        return ByMove(Peer("pacs", "PACS", "127.0.0.1", self.port), "LETHE", to="LETHE")

    def _find(self, _event: Event) -> Iterator[tuple[int, Dataset]]:
        for status, attributes in self.answers:
            answer = Dataset()
            for keyword, value in attributes.items():
                setattr(answer, keyword, value)
            yield status, answer

    def _move(self, _event: Event) -> Iterator[object]:
        self.moves += 1
        if self.image is None:
            raise ValueError("something is wrong with this one")
        yield "127.0.0.1", self.port
        yield 1
        yield 0xFF00, self.image


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((0xFF01, {"StudyInstanceUID": "1.2.3.4.5", "AccessionNumber": "ACC1"}), "cannot search by all of these keys"),
        ((0xFF00, {"StudyInstanceUID": "1.2.3.4.5", "AccessionNumber": "ACC12"}), "with another AccessionNumber"),
        ((0xFF00, {"StudyInstanceUID": "1.2.3.4.5"}), "with another AccessionNumber"),
        ((0xFF00, {"AccessionNumber": "ACC1"}), "without a Study Instance UID"),
        ((0xA700, {}), "answers a query with 0xA700"),
    ],
)
def test_a_peer_that_finds_what_was_not_asked_for_is_not_believed(answer: tuple[int, dict[str, str]], why: str) -> None:
    with Stubborn(answer) as peer, peer.pacs() as pacs, pytest.raises(Refused, match=why) as caught:
        pacs.find({"AccessionNumber": "ACC1"})
    assert "ACC1" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "wanted", "answer"),
    [
        ("PatientID", "7", {}),
        ("PatientID", "7", {"PatientID": "8"}),
        ("StudyDate", "20260101", {"StudyDate": ""}),
        ("Modality", "CT", {"ModalitiesInStudy": "CT"}),
        ("ModalitiesInStudy", "CT\\PT", {"ModalitiesInStudy": ["MR", "SR"]}),
        ("StudyInstanceUID", "1.2.3.4.6\\1.2.3.4.7", {}),
    ],
)
def test_a_peer_that_ignores_a_key_without_a_word_moves_nothing(key: str, wanted: str, answer: dict[str, Any]) -> None:
    with Stubborn((0xFF00, {"StudyInstanceUID": "1.2.3.4.5"} | answer)) as peer, peer.pacs() as pacs:
        with pytest.raises(Refused, match=f"with another {key} than the one asked for, or none"):
            pacs.find({key: wanted})


@pytest.mark.parametrize(
    ("key", "wanted", "answer"),
    [
        ("ModalitiesInStudy", "CT\\PT", {"ModalitiesInStudy": ["PT", "SR"]}),
        ("PatientID", "7", {"PatientID": " 7 "}),
        ("PatientID", "p7", {"PatientID": "P7"}),
        ("PatientID", "7*", {}),
        ("PatientName", "DOE^JANE", {"PatientName": "Doe^Jane^^"}),
        ("StudyDate", "20260101-20260131", {"StudyDate": "20260102"}),
        ("StudyDescription", "Schädel", {"StudyDescription": "Sch?del"}),
        ("StudyInstanceUID", "1.2.3.4.5\\1.2.3.4.7", {}),
    ],
)
def test_what_is_found_in_another_way_of_writing_is_taken(key: str, wanted: str, answer: dict[str, Any]) -> None:
    with Stubborn((0xFF00, {"StudyInstanceUID": "1.2.3.4.5"} | answer)) as peer, peer.pacs() as pacs:
        assert pacs.find({key: wanted}) == ["1.2.3.4.5"]


def test_an_answer_that_cannot_be_read_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the study would be missing without a word."""
    unended = b"\x08\0\x10\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"  # a sequence, in implicit VR
    monkeypatch.setattr("pynetdicom.service_class.encode", lambda *_arguments: unended)
    with Stubborn((0xFF00, {"StudyInstanceUID": "1.2.3.4.5"})) as peer:
        with pytest.raises(Refused, match="cannot be read"), peer.pacs() as pacs:
            pacs.find({"PatientID": "7"})
        with pytest.raises(Unavailable, match="cannot be read"):
            instances_of_study(Peer("pacs", "PACS", "127.0.0.1", peer.port), "LETHE", "1.2.3.4.5")


def test_answers_that_come_faster_than_they_are_taken_wait() -> None:
    uids = [f"1.2.3.4.{number}" for number in range(1000)]
    with Stubborn(*((0xFF00, {"StudyInstanceUID": uid}) for uid in uids)) as peer:
        with peer.pacs() as pacs:
            assert pacs.find({"PatientID": "7*"}) == uids
        with peer.pacs() as pacs:
            taken = []
            for answer in pacs._answers(asked_for("STUDY", {"StudyInstanceUID": ""})):
                sleep(0.05 if len(taken) < 5 else 0)
                assert answer is not None
                taken.append(str(answer.StudyInstanceUID))
            assert taken == uids
        with pytest.raises(Refused, match="another StudyInstanceUID"), peer.pacs() as pacs:
            pacs.find({"StudyInstanceUID": "1.2.3.4.5"})  # and breaks off, with much still to come
        wait_for(lambda: not peer.is_busy)


def test_a_peer_that_is_busy_is_asked_again(archive: Archive) -> None:
    """A rejection that is transient says nothing about titles."""
    with Stubborn((0xFF00, {"StudyInstanceUID": "1.2.3.4.5"})) as peer, peer.pacs() as pacs:
        peer.take(1)
        other = AE("OTHER").associate("127.0.0.1", peer.port, [build_context(FIND)])
        assert other.is_established
        slept: list[float] = []

        def leave(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                other.release()
                wait_for(lambda: not peer.is_busy)

        pull = Pull(archive, pacs, request="r", pace=Pace(0, 0), sleep=leave)
        assert [[study.uid for study in found] for found in pull.find(studies_wished(["1.2.3.4.5"]))] == [["1.2.3.4.5"]]
        assert len(slept) == 2
        peer.take(0)
        with pytest.raises(Unavailable, match="it has as many associations as it takes"), peer.pacs() as again:
            again.find({"StudyInstanceUID": "1.2.3.4.5"})


def test_a_study_is_tried_three_times_and_a_peer_with_three_studies(archive: Archive) -> None:
    slept: list[float] = []
    with Stubborn() as peer, peer.pacs() as pacs:
        pull = Pull(archive, pacs, request="r", pace=Pace(0, 0), sleep=slept.append)
        pull.move(Study("line 1", "1.2.3.4.1"), lambda _instances: None)
        pull.move(Study("line 2", "1.2.3.4.2"), lambda _instances: None)
        assert (peer.moves, len([seconds for seconds in slept if seconds])) == (6, 4)
        with pytest.raises(Unavailable, match="sent nothing of 3 studies in a row"):
            pull.move(Study("line 3", "1.2.3.4.3"), lambda _instances: None)
    assert [failure.partition(":")[0] for failure in pull.tally.failures] == ["line 1", "line 2", "line 3"]
    assert not archive.pulls.done("pacs", "r")


def test_what_the_peer_sends_is_counted_against_the_rate(archive: Archive) -> None:
    slept: list[float] = []
    with Stubborn(image=ct()) as peer, peer.pacs() as pacs:
        pull = Pull(archive, pacs, request="r", pace=Pace(0.0001, 0), sleep=slept.append)
        pull.move(Study("line 1", "1.2.3.4.1"), lambda _instances: None)
    assert peer.moves == 3
    assert [seconds > 5000 for seconds in slept] == [False, False, True, False, True]  # before each, and after the two
    assert pull.tally.counts() == {"found": 0, "pulled_before": 0, "moved": 0, "instances": 0, "failed": 1}
    assert pull.tally.failures[0].startswith("line 1: pacs says it sent 1 instances, but 0 came")


def test_a_peer_that_falls_silent_within_a_get_is_given_up_and_one_that_sends_is_not(archive: Archive) -> None:
    silent, images = Flag(), [ct() for _ in range(4)]

    def give(_event: Event) -> Iterator[object]:
        yield len(images)
        for image in images:
            yield 0xFF00, image
        silent.wait(60)

    def found(_event: Event) -> Iterator[tuple[int, Dataset]]:
        answer = Dataset()
        answer.SOPClassesInStudy = CTImageStorage
        yield 0xFF00, answer

    ae, port = AE("PACS"), free_port()
    for uid in (FIND, GET):
        ae.add_supported_context(uid)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_GET, give), (evt.EVT_C_FIND, found)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    peer, limits = Peer("pacs", "PACS", "127.0.0.1", port), Limits(least_free=0)
    try:
        with ByGet(peer, "LETHE", to="LETHE", archive=archive, plan_for=always("default"), limits=limits) as pacs:
            pacs._ae.network_timeout = 2  # it is a quarter of an hour
            with pytest.raises(BrokenOff):
                pacs.bring("1.2.3", lambda _instances: None)
        assert archive.counts()["received"] == 4
    finally:
        silent.set()
        server.shutdown()


def test_what_was_pulled_is_remembered_by_peer_and_request_as_digests(archive: Archive) -> None:
    archive.pulls.add("pacs", "one", "1.2.3.4.5")
    archive.pulls.add("pacs", "one", "1.2.3.4.5")
    assert archive.pulls.done("pacs", "one") == {digest("1.2.3.4.5")}
    assert not archive.pulls.done("pacs", "two") | archive.pulls.done("other", "one")
    archive.pulls.forget("pacs", "one")
    assert not archive.pulls.done("pacs", "one")


def test_nothing_is_asked_for_where_nobody_would_take_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[node]\nport = {free_port()}\n" + PEER.format(port=free_port()), encoding="utf-8")
    assert main(["pull", "pacs", "--study", "1.2.3.4.5", "--config", str(config)]) == 2
    assert "start this node first (lethe serve)" in capsys.readouterr().err
    assert main(["pull", "nobody", "--study", "1.2.3.4.5", "--config", str(config)]) == 2
    assert "there is no peer 'nobody'; configured: pacs" in capsys.readouterr().err


def test_wishes_are_read_and_mistakes_named_without_their_values(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeff1.2.3.4.5\n\n# comment\n ACC1 \n20260101\n", encoding="utf-8")
    assert listed(path) == [
        Wish("line 1", {"StudyInstanceUID": "1.2.3.4.5"}),
        Wish("line 4", {"AccessionNumber": "ACC1"}),
        Wish("line 5", {"AccessionNumber": "20260101"}),
    ]
    for wrong in ("ACC*", "DOE^JANE^MARIA^LOUISA", "A\\B"):
        path.write_text(f"ACC1\n{wrong}\n", encoding="utf-8")
        with pytest.raises(UserError, match="line 2 is neither") as caught:
            listed(path)
        assert wrong not in str(caught.value)
    assert query_wished(["PatientID=7", "StudyDate=20260101-"]) == [
        Wish("the query", {"PatientID": "7", "StudyDate": "20260101-"})
    ]
    for pairs in (["PatientID"], ["NoSuchKeyword=1"], ["PatientID="], ["PatientID=*"], ["PixelData=1"], ["Rows=512"]):
        with pytest.raises(UserError):
            query_wished(pairs)
    with pytest.raises(UserError, match="study 2 is no Study Instance UID"):
        studies_wished(["1.2.3.4", "ACC1"])
    assert studies_wished(["1.2.840.0113619.02.55.03.1"])  # with zeros that ought not to be there


@pytest.mark.parametrize("uid", [f"2.25.{2**128 - 1}", "2.25.17"])
def test_a_uid_made_from_a_uuid_is_one(tmp_path: Path, uid: str) -> None:
    """PS3.5 B.2; such a UID has three components."""
    path = tmp_path / "studies.txt"
    path.write_text(f"{uid}\n2.5.17\n")
    assert [wish.keys for wish in listed(path)] == [{"StudyInstanceUID": uid}, {"AccessionNumber": "2.5.17"}]
    assert [wish.keys for wish in studies_wished([uid, "1.2.3"])] == [
        {"StudyInstanceUID": uid},
        {"StudyInstanceUID": "1.2.3"},
    ]


def test_the_title_for_a_project_brings_everything_there_and_nowhere_else() -> None:
    projects = (Project("default"), Project("trial"))
    everywhere = Route(("*",), "default")
    spelt = Route(("PACS",), "trial", called=("TRIAL",))
    assert Router(Config(projects=projects)).title_into("default", "PACS") == "LETHE"
    assert Router(Config(projects=projects, routes=(spelt,))).title_into("trial", "PACS") == "TRIAL"
    for routes, source in (
        ((everywhere, spelt), "PACS"),  # it would go into both
        ((spelt,), "OTHER"),
        ((Route(("PACS",), "trial", called=("TRIAL",), modality=("CT",)),), "PACS"),
        ((Route(("PACS",), "trial", called=("TRIAL",), reidentify=True),), "PACS"),
        ((Route(("PACS",), "trial", called=("TRI*",)),), "PACS"),
    ):
        with pytest.raises(UserError, match="add a route that does"):
            Router(Config(projects=projects, routes=routes)).title_into("trial", source)
