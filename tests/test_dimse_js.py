"""The node and a modality of another make: dcmjs-dimse, which has no code in common with ours or with DCMTK."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from builders import ct, saved
from programs import Node, free_port, need, running_node

from lethe.storage.archive import Archive
from lethe.storage.performed import StepState
from lethe.storage.query import Level, Query

MODULE = Path(__file__).resolve().parents[1] / ".bench" / "js" / "node_modules" / "dcmjs-dimse"


@pytest.fixture(autouse=True)
def _installed() -> None:
    need("node")
    if not MODULE.is_dir():
        pytest.skip("not installed: npm install --prefix .bench/js dcmjs-dimse@0.3.3")


def client(script: str, node: Node, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    """One of our scripts for dcmjs-dimse, run to its end."""
    path = str(Path(__file__).with_name(f"{script}.cjs"))
    command = ["node", path, str(MODULE), str(node.dicom), str(port), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def told(done: subprocess.CompletedProcess[str]) -> list[list[object]]:
    """What it was told."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def workstation(node: Node, port: int, *words: str) -> list[list[object]]:
    """What the workstation was told."""
    done = client("workstation", node, port, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return told(done)


@pytest.mark.peer
def test_a_workstation_stores_and_fetches(tmp_path: Path) -> None:
    port, ds = free_port(), ct()
    peer = f'[[peers]]\nname = "js"\nae_title = "JS01"\nhost = "127.0.0.1"\nport = {port}\n'
    with running_node(tmp_path / "node", peer) as node:
        said = workstation(node, port, "store", str(saved(ds, tmp_path / "in")))
        assert said == [["echo", 0x0000], ["store", 0x0000]]
        node.settle()
        archive = Archive(node.folder / "data")
        (clean,) = archive.index.find(Query(Level.INSTANCE))
        archive.close()
        assert clean.sop_uid != ds.SOPInstanceUID
        said = workstation(node, port, "fetch", clean.study_uid)
        assert [line for line in said if line[0] in ("find", "move", "get")] == [
            ["find", 1],
            ["find", 0x0000],
            ["move", 0x0000],
            ["get", 0x0000],
        ]
        assert [line[:2] for line in said if line[0] in ("moved", "got")] == [
            ["moved", clean.sop_uid],
            ["got", clean.sop_uid],
        ]
        assert "Traceback" not in node.log.read_text()


@pytest.mark.peer
def test_a_modality_works_through_its_day(tmp_path: Path) -> None:
    port, ds = free_port(), ct()
    (tmp_path / "list.csv").write_text("PatientName,AccessionNumber,Modality\nDOE^JANE,A1,CT\n", encoding="utf-8")
    extra = f"""[[peers]]
name = "js"
ae_title = "JS01"
host = "127.0.0.1"
port = {port}
may = ["store", "commit", "mpps", "worklist"]
[worklist]
table = "{tmp_path / "list.csv"}"
"""
    with running_node(tmp_path / "node", extra) as node:
        node.lethe("send", str(saved(ds, tmp_path / "in")), "--to", f"LETHE@127.0.0.1:{node.dicom}")
        done = client("modality", node, port, str(ds.SOPClassUID), str(ds.SOPInstanceUID))
        said = [tuple(line) for line in told(done)]
        assert said[:-1] == [
            ("worklist", "A1"),
            ("worklist", 0x0000),
            ("create", 0x0000),
            ("create again", 0x0111),
            ("set", 0x0000),
            ("set again", 0x0110),
            ("delete", 0x0211),
            ("echo after it", 0x0000),
            ("action", 0x0000),
        ], done.stderr[-2000:]
        assert said[-1] == ("report", {"type": 2, "given": [str(ds.SOPInstanceUID)], "failed": [0x0112]})
        assert Archive(node.folder / "data").performed.counts() == {StepState.COMPLETED: 1}
        for value in ("DOE^JANE", str(ds.SOPInstanceUID)):
            assert value not in node.log.read_text()
