"""The node between programs of other makers: DCMTK and pynetdicom send, DCMTK's storescp and Orthanc receive.

Every object ends delivered clean, quarantined with a reason, or refused at the door with a status; none is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pydicom
import pytest
import requests
from builders import PHI, ct, saved
from programs import SHARED, Node, dcmtk, need, orthanc, running_node, storescp
from pydicom.data import get_testdata_file

from lethe.node.config import Peer
from lethe.node.dimse.contexts import storage_classes
from lethe.node.dimse.scu import Destination
from lethe.storage.archive import Archive
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.jobs import Job, Stage, State

pytestmark = pytest.mark.peer

BUNDLED = Path(get_testdata_file("CT_small.dcm", download=False) or "").parent


def peers(storescp_port: int, orthanc_port: int) -> str:
    return f"""[[peers]]
name = "storescp"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {storescp_port}
[[peers]]
name = "orthanc"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {orthanc_port}
[projects.default]
options = ["retain-longitudinal-modified-dates"]
send_to = ["storescp", "orthanc"]
"""


def jobs_by_state(archive: Archive, stage: Stage) -> dict[State, list[Job]]:
    found: dict[State, list[Job]] = {}
    for job in archive.jobs.find(stage=stage):
        found.setdefault(job.state, []).append(job)
    return found


def prove_nothing_is_lost(node: Node, received: Path, orthanc_url: str) -> None:
    """Every received object has its verdict, and every published one its delivery or the peer's refusal."""
    archive = Archive(node.folder / "data")
    clean, send = jobs_by_state(archive, Stage.CLEAN), jobs_by_state(archive, Stage.SEND)
    assert clean.keys() <= {State.DONE, State.QUARANTINED}
    assert all(job.reason for job in clean.get(State.QUARANTINED, ()))
    assert send.keys() <= {State.DONE, State.QUARANTINED}
    assert len(send[State.DONE]) + len(send.get(State.QUARANTINED, ())) == 2 * len(clean[State.DONE])
    unread = Counter[str]()  # storescp keeps the file of what it refuses
    for job in send.get(State.QUARANTINED, ()):
        # "Cannot understand" is what DCMTK says of rtdose_rle of pydicom, whose pixel data have an odd length.
        assert "accepts no presentation context" in job.reason or job.reason.endswith("answered 0xC000")
        unread[job.destination] += job.reason.endswith("answered 0xC000")
    delivered = Counter(job.destination for job in send[State.DONE])
    assert len(list(received.iterdir())) == delivered["storescp"] + unread["storescp"]
    assert requests.get(f"{orthanc_url}/statistics", timeout=30).json()["CountInstances"] == delivered["orthanc"]
    assert archive.counts()["received"] == len(archive.jobs.find(stage=Stage.CLEAN))
    assert list(archive.verify()) == []
    assert "Traceback" not in node.log.read_text()


def test_one_image_all_the_way(tmp_path: Path) -> None:
    need("storescu", "echoscu", "dcmdump")
    with storescp(tmp_path / "scp") as scp, orthanc(tmp_path / "orthanc") as (dicom, url):
        with running_node(tmp_path / "node", peers(scp, dicom)) as node:
            port = str(node.dicom)
            assert dcmtk("echoscu", "-aec", "LETHE", "127.0.0.1", port).returncode == 0
            assert dcmtk("echoscu", "-aec", "WRONG", "127.0.0.1", port).returncode != 0
            original = saved(ct(), tmp_path)
            sent = dcmtk("storescu", "-v", "-aec", "LETHE", "127.0.0.1", port, str(original))
            assert "Success" in sent.stdout + sent.stderr
            node.settle()
            (result,) = (tmp_path / "scp").iterdir()
            dump = dcmtk("dcmdump", str(result))
            assert dump.returncode == 0
            assert not [value for value in PHI.values() if value in dump.stdout]
            assert pydicom.dcmread(result).PixelData == pydicom.dcmread(original).PixelData
            (instance,) = requests.get(f"{url}/instances?expand", timeout=30).json()
            assert instance["MainDicomTags"]["SOPInstanceUID"] == pydicom.dcmread(result).SOPInstanceUID
            prove_nothing_is_lost(node, tmp_path / "scp", url)


@pytest.mark.parametrize(
    "folder",
    [pytest.param(BUNDLED, id="bundled"), pytest.param(SHARED / "data", id="shared", marks=pytest.mark.shared)],
)
def test_a_folder_of_every_kind_sent_by_dcmsend(folder: Path, tmp_path: Path) -> None:
    need("dcmsend")
    with storescp(tmp_path / "scp") as scp, orthanc(tmp_path / "orthanc") as (dicom, url):
        with running_node(tmp_path / "node", peers(scp, dicom)) as node:
            arguments = ("+sd", "+r", "-nh", "-nuc", "-dn", "-v", "-aec", "LETHE", "127.0.0.1", str(node.dicom))
            said = dcmtk("dcmsend", *arguments, str(folder))
            summary = said.stdout + said.stderr
            node.settle(300)
            prove_nothing_is_lost(node, tmp_path / "scp", url)
            accepted = int(re.search(r"with status SUCCESS\s*: (\d+)", summary).group(1))  # type: ignore[union-attr]
            entries = [entry.action for entry in Archive(node.folder / "data").audit.entries()]
            assert sum(action.startswith("received") for action in entries) == accepted > 30
            # What was not sent has its reason in dcmsend's words: no SOP Class, no context, or a status of ours.
            assert "aborted" not in summary.lower().replace("aborting association", "")


@pytest.mark.parametrize(
    "folder",
    [pytest.param(BUNDLED, id="bundled"), pytest.param(SHARED / "data", id="shared", marks=pytest.mark.shared)],
)
def test_a_folder_of_every_kind_sent_by_pynetdicom(folder: Path, tmp_path: Path) -> None:
    classes, fates = set(storage_classes()), Counter[str]()
    with storescp(tmp_path / "scp") as scp, orthanc(tmp_path / "orthanc") as (dicom, url):
        with running_node(tmp_path / "node", peers(scp, dicom)) as node:
            lethe = Peer("lethe", "LETHE", "127.0.0.1", node.dicom)
            with Destination(lethe, "PYNETDICOM") as destination:
                for path in sorted(folder.rglob("*")):
                    context = context_of(path)
                    if context is None:
                        continue
                    fates["sent"] += 1
                    try:
                        destination.open([context])
                        status = destination.send(path, context)
                        fates["accepted" if status == 0 else "refused with a status"] += 1
                    except Refused:
                        assert context[0] not in classes
                        fates["context refused"] += 1
            node.settle(300)
            prove_nothing_is_lost(node, tmp_path / "scp", url)
            entries = [entry.action for entry in Archive(node.folder / "data").audit.entries()]
            assert sum(action.startswith("received") for action in entries) == fates["accepted"]
    assert fates["sent"] == sum(fates.values()) - fates["sent"]
    assert fates["accepted"] > 50


def context_of(path: Path) -> tuple[str, str] | None:
    """What a sender would propose for the file; None for what no sender can send."""
    try:
        meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
        if "MediaStorageSOPInstanceUID" not in meta:
            return None
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception:
        return None


def test_a_peer_that_is_killed_and_comes_back_gets_everything(tmp_path: Path) -> None:
    need("storescp")
    from programs import free_port, running, wait_for

    port, folder = free_port(), tmp_path / "scp"
    folder.mkdir()
    command = ["/usr/bin/storescp", "-aet", "ARCHIVE", "-od", str(folder), str(port)]
    extra = f"""[[peers]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
[projects.default]
send_to = ["archive"]
"""
    with running_node(tmp_path / "node", extra) as node:
        with running(command, port, tmp_path / "scp.log") as first:
            node.lethe("send", str(saved(ct(), tmp_path / "1")), "--to", f"LETHE@127.0.0.1:{node.dicom}")
            wait_for(lambda: node.status()["delivered"] == 1, seconds=30)
            first.kill()
            first.wait()
        node.lethe("send", str(saved(ct(), tmp_path / "2")), "--to", f"LETHE@127.0.0.1:{node.dicom}")
        wait_for(lambda: node.status()["sending"] == 1 and node.status()["published"] == 2, seconds=30)
        with running(command, port, tmp_path / "scp.log"):
            wait_for(lambda: node.status()["delivered"] == 2, seconds=60)
    assert len(list(folder.iterdir())) == 2


def test_lethe_echo_and_send_speak_to_dcmtk(tmp_path: Path) -> None:
    with storescp(tmp_path / "scp") as port:
        node = Node(tmp_path / "node")
        assert node.lethe("echo", f"ARCHIVE@127.0.0.1:{port}").stdout.strip().endswith("answers 0x0000")
        result = node.lethe("send", str(saved(ct(), tmp_path / "ct")), "--to", f"ARCHIVE@127.0.0.1:{port}")
        assert result.stdout.strip() == "1 sent, 0 not sent"
        assert len(list((tmp_path / "scp").iterdir())) == 1


def test_an_absent_peer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        Destination(Peer("gone", "GONE", "127.0.0.1", 9), "LETHE").echo()
