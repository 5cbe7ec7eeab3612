"""`lethe pull`: studies are found at a PACS and moved to us, by Orthanc and by DCMTK's dcmqrscp."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from builders import PHI, ct, saved
from programs import Node, dcmtk, free_port, need, orthanc, running, running_node

from lethe.node.cli import main
from lethe.node.config import Config, Project, Route
from lethe.node.errors import UserError
from lethe.node.routing import Router
from lethe.node.wishlist import Wish, listed, query_wished, studies_wished

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
        assert "pacs broke off the move, or did not answer; see that it knows LETHE with the address" in said.stdout
        introduce(url, "LETHE", dicom)  # to itself
        said = node.lethe("pull", "pacs", "--study", uid)
        assert said.returncode == 3
        assert said.stdout.startswith("not moved: study 1: pacs says it sent 2 instances, but 0 came; see that")


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
            said = node.lethe("pull", "pacs", "--query", f"PatientID={ds.PatientID}", "ModalitiesInStudy=CT")
            assert (said.returncode, said.stdout) == (0, "1 found, 1 moved, 1 instances, 0 failed\n"), said.stderr
            assert node.settle()["published"] == 1
            plain = node.config.read_text(encoding="utf-8")
            node.config.write_text(plain.replace("[node]\n", '[node]\nae_title = "STRANGER"\n'), encoding="utf-8")
            said = node.lethe("pull", "pacs", "--query", f"PatientID={ds.PatientID}")
            assert said.returncode == 1
            assert "pacs does not know the AE title STRANGER: on the PACS, add the destination STRANGER" in said.stderr
            assert f"port {node.dicom}" in said.stderr
            assert "Traceback" not in said.stderr


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
    for pairs in (["PatientID"], ["NoSuchKeyword=1"], ["PatientID="], ["PatientID=*"], ["PixelData=1"]):
        with pytest.raises(UserError):
            query_wished(pairs)
    with pytest.raises(UserError, match="study 2 is no Study Instance UID"):
        studies_wished(["1.2.3.4", "ACC1"])


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
