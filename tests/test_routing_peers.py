"""The node between programs of other makers: called by several names, paused, sending whole studies, sending again."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from builders import saved, series
from programs import dcmtk, need, running_node, storescp, wait_for

pytestmark = pytest.mark.peer


def peer(name: str, port: int, more: str = "") -> str:
    return f'[[peers]]\nname = "{name}"\nae_title = "ARCHIVE"\nhost = "127.0.0.1"\nport = {port}\n{more}\n'


def project(name: str, to: str, more: str = "") -> str:
    options = 'options = ["retain-longitudinal-modified-dates"]'
    return f'[projects.{name}]\n{options}\nsend_to = ["{to}"]\n{more}\n'


def test_two_projects_by_the_name_we_were_called_by_and_a_pause_that_pauses(tmp_path: Path) -> None:
    need("storescu", "storescp", "echoscu")
    files = series(tmp_path / "in", 3)
    with storescp(tmp_path / "one") as one, storescp(tmp_path / "two") as two:
        extra = (
            peer("one", one)
            + peer("two", two)
            + project("default", "one")
            + project("trial", "two")
            + '[[routes]]\nfrom = "*"\nproject = "default"\n'
            + '[[routes]]\nfrom = "*"\nproject = "trial"\ncalled = "TRIAL"\nmodality = "CT"\n'
        )
        with running_node(tmp_path / "node", extra) as node:
            port = str(node.dicom)
            assert dcmtk("echoscu", "-aec", "TRIAL", "127.0.0.1", port).returncode == 0
            assert dcmtk("echoscu", "-aec", "OTHER", "127.0.0.1", port).returncode != 0
            assert node.lethe("queue", "pause", "two").stdout.strip() == "two is paused"
            sent = dcmtk("storescu", "-aec", "TRIAL", "127.0.0.1", port, *map(str, files))
            assert sent.returncode == 0, sent.stderr
            wait_for(lambda: len(list((tmp_path / "one").iterdir())) == 3, what="the one that is not paused")
            wait_for(lambda: node.status()["published"] == 6)
            queues = {queue["name"]: queue for queue in node.get("/api/v1/queues").json()["queues"]}
            assert (queues["two"]["standing"], queues["two"]["waiting"]) == ("paused", 3)
            assert list((tmp_path / "two").iterdir()) == []
        with running_node(tmp_path / "node", extra) as node:  # the pause is still there after a restart
            node.settle(delivered=False)
            assert node.get("/api/v1/queues").json()["queues"][1]["standing"] == "paused"
            assert list((tmp_path / "two").iterdir()) == []
            assert node.lethe("queue", "resume", "two").stdout.strip() == "two goes on"
            wait_for(lambda: len(list((tmp_path / "two").iterdir())) == 3)
            ours, theirs = ({found.name for found in (tmp_path / folder).iterdir()} for folder in ("one", "two"))
            assert not ours & theirs, "other UIDs, named after them"
            again = pydicom.dcmread(next((tmp_path / "two").iterdir()))
            for found in (tmp_path / "two").iterdir():
                found.unlink()
            assert node.lethe("resend", str(again.StudyInstanceUID)).stdout.strip() == "3 instances are sent again"
            wait_for(lambda: len(list((tmp_path / "two").iterdir())) == 3, what="sent again")
            assert "Traceback" not in node.log.read_text()
            assert node.lethe("verify").returncode == 0


def test_a_study_goes_whole_once_nothing_more_comes(tmp_path: Path) -> None:
    need("storescu", "storescp")
    first, *others = series(tmp_path / "in", 4)
    with storescp(tmp_path / "out") as port:
        extra = peer("archive", port, 'send = "study"') + project("default", "archive", "complete_after = 8")
        with running_node(tmp_path / "node", extra) as node:

            def send(*paths: Path) -> None:
                assert (
                    dcmtk("storescu", "-aec", "LETHE", "127.0.0.1", str(node.dicom), *map(str, paths)).returncode == 0
                )

            def waits_for_the_rest() -> bool:
                return bool(node.get("/api/v1/queues").json()["queues"][0]["gathering"] == 3)

            send(first, *others[:2])
            wait_for(waits_for_the_rest)
            assert list((tmp_path / "out").iterdir()) == []
            wait_for(lambda: len(list((tmp_path / "out").iterdir())) == 3)
            send(others[2])
            wait_for(lambda: len(list((tmp_path / "out").iterdir())) == 4, what="what came late")
            assert node.status()["delivered"] == 4
            actions = [line for line in node.lethe("audit", "export").stdout.splitlines() if "study-complete" in line]
            assert len(actions) == 2


def test_what_no_route_matches_waits_with_its_reason(tmp_path: Path) -> None:
    need("storescu")
    (path,) = series(tmp_path / "in", 1)
    ds = pydicom.dcmread(path)
    ds.StationName = "WARD9"
    route = '[projects.default]\noptions = []\n[[routes]]\nfrom = "*"\nproject = "default"\nstation = "{}"\n'
    with running_node(tmp_path / "node", route.format("WARD7")) as node:
        sent = dcmtk("storescu", "-aec", "LETHE", "127.0.0.1", str(node.dicom), str(saved(ds, tmp_path)))
        assert sent.returncode == 0
        (held,) = node.get("/api/v1/quarantine").json()["jobs"]
        assert held["reason"] == "no route matches; number 1 does but for its station name"
    node.config.write_text(node.config.read_text().replace("WARD7", "WARD?"))
    node.start()
    try:
        wait_for(lambda: node.status()["published"] == 1, what="held objects follow the configuration")
    finally:
        node.stop()
