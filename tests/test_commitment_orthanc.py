"""Storage commitment between a running node and Orthanc, both ways, and with peers that are away while the node
is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from builders import ct, saved, series
from commitment_peers import CT, Committer, Modality, action, new_uid
from programs import Node, free_port, orthanc, running_node, wait_for

from lethe.storage.archive import Archive
from lethe.storage.promises import Promised

pytestmark = pytest.mark.peer

PEER = """[[peers]]
name = "{name}"
ae_title = "{title}"
host = "127.0.0.1"
port = {port}
{more}
"""
PROJECT = """[projects.default]
options = ["retain-longitudinal-modified-dates"]
pixel_policy = "none"
send_to = {send_to}
commit = "{commit}"
"""


def promises(node: Node) -> dict[Promised, int]:
    archive = Archive(node.folder / "data")
    counts = archive.promises.counts()
    archive.close()
    return counts


def test_orthanc_asks_and_is_asked(tmp_path: Path) -> None:
    files = series(tmp_path / "in", 3)
    with orthanc(tmp_path / "orthanc") as (dicom, url):
        extra = PEER.format(name="orthanc", title="ORTHANC", port=dicom, more="commits = true")
        extra += PROJECT.format(send_to='["orthanc"]', commit="committed")
        with running_node(tmp_path / "node", extra) as node:
            lethe = {"AET": "LETHE", "Host": "127.0.0.1", "Port": node.dicom}
            requests.put(f"{url}/modalities/lethe", json=lethe, timeout=30).raise_for_status()
            uids = [
                requests.post(f"{url}/instances", data=path.read_bytes(), timeout=30).json()["ID"] for path in files
            ]
            sent = requests.post(f"{url}/modalities/lethe/store", json=uids, timeout=60)
            assert sent.json()["FailedInstancesCount"] == 0
            asked = {"Resources": uids, "DicomInstances": [[CT, new_uid()]]}
            answer = requests.post(f"{url}/modalities/lethe/storage-commitment", json=asked, timeout=30).json()

            def result() -> dict[str, object]:
                return dict(requests.get(f"{url}{answer['Path']}", timeout=30).json())

            wait_for(lambda: result()["Status"] != "Pending", seconds=120, what="Orthanc has our report")
            report = result()
            assert report["Status"] == "Failure"
            assert len(report["Success"]) == 3  # type: ignore[arg-type]
            assert [one["FailureReason"] for one in report["Failures"]] == [0x0112]  # type: ignore[attr-defined]
            assert promises(node) == {Promised.GIVEN: 3}  # Orthanc had committed the clean ones to us before
            assert node.status()["promised"] == 3


def test_a_report_and_a_promise_survive_that_everything_is_killed(tmp_path: Path) -> None:
    modality, node_folder, archive_port = Modality(free_port()), tmp_path / "node", free_port()
    extra = PEER.format(name="ct", title="CT01", port=modality.port, more="")
    extra += PEER.format(name="archive", title="ARCHIVE", port=archive_port, more="commits = true")
    extra += PROJECT.format(send_to='["archive"]', commit="delivered")
    ds = ct()
    node = Node(node_folder, extra).start()
    archive = Committer(archive_port, node.dicom, "later")
    try:
        path = str(saved(ds, tmp_path / "in"))
        assert "1 sent" in node.lethe("send", path, "--to", f"LETHE@127.0.0.1:{node.dicom}").stdout
        uid = new_uid()
        assert modality.ask(node.dicom, action(uid, (CT, str(ds.SOPInstanceUID)))) == 0x0000
        wait_for(lambda: archive.open, seconds=60, what="the archive is asked")
        node.process.kill()
        node.process.wait()
        node.start()
        with modality.listening():
            wait_for(lambda: modality.reports, seconds=120, what="the modality has its report")
        kind, report = modality.reports[0]
        assert (kind, report.TransactionUID) == (1, uid)
        assert archive.answer(archive.open[0]) == 0x0000
        assert promises(node) == {Promised.GIVEN: 1}
    finally:
        archive.stop()
        node.stop()
