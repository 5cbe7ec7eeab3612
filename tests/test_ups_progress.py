"""Each de-identification of a study is a workitem: what it tells, when, and that it tells nothing of the patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from builders import PHI, ct, saved
from dicomweb_archive import app_over, samples
from flask.testing import FlaskClient
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid
from ups_clients import change, post, read, warnings

from lethe.node.choices import PixelPolicy
from lethe.node.config import Config, Project, Route
from lethe.node.progress import Progress
from lethe.node.projectkeys import key_name, new_key
from lethe.node.projects import projects_of
from lethe.node.studyuid import study_uid_of
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Origin, Plan
from lethe.storage.jobs import ENDED


class Site:
    """A node whose studies are complete after 60 quiet seconds; its parts step when a test says so."""

    def __init__(self, folder: Path, *routes: Route) -> None:
        self.now = 1_000_000.0
        self.archive = Archive(folder / "data", clock=self.clock)
        self.archive.database.pragma("synchronous", 0)
        project = Project("default", complete_after=60, pixel_policy=PixelPolicy.NONE)
        self.config = Config(projects=(project,), routes=routes or Config.routes, folder=folder)
        projects = projects_of(self.config, self.archive.files, self.archive.crosswalk)
        self.worker = Worker(self.archive, projects, "worker-1")
        self.progress = Progress(self.archive, self.config, clock=self.clock)
        self.web = app_over(self.archive, events="ws://node.test/dicom-web").test_client()

    def clock(self) -> float:
        return self.now

    def take(self, *objects: FileDataset, project: str = "default") -> None:
        for ds in objects:
            path = saved(ds, self.archive.files.incoming())
            self.archive.accept(path, str(ds.SOPInstanceUID), Origin("CT01"), [project] if project else [])

    def clean(self, most: int = 100) -> None:
        for _ in range(most):
            if not self.worker.step():
                return

    def items(self) -> list[dict[str, Any]]:
        answer = self.web.get("/dicom-web/workitems?includefield=all")
        return list(answer.get_json(force=True)) if answer.data else []

    def item(self) -> dict[str, Any]:
        (only,) = self.items()
        return only


@pytest.fixture
def site(tmp_path: Path) -> Any:
    site = Site(tmp_path)
    yield site
    site.archive.close()


def study(count: int) -> list[FileDataset]:
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    return [ct(**uids, InstanceNumber=number) for number in range(count)]


def unknown(**attributes: object) -> FileDataset:
    """An object of a kind that nobody knows, which is always held back."""
    ds = ct(**attributes)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4.5"
    return ds


def value(item: dict[str, Any], *path: str) -> Any:
    for tag in path[:-1]:
        (item,) = item[tag]["Value"]
    return item.get(path[-1], {}).get("Value", [None])[0]


def told(item: dict[str, Any]) -> tuple[str, int, str]:
    return value(item, "00741000"), value(item, "00741002", "00741004"), value(item, "00741002", "00741006")


def test_a_new_key_makes_one_workitem_of_a_study_that_comes_after_it(site: Site) -> None:
    site.take(*study(1))
    site.progress.step()
    site.archive.rotate_key(key_name("default"), new_key(), Actor("somebody"), "default")
    first, second = study(2)
    site.take(first)
    site.clean()
    site.progress.step()
    site.take(second)
    site.progress.step()
    assert len(site.items()) == 2


def test_a_study_is_followed_from_its_first_object_to_its_result(site: Site) -> None:
    objects = study(4)
    site.take(*objects)
    assert site.progress.step()
    assert told(site.item()) == ("SCHEDULED", 0, "0 of 4 objects are clean.")
    assert value(site.item(), "0020000D") is value(site.item(), "00100020") is None
    site.clean(3)
    site.progress.step()
    assert told(site.item()) == ("IN PROGRESS", 75, "3 of 4 objects are clean.")
    (entry,) = json.loads(site.web.get("/dicom-web/studies").data)
    assert value(site.item(), "0020000D") == entry["0020000D"]["Value"][0] != str(objects[0].StudyInstanceUID)
    assert value(site.item(), "00100020") == entry["00100020"]["Value"][0]
    site.clean()
    site.now += 30
    site.progress.step()
    assert told(site.item()) == ("IN PROGRESS", 100, "4 of 4 objects are clean.")
    site.now += 31
    site.progress.step()
    item = site.item()
    assert told(item) == ("COMPLETED", 100, "4 of 4 objects are clean.")
    series = {"0020000D": "StudyInstanceUID", "0020000E": "SeriesInstanceUID"}
    (output,) = item["00741216"]["Value"][0]["00404033"]["Value"]
    instances = json.loads(site.web.get("/dicom-web/instances").data)
    assert {output[tag]["Value"][0] for tag in series} == {instances[0][tag]["Value"][0] for tag in series}
    named = {one["00081155"]["Value"][0] for one in output["00081199"]["Value"]}
    assert named == {one["00080018"]["Value"][0] for one in instances}
    url = value(output, "0040E025", "00081190")
    assert site.web.get(url.removeprefix("http://node.test")).status_code == 200
    assert not site.archive.cleanings.going_on()


def test_nothing_in_it_tells_of_the_patient(site: Site) -> None:
    objects = [*study(2), unknown()]
    kinds = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    originals = [str(ds[kind].value) for ds in objects for kind in kinds]
    site.web.post("/dicom-web/workitems/1.2.840.10008.5.1.4.34.5/subscribers/ME")
    site.take(*objects)
    for _ in range(3):
        site.progress.step()
        site.clean(1)
    site.clean()
    site.now += 100
    site.progress.step()
    assert {told(item)[0] for item in site.items()} == {"COMPLETED", "CANCELED"}
    everything = json.dumps(site.items()) + "".join(one.text for one in site.archive.step_events.after("ME", 0))
    for secret in (*originals, *PHI.values()):
        assert secret not in everything


def test_what_is_held_back_is_counted(site: Site) -> None:
    uid = generate_uid()
    site.take(ct(StudyInstanceUID=uid), unknown(StudyInstanceUID=uid))
    site.clean()
    site.now += 61
    site.progress.step()
    assert told(site.item()) == ("COMPLETED", 100, "1 of 2 objects are clean, 1 held back.")


def test_a_study_of_which_everything_is_held_back_is_canceled_with_the_reason(site: Site) -> None:
    site.take(unknown())
    site.progress.step()
    site.clean()
    site.now += 61
    site.progress.step()
    item = site.item()
    assert told(item) == ("CANCELED", 100, "0 of 1 objects are clean, 1 held back.")
    assert value(item, "00741002", "00741238") == "None of its objects could be proven clean; all are held back."
    assert value(item, "00741002", "0074100E", "00080100") == "110513"
    assert value(item, "0020000D") is None


def test_what_was_discarded_is_counted_no_more(site: Site) -> None:
    (one,) = study(1)
    site.take(one, unknown(StudyInstanceUID=one.StudyInstanceUID))
    site.clean()
    site.progress.step()
    assert told(site.item()) == ("IN PROGRESS", 100, "1 of 2 objects are clean, 1 held back.")
    discard_all(site)
    site.progress.step()
    assert told(site.item()) == ("IN PROGRESS", 100, "1 of 1 objects are clean.")
    site.now += 60
    site.progress.step()
    assert told(site.item())[0] == "COMPLETED"


def test_a_study_that_was_discarded_is_canceled_with_the_reason(site: Site) -> None:
    site.take(unknown())
    site.clean()
    site.progress.step()
    discard_all(site)
    site.progress.step()
    assert told(site.item())[0] == "IN PROGRESS"
    site.now += 60
    site.progress.step()
    item = site.item()
    assert told(item)[0] == "CANCELED"
    assert value(item, "00741002", "00741238") == "All of its objects were discarded or deleted."


def discard_all(site: Site) -> None:
    held = site.archive.jobs.find(states=ENDED)
    assert len(site.archive.discard_all([job.id for job in held], "not ours", Actor("somebody"))) == len(held) > 0


def test_what_comes_after_the_end_is_a_workitem_of_its_own(site: Site) -> None:
    first, second = study(2)
    site.take(first)
    site.clean()
    site.now += 61
    site.progress.step()
    site.take(second)
    site.progress.step()
    site.clean()
    site.now += 61
    site.progress.step()
    before, after = site.items()
    assert told(before) == told(after) == ("COMPLETED", 100, "1 of 1 objects are clean.")
    assert value(before, "0020000D") == value(after, "0020000D")
    assert value(before, "00080018") != value(after, "00080018")


def test_a_held_object_is_followed_once_it_has_a_project(site: Site) -> None:
    site.take(ct(), project="")
    for _ in range(10):
        site.progress.step()
    assert site.items() == []
    site.archive.route_held(lambda _arrival: Plan(("default",)))
    for _ in range(10):
        site.progress.step()
    assert told(site.item()) == ("SCHEDULED", 0, "0 of 1 objects are clean.")


def test_a_route_says_when_a_study_of_its_sources_is_complete(tmp_path: Path) -> None:
    slow = Route(("CT01",), "default", modality=("CT",), complete_after=300)
    others = (Route(("MR01",), "default", complete_after=5000), Route(("CT01",), "default", called=("X",)))
    node = Site(tmp_path, slow, *others)
    node.take(*study(1))
    node.clean()
    node.progress.step()
    node.now += 299
    node.progress.step()
    assert told(node.item())[0] == "IN PROGRESS"
    node.now += 2
    node.progress.step()
    assert told(node.item())[0] == "COMPLETED"
    node.archive.close()


def test_another_process_goes_on_where_one_left_off(site: Site) -> None:
    site.take(*study(2))
    site.progress.step()
    site.clean(1)
    other = Progress(site.archive, site.config, clock=site.clock)
    other.step()
    assert told(site.item()) == ("IN PROGRESS", 50, "1 of 2 objects are clean.")
    site.clean()
    site.now += 61
    other.step()
    assert told(site.item())[0] == "COMPLETED"


def test_only_lethe_moves_it(site: Site) -> None:
    web: FlaskClient = site.web
    site.take(*study(2))
    site.progress.step()
    uid = value(site.item(), "00080018")

    def refused() -> None:
        before = read(web, uid)
        statuses = [change(web, state, uid=uid).status_code for state in ("IN PROGRESS", "COMPLETED", "CANCELED")]
        assert set(statuses) <= {400, 409}
        assert post(web, f"/workitems/{uid}?2.25.77", {"00741204": {"vr": "LO", "Value": ["Mine"]}}).status_code == 400
        assert post(web, f"/workitems/{uid}", {"00741204": {"vr": "LO", "Value": ["Mine"]}}).status_code == 400
        cancel = web.post(f"/dicom-web/workitems/{uid}/cancelrequest")
        assert (cancel.status_code, warnings(cancel)) == (409, ["Performer chooses not to cancel."])
        assert read(web, uid) == before

    refused()
    site.clean(1)
    site.progress.step()
    refused()
    site.clean()
    site.now += 61
    site.progress.step()
    assert told(site.item())[0] == "COMPLETED"


def test_its_reports_come_as_it_goes(site: Site) -> None:
    site.web.post("/dicom-web/workitems/1.2.840.10008.5.1.4.34.5/subscribers/ME")
    site.take(*study(2))
    for _ in range(3):
        site.progress.step()
        site.progress.step()  # nothing changed: nothing is told
        site.clean(1)
    site.now += 61
    site.progress.step()
    reports = [json.loads(one.text) for one in site.archive.step_events.after("ME", 0)]
    kinds = [(value(one, "00001002"), value(one, "00741000")) for one in reports]
    assert kinds == [
        (1, "SCHEDULED"),
        (5, None),
        (3, None),
        (1, "IN PROGRESS"),
        (3, None),
        (3, None),
        (1, "COMPLETED"),
    ]
    assert [value(one, "00741002", "00741004") for one in reports if value(one, "00001002") == 3] == [0, 50, 100]


def test_the_study_of_a_file_is_found_whatever_its_form(tmp_path: Path) -> None:
    found = 0
    for path in samples():
        try:
            expected = str(pydicom.dcmread(path).get("StudyInstanceUID") or "")
        except Exception:
            expected = ""
        if expected:
            found += 1
            assert study_uid_of(path) == expected, path.name
    assert found > 30
    assert study_uid_of(tmp_path / "nothing") == ""
