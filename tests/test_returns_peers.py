"""A result all the way: from a modality, clean to the AI, and back from the AI, re-identified, to the PACS alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from builders import PHI, ct, saved
from programs import Node, dcmtk, need, running_node, storescp
from pydicom.dataset import FileDataset
from returned_objects import CLASSES, TODAY, returned, texts_of
from test_leaks import found, pages

from lethe.storage.archive import Archive

pytestmark = pytest.mark.peer

SECRETS = [PHI["PatientName"], PHI["PatientID"], PHI["AccessionNumber"], "VANDERQUIST", PHI["PatientBirthDate"]]


def configuration(pacs: int, other: int) -> str:
    return f"""[[peers]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
identified = true
[[peers]]
name = "research"
ae_title = "RESEARCH"
host = "127.0.0.1"
port = {other}
[projects.trial]
options = ["clean-descriptors", "retain-longitudinal-modified-dates"]
send_to = ["research"]
[[routes]]
from = "*"
project = "trial"
[[routes]]
from = "AI"
project = "trial"
reidentify = true
send_to = ["pacs"]
"""


def send(node: Node, title: str, *paths: Path) -> None:
    arguments = ("-aet", title, "-aec", "LETHE", "127.0.0.1", str(node.dicom))
    sent = dcmtk("storescu", "-v", "-R", *arguments, *map(str, paths))
    assert sent.returncode == 0, sent.stdout + sent.stderr


class Flow:
    """What was sent and what arrived."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node, self.folder = node, folder
        self.original = ct()
        send(node, "CT01", saved(self.original, folder / "ct"))
        node.settle()
        (path,) = (folder / "research").iterdir()
        self.clean = pydicom.dcmread(path)
        self.clean.decode()
        self.index_before = node.get("/dicom-web/instances").content
        self.made = {kind: returned(kind, self.clean) for kind in CLASSES}
        mixed = returned("PR", self.clean)
        mixed.PatientID = "MRN-OTHER"
        send(node, "AI", *(saved(ds, folder / "made") for ds in [*self.made.values(), mixed]))
        self.status = node.settle()
        self.arrived = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, (folder / "pacs").iterdir())}

    def result(self, kind: str) -> FileDataset:
        return self.arrived[self.made[kind].SOPInstanceUID]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    need("storescu", "storescp", "dcmdump")
    folder = tmp_path_factory.mktemp("returns")
    with storescp(folder / "pacs", "PACS") as pacs, storescp(folder / "research", "RESEARCH") as research:
        with running_node(folder / "node", configuration(pacs, research)) as node:
            yield Flow(node, folder)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_pacs_has_it_with_the_original_patient_and_uids(flow: Flow, kind: str) -> None:
    result, original = flow.result(kind), flow.original
    for keyword in (
        "PatientName PatientID PatientBirthDate PatientSex AccessionNumber StudyInstanceUID StudyDate StudyTime "
        "ReferringPhysicianName StudyID StudyDescription"
    ).split():
        assert result.get(keyword) == original.get(keyword), keyword
    said = texts_of(result)
    assert str(original.SOPInstanceUID) in said
    assert str(original.SeriesInstanceUID) in said
    clean = flow.clean
    pseudonyms = (clean.StudyInstanceUID, clean.SeriesInstanceUID, clean.SOPInstanceUID, clean.FrameOfReferenceUID)
    assert not [one for one in (*pseudonyms, clean.PatientID, clean.AccessionNumber) if str(one) in said]
    assert (result.PatientIdentityRemoved, result.ContentDate) == ("NO", TODAY)
    assert result.SeriesInstanceUID == flow.made[kind].SeriesInstanceUID


def test_its_pixels_are_those_that_were_made_and_dcmtk_reads_it(flow: Flow) -> None:
    assert flow.result("SEG").PixelData == flow.made["SEG"].PixelData
    for path in (flow.folder / "pacs").iterdir():
        dump = dcmtk("dcmdump", str(path))
        assert (dump.returncode, dump.stderr) == (0, "")


def test_it_went_to_the_pacs_alone_and_what_is_mixed_up_went_nowhere(flow: Flow) -> None:
    assert len(flow.arrived) == len(CLASSES)
    assert len(list((flow.folder / "research").iterdir())) == 1
    status = flow.status
    assert (status["reidentified"], status["quarantined"], status["delivered"]) == (len(CLASSES), 1, 1 + len(CLASSES))
    (job,) = flow.node.get("/api/v1/quarantine").json()["jobs"]
    assert (job["stage"], job["source"]) == ("reidentify", "AI")
    assert job["reason"] == "its patient (0010,0020) is not the one of its study"


def test_the_web_side_knows_nothing_of_it(flow: Flow) -> None:
    assert flow.node.get("/dicom-web/instances").content == flow.index_before
    hidden = [*SECRETS, str(flow.original.StudyInstanceUID), str(flow.original.SOPInstanceUID)]
    own = [str(made.SeriesInstanceUID) for made in flow.made.values()]
    paths = pages(flow.node)
    assert len(paths) > 20
    for path in paths:
        response = flow.node.get(path)
        assert not found(response.content + str(response.headers).encode() + path.encode(), hidden + own), path
    for uid in (flow.original.StudyInstanceUID, flow.made["SEG"].SOPInstanceUID):
        assert flow.node.get(f"/dicom-web/studies/{uid}").status_code == 404
    assert flow.node.get("/fhir/R4/ImagingStudy").json()["total"] == 1


def test_nothing_of_it_stays_but_what_was_refused(flow: Flow) -> None:
    data = flow.node.folder / "data"
    assert [path for path in (data / "returns").rglob("*") if path.is_file()] == []
    assert len([path for path in (data / "inbox").rglob("*") if path.is_file()]) == 1
    (path,) = (path for path in (data / "clean").rglob("*") if path.is_file())
    assert not found(path.read_bytes(), SECRETS)


def test_each_step_is_on_record_and_no_log_names_anybody(flow: Flow) -> None:
    archive = Archive(flow.node.folder / "data")
    actions = [entry.action for entry in archive.audit.entries()]
    assert (actions.count("reidentified"), actions.count("returned")) == (len(CLASSES), len(CLASSES))
    assert list(archive.verify()) == []
    archive.close()
    assert not found(flow.node.lethe("audit", "export").stdout.encode(), SECRETS)
    log = flow.node.log.read_bytes()
    assert not found(log, [*SECRETS, str(flow.original.StudyInstanceUID), str(flow.clean.PatientID)])
    assert b"Traceback" not in log
