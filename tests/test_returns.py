"""What comes back is given its originals and goes to the named destinations, durably, and nowhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pydicom
import pytest
from builders import PHI, ct, saved
from programs import free_port
from pydicom.dataset import FileDataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from returned_objects import CLASSES, returned
from test_courier import Archiver, courier, due

from lethe.node.cli import main
from lethe.node.config import Config, Peer, Route
from lethe.node.config import Project as ProjectConfig
from lethe.node.courier import Courier
from lethe.node.deid.profile import Option
from lethe.node.dimse.scu import Destination
from lethe.node.projectkeys import key_name, new_key
from lethe.node.projects import projects_of
from lethe.node.routing import Router
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Arrival, Origin
from lethe.storage.jobs import Job, Stage, State
from lethe.storage.query import Level, Query

ROUTES = (
    Route(("*",), "trial"),
    Route(("AI",), "trial", reidentify=True, send_to=("pacs",)),
    Route(("AI-2",), "trial", reidentify=True, send_to=("pacs", "ris")),
)
AI = Origin("AI", "192.0.2.7")


class Site:
    """A node without its processes: what comes in is cleaned or given back, step by step."""

    def __init__(self, archive: Archive, tmp_path: Path, *more: Option) -> None:
        self.archive = archive
        options = (Option.RETAIN_LONGITUDINAL_MODIFIED_DATES, Option.CLEAN_STRUCTURED_CONTENT, *more)
        self.config = Config(projects=(ProjectConfig("trial", options=options),), routes=ROUTES, folder=tmp_path)
        self.router = Router(self.config)
        self.projects = projects_of(self.config, archive.files, archive.crosswalk)

    @property
    def worker(self) -> Worker:
        return Worker(self.archive, self.projects, "worker-1", self.router.destinations_for)

    def accept(self, ds: FileDataset, origin: Origin) -> None:
        path = saved(ds, self.archive.files.incoming(), "x.dcm")
        plan = self.router.plan(Arrival(origin, path, 0.0))
        self.archive.accept(path, str(ds.SOPInstanceUID), origin, plan.projects, plan.stage, plan.handling)

    def clean(self, ds: FileDataset) -> FileDataset:
        """Send an original and fetch its clean instance."""
        before = {entry.sop_uid for entry in self.archive.index.find(Query(Level.INSTANCE))}
        self.accept(ds, Origin("CT01"))
        assert self.worker.step()
        (new,) = (entry for entry in self.archive.index.find(Query(Level.INSTANCE)) if entry.sop_uid not in before)
        with self.archive.files.open("clean", new.file) as file:
            clean = pydicom.dcmread(file)
            clean.decode()
            return clean

    def give_back(self, ds: FileDataset, origin: Origin = AI) -> Job:
        """Send a result and have it done; its job."""
        self.accept(ds, origin)
        while self.worker.step():
            pass
        return self.archive.jobs.find(stage=Stage.REIDENTIFY, limit=1)[0]

    def files(self) -> list[Path]:
        return [path for path in (self.archive.folder / "returns").rglob("*") if path.is_file()]


@pytest.fixture
def site(archive: Archive, tmp_path: Path) -> Site:
    return Site(archive, tmp_path)


@pytest.fixture
def pacs() -> Iterator[Archiver]:
    archiver = Archiver(free_port())
    yield archiver
    archiver.stop()


def to_pacs(site: Site, port: int, *, identified: bool = True) -> Courier:
    peer = Peer("pacs", "ARCHIVE", "127.0.0.1", port, identified=identified)
    return Courier(site.archive, Destination(peer, "LETHE"), "deliver-1", lambda: 0.0)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_result_goes_to_the_destination_of_its_route_with_its_originals(
    site: Site, pacs: Archiver, kind: str
) -> None:
    original = ct()
    made = returned(kind, site.clean(original))
    before = site.archive.index.totals()
    job = site.give_back(made)
    assert job.state == State.DONE, job.reason
    (path,) = site.files()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700
    (send,) = site.archive.jobs.find(stage=Stage.RETURN)
    assert (send.destination, send.subject) == ("pacs", path.name)
    assert list(site.archive.verify()) == []
    assert to_pacs(site, pacs.port).step()
    (uid, data), *more = pacs.received.items()
    assert (uid, more) == (made.SOPInstanceUID, [])
    assert str(original.StudyInstanceUID).encode() in data
    assert PHI["PatientName"].encode() in data
    assert PHI["PatientID"].encode() in data
    assert site.files() == [], "it is gone once it is delivered"
    assert not list(site.archive.files.names("inbox"))
    assert site.archive.index.totals() == before, "the index never knows it"
    counts = site.archive.counts()
    assert (counts["reidentified"], counts["delivered"], counts["published"]) == (1, 1, 1)
    assert list(site.archive.verify()) == []


def test_a_destination_that_takes_implicit_only_gets_it_so_and_the_trail_says_it(site: Site) -> None:
    made = returned("PR", site.clean(ct()))
    site.give_back(made)
    pacs = Archiver(free_port(), syntaxes={made.SOPClassUID: [ImplicitVRLittleEndian]})
    try:
        assert to_pacs(site, pacs.port).step()
    finally:
        pacs.stop()
    assert pacs.syntaxes_of == {made.SOPInstanceUID: ImplicitVRLittleEndian}
    (entry,) = (one for one in site.archive.audit.entries() if one.action == "returned")
    assert json.loads(entry.detail)["transfer_syntax"] == ImplicitVRLittleEndian
    assert site.files() == []
    assert not [path for path in site.archive.files.incoming().iterdir() if path.name.startswith("passing")]


def test_every_step_is_audited_without_phi(site: Site, pacs: Archiver) -> None:
    site.clean(ct())
    start = list(site.archive.audit.entries())[-1].seq
    site.give_back(returned("SR", site.clean(ct(PatientID="MRN-2"))))
    to_pacs(site, pacs.port).step()
    entries = list(site.archive.audit.entries(after=start))
    assert [entry.action for entry in entries if "reid" in entry.detail + entry.action or entry.action == "returned"]
    assert [entry.action for entry in entries][-3:] == ["received", "reidentified", "returned"]
    said = "".join(f"{entry.subject} {entry.detail}" for entry in entries[-3:])
    assert not [value for value in (*PHI.values(), "MRN-2") if value in said]
    assert '"uids": ' in entries[-2].detail
    assert site.archive.audit.verify().broken_at is None


def test_to_several_destinations_it_is_kept_until_the_last_has_it(site: Site, pacs: Archiver) -> None:
    site.give_back(returned("PR", site.clean(ct())), Origin("AI-2"))
    assert to_pacs(site, pacs.port).step()
    assert len(site.files()) == 1
    peer = Peer("ris", "ARCHIVE", "127.0.0.1", pacs.port, identified=True)
    assert Courier(site.archive, Destination(peer, "LETHE"), "deliver-2", lambda: 0.0).step()
    assert site.files() == []


def test_a_destination_that_is_away_is_waited_for_and_a_refusal_is_shown(site: Site, pacs: Archiver) -> None:
    made = returned("PR", site.clean(ct()))
    site.give_back(made)
    absent = to_pacs(site, free_port())
    assert absent.step()
    assert (site.archive.counts()["sending"], len(site.files())) == (1, 1)
    due(site.archive)
    pacs.answers[str(made.SOPInstanceUID)] = [0xA900]
    assert to_pacs(site, pacs.port).step()
    assert (site.archive.counts()["undeliverable"], len(site.files())) == (1, 1)
    (why,) = site.archive.jobs.standstills()
    assert why.reason == "pacs answered 0xA900"
    (job,) = site.archive.jobs.find(stage=Stage.RETURN)
    site.archive.release(job.id, Actor("somebody"))
    assert to_pacs(site, pacs.port).step()
    assert site.files() == []


def test_a_result_that_is_refused_can_be_discarded_and_come_again(site: Site, pacs: Archiver) -> None:
    made = returned("PR", site.clean(ct()))
    site.give_back(made, Origin("AI-2"))
    pacs.answers[str(made.SOPInstanceUID)] = [0xA900]
    assert to_pacs(site, pacs.port).step()
    (refused,) = site.archive.jobs.find(states=[State.QUARANTINED], stage=Stage.RETURN)
    site.archive.discard(refused.id, "not wanted there", Actor("somebody"))
    assert site.archive.counts()["undeliverable"] == 0
    assert len(site.files()) == 1, "the other destination does not have it yet"
    peer = Peer("ris", "ARCHIVE", "127.0.0.1", pacs.port, identified=True)
    to_ris = Courier(site.archive, Destination(peer, "LETHE"), "deliver-2", lambda: 0.0)
    pacs.answers[str(made.SOPInstanceUID)] = [0xA900]
    assert to_ris.step()
    (refused,) = site.archive.jobs.find(states=[State.QUARANTINED], stage=Stage.RETURN)
    site.archive.discard(refused.id, "not wanted there", Actor("somebody"))
    assert site.files() == []
    assert list(site.archive.verify()) == []
    site.give_back(made, Origin("AI-2"))
    assert len(site.files()) == 1
    assert to_pacs(site, pacs.port).step() and to_ris.step()
    assert (site.files(), list(site.archive.verify())) == ([], [])


def test_a_result_that_came_again_is_not_forgotten_with_the_one_before(site: Site, pacs: Archiver) -> None:
    made = returned("PR", site.clean(ct()))
    site.give_back(made, Origin("AI-2"))
    for destination in ("pacs", "ris"):
        job = site.archive.jobs.claim(Stage.RETURN, "deliver", 60, destination=destination)
        assert job is not None and site.archive.quarantine(job, "refused")
    first, second = site.archive.jobs.find(stage=Stage.RETURN)
    site.archive.discard(first.id, "not wanted there", Actor("somebody"))
    site.accept(made, Origin("AI-2"))
    site.archive.discard(second.id, "not wanted there", Actor("somebody"))
    assert site.worker.step()
    assert {job.state for job in site.archive.jobs.find(stage=Stage.RETURN)} == {State.READY}
    assert len(site.files()) == 1
    assert list(site.archive.verify()) == []


def test_a_result_that_is_discarded_while_it_is_made_again_is_made_once_more(site: Site, pacs: Archiver) -> None:
    site.accept(returned("PR", site.clean(ct())), AI)
    write = site.archive.files.write

    def write_then_lose(room: str, name: str, chunks: Iterable[bytes]) -> int:
        size = write(room, name, chunks)
        site.archive.files.remove(room, name)  # as a discard does that has just taken the rows
        site.archive.files.write = write  # type: ignore[method-assign]
        return size

    site.archive.files.write = write_then_lose  # type: ignore[method-assign]
    assert site.worker.step()
    assert (site.files(), site.archive.jobs.find(stage=Stage.RETURN)) == ([], [])
    site.archive.database.execute_sql("UPDATE job SET ready_at = 0")
    assert site.worker.step()
    assert to_pacs(site, pacs.port).step()
    assert len(pacs.received) == 1


def test_a_peer_that_may_no_longer_get_phi_gets_none(site: Site, pacs: Archiver) -> None:
    site.give_back(returned("PR", site.clean(ct())))
    assert not to_pacs(site, pacs.port, identified=False).step()
    assert not courier(site.archive, pacs.port, "pacs").step()
    assert pacs.received == {}
    assert len(site.files()) == 1


def test_the_clean_study_sent_back_is_re_identified(site: Site, pacs: Archiver) -> None:
    original = ct()
    site.give_back(site.clean(original))
    assert to_pacs(site, pacs.port).step()
    assert list(pacs.received) == [original.SOPInstanceUID]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ds, _: setattr(ds, "StudyInstanceUID", generate_uid()), "its study is not one whose originals"),
        (lambda ds, _: setattr(ds, "PatientID", "SOMEBODY"), "is not the one of its study"),
        (lambda ds, _: setattr(ds, "PatientID", ""), "is not the one of its study"),
        (lambda ds, other: setattr(ds, "PatientID", other.PatientID), "is not the one of its study"),
        (lambda ds, other: ds.ContentSequence[0].update({"UID": other.SeriesInstanceUID}), "another patient"),
        (
            lambda ds, other: setattr(
                ds.ContentSequence[2].ContentSequence[0].ReferencedSOPSequence[0],
                "ReferencedSOPInstanceUID",
                other.SOPInstanceUID,
            ),
            "it refers to a study of another patient",
        ),
        (lambda ds, other: setattr(ds.ContentSequence[2], "PatientID", other.PatientID), "names another patient"),
        (lambda ds, _: delattr(ds, "SeriesInstanceUID"), "missing or empty"),
    ],
)
def test_what_is_doubtful_is_quarantined_with_a_reason_that_names_nobody(
    site: Site, change: Callable[[FileDataset, FileDataset], None], reason: str
) -> None:
    clean, other = site.clean(ct()), site.clean(ct(PatientID="MRN-OTHER", PatientName="QUILLFEATHER^BORIS"))
    made = returned("SR", clean)
    change(made, other)
    job = site.give_back(made)
    assert job.state == State.QUARANTINED
    assert reason in job.reason
    assert not [value for value in (*PHI.values(), "MRN-OTHER", str(clean.PatientID)) if value in job.reason]
    assert site.files() == []
    assert not site.archive.jobs.find(stage=Stage.RETURN)
    assert len(list(site.archive.files.names("inbox"))) == 1, "it stays until a person decides"


def test_a_prior_study_of_the_same_patient_may_be_referred_to(site: Site) -> None:
    prior, clean = site.clean(ct()), site.clean(ct())
    made = returned("SR", clean)
    made.ContentSequence[0].UID = prior.SeriesInstanceUID
    assert site.give_back(made).state == State.DONE


def test_a_site_may_have_kept_its_uids(archive: Archive, tmp_path: Path, pacs: Archiver) -> None:
    site, original = Site(archive, tmp_path, Option.RETAIN_UIDS), ct()
    clean = site.clean(original)
    assert clean.StudyInstanceUID == original.StudyInstanceUID
    assert site.give_back(returned("SR", clean)).state == State.DONE
    assert to_pacs(site, pacs.port).step()
    (data,) = pacs.received.values()
    assert PHI["PatientName"].encode() in data
    stranger = returned("SR", clean)
    stranger.PatientID = "SOMEBODY"
    assert site.give_back(stranger).state == State.QUARANTINED


def test_a_trial_id_of_the_sites_own_is_the_patient_again(site: Site, pacs: Archiver) -> None:
    site.archive.import_patients("trial", [(PHI["PatientID"], "17")], Actor("somebody"))
    clean = site.clean(ct())
    assert (clean.PatientID, clean.PatientName) == ("17", "17")
    made = returned("SR", clean)
    made.SeriesDescription = "17 lesions"
    assert site.give_back(made).state == State.DONE
    assert to_pacs(site, pacs.port).step()
    (data,) = pacs.received.values()
    assert PHI["PatientID"].encode() in data
    assert b"17 lesions" in data, "so short an ID may be any number in a text"


def test_what_was_cleaned_with_the_key_before_comes_back_as_well(site: Site) -> None:
    first = site.clean(ct())
    site.archive.rotate_key(key_name("trial"), new_key(), Actor("somebody"), "trial")
    second = site.clean(ct())
    assert first.PatientID != second.PatientID
    made = returned("SR", second)
    made.ContentSequence[0].UID = first.SeriesInstanceUID  # the prior is of the same patient, called otherwise
    assert site.give_back(made).state == State.DONE
    assert site.give_back(returned("PR", first)).state == State.DONE


def test_a_project_knows_nothing_of_anothers_studies(site: Site) -> None:
    clean = site.clean(ct())
    site.archive.database.execute_sql("UPDATE identity SET project = 'another'")
    job = site.give_back(returned("PR", clean))
    assert "its study is not one whose originals project trial has" in job.reason


def test_an_altered_record_gives_nobody_anothers_name(site: Site) -> None:
    clean, other = site.clean(ct()), site.clean(ct(PatientID="MRN-OTHER"))
    copied = "(SELECT sealed FROM identity WHERE study = ?)"
    parameters = (str(other.StudyInstanceUID), str(clean.StudyInstanceUID))
    site.archive.database.execute_sql(f"UPDATE identity SET sealed = {copied} WHERE study = ?", parameters)
    job = site.give_back(returned("PR", clean))
    assert (job.state, "was altered" in job.reason) == (State.QUARANTINED, True)
    assert any("identities was altered" in problem for problem in site.archive.verify())


def test_what_later_instances_know_is_added_and_the_database_tells_nothing_of_it(site: Site, pacs: Archiver) -> None:
    study = generate_uid()
    first = site.clean(ct(StudyInstanceUID=study, PatientBirthDate="", StudyDescription="Knee of Featherstone"))
    site.clean(ct(StudyInstanceUID=study, StudyDescription="other", AcquisitionDate="20190901"))
    record = site.archive.identities.find("trial", str(first.StudyInstanceUID), str(first.PatientID))
    assert record is not None
    assert record.attributes["00100030"]["Value"] == [PHI["PatientBirthDate"]]
    assert record.attributes["00081030"]["Value"] == ["Knee of Featherstone"]
    assert "20190901" in record.dates
    raw = b"".join(path.read_bytes() for path in site.archive.folder.glob("lethe.db*"))
    assert str(first.PatientID).encode() in raw, "the search would find it"
    for value in (PHI["PatientName"], PHI["PatientBirthDate"], "VANDERQUIST", "Knee of"):
        assert value.encode() not in raw


def test_the_same_job_done_again_gives_the_same_file_and_nothing_twice(site: Site) -> None:
    site.accept(returned("SEG", site.clean(ct())), AI)
    job = site.archive.jobs.claim(Stage.REIDENTIFY, "died", 0.0)
    assert job is not None
    inbox = site.archive.files.path("inbox", job.subject)
    kept = inbox.read_bytes()
    one = site.worker
    assert one.step()
    (path,) = site.files()
    before = path.read_bytes()
    inbox.write_bytes(kept)
    one._returns.reidentify(job)  # its lease is lost
    assert path.read_bytes() == before
    assert len(site.archive.jobs.find(stage=Stage.RETURN)) == 1


def test_a_worker_killed_between_file_and_row_loses_nothing(site: Site, pacs: Archiver, tmp_path: Path) -> None:
    original = ct()
    made = returned("SEG", site.clean(original))
    site.accept(made, AI)
    child = os.fork()
    if child == 0:
        own = Site(Archive(site.archive.folder), tmp_path)
        own.archive.jobs.finish = lambda *_: os._exit(9)  # type: ignore[method-assign]
        own.worker.step()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (path,) = site.files()
    before = path.read_bytes()
    assert not site.archive.jobs.find(stage=Stage.RETURN), "the file was there, its row was not"
    site.archive.jobs.expire("worker-1")
    assert site.worker.step()
    assert (site.files(), path.read_bytes()) == ([path], before)
    assert to_pacs(site, pacs.port).step()
    assert list(pacs.received) == [made.SOPInstanceUID]


def test_what_a_crash_between_file_and_row_leaves_is_swept(site: Site) -> None:
    site.accept(returned("PR", site.clean(ct())), AI)
    (name,) = site.archive.files.names("inbox")
    orphan = site.archive.files.path("returns", "ab" * 32)
    orphan.write_bytes(b"half")
    os.utime(orphan, (0, 0))
    os.utime(site.archive.files.path("inbox", name), (0, 0))
    assert site.archive.sweep() == 1
    assert site.files() == []
    assert site.worker.step(), "what a job needs stays"


def test_a_file_that_is_gone_is_found_out(site: Site, pacs: Archiver) -> None:
    site.give_back(returned("PR", site.clean(ct())))
    site.files()[0].unlink()
    assert any("re-identified object" in problem for problem in site.archive.verify())
    assert to_pacs(site, pacs.port).step()
    (job,) = site.archive.jobs.find(stage=Stage.RETURN)
    assert (job.state, "is gone" in job.reason) == (State.QUARANTINED, True)


def test_a_route_that_is_gone_is_a_reason(site: Site) -> None:
    site.accept(returned("PR", site.clean(ct())), AI)
    Worker(site.archive, site.projects, "worker-1").step()
    (job,) = site.archive.jobs.find(stage=Stage.REIDENTIFY)
    assert (job.state, "no route re-identifies" in job.reason) == (State.QUARANTINED, True)


def test_what_was_held_follows_a_route_that_re_identifies(site: Site) -> None:
    made = returned("PR", site.clean(ct()))
    site.archive.accept(saved(made, site.archive.files.incoming(), "x"), str(made.SOPInstanceUID), AI, [])
    assert site.archive.route_held(site.router.plan) == 1
    assert site.worker.step()
    assert [job.state for job in site.archive.jobs.find(stage=Stage.REIDENTIFY)] == [State.DONE]


def test_neither_kind_of_work_waits_for_all_of_the_other(site: Site) -> None:
    clean = site.clean(ct())
    for _ in range(3):
        site.accept(ct(), Origin("CT01"))
        site.accept(returned("PR", clean), AI)
    one = site.worker
    for _ in range(4):
        assert one.step()
    done = site.archive.jobs.counts()
    assert (done[Stage.CLEAN, State.DONE] - 1, done[Stage.REIDENTIFY, State.DONE]) == (2, 2)


def test_a_source_that_returns_results_is_not_cleaned_as_well(tmp_path: Path) -> None:
    router = Router(Config(projects=(ProjectConfig("trial"),), routes=ROUTES))

    def arrival(source: str) -> Arrival:
        return Arrival(Origin(source), tmp_path / "unread", 0.0)

    assert router.plan(arrival("AI")).stage == Stage.REIDENTIFY
    assert router.plan(arrival("AI")).projects == ("trial",)
    assert router.destinations_for(arrival("AI-2"), "trial") == ("pacs", "ris")
    assert router.plan(arrival("CT01")).stage == Stage.CLEAN
    assert router.destinations_for(arrival("CT01"), "trial") == ()


def test_files_are_re_identified_for_the_one_who_asks(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = ct()
    clean = site.clean(original)
    saved(returned("RTSTRUCT", clean), tmp_path / "results", "rt.dcm")
    stranger = returned("RTSTRUCT", clean)
    stranger.StudyInstanceUID = generate_uid()
    saved(stranger, tmp_path / "results", "stranger.dcm")
    (tmp_path / "config.toml").write_text("[projects.trial]\n[[routes]]\nfrom = '*'\nproject = 'trial'\n")
    mask = os.umask(0o022)
    try:
        arguments = [str(tmp_path / "results"), str(tmp_path / "out"), "--project", "trial"]
        assert main(["reidentify", *arguments, "--config", str(tmp_path / "config.toml")]) == 3
    finally:
        os.umask(mask)
    said = capsys.readouterr().out
    assert "1 re-identified, 1 refused" in said
    assert not [value for value in PHI.values() if value in said]
    (path,) = (tmp_path / "out").rglob("*.dcm")
    assert path.stat().st_mode & 0o777 == 0o600
    assert pydicom.dcmread(path).PatientName == PHI["PatientName"]
    assert path.parent.parent.name == original.StudyInstanceUID
    newest = site.archive.audit.newest(1)[0]
    assert (newest.actor, newest.action) == ("command line", "reidentified")
