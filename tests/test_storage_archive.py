"""The data folder as a whole: what was acknowledged is never lost, whatever happens between any two steps."""

import itertools
import json
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from blake3 import blake3
from syncing_by import SyncingBy, named

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import CleanInstance
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.intake import Acceptance, Origin, Plan
from lethe.storage.jobs import Stage, State
from lethe.storage.names import clean_name

ORIGIN = Origin("MODALITY", "10.0.0.1")
UID = "1.2.3.4"


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


def element(tag, vr, value):
    return bytes.fromhex(tag)[1::-1] + bytes.fromhex(tag)[:1:-1] + vr + len(value).to_bytes(2, "little") + value


def part10(data=b"data set", version=b"ONE ", group_length=None):
    meta = element("00020010", b"UI", b"1.2.840.10008.1.2\0") + element("00020013", b"SH", version)
    length = len(meta) if group_length is None else group_length
    return bytes(128) + b"DICM" + element("00020000", b"UL", length.to_bytes(4, "little")) + meta + data


def hand_in(archive, content=None, *, uid=UID, origin=ORIGIN, projects=("default",)):
    path = archive.files.incoming() / "object"
    path.write_bytes(part10() if content is None else content)
    return archive.accept(path, uid, origin, projects)


def clean_instance(uid="2.25.1", file="c" * 64, study="2.25.10", series="2.25.11"):
    metadata = {
        tag: {"vr": "UI", "Value": [v]} for tag, v in (("00080018", uid), ("0020000D", study), ("0020000E", series))
    }
    return CleanInstance(metadata, "1.2.840.10008.1.2.1", "default", file, receipt={"removed": 3})


def publish(archive, job, *, uid="2.25.1", content=b"clean", destinations=("pacs",)):
    instance = clean_instance(uid, clean_name(job.subject, job.project))
    return archive.publish(job, [content], instance, destinations)


def claim(archive, owner="worker"):
    return archive.jobs.claim(Stage.CLEAN, owner, 60)


def later(folder):
    """The data folder, opened two hours from now."""
    return Archive(folder, clock=lambda: time.time() + 7200)


def actions(archive):
    return [entry.action for entry in archive.audit.entries()]


def inbox(archive):
    return list(archive.files.names("inbox"))


def forked(function):
    """Run in a process of its own, as in a crash: nothing is cleaned up. Returns its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(folder, step, function):
    """Run `function(archive)` in a process that is killed before its n-th step on the disk. Whether it was."""

    def run():
        archive = Archive(folder)
        remaining = iter(range(step, -1, -1))

        def counted(real):
            def perform(*arguments, **options):
                if next(remaining, -1) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return perform

        archive.files._syncing = SyncingBy(counted(archive.files._syncing.now))
        for name in ("rename", "unlink"):
            setattr(Path, name, counted(getattr(Path, name)))
        for name in ("execute_sql", "begin", "commit"):
            setattr(archive.database, name, counted(getattr(archive.database, name)))
        function(archive)

    code = forked(run)
    assert code in (0, -signal.SIGKILL)
    return code != 0


# Accepting


def test_an_accepted_object_has_a_file_a_job_and_an_audit_entry(archive):
    assert hand_in(archive) == Acceptance.NEW
    [job] = archive.jobs.find()
    assert (job.stage, job.state, job.project) == (Stage.CLEAN, State.READY, "default")
    with archive.original(job) as file:
        assert file.read() == part10()
    assert archive.files.path("inbox", job.subject).is_file()
    [entry] = archive.audit.entries()
    assert (entry.actor, entry.action, entry.subject) == ("MODALITY@10.0.0.1", "received", job.subject)
    assert archive.origin(job) == ORIGIN
    assert list(archive.verify()) == []


def test_an_accepted_object_survives_the_death_of_its_process(archive):
    archive.close()

    def accept():
        hand_in(Archive(archive.folder))
        os.kill(os.getpid(), signal.SIGKILL)

    assert forked(accept) == -signal.SIGKILL
    reopened = later(archive.folder)
    reopened.sweep()
    [job] = reopened.jobs.find()
    assert reopened.original(job).read() == part10()
    assert list(reopened.verify()) == []
    reopened.close()


def test_the_file_of_a_known_object_is_durable_before_its_rows_are_written(archive, monkeypatch):
    steps = []
    hand_in(archive)
    monkeypatch.setattr(archive.files, "_syncing", SyncingBy(lambda _: steps.append("sync")))
    commit = archive.database.commit
    monkeypatch.setattr(archive.database, "commit", lambda: steps.append("commit") or commit())
    hand_in(archive, projects=("other",))
    assert steps[:3] == ["sync", "sync", "commit"]


def test_the_same_bytes_twice_are_one_object_and_one_job(archive):
    assert hand_in(archive) == Acceptance.NEW
    assert hand_in(archive) == Acceptance.AGAIN
    assert hand_in(archive, uid="9.9") == Acceptance.AGAIN  # whatever the message around them says
    assert len(archive.jobs.find()) == len(inbox(archive)) == archive.counts()["received"] == 1
    assert actions(archive) == ["received", "received-again", "received-again"]


def test_the_same_data_set_with_another_file_meta_is_the_same_object(archive):
    assert hand_in(archive, part10(version=b"ONE ")) == Acceptance.NEW
    assert hand_in(archive, part10(version=b"TWO LONGER")) == Acceptance.AGAIN
    assert len(archive.jobs.find()) == 1


def test_what_is_kept_unchanged_is_not_written_again(archive, monkeypatch):
    hand_in(archive)
    hand_in(archive, part10(b"another"), uid="5.6")  # the mark of the first goes with its rows
    syncs = []
    monkeypatch.setattr(archive.files, "_syncing", SyncingBy(lambda descriptor: syncs.append(named(descriptor))))
    assert hand_in(archive) == Acceptance.AGAIN
    assert syncs == [f"{archive.folder}/lethe.db-wal"]
    assert list(archive.files.incoming().glob("obj*")) == []


@pytest.mark.parametrize("damaged", [part10(b"dataXset"), part10()[:-1], part10() + b"!", b"", None])
def test_what_the_disk_has_changed_is_replaced_when_it_comes_again(archive, damaged):
    hand_in(archive)
    (job,) = archive.jobs.find()
    hand_in(archive, part10(b"another"), uid="5.6")
    path = archive.files.path("inbox", job.subject)
    path.unlink() if damaged is None else path.write_bytes(damaged)
    assert hand_in(archive) == Acceptance.AGAIN
    assert archive.whole_original(job).read() == part10()


def test_a_wrong_file_meta_is_replaced_when_it_comes_again(archive):
    hand_in(archive, part10(version=b"ONE "))
    (job,) = archive.jobs.find()
    hand_in(archive, part10(b"another"), uid="5.6")
    assert hand_in(archive, part10(version=b"TWO ")) == Acceptance.AGAIN
    assert archive.original(job).read() == part10(version=b"TWO ")


def test_other_bytes_under_the_same_uid_are_kept_apart(archive):
    assert hand_in(archive, part10(b"one")) == Acceptance.NEW
    assert hand_in(archive, part10(b"two")) == Acceptance.CONFLICT
    assert hand_in(archive, part10(b"one")) == Acceptance.AGAIN
    contents = {archive.original(job).read() for job in archive.jobs.find()}
    assert contents == {part10(b"one"), part10(b"two")}


@pytest.mark.parametrize("group_length", [0, 3, 30, 10_000, 2**32 - 1])
def test_a_wrong_group_length_does_not_make_two_objects_one(archive, group_length):
    one, two = (part10(data, group_length=group_length) for data in (b"1" + bytes(99), b"2" + bytes(99)))
    assert hand_in(archive, one) == Acceptance.NEW
    assert hand_in(archive, two, uid="5.6") == Acceptance.NEW
    assert {archive.original(job).read() for job in archive.jobs.find()} == {one, two}


@pytest.mark.parametrize("content", [b"", b"x", b"DICM", bytes(128) + b"DICM", bytes(128) + b"DICM\x02\0", part10(b"")])
def test_what_is_hardly_a_file_is_kept_as_well(archive, content):
    assert hand_in(archive, content) == Acceptance.NEW
    assert archive.original(archive.jobs.find()[0]).read() == content
    assert hand_in(archive, content + b"!", uid="5.6") == Acceptance.NEW


def test_an_object_has_a_job_for_each_project(archive):
    hand_in(archive, projects=("a", "b"))
    hand_in(archive, projects=("b", "c"))
    assert sorted(job.project for job in archive.jobs.find()) == ["a", "b", "c"]
    assert archive.counts()["received"] == 1
    assert archive.counts()["waiting"] == 3


def test_what_is_all_done_is_not_kept_when_it_comes_again(archive):
    hand_in(archive)
    publish(archive, claim(archive))
    assert hand_in(archive) == Acceptance.AGAIN
    assert inbox(archive) == []
    assert list(archive.files.incoming().glob("obj*")) == []
    assert claim(archive) is None


def test_what_is_done_comes_back_for_another_project(archive):
    hand_in(archive)
    publish(archive, claim(archive))
    assert hand_in(archive, projects=("default", "other")) == Acceptance.AGAIN
    job = claim(archive)
    assert job.project == "other"
    assert archive.original(job).read() == part10()


def test_an_object_that_cannot_be_entered_is_not_acknowledged(archive):
    archive.database.pragma("busy_timeout", 1)
    other = sqlite3.connect(archive.folder / "lethe.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        hand_in(archive)
    other.close()
    assert archive.jobs.find() == []
    assert list(archive.verify()) == []
    assert hand_in(archive) == Acceptance.NEW


def test_an_original_dropped_while_it_comes_in_for_another_project_is_not_acknowledged(archive, monkeypatch):
    """Between the rename and the transaction, the only project that needed it so far is done with it."""
    hand_in(archive)
    job, adopt = claim(archive), archive.files.adopt

    def adopt_and_lose(*arguments):
        adopt(*arguments)
        publish(archive, job)

    monkeypatch.setattr(archive.files, "adopt", adopt_and_lose)
    with pytest.raises(Unavailable):
        hand_in(archive, projects=("other",))
    monkeypatch.undo()
    assert list(archive.verify()) == []
    assert hand_in(archive, projects=("other",)) == Acceptance.AGAIN
    assert archive.original(claim(archive)).read() == part10()


def test_threads_that_accept_and_publish_at_once_lose_nothing(archive):
    """The same few objects come in again and again for different projects while others publish them."""
    errors, accepted = [], set()

    def receive(number):
        try:
            for turn in range(8):
                path = archive.files.incoming() / f"object{number}"
                path.write_bytes(part10(bytes([turn % 4])))
                project = f"p{(number + turn) % 3}"
                try:
                    archive.accept(path, f"1.{turn % 4}", ORIGIN, [project])
                except Unavailable:
                    continue
                accepted.add((turn % 4, project))
        except Exception as error:
            errors.append(error)
        archive.close()

    def work(stop):
        try:
            while not stop.is_set() or archive.jobs.counts().get((Stage.CLEAN, State.READY)):
                job = claim(archive, threading.current_thread().name)
                if job is None:
                    time.sleep(0.02)  # or the others hardly ever get the lock
                    continue
                archive.original(job).close()
                publish(archive, job, uid=f"2.25.{int(job.subject[:12], 16)}.{job.project[1]}")
        except Exception as error:
            errors.append(error)
        archive.close()

    stop = threading.Event()
    workers = [threading.Thread(target=work, args=(stop,)) for _ in range(2)]
    receivers = [threading.Thread(target=receive, args=(number,)) for number in range(3)]
    for thread in workers + receivers:
        thread.start()
    for thread in receivers:
        thread.join()
    stop.set()
    for thread in workers:
        thread.join()
    assert errors == []
    assert archive.counts()["published"] == len(accepted)
    assert inbox(archive) == []
    assert list(archive.verify()) == []


# Publishing


def test_a_published_object_is_found_sent_and_its_original_gone(archive):
    hand_in(archive)
    job = claim(archive)
    assert publish(archive, job, destinations=("pacs", "research"))
    entry = archive.index.instance("2.25.1")
    assert entry.size == 5
    assert archive.files.open("clean", entry.file).read() == b"clean"
    sends = archive.jobs.find(stage=Stage.SEND)
    assert {(send.subject, send.destination) for send in sends} == {("2.25.1", "pacs"), ("2.25.1", "research")}
    assert archive.jobs.get(job.id).state == State.DONE
    assert inbox(archive) == []
    assert actions(archive) == ["received", "published"]
    assert list(archive.verify()) == []
    with pytest.raises(NotFound):
        archive.original(job)


def test_a_lost_lease_publishes_nothing_twice(archive):
    hand_in(archive)
    lost = claim(archive)
    archive.jobs.expire("worker")
    held = claim(archive, "other")
    assert not publish(archive, lost)
    assert inbox(archive) == [held.subject]
    assert archive.index.totals() == (0, 0, 0)
    assert publish(archive, held)
    assert not publish(archive, lost)
    assert not publish(archive, held)
    assert archive.index.totals() == (1, 1, 1)
    assert actions(archive).count("published") == 1
    assert len(archive.jobs.find(stage=Stage.SEND)) == 1
    assert list(archive.verify()) == []


def test_the_same_sop_uid_with_other_content_is_refused_and_the_first_untouched(archive):
    hand_in(archive, part10(b"one"))
    hand_in(archive, part10(b"two"))
    publish(archive, claim(archive), content=b"first")
    before = archive.index.instance("2.25.1")
    job = claim(archive)
    with pytest.raises(Refused):
        publish(archive, job, content=b"second")
    assert archive.index.instance("2.25.1") == before
    assert archive.files.open("clean", before.file).read() == b"first"
    assert archive.jobs.get(job.id) == job
    assert archive.quarantine(job, "same UID")
    assert archive.original(job).read() == part10(b"two")
    reopened = later(archive.folder)
    assert reopened.sweep() == 1  # the second one's clean file
    assert list(reopened.verify()) == []
    reopened.close()


def test_an_original_stays_until_every_project_is_done(archive):
    hand_in(archive, projects=("a", "b", "c"))
    publish(archive, claim(archive), uid="2.25.1")
    second = claim(archive)
    archive.quarantine(second, "pixels")
    publish(archive, claim(archive), uid="2.25.3")
    assert inbox(archive) == [second.subject]
    archive.release(second.id, Actor("ann"))
    publish(archive, claim(archive), uid="2.25.2")
    assert inbox(archive) == []


def test_content_that_breaks_off_publishes_nothing(archive):
    hand_in(archive)
    job = claim(archive)

    def chunks():
        yield b"some"
        raise Refused("an undecodable frame")

    with pytest.raises(Refused):
        archive.publish(job, chunks(), clean_instance(), [])
    assert list(archive.files.names("clean")) == []
    assert archive.original(job).read() == part10()


# Crashes


def test_killed_anywhere_in_accept_the_sender_may_send_again(tmp_path):
    for step in itertools.count():
        folder = tmp_path / str(step)
        Archive(folder).close()
        killed = killed_at(folder, step, hand_in)
        archive = later(folder)
        archive.sweep()
        assert list(archive.verify()) == []
        assert len(inbox(archive)) == len(archive.jobs.find()) == len(actions(archive))
        assert killed or inbox(archive)  # answered, so it is there
        hand_in(archive)
        [job] = archive.jobs.find()
        assert archive.original(job).read() == part10()
        assert publish(archive, claim(archive))
        assert list(archive.verify()) == []
        archive.close()
        if not killed:
            break
    assert step > 10


def test_killed_anywhere_in_publish_the_job_is_done_again_to_the_same_end(tmp_path):
    for step in itertools.count():
        folder = tmp_path / str(step)
        archive = Archive(folder)
        hand_in(archive)
        job = claim(archive)
        archive.close()
        killed = killed_at(folder, step, lambda archive, job=job: publish(archive, job))
        archive = later(folder)
        archive.sweep()
        assert list(archive.verify()) == []
        archive.jobs.expire("worker")
        if again := claim(archive, "other"):
            assert killed
            assert archive.original(again).read() == part10()
            assert publish(archive, again)
        assert archive.jobs.get(job.id).state == State.DONE
        entry = archive.index.instance("2.25.1")
        assert archive.files.open("clean", entry.file).read() == b"clean"
        assert list(archive.files.names("clean")) == [entry.file]
        assert len(archive.jobs.find(stage=Stage.SEND)) == 1
        assert actions(archive) == ["received", "published"]
        assert archive.index.totals() == (1, 1, 1)
        assert inbox(archive) == []
        assert list(archive.verify()) == []
        archive.close()
        if not killed:
            break
    assert step > 15


# Deciding


def test_a_delivered_object_is_done_with_the_status_it_was_given(archive):
    hand_in(archive)
    publish(archive, claim(archive))
    job = archive.jobs.claim(Stage.SEND, "courier", 60, destination="pacs")
    assert archive.delivered(job, 0xB000, transfer_syntax="1.2.840.10008.1.2.1")
    assert not archive.delivered(job, 0x0000, transfer_syntax="1.2.840.10008.1.2.1")
    assert archive.jobs.get(job.id).reason == "0xB000"
    assert actions(archive)[-1] == "delivered"
    assert archive.counts()["delivered"] == 1


def test_a_refused_object_waits_for_a_person(archive):
    hand_in(archive)
    job = claim(archive)
    assert archive.quarantine(job, "burnt-in text")
    assert not archive.fail(job, "too late")
    assert archive.original(job).read() == part10()
    released = archive.release(job.id, Actor("ann"))
    assert (released.state, released.attempts) == (State.READY, 0)
    assert actions(archive) == ["received", "quarantined", "released"]
    with pytest.raises(Refused, match="ready"):
        archive.release(job.id, Actor("ann"))
    with pytest.raises(NotFound):
        archive.release(999, Actor("ann"))
    assert len(actions(archive)) == 3


def test_a_failed_object_waits_for_a_person(archive):
    hand_in(archive)
    job = claim(archive)
    assert archive.fail(job, "five times")
    assert archive.counts()["failed"] == 1
    assert archive.release(job.id, Actor("ann")).state == State.READY


def test_an_object_without_a_route_is_held_until_there_is_one(archive):
    hand_in(archive, projects=())
    assert claim(archive) is None
    [job] = archive.jobs.find()
    assert job.state == State.HELD
    with pytest.raises(Refused):
        archive.release(job.id, Actor("ann"))
    assert archive.route_held(lambda _: Plan()) == 0
    assert archive.route_held(lambda arrival: Plan(("a", "b") if arrival.origin == ORIGIN else ())) == 1
    assert archive.route_held(lambda _: Plan(("c",))) == 0
    assert sorted((job.project, job.state) for job in archive.jobs.find()) == [("a", "ready"), ("b", "ready")]
    assert actions(archive) == ["received", "routed"]
    assert list(archive.verify()) == []


@pytest.mark.parametrize("is_done", [True, False])
def test_a_held_object_that_came_by_another_way_meanwhile_is_routed_to_what_is_left(archive, is_done):
    hand_in(archive, projects=())
    hand_in(archive, projects=("a",))
    if is_done:
        publish(archive, claim(archive))
    assert archive.route_held(lambda _: Plan(("a",))) == 1  # nothing is left
    assert [job.project for job in archive.jobs.find(stage=Stage.CLEAN)] == ["a"]
    assert bool(inbox(archive)) != is_done
    hand_in(archive, projects=())
    assert archive.route_held(lambda _: Plan(("a", "b"))) == 1
    assert sorted(job.project for job in archive.jobs.find(stage=Stage.CLEAN)) == ["a", "b"]
    assert list(archive.verify()) == []


def test_the_counts_add_up(archive):
    for number in range(6):
        hand_in(archive, part10(bytes([number])), uid=f"1.{number}", projects=() if number == 0 else ("default",))
    publish(archive, claim(archive))
    archive.quarantine(claim(archive), "bad")
    archive.fail(claim(archive), "bad")
    claim(archive)
    counts = archive.counts()
    states = ("waiting", "running", "held", "quarantined", "published", "failed")
    assert [counts[state] for state in states] == [1] * 6
    assert counts["received"] == sum(counts[state] for state in states)
    assert counts["sending"] == counts["studies"] == counts["series"] == counts["instances"] == 1


# Sweeping and verifying


def test_the_sweep_spares_young_files_and_whatever_a_row_mentions(archive):
    hand_in(archive, part10(b"one"))
    hand_in(archive, part10(b"two"), uid="1.5")
    hand_in(archive, part10(b"three"), uid="1.6", projects=())
    publish(archive, claim(archive))
    archive.quarantine(claim(archive), "bad")
    for room in ("inbox", "clean"):
        archive.files.write(room, "f" * 64, [b"orphan"])
    assert archive.sweep() == 0
    reopened = later(archive.folder)
    assert reopened.sweep() == 2
    assert reopened.sweep() == 0
    assert list(reopened.verify()) == []
    assert len(inbox(reopened)) == 2
    reopened.close()


def test_the_sweep_removes_what_a_dead_process_was_receiving(archive):
    archive.close()

    def receive():
        (Archive(archive.folder).files.incoming() / "half").write_bytes(b"half")

    forked(receive)
    assert archive.sweep() == 1


@pytest.mark.parametrize("room", ["inbox", "clean"])
def test_the_sweep_looks_again_before_it_removes(archive, monkeypatch, room):
    """The row that mentions an old file is committed while the sweep is under way."""
    hand_in(archive)
    job = claim(archive)
    if room == "clean":
        publish(archive, job)
        monkeypatch.setattr(archive.index, "files", dict)
    else:
        monkeypatch.setattr(archive.jobs, "unfinished", lambda _: set())
    archive._clock = lambda: time.time() + 7200
    assert archive.sweep() == 0
    monkeypatch.undo()
    assert list(archive.verify()) == []


def broken(archive):
    return " / ".join(archive.verify())


def test_an_original_without_its_file_is_reported(archive):
    hand_in(archive)
    archive.files.remove("inbox", archive.jobs.find()[0].subject)
    assert "has a job but no file" in broken(archive)


def test_an_instance_without_its_file_is_reported(archive):
    hand_in(archive)
    publish(archive, claim(archive))
    archive.files.remove("clean", archive.index.instance("2.25.1").file)
    assert broken(archive) == "the instance 2.25.1 has no file"


def test_a_clean_file_of_which_a_disk_has_changed_a_byte_is_reported(archive):
    hand_in(archive)
    job = claim(archive)
    publish(archive, job)
    path = archive.files.path("clean", archive.index.instance("2.25.1").file)
    assert broken(archive) == ""
    assert json.loads(archive.audit.newest(1)[0].detail)["blake3"] == blake3(b"clean").hexdigest()
    path.write_bytes(b"cleen")
    assert broken(archive) == "the file of the instance 2.25.1 is not what was written"
    archive.jobs.expire("worker")
    archive.database.execute_sql("UPDATE job SET state = 'running', lease_until = 0 WHERE id = ?", (job.id,))
    assert publish(archive, claim(archive), content=b"made by another version")
    assert broken(archive) == ""


def test_files_that_a_disk_has_changed_are_reported(archive):
    hand_in(archive)
    publish(archive, claim(archive))
    archive.files.path("clean", archive.index.instance("2.25.1").file).write_bytes(b"cle")
    hand_in(archive, part10(b"other"), uid="1.2.4")
    name = archive.jobs.find(states=[State.READY], stage=Stage.CLEAN)[0].subject
    archive.files.path("inbox", name).write_bytes(part10(b"ogher"))
    assert broken(archive) == (
        f"the original {name[:12]} is not what came in / "
        "the file of the instance 2.25.1 is not as long as it was written"
    )


def test_an_original_that_came_without_a_data_set_is_what_came_in(archive):
    path = archive.files.incoming() / "empty"
    path.write_bytes(part10(b""))
    archive.accept(path, UID, ORIGIN, ["default"], digest=archive.digests.begin().hexdigest())
    assert broken(archive) == ""
    archive.whole_original(claim(archive)).close()


def test_a_send_job_without_its_instance_is_reported(archive):
    archive.jobs.add(Stage.SEND, "2.25.99", project="default", destination="pacs")
    assert "not in the index" in broken(archive)


@pytest.mark.parametrize("table", ["study", "series"])
def test_a_wrong_number_of_instances_is_reported(archive, table):
    hand_in(archive)
    publish(archive, claim(archive))
    archive.database.execute_sql(f"UPDATE {table} SET instances = 2")
    assert broken(archive).startswith(f"the {table} 2.25.1")
    assert broken(archive).endswith("says it has 2 instances, but has 1")


def test_a_broken_audit_trail_is_reported(archive):
    hand_in(archive)
    archive.database.execute_sql("DROP TRIGGER audit_is_not_altered")
    archive.database.execute_sql("UPDATE audit SET actor = 'nobody'")
    assert "the audit trail is broken" in broken(archive)


def test_nothing_is_reported_wrongly_while_work_goes_on(archive, monkeypatch):
    """The original goes between the look at the rows and the look at the files."""
    hand_in(archive)
    job, names = claim(archive), archive.files.names

    def names_after_publishing(room):
        if room == "inbox":
            publish(archive, job)
        return names(room)

    monkeypatch.setattr(archive.files, "names", names_after_publishing)
    assert broken(archive) == ""


# The folder itself


def test_a_folder_is_opened_again_with_all_that_was_in_it(archive, tmp_path):
    hand_in(archive)
    archive.close()
    archive.close()
    again = Archive(tmp_path / "data")
    assert again.counts()["received"] == 1
    again.close()


def test_the_database_may_be_elsewhere(tmp_path):
    archive = Archive(tmp_path / "data", f"sqlite:///{tmp_path}/db/other.db")
    assert (tmp_path / "db" / "other.db").exists()
    assert not (tmp_path / "data" / "lethe.db").exists()
    archive.close()


def test_a_new_data_folder_is_not_for_everybody(tmp_path):
    archive = Archive(tmp_path / "data")
    assert not (tmp_path / "data").stat().st_mode & 0o007
    archive.close()
