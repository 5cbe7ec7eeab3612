"""What the review desk keeps: findings and decisions beside jobs, learned rules, and how far batches are."""

from __future__ import annotations

import pytest

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.batches import BatchState, Refusal
from lethe.storage.database import transaction
from lethe.storage.errors import NotFound, Refused
from lethe.storage.intake import Origin
from lethe.storage.jobs import Job, Stage, State

ADMIN = Actor("admin", "192.0.2.1")
FOUND = {"frames": 1, "boxes": [[0, 1, 2, 3, 4, "unreadable"]]}


def receive(archive: Archive) -> Job:
    path = archive.files.incoming() / "object"
    path.write_bytes(b"an object")
    archive.accept(path, "1.2.3", Origin("US01"), ["default"])
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    return job


@pytest.fixture
def job(archive: Archive) -> Job:
    job = receive(archive)
    assert archive.quarantine(job, "text is left", FOUND)
    return archive.jobs.get(job.id)


def actions(archive: Archive) -> list[str]:
    return [entry.action for entry in archive.audit.entries()]


def test_what_was_found_stands_beside_the_job_until_something_else_is(archive: Archive, job: Job) -> None:
    assert archive.reviews.details(job.id) == FOUND and archive.reviews.decision(job.id) == {}
    archive.release(job.id, ADMIN)
    again = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert again is not None and archive.quarantine(again, "another reason")
    assert archive.reviews.details(job.id) == {}


def test_a_job_whose_lease_was_lost_leaves_nothing(archive: Archive) -> None:
    job = receive(archive)
    archive.jobs.expire("worker")
    assert archive.jobs.claim(Stage.CLEAN, "another", 60)
    assert not archive.quarantine(job, "text is left", FOUND)
    assert archive.reviews.details(job.id) == {}


def test_a_decision_makes_the_job_ready_and_keeps_what_was_found(archive: Archive, job: Job) -> None:
    decided = archive.review(job.id, {"accepts_rest": True}, ADMIN, {"boxes": 0})
    assert (decided.state, decided.reason) == (State.READY, "")
    assert archive.reviews.decision(job.id) == {"accepts_rest": True}
    assert archive.reviews.details(job.id) == FOUND
    (entry,) = archive.audit.newest(1)
    assert (entry.action, entry.actor, entry.subject) == ("reviewed", "admin@192.0.2.1", job.subject)
    assert entry.as_dict()["detail"] == {"job": job.id, "reason": "text is left", "boxes": 0}


def test_only_an_object_in_quarantine_can_be_decided_about(archive: Archive, job: Job) -> None:
    archive.release(job.id, ADMIN)
    before = actions(archive)
    for number in (job.id, 77):
        with pytest.raises((Refused, NotFound)):
            archive.review(number, {}, ADMIN, {})
        with pytest.raises((Refused, NotFound)):
            archive.view_frame(number, 1, ADMIN)
    assert archive.reviews.decision(job.id) == {} and actions(archive) == before


def test_a_look_is_audited_before_it_is_given(archive: Archive, job: Job) -> None:
    with archive.view_frame(job.id, 3, ADMIN) as file:
        assert file.read() == b"an object"
    assert archive.audit.newest(1)[0].as_dict()["detail"] == {"job": job.id, "frame": 3}
    archive.files.remove("inbox", job.subject)
    with pytest.raises(NotFound):
        archive.view_frame(job.id, 1, ADMIN)
    assert actions(archive).count("quarantined-viewed") == 1


def test_rules_are_replaced_by_name_and_each_change_is_a_version(archive: Archive) -> None:
    seen = [archive.rulebook.version()]

    def changed() -> bool:
        seen.append(archive.rulebook.version())
        return seen[-1] != seen[-2]

    assert archive.learn_rules([{"name": "b", "x": 1}, {"name": "a", "x": 1}], ADMIN) == (2, 0) and changed()
    assert archive.learn_rules([{"name": "b", "x": 2}], ADMIN) == (0, 1) and changed()
    assert archive.rulebook.documents() == [{"name": "a", "x": 1}, {"name": "b", "x": 2}]
    archive.forget_rule("a", ADMIN)
    assert changed() and archive.rulebook.documents() == [{"name": "b", "x": 2}]
    with pytest.raises(NotFound):
        archive.forget_rule("a", ADMIN)
    assert not changed()
    assert actions(archive) == ["rules-learned", "rules-learned", "rule-removed"]


def test_a_batch_is_followed_to_its_end(archive: Archive) -> None:
    with transaction(archive.database):
        archive.batches.begin("one", {"project": "default"}, 3)
        archive.batches.begin("two", {}, 0)
    archive.batches.progress("one", 2, 1, [Refusal(2, "no DICOM")])
    batch = archive.batches.get("one")
    assert (batch.state, batch.done, batch.clean, batch.refused) == (
        BatchState.RUNNING,
        2,
        1,
        (Refusal(2, "no DICOM"),),
    )
    archive.batches.end("two", BatchState.FINISHED)
    assert archive.batches.interrupt(lambda name: name == "one") == 0, "somebody works on it"
    assert archive.batches.interrupt(lambda name: False) == 1
    assert [archive.batches.get(name).state for name in ("one", "two")] == ["interrupted", "finished"]
    with pytest.raises(NotFound):
        archive.batches.get("three")


def test_a_batch_that_was_cancelled_stays_so(archive: Archive) -> None:
    with transaction(archive.database):
        archive.batches.begin("one", {}, 3)
        archive.batches.cancel("one")
        archive.batches.cancel("one")
    archive.batches.progress("one", 1, 1, [])
    archive.batches.end("one", BatchState.FINISHED)
    assert archive.batches.is_cancelled("one") and archive.batches.get("one").done == 1
    assert archive.batches.interrupt(lambda name: False) == 0
    with transaction(archive.database):
        archive.batches.begin("two", {}, 0)
        archive.batches.end("two", BatchState.FINISHED)
        with pytest.raises(Refused, match="finished"):
            archive.batches.cancel("two")
        with pytest.raises(NotFound):
            archive.batches.cancel("three")
