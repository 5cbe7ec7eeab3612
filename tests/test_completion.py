"""Whole studies: when one is complete, what keeps it, and what comes late."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import ct, saved, slide_label
from programs import need, orthanc
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from lethe.node.choices import Sending
from lethe.node.completion import AskSource, Complete, Completion, Wait, judged
from lethe.node.config import Config, Peer, Project, Route
from lethe.node.deid.profile import Option
from lethe.node.dimse.counting import instances_of_study
from lethe.node.dimse.scu import Destination
from lethe.node.projects import projects_of
from lethe.node.routing import Router
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import Unavailable
from lethe.storage.gatherings import Gathering
from lethe.storage.intake import Arrival, Origin
from lethe.storage.jobs import Stage, State

SEND = Stage.SEND


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A node whose peer "whole" wants whole studies after 60 quiet seconds, while "single" takes what comes."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.archive = Archive(folder / "data", clock=self.clock)
        self.said: dict[str, int | None] = {}
        self.asked: list[str] = []
        peers = (
            Peer("whole", "WHOLE", "127.0.0.1", 104, send=Sending.STUDY),
            Peer("single", "SINGLE", "127.0.0.1", 104),
            Peer("pacs", "PACS", "127.0.0.1", 104, count=True),
        )
        options = (Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,)
        project = Project("default", options=options, send_to=("whole", "single"), complete_after=60)
        config = Config(peers=peers, projects=(project,), routes=(Route(("*",), "default"),), folder=folder)
        self.router = Router(config)
        self.worker = Worker(self.archive, projects_of(config, self.archive.files, self.archive.crosswalk), "worker-1")
        self.completion = Completion(self.archive, peers, self._answer, clock=self.clock)

    def _answer(self, peer: Peer, uid: str) -> int | None:
        assert peer.name == "pacs"
        self.asked.append(uid)
        if uid not in self.said:
            raise Unavailable("pacs does not answer")
        return self.said[uid]

    def receive(self, ds: FileDataset, source: str = "CT01") -> None:
        path, origin = saved(ds, self.archive.files.incoming(), "x.dcm"), Origin(source)
        plan = self.router.plan(Arrival(origin, path, self.clock()))
        self.archive.accept(path, str(ds.SOPInstanceUID), origin, plan.projects, plan.stage, plan.handling)

    def clean(self) -> None:
        while self.worker.step():
            pass

    def after(self, seconds: float) -> int:
        """Let time pass, a second at a time as the node does; how many studies became complete."""
        complete = 0
        for _ in range(int(seconds)):
            self.clock.now += 1
            complete += self.completion.step()
        return complete

    def states(self, destination: str) -> list[State]:
        return sorted(job.state for job in self.archive.jobs.find(stage=SEND, destination=destination))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def study(number: int) -> list[FileDataset]:
    uid = generate_uid()
    return [ct(StudyInstanceUID=uid) for _ in range(number)]


def why(site: Site) -> str:
    """Why the last study was complete."""
    return str(json.loads(site.archive.audit.newest(1)[0].detail)["why"])


def test_a_study_waits_until_nothing_more_came_for_as_long_as_it_should(site: Site) -> None:
    for ds in study(2):
        site.receive(ds)
        site.clean()
    assert site.states("single") == [State.READY] * 2, "those who take instances do not wait"
    assert site.states("whole") == [State.GATHERING] * 2
    assert site.archive.jobs.claim(SEND, "courier", 60, destination="whole") is None
    assert site.after(59) == 0
    assert site.after(2) == 1
    assert site.states("whole") == [State.READY] * 2
    (entry,) = (entry for entry in site.archive.audit.entries() if entry.action == "study-complete")
    detail = json.loads(entry.detail)
    assert (detail["jobs"], detail["why"]) == (2, "quiet")
    assert site.archive.gatherings.due(site.clock.now + 1e9) == []


def test_each_arrival_begins_the_wait_anew(site: Site) -> None:
    for ds in study(3):
        site.receive(ds)
        site.clean()
        assert site.after(50) == 0
    assert site.after(11) == 1
    assert site.states("whole") == [State.READY] * 3


def test_what_is_still_to_be_cleaned_keeps_the_study_and_what_is_quarantined_does_not(site: Site) -> None:
    one, other = study(2)
    refused = slide_label(StudyInstanceUID=one.StudyInstanceUID)
    for ds in (one, refused, other):
        site.receive(ds)
    assert site.worker.step()
    assert site.after(500) == 0
    site.clean()
    assert [job.state for job in site.archive.jobs.find(stage=Stage.CLEAN)].count(State.QUARANTINED) == 1
    assert site.after(2) == 1
    assert site.states("whole") == [State.READY] * 2


def test_what_comes_late_is_sent_as_what_was_missing(site: Site) -> None:
    first, late = study(2)
    site.receive(first)
    site.clean()
    assert site.after(61) == 1
    done = site.archive.jobs.claim(SEND, "courier", 60, destination="whole")
    assert done is not None
    site.archive.delivered(done, 0, transfer_syntax="1.2.840.10008.1.2.1")
    site.receive(late)
    site.clean()
    assert site.states("whole") == [State.DONE, State.GATHERING]
    assert site.after(61) == 1
    assert site.states("whole") == [State.DONE, State.READY], "and what it has is not sent again"


def test_what_a_person_releases_later_is_sent_later(site: Site) -> None:
    (one,) = study(1)
    refused = slide_label(StudyInstanceUID=one.StudyInstanceUID)
    site.receive(one)
    site.receive(refused)
    site.clean()
    assert site.after(61) == 1
    (held,) = site.archive.jobs.find(states=[State.QUARANTINED])
    site.archive.release(held.id, Actor("ann"))
    claimed = site.archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert claimed is not None
    number = site.archive.gatherings.published("default", claimed.subject, "2.25.1", 60.0)
    assert number > 0
    assert site.after(90) == 0, "while it is being cleaned"
    site.archive.quarantine(claimed, "again")
    assert site.after(5) == 1


def test_the_studies_of_two_sources_do_not_wait_for_each_other(site: Site) -> None:
    (one,), (other,) = study(1), study(1)
    site.receive(one)
    site.clean()
    site.after(30)
    site.receive(other, "CT02")
    site.clean()
    assert site.after(31) == 1
    assert site.after(30) == 1


def test_a_source_that_says_how_many_there_are_is_believed(site: Site) -> None:
    objects = study(3)
    uid = str(objects[0].StudyInstanceUID)
    site.said[uid] = 3
    for ds in objects[:2]:
        site.receive(ds, "PACS")
    site.clean()
    assert site.after(100) == 0, "one is missing, and is waited for"
    assert set(site.asked) == {uid}, "asked by the original UID"
    asked = len(site.asked)
    assert asked <= 3, "not with every look"
    site.receive(objects[2], "PACS")
    site.clean()
    assert site.after(3) == 1, "without waiting for quiet"
    assert why(site) == "count"


def test_what_never_comes_is_not_waited_for_for_ever(site: Site) -> None:
    (ds,) = study(1)
    site.said[str(ds.StudyInstanceUID)] = 2
    site.receive(ds, "PACS")
    site.clean()
    assert site.after(590) == 0
    assert site.after(70) == 1
    assert why(site) == "count not reached"


@pytest.mark.parametrize("says_nothing", [True, False])
def test_a_source_that_cannot_say_is_one_that_is_quiet(site: Site, says_nothing: bool) -> None:
    (ds,) = study(1)
    if says_nothing:
        site.said[str(ds.StudyInstanceUID)] = None
    site.receive(ds, "PACS")
    site.clean()
    assert site.after(59) == 0
    assert site.after(3) == 1
    assert why(site) == "quiet"


def test_the_same_object_again_changes_nothing(site: Site) -> None:
    (ds,) = study(1)
    site.receive(ds)
    site.clean()
    assert site.after(61) == 1
    site.receive(ds)
    site.clean()
    site.after(90)
    assert site.states("whole") == [State.READY]
    assert site.archive.gatherings.due(site.clock.now + 1e9) == []


def gathering(**changes: float) -> Gathering:
    values = {"id": 1, "quiet": 60.0, "last": 1000.0, "asked": 0.0, "expected": -1, "due": 0.0} | changes
    return Gathering(project="p", study="s", source="PACS", clean="2.25.1", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "now", "expected"),
    [
        ({}, 1004.0, Wait(1005.0)),
        ({}, 1005.0, AskSource()),
        ({"asked": 1005.0, "expected": 5}, 1006.0, Complete("count")),
        ({"asked": 1005.0, "expected": 6}, 1006.0, Wait(1065.0)),
        ({"asked": 1005.0, "expected": 6}, 1065.0, AskSource()),
        ({"asked": 1590.0, "expected": 6}, 1600.0, Complete("count not reached")),
        ({"asked": 1005.0}, 1006.0, Wait(1060.0)),
        ({"asked": 1005.0}, 1060.0, Complete("quiet")),
        ({"asked": 990.0, "expected": 6}, 1005.0, Wait(1050.0)),
    ],
)
def test_what_is_done_about_a_study(changes: dict[str, float], now: float, expected: object) -> None:
    assert judged(gathering(**changes), 5, now, can_be_asked=True) == expected


@pytest.mark.peer
def test_orthanc_is_asked_how_many_instances_a_study_has(tmp_path: Path) -> None:
    need("Orthanc")
    objects = study(3)
    with orthanc(tmp_path / "orthanc") as (port, _url):
        peer = Peer("orthanc", "ORTHANC", "127.0.0.1", port)
        with Destination(peer, "LETHE") as destination:
            for number, ds in enumerate(objects):
                path = saved(ds, tmp_path, f"{number}.dcm")
                context = (str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID))
                destination.open([context])
                assert destination.send(path, context) == 0
        assert instances_of_study(peer, "LETHE", str(objects[0].StudyInstanceUID)) == 3
        assert instances_of_study(peer, "LETHE", generate_uid()) is None
    with pytest.raises(Unavailable):
        instances_of_study(peer, "LETHE", generate_uid())
