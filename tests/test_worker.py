"""The worker: claims, cleans, publishes; and its ladder of errors, on which nothing is dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from builders import PHI, ct, saved, slide_label
from burned_screens import frames_of, is_gone, screen, words

from lethe.node.choices import PixelPolicy, ProfileName
from lethe.node.config import Config
from lethe.node.config import Project as ProjectConfig
from lethe.node.projects import projects_of
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import Unavailable
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.query import Level, Query

Take = Callable[..., None]


def worker(archive: Archive, **project: object) -> Worker:
    config = Config(projects=(ProjectConfig("default", send_to=("archive",), **project),))  # type: ignore[arg-type]
    return Worker(archive, projects_of(config, archive.files), "worker-1")


@pytest.fixture
def take(archive: Archive) -> Take:
    incoming = archive.files.incoming()

    def take(ds: pydicom.FileDataset, project: str = "default") -> None:
        archive.accept(saved(ds, incoming), str(ds.SOPInstanceUID), Origin("CT01", "127.0.0.1"), [project])

    return take


def test_an_object_is_cleaned_published_and_on_its_way(archive: Archive, take: Take) -> None:
    original = ct()
    take(original)
    assert worker(archive).step()
    (entry,) = archive.index.find(Query(Level.INSTANCE))
    with archive.files.open("clean", entry.file) as file:
        clean = pydicom.dcmread(file)
    assert clean.PixelData == original.PixelData
    assert clean.PatientIdentityRemoved == "YES"
    assert entry.sop_uid == clean.SOPInstanceUID != original.SOPInstanceUID
    assert archive.counts() | {"received": 1, "published": 1, "sending": 1} == archive.counts()
    assert not list(archive.files.names("inbox")), "the original is gone once its result is published"
    assert list(archive.verify()) == []
    assert not worker(archive).step()


def test_the_same_work_done_again_gives_the_same_bytes(archive: Archive, take: Take) -> None:
    take(ct())
    job = archive.jobs.claim(Stage.CLEAN, "died", 0.0)
    assert job is not None
    path = archive.files.path("inbox", job.subject)
    kept = path.read_bytes()
    first = worker(archive)
    first.clean(archive.jobs.claim(Stage.CLEAN, "worker-1", 60) or job)
    (entry,) = archive.index.find(Query(Level.INSTANCE))
    before = archive.files.path("clean", entry.file).read_bytes()
    path.write_bytes(kept)
    first.clean(job)  # its lease is lost: the file is written again, nothing is published twice
    assert archive.files.path("clean", entry.file).read_bytes() == before
    assert archive.index.totals() == (1, 1, 1)
    assert len(archive.jobs.find(stage=Stage.SEND)) == 1


def test_refused_goes_to_quarantine_with_its_reason_and_the_original_stays(archive: Archive, take: Take) -> None:
    take(slide_label())
    worker(archive).step()
    (job,) = archive.jobs.find()
    assert job.state == State.QUARANTINED
    assert job.reason == "an image of a slide's label"
    assert len(list(archive.files.names("inbox"))) == 1
    assert archive.index.totals() == (0, 0, 0)
    assert not [value for value in PHI.values() if value in job.reason]


def published(archive: Archive) -> bytes:
    (entry,) = archive.index.find(Query(Level.INSTANCE))
    return archive.files.path("clean", entry.file).read_bytes()


def test_what_a_screen_shows_of_the_patient_is_covered_and_the_rest_published(archive: Archive, take: Take) -> None:
    picture, boxes = words()
    take(pydicom.dcmread(BytesIO(screen(picture))))
    worker(archive).step()
    (shown,) = frames_of(published(archive))
    assert all(is_gone(shown, box) for box in boxes)
    assert archive.counts() | {"published": 1, "quarantined": 0} == archive.counts()


def test_pixel_policy_none_leaves_pixels_alone(archive: Archive, take: Take) -> None:
    picture, _ = words()
    take(pydicom.dcmread(BytesIO(screen(picture))))
    take(slide_label())
    one = worker(archive, pixel_policy=PixelPolicy.NONE)
    assert one.step()
    (shown,) = frames_of(published(archive))
    assert (shown == picture).all()
    assert one.step()
    assert archive.counts()["published"] == 2


def test_profile_none_passes_the_bytes_through_unchanged_and_says_so_in_the_audit_trail(
    archive: Archive, take: Take
) -> None:
    take(ct())
    (job,) = archive.jobs.find()
    original = archive.files.path("inbox", job.subject).read_bytes()
    worker(archive, profile=ProfileName.NONE).step()
    (entry,) = archive.index.find(Query(Level.INSTANCE))
    assert archive.files.path("clean", entry.file).read_bytes() == original
    assert archive.audit.newest(1)[0].as_dict()["detail"]["profile"] == "none"


def test_what_is_no_dicom_is_quarantined(archive: Archive) -> None:
    path = archive.files.incoming() / "x.dcm"
    path.write_bytes(b"not DICOM at all")
    archive.accept(path, "1.2.3", Origin("CT01"), ["default"])
    worker(archive).step()
    assert archive.jobs.find()[0].reason.startswith("not readable as DICOM")


def test_a_project_that_is_gone_is_a_reason(archive: Archive, take: Take) -> None:
    take(ct(), "yesterday")
    worker(archive).step()
    assert archive.jobs.find()[0].state == State.QUARANTINED


def test_unavailable_is_tried_later(archive: Archive, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    take(ct())
    one = worker(archive)

    def busy(*_: object, **__: object) -> bool:
        raise Unavailable("the database is busy")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "publish", busy)
        one.step()
    (job,) = archive.jobs.find()
    assert (job.state, job.reason) == (State.READY, "the database is busy")
    assert job.ready_at > job.updated
    assert not one.step(), "it is not yet time"


def test_what_a_disk_has_changed_is_not_published_as_what_came_in(archive: Archive, take: Take) -> None:
    original = ct()
    take(original)
    (job,) = archive.jobs.find()
    path = archive.files.path("inbox", job.subject)
    content = bytearray(path.read_bytes())
    content[-1000] ^= 4  # within the pixel data, where nothing else can tell
    path.write_bytes(content)
    worker(archive).step()
    (job,) = archive.jobs.find()
    assert job.state == State.QUARANTINED
    assert job.reason.startswith("its file is not what came in")
    take(original)  # as it says: sent once more, and tried again
    archive.release(job.id, Actor("somebody"))
    worker(archive).step()
    assert archive.counts()["published"] == 1


def test_what_is_not_its_fault_is_never_held_against_a_job(
    archive: Archive, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(ct())
    one = worker(archive)

    def full(*_: object, **__: object) -> bool:
        raise Unavailable("the data folder cannot be written to, or its disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "publish", full)
        for _ in range(25):  # a disk that is full over night
            with archive.database.atomic():
                archive.database.execute_sql("UPDATE job SET ready_at = 0")
            assert one.step()
            (job,) = archive.jobs.find()
            assert job.state == State.READY, job.reason

        def broken(*_: object, **__: object) -> bool:
            raise ZeroDivisionError

        patch.setattr(archive, "publish", broken)
        with archive.database.atomic():
            archive.database.execute_sql("UPDATE job SET ready_at = 0")
        assert one.step()
        (job,) = archive.jobs.find()
        assert job.state == State.READY, "one error of ours is not five"
    with archive.database.atomic():
        archive.database.execute_sql("UPDATE job SET ready_at = 0")
    assert one.step()
    assert archive.counts()["published"] == 1


def test_anything_else_is_tried_again_then_failed_and_its_message_is_not_logged(
    archive: Archive, take: Take, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lethe.node.logs import start_logging

    start_logging("worker", "DEBUG")
    take(ct())
    one = worker(archive)

    def broken(*_: object, **__: object) -> bool:
        raise ZeroDivisionError(f"of {PHI['PatientName']}")

    monkeypatch.setattr(archive, "publish", broken)
    for attempt in range(1, 6):
        with archive.database.atomic():
            archive.database.execute_sql("UPDATE job SET ready_at = 0")
        assert one.step()
        (job,) = archive.jobs.find()
        assert job.attempts == attempt
        assert job.state == (State.FAILED if attempt == 5 else State.READY)
    assert "ZeroDivisionError" in job.reason
    log = capsys.readouterr().err
    assert "ZeroDivisionError" in log
    assert PHI["PatientName"] not in log + job.reason


def test_a_job_over_which_the_process_dies_each_time_is_given_up(archive: Archive, take: Take) -> None:
    take(ct())
    for _ in range(10):
        assert archive.jobs.claim(Stage.CLEAN, "died", 0.0)
    worker(archive).step()
    (job,) = archive.jobs.find()
    assert job.state == State.FAILED
    assert archive.release(job.id, Actor("somebody")).attempts == 0


def test_one_object_for_two_projects_becomes_two_unlinkable_results(archive: Archive, tmp_path: Path) -> None:
    config = Config(projects=(ProjectConfig("a"), ProjectConfig("b")))
    one = Worker(archive, projects_of(config, archive.files), "worker-1")
    ds = ct()
    archive.accept(saved(ds, archive.files.incoming()), str(ds.SOPInstanceUID), Origin("CT01"), ["a", "b"])
    assert one.step()
    assert one.step()
    first, second = archive.index.find(Query(Level.INSTANCE))
    for tag in ("0020000D", "0020000E", "00080018", "00100020", "00080050", "00200052"):
        assert first.text(tag) != second.text(tag)
    assert archive.counts()["published"] == 2
    assert not list(archive.files.names("inbox"))


def test_keys_are_made_once_and_readable_by_nobody_else(archive: Archive) -> None:
    config = Config()
    first, again = (projects_of(config, archive.files)["default"].pseudonyms for _ in range(2))
    assert first.uid("1.2.3.4") == again.uid("1.2.3.4")
    (key,) = (archive.folder / "keys").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_next_job_is_claimed_with_the_end_of_the_one_before_and_given_back_at_the_end(
    archive: Archive, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        take(ct())
    one, stopping, states = worker(archive), threading.Event(), []
    publish = archive.publish

    def published(*arguments: Any, **options: Any) -> bool:
        done = publish(*arguments, **options)
        states.append(sorted(job.state for job in archive.jobs.find(stage=Stage.CLEAN)))
        if len(states) == 2:
            stopping.set()
        return done

    monkeypatch.setattr(archive, "publish", published)
    one.run(stopping)
    assert states[0] == [State.DONE, State.READY, State.RUNNING]
    assert states[1] == [State.DONE, State.DONE, State.RUNNING]
    (left,) = archive.jobs.find(stage=Stage.CLEAN, states=[State.READY])
    assert left.attempts == 0
