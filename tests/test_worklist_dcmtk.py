"""DCMTK's example worklists and queries: its wlmscpfs and Lethe find the same steps in the same files, and say the same
of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from programs import dcmtk, free_port, listens, need, wait_for
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE
from test_worklist import FIND, serving

from lethe.node.worklist import Worklist
from lethe.storage.archive import Archive

EXAMPLES = Path("/usr/share/doc/dcmtk/examples")
LISTS = [*(f"WKLIST{number}" for number in range(1, 11)), "ALL"]
QUERIES = [f"wlistqry{number}" for number in range(13)]


def in_dicom(dump: Path, to: Path) -> Path:
    done = dcmtk("dump2dcm", str(dump), str(to))
    assert done.returncode == 0, done.stderr
    return to


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of worklist files: one for each example, and one with all of them."""
    need("wlmscpfs", "dump2dcm")
    if not EXAMPLES.is_dir():
        pytest.skip("DCMTK's examples are not installed")
    lists = tmp_path_factory.mktemp("lists")
    for name in LISTS:
        (lists / name).mkdir()
        (lists / name / "lockfile").touch()
    for name in LISTS[:-1]:
        path = in_dicom(EXAMPLES / f"wlistdb/OFFIS/{name.lower()}.dump", lists / name / "step.wl")
        (lists / "ALL" / f"{name}.wl").write_bytes(path.read_bytes())
    return lists


@pytest.fixture(scope="module")
def queries(lists: Path) -> dict[str, Dataset]:
    paths = {name: in_dicom(EXAMPLES / f"wlistqry/{name}.dump", lists / f"{name}.dcm") for name in QUERIES}
    return {name: Dataset(pydicom.dcmread(path, force=True)) for name, path in paths.items()}


@pytest.fixture(scope="module")
def wlmscpfs(lists: Path) -> Iterator[int]:
    port = free_port()
    environment = os.environ | {"TCP_NODELAY": "1"}
    with subprocess.Popen(["/usr/bin/wlmscpfs", "-dfp", str(lists), str(port)], env=environment) as program:
        wait_for(lambda: listens(port), what="wlmscpfs listens")
        yield port
        program.terminate()


def told(port: int, title: str, queries: dict[str, Dataset]) -> dict[str, list[str]]:
    """By query, what is said of each step that was found: all but elements without a value. wlmscpfs leaves them out
    where they are sequences, and of an item that asks for everything it names all it knows of; Lethe answers what was
    asked for and is not known without a value (PS3.4 K.4.1.1.3.2), and of such an item what the file has."""
    ae = AE("CT01")
    ae.add_requested_context(FIND)
    association = ae.associate("127.0.0.1", port, ae_title=title)
    assert association.is_established
    said = {}
    for name, query in queries.items():
        *pending, (final, _) = association.send_c_find(query, FIND)
        assert final.Status == 0x0000
        said[name] = sorted(str(without_empty(answer)) for _, answer in pending if answer is not None)
        assert len(said[name]) == len(pending)
    association.release()
    return said


def without_empty(ds: Dataset) -> Dataset:
    def drop(found: Dataset, element: DataElement) -> None:
        if element.is_empty:
            del found[element.tag]

    ds.walk(drop)
    return ds


@pytest.mark.parametrize("name", LISTS)
def test_the_same_steps_are_found_and_the_same_is_said_of_them(
    archive: Archive, lists: Path, queries: dict[str, Dataset], wlmscpfs: int, name: str
) -> None:
    receiver = serving(archive, Worklist(lists / name, None))
    ours = told(receiver.start("127.0.0.1", 0), "LETHE", queries)
    receiver.stop(0.5)
    theirs = told(wlmscpfs, name, queries)
    assert ours == theirs
    assert any(ours.values())
