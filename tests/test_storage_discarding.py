"""What was held back and is discarded is gone from jobs and disk, whatever happens on the way, and can come again."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import CleanInstance
from lethe.storage.errors import NotFound, Refused, StorageError, Unavailable
from lethe.storage.gatherings import Gathering
from lethe.storage.intake import Handling, Origin, Plan
from lethe.storage.jobs import ENDED, Job, Stage, State
from lethe.storage.names import clean_name

WHO, WHY = Actor("somebody", "10.0.0.9"), "sent by mistake"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


def receive(archive: Archive, uid: str, *projects: str, **more: object) -> None:
    path = archive.files.incoming() / "object"
    path.write_bytes(uid.encode())
    archive.accept(path, uid, Origin("MODALITY"), projects, **more)  # type: ignore[arg-type]


def claimed(archive: Archive) -> Job:
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    return job


def refused(archive: Archive, uid: str, *projects: str) -> list[int]:
    """Receive an object and quarantine it for each of the projects."""
    receive(archive, uid, *(projects or ("default",)))
    jobs = [claimed(archive) for _ in projects or ("default",)]
    assert all(archive.quarantine(job, "not clean", {"boxes": 1}) for job in jobs)
    return [job.id for job in jobs]


def publish(archive: Archive, job: Job, uid: str = "1.1.1") -> None:
    texts = {"00080018": uid, "0020000D": "1", "0020000E": "1.1"}
    metadata = {tag: {"vr": "UI", "Value": [text]} for tag, text in texts.items()}
    name = clean_name(job.subject, job.project)
    assert archive.publish(job, [b"clean"], CleanInstance(metadata, "1.2", job.project, name), [])


def originals(archive: Archive) -> int:
    return len(list(archive.files.names("inbox")))


def sound(archive: Archive) -> bool:
    return not list(archive.verify())


def waits(archive: Archive) -> int:
    """How many need a decision, by everything that says so."""
    counts = archive.counts()
    told = sum(counts[name] for name in ("held", "quarantined", "failed", "undeliverable"))
    assert told == len(archive.jobs.find(states=ENDED)) == sum(why.jobs for why in archive.jobs.standstills())
    return told


class TestDiscarding:
    def test_what_is_quarantined(self, archive: Archive) -> None:
        (number,) = refused(archive, "1.2.3")
        subject = archive.jobs.get(number).subject
        assert archive.discard(number, f"  {WHY}\n ", WHO).subject == subject
        assert (originals(archive), waits(archive), archive.jobs.find()) == (0, 0, [])
        assert archive.reviews.details(number) == {}
        (entry,) = [entry for entry in archive.audit.entries() if entry.action == "discarded"]
        assert (entry.actor, entry.subject) == (str(WHO), subject)
        assert json.loads(entry.detail) == {
            "job": number,
            "project": "default",
            "was": "quarantined",
            "reason": "not clean",
            "why": WHY,
            "file": "removed",
        }
        assert archive.counts()["discarded"] == 1
        assert sound(archive)

    def test_what_is_held_or_failed(self, archive: Archive) -> None:
        receive(archive, "1.2.3")
        receive(archive, "1.2.4", "default")
        assert archive.fail(claimed(archive), "five times")
        assert {job.state for job in archive.jobs.find()} == {State.HELD, State.FAILED}
        for job in archive.jobs.find():
            archive.discard(job.id, WHY, WHO)
        assert (originals(archive), waits(archive)) == (0, 0)
        assert archive.route_held(lambda _: Plan(("default",))) == 0
        assert sound(archive)

    def test_a_result_that_came_back(self, archive: Archive) -> None:
        receive(archive, "1.2.3", "default", stage=Stage.REIDENTIFY)
        job = archive.jobs.claim(Stage.REIDENTIFY, "worker", 60)
        assert job is not None and archive.quarantine(job, "not known")
        archive.discard(job.id, WHY, WHO)
        assert (originals(archive), waits(archive)) == (0, 0)

    @pytest.mark.parametrize("state", [State.READY, State.RUNNING, State.DONE])
    def test_never_what_waits_runs_or_is_published(self, archive: Archive, state: State) -> None:
        receive(archive, "1.2.3", "default")
        (job,) = archive.jobs.find()
        if state != State.READY:
            job = claimed(archive)
        if state == State.DONE:
            publish(archive, job)
        with pytest.raises(Refused, match=f"job {job.id} is {state}"):
            archive.discard(job.id, WHY, WHO)
        assert archive.discard_all([job.id], WHY, WHO) == []
        assert archive.jobs.get(job.id).state == state
        assert originals(archive) == (state != State.DONE)
        assert sound(archive)

    def test_never_a_delivery(self, archive: Archive) -> None:
        refused(archive, "1.2.3")
        with archive.together():
            archive.jobs.add(Stage.SEND, "1.1.1", project="default", destination="pacs", state=State.QUARANTINED)
        (send,) = archive.jobs.find(stage=Stage.SEND)
        with pytest.raises(Refused, match="sends a clean instance"):
            archive.discard(send.id, WHY, WHO)
        assert archive.jobs.get(send.id)

    @pytest.mark.parametrize("why", ["", " \n\t", "x" * 201, "a\x00b", "\ud800"])
    def test_never_without_a_reason(self, archive: Archive, why: str) -> None:
        (number,) = refused(archive, "1.2.3")
        with pytest.raises(Refused):
            archive.discard(number, why, WHO)
        with pytest.raises(Refused):
            archive.discard_all([number], why, WHO)
        assert (originals(archive), waits(archive)) == (1, 1)

    def test_what_is_not_there(self, archive: Archive) -> None:
        with pytest.raises(NotFound, match="no job 99"):
            archive.discard(99, WHY, WHO)

    def test_many_in_portions(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lethe.storage.discarding._PORTION", 2)
        numbers = [refused(archive, f"1.2.{number}")[0] for number in range(5)]
        kept = archive.release(numbers[1], WHO)
        gone = archive.discard_all([*numbers, 99], WHY, WHO)
        assert [job.id for job in gone] == [number for number in numbers if number != kept.id]
        assert (originals(archive), waits(archive), archive.counts()["discarded"]) == (1, 0, 4)
        assert sound(archive)


class TestOtherProjects:
    def test_the_file_stays_until_the_last_has_decided(self, archive: Archive) -> None:
        first, second = refused(archive, "1.2.3", "one", "two")
        archive.discard(first, WHY, WHO)
        assert (originals(archive), waits(archive)) == (1, 1)
        assert json.loads(archive.audit.newest(1)[0].detail)["file"] == "kept for other jobs"
        archive.discard(second, WHY, WHO)
        assert (originals(archive), waits(archive)) == (0, 0)

    def test_the_file_stays_for_one_that_works_on_it(self, archive: Archive) -> None:
        receive(archive, "1.2.3", "one", "two")
        first, second = claimed(archive), claimed(archive)
        archive.quarantine(first, "not clean")
        archive.discard(first.id, WHY, WHO)
        assert archive.files.holds("inbox", second.subject)
        publish(archive, second)
        assert originals(archive) == 0
        assert archive.index.totals() == (1, 1, 1)
        assert sound(archive)

    def test_what_another_published_stays_published(self, archive: Archive) -> None:
        receive(archive, "1.2.3", "one", "two")
        first, second = claimed(archive), claimed(archive)
        publish(archive, second)
        archive.quarantine(first, "not clean")
        archive.discard(first.id, WHY, WHO)
        assert (originals(archive), archive.index.totals()) == (0, (1, 1, 1))
        assert sound(archive)


class TestAgain:
    def test_the_same_original_is_worked_on_anew(self, archive: Archive) -> None:
        (number,) = refused(archive, "1.2.3")
        archive.discard(number, WHY, WHO)
        receive(archive, "1.2.3", "default")
        job = claimed(archive)
        assert job.id != number and job.attempts == 1
        with archive.whole_original(job) as file:
            assert file.read() == b"1.2.3"
        publish(archive, job)
        assert sound(archive)

    def test_and_can_be_discarded_anew(self, archive: Archive) -> None:
        for _ in range(2):
            (number,) = refused(archive, "1.2.3")
            archive.discard(number, WHY, WHO)
        assert (originals(archive), waits(archive), archive.counts()["discarded"]) == (0, 0, 2)

    def test_of_two_projects_the_one_that_is_done_does_it_once(self, archive: Archive) -> None:
        receive(archive, "1.2.3", "one", "two")
        first, second = claimed(archive), claimed(archive)
        publish(archive, second)
        archive.quarantine(first, "not clean")
        archive.discard(first.id, WHY, WHO)
        receive(archive, "1.2.3", "one", "two")
        assert claimed(archive).project == first.project
        assert archive.jobs.claim(Stage.CLEAN, "worker", 60) is None

    def test_while_it_is_discarded_it_is_kept_or_not_acknowledged(self, archive: Archive) -> None:
        """It comes in when the row is gone, and the file not yet; and its file goes when its row is not yet there."""
        (number,) = refused(archive, "1.2.3")
        drop = archive._drop_file

        def come_again(job: Job) -> None:
            archive._drop_file = drop  # type: ignore[method-assign]
            receive(archive, "1.2.3", "default")
            drop(job)

        archive._drop_file = come_again  # type: ignore[method-assign]
        archive.discard(number, WHY, WHO)
        assert originals(archive) == 1
        job = claimed(archive)
        archive.quarantine(job, "not clean")

        is_kept = archive._is_kept

        def kept_and_lost(name: str, path: Path) -> bool:
            kept = is_kept(name, path)
            archive.discard(job.id, WHY, WHO)
            return kept

        archive._is_kept = kept_and_lost  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            receive(archive, "1.2.3", "default")
        assert (originals(archive), archive.jobs.find()) == (0, [])
        assert sound(archive)


class TestStudies:
    def test_that_are_wanted_whole_do_not_wait_for_it(self, archive: Archive) -> None:
        """Of what its source says there is, all has come, whatever became of it."""
        handling = Handling(quiet={"default": 60.0}, study="ab" * 32)
        receive(archive, "1.2.1", "default", handling=handling)
        receive(archive, "1.2.2", "default", handling=handling)
        archive.quarantine(claimed(archive), "not clean")
        publish(archive, claimed(archive))
        (job,) = archive.jobs.find(states=ENDED)
        archive.discard(job.id, WHY, WHO)
        gathering = the_gathering(archive)
        assert archive.gatherings.received(gathering) == 2
        assert not archive.gatherings.is_undecided(gathering)


def the_gathering(archive: Archive) -> Gathering:
    (gathering,) = archive.gatherings.due(time.time() + 1e6)
    return gathering


def at_once(*deeds: Callable[[], object]) -> list[object]:
    """Do all of them at the same time, in threads of their own; what each returned or raised."""
    results: list[object] = [None] * len(deeds)
    start = threading.Barrier(len(deeds))

    def do(number: int) -> None:
        start.wait()
        try:
            results[number] = deeds[number]()
        except StorageError as error:
            results[number] = error

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class TestAtOnce:
    def test_two_people_discard(self, archive: Archive) -> None:
        for number in range(20):
            (job,) = refused(archive, f"1.2.{number}")
            done = at_once(*[partial(archive.discard, job, WHY, WHO)] * 2)
            assert sorted(type(one).__name__ for one in done) == ["Job", "NotFound"]
        assert (archive.counts()["discarded"], originals(archive)) == (20, 0)
        assert archive.audit.verify().broken_at is None
        assert sound(archive)

    def test_one_discards_what_another_tries_again(self, archive: Archive) -> None:
        for number in range(20):
            (job,) = refused(archive, f"1.2.{number}")
            gone, tried = at_once(partial(archive.discard, job, WHY, WHO), partial(archive.release, job, WHO))
            if isinstance(gone, Job):
                assert isinstance(tried, NotFound)
            else:
                assert isinstance(gone, Refused) and isinstance(tried, Job)
                assert archive.files.holds("inbox", tried.subject)
        assert archive.counts()["discarded"] + archive.counts()["waiting"] == 20
        assert originals(archive) == archive.counts()["waiting"]
        assert sound(archive)

    def test_all_are_tried_again_but_those_that_are_gone(self, archive: Archive) -> None:
        numbers = [refused(archive, f"1.2.{number}")[0] for number in range(3)]
        archive.discard(numbers[1], WHY, WHO)
        assert archive.release_all(numbers, WHO) == 2


def before_the_file(archive: Archive) -> None:
    archive.files.remove = lambda *_: os._exit(1)  # type: ignore[method-assign]


def before_the_trail(archive: Archive) -> None:
    archive.audit.record = lambda *_: os._exit(1)  # type: ignore[method-assign]


class TestCrashing:
    @pytest.mark.parametrize(("where", "left"), [(before_the_file, 0), (before_the_trail, 1)])
    @pytest.mark.parametrize("verb", ["discard", "discard_all"])
    def test_no_row_without_its_file(
        self, tmp_path: Path, where: Callable[[Archive], None], left: int, verb: str
    ) -> None:
        folder = tmp_path / "crash"
        archive = Archive(folder)
        (number,) = refused(archive, "1.2.3")
        archive.close()
        child = os.fork()
        if child == 0:
            try:
                dying = Archive(folder)
                where(dying)
                getattr(dying, verb)(number if verb == "discard" else [number], WHY, WHO)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert (waits(archive), archive.counts()["discarded"], originals(archive)) == (left, 1 - left, 1)
        assert sound(archive)
        archive.sweep()  # as the next start does
        assert originals(archive) == left
        archive.close()
