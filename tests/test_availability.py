"""Instance Availability Notification: a peer is told of what was published, once its study is quiet, until it knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import ct, saved
from commitment_peers import new_uid
from programs import free_port
from pydicom.dataset import Dataset, FileDataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from lethe.dicomweb.dicomjson import describe
from lethe.node.announcer import Announcer
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.availability import NOTIFICATION, notification_of, notifications
from lethe.node.dimse.scp import Receiver
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.entries import CleanInstance
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage
from lethe.storage.names import clean_name


class Listener:
    """A peer that wants to know."""

    def __init__(self) -> None:
        self.port = free_port()
        self.told: list[Dataset] = []
        self.answers: list[int] = []
        self._ae = AE("RIS")
        self._ae.add_supported_context(NOTIFICATION)
        self._ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_CREATE, self._hear)])

    @property
    def peer(self) -> Peer:
        return Peer("ris", "RIS", "127.0.0.1", self.port, notify=("trial",))

    def stop(self) -> None:
        self._ae.shutdown()

    def _hear(self, event: Event) -> tuple[int, None]:
        status = self.answers.pop(0) if self.answers else 0x0000
        if status == 0x0000:
            self.told.append(event.attribute_list)
        return status, None


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.stop()


def publish(archive: Archive, ds: FileDataset, project: str = "trial") -> str:
    incoming = archive.files.incoming()
    saved(ds, incoming, "clean")
    archive.accept(incoming / "clean", str(ds.SOPInstanceUID), Origin("CT01"), [project])
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    clean = CleanInstance(describe(ds), ds.file_meta.TransferSyntaxUID, project, clean_name(job.subject, project))
    archive.publish(job, [b"clean"], clean, [])
    return str(ds.SOPInstanceUID)


def announcer(archive: Archive, listener: Listener, quiet: float = 0) -> Announcer:
    return Announcer(archive, listener.peer, "LETHE", quiet=quiet)


def test_a_study_is_told_of_with_all_its_instances(archive: Archive, listener: Listener) -> None:
    publish(archive, ct())  # before the peer wanted to know
    assert not announcer(archive, listener).step()
    study, one, two = new_uid(), new_uid(), new_uid()
    uids = [publish(archive, ct(StudyInstanceUID=study, SeriesInstanceUID=series)) for series in (one, two, one)]
    publish(archive, ct(), "another")
    assert announcer(archive, listener).step()
    assert not announcer(archive, listener).step()
    (ds,) = listener.told
    assert ds.StudyInstanceUID == study
    assert [item.SeriesInstanceUID for item in ds.ReferencedSeriesSequence] == [one, two]
    items = [item for series in ds.ReferencedSeriesSequence for item in series.ReferencedSOPSequence]
    assert sorted(item.ReferencedSOPInstanceUID for item in items) == sorted(uids)
    assert {(item.InstanceAvailability, item.RetrieveAETitle) for item in items} == {("ONLINE", "LETHE")}


def test_it_waits_until_the_study_is_quiet_and_tells_of_late_ones(archive: Archive, listener: Listener) -> None:
    assert not announcer(archive, listener).step()
    study = new_uid()
    publish(archive, ct(StudyInstanceUID=study))
    assert not announcer(archive, listener, quiet=3600).step()
    archive.database.execute_sql("UPDATE notice SET ready_at = 0")
    assert announcer(archive, listener).step()
    publish(archive, ct(StudyInstanceUID=study))
    assert announcer(archive, listener).step()
    counts = [sum(len(one.ReferencedSOPSequence) for one in ds.ReferencedSeriesSequence) for ds in listener.told]
    assert counts == [1, 2]


def test_a_peer_that_is_away_or_fails_is_told_later_and_after_a_restart(archive: Archive, listener: Listener) -> None:
    assert not announcer(archive, listener).step()
    publish(archive, ct())
    listener.answers = [0x0110]
    assert announcer(archive, listener).step()
    assert not announcer(archive, listener).step()
    away = Peer("ris", "RIS", "127.0.0.1", free_port(), notify=("trial",))
    archive.database.execute_sql("UPDATE notice SET ready_at = 0")
    assert Announcer(archive, away, "LETHE", quiet=0).step()
    archive.database.execute_sql("UPDATE notice SET ready_at = 0")
    again = Archive(archive.folder)
    assert announcer(again, listener).step()
    again.close()
    assert len(listener.told) == 1
    assert archive.notices.waiting() == 0


def test_what_a_peer_tells_us_is_taken_note_of(archive: Archive) -> None:
    admission = Admission("LETHE", [], trust_loopback=True)
    receiver = Receiver(archive, admission, always(), services=[notifications(archive)])
    try:
        ae = AE("PACS")
        ae.add_requested_context(NOTIFICATION)
        association = ae.associate("127.0.0.1", receiver.start("127.0.0.1", 0), ae_title="LETHE")
        ds = notification_of(new_uid(), [(new_uid(), "1.2", new_uid())], "PACS")
        assert association.send_n_create(ds, NOTIFICATION, new_uid())[0].Status == 0x0000
        assert association.send_n_create(ds, NOTIFICATION)[0].Status == 0x0000  # we give it its UID
        entry = archive.audit.newest(1)[0]
        assert (entry.action, entry.actor) == ("availability-told", "PACS@127.0.0.1")
        del ds.ReferencedSeriesSequence
        assert association.send_n_create(ds, NOTIFICATION, new_uid())[0].Status == 0x0120
        association.release()
    finally:
        receiver.stop(0.5)
