"""The review desk: who may see originals looks at a quarantined object, decides, and the worker does as he says."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from argon2 import PasswordHasher
from builders import PHI, bundled, ct, saved, secondary_capture, slide_label
from burned_screens import WORDS
from films import AVC, Frames, decoded, film_of, filmed, scene, video
from flask.testing import FlaskClient
from PIL import Image
from programs import need
from pydicom.dataset import Dataset

from lethe.node.burned.box import Box
from lethe.node.burned.review import Found, NotProven, Suspect
from lethe.node.choices import PixelPolicy
from lethe.node.config import Config, Project
from lethe.node.outbox import Outbox
from lethe.node.projects import Projects, projects_of
from lethe.node.web.app import create_app
from lethe.node.worker import Worker
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.query import Level, Query
from lethe.storage.users import GRANTS, Permission, Role

TOKEN = "a-token-for-automation"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CLEAN = {"boxes": [], "accepts_rest": True}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    quick = partial(PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("lethe.storage.users.PasswordHasher", quick)
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


@pytest.fixture
def projects(archive: Archive) -> Projects:
    config = Config(projects=(Project("default"),), folder=archive.folder)
    return projects_of(config, archive.files, archive.crosswalk, archive.rulebook)


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    settings: Any = {"blueprints": [], "outbox": Outbox(archive, Config()), "instance_path": archive.folder}
    return create_app(archive, auth="local", admin_token=TOKEN, **settings).test_client()


def take(archive: Archive, ds: Dataset, projects: Projects) -> int:
    """Send it through a worker; gives its job's number."""
    archive.accept(saved(ds, archive.files.incoming()), str(ds.SOPInstanceUID), Origin("US01"), ["default"])
    assert Worker(archive, projects, "worker-1").step()
    (job,) = archive.jobs.find(stage=Stage.CLEAN, limit=1)
    assert job.state == State.QUARANTINED
    return job.id


def held(archive: Archive, ds: Dataset) -> int:
    """It was looked at, and something was left; gives its job's number."""
    archive.accept(saved(ds, archive.files.incoming()), str(ds.SOPInstanceUID), Origin("US01"), ["default"])
    job = archive.jobs.claim(Stage.CLEAN, "engine", 60)
    assert job is not None and archive.quarantine(job, "text is left")
    return job.id


@pytest.fixture
def number(archive: Archive) -> int:
    return held(archive, secondary_capture(Manufacturer="Acme", ManufacturerModelName="Nine"))


def audited(archive: Archive) -> list[tuple[str, dict[str, Any]]]:
    return [
        (entry.action, entry.as_dict()["detail"])
        for entry in archive.audit.entries()
        if entry.action in ("quarantined-viewed", "reviewed", "rules-learned")
    ]


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


class TestPage:
    def test_shows_the_case_and_nothing_of_the_patient(self, web: FlaskClient, number: int) -> None:
        answer = web.get(f"/quarantine/{number}", headers=BEARER)
        assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
        text = words(answer.text)
        assert f"Review job {number}" in text and "Acme Nine" in text and "1 frame" in text
        assert not [value for value in PHI.values() if value in answer.text]
        assert "<script>" not in answer.text and "style=" not in answer.text

    def test_does_not_repeat_a_device_that_is_called_like_the_patient(self, web: FlaskClient, archive: Archive) -> None:
        ds = secondary_capture(Manufacturer="Acme", ManufacturerModelName="Scanner of FEATHERSTONE")
        number = held(archive, ds)
        for path in (f"/quarantine/{number}", f"/api/v1/quarantine/{number}"):
            assert "FEATHERSTONE" not in web.get(path, headers=BEARER).text
        document = {"boxes": [{"frame": None, "box": [0, 0, 9, 9]}], "learn": "x"}
        answer = web.post(f"/api/v1/quarantine/{number}/review", json=document, headers=BEARER)
        assert answer.status_code == 400 and "no rule can be learned" in answer.text
        assert archive.rulebook.documents() == []

    def test_is_linked_from_the_overview(self, web: FlaskClient, number: int) -> None:
        assert f'href="/quarantine/{number}"' in web.get("/", headers=BEARER).text

    def test_begins_with_the_boxes_that_were_found(self, web: FlaskClient, archive: Archive, number: int) -> None:
        archive.jobs.revive(archive.jobs.get(number))
        job = archive.jobs.claim(Stage.CLEAN, "engine", 60)
        refusal = NotProven("text is left", Found(1, 100, 100, (Suspect(Box(1, 2, 30, 40), 0, "unreadable"),)))
        assert job is not None and archive.quarantine(job, str(refusal), refusal.details)
        told = web.get(f"/api/v1/quarantine/{number}", headers=BEARER).json
        assert told is not None and told["boxes"] == [{"frame": 0, "box": [1, 2, 30, 40], "why": "unreadable"}]
        assert (told["rows"], told["columns"], told["frames"]) == (100, 100, 1)
        page = web.get(f"/quarantine/{number}", headers=BEARER).text
        assert "&#34;box&#34;: [1, 2, 30, 40]" in page

    def test_says_so_where_there_are_no_frames(self, web: FlaskClient, archive: Archive, projects: Projects) -> None:
        ds = ct()
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(ds, keyword)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
        number = take(archive, ds, projects)
        assert "no frames that could be shown" in web.get(f"/quarantine/{number}", headers=BEARER).text
        answer = web.post(f"/api/v1/quarantine/{number}/review", json=CLEAN, headers=BEARER)
        assert answer.status_code == 409
        assert archive.jobs.get(number).state == State.QUARANTINED

    @pytest.mark.parametrize("path", ["/quarantine/77", "/quarantine/77/frames/1", "/api/v1/quarantine/77"])
    def test_of_a_job_that_is_not_there(self, web: FlaskClient, path: str) -> None:
        assert web.get(path, headers=BEARER).status_code == 404

    def test_is_shut_where_originals_are_not_shown(
        self, web: FlaskClient, archive: Archive, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(GRANTS, Role.ADMINISTRATOR, frozenset(Permission) - {Permission.ORIGINALS})
        for path in (f"/quarantine/{number}", f"/quarantine/{number}/frames/1"):
            assert web.get(path, headers=BEARER).status_code == 403
            assert web.get(f"/api/v1{path}", headers=BEARER).status_code == 403
        for prefix in ("", "/api/v1"):
            assert web.post(f"{prefix}/quarantine/{number}/review", json=CLEAN, headers=BEARER).status_code == 403
        assert "/quarantine/" not in web.get("/", headers=BEARER).text
        assert audited(archive) == []

    def test_decisions_need_leave_to_decide(
        self, web: FlaskClient, archive: Archive, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(GRANTS, Role.ADMINISTRATOR, frozenset(Permission) - {Permission.MANAGE})
        for prefix in ("", "/api/v1"):
            assert web.post(f"{prefix}/quarantine/{number}/review", json=CLEAN, headers=BEARER).status_code == 403
        assert archive.jobs.get(number).state == State.QUARANTINED


class TestFrame:
    @pytest.mark.parametrize("prefix", ["", "/api/v1"])
    def test_is_a_picture_of_full_size_and_audited(
        self, web: FlaskClient, archive: Archive, number: int, prefix: str
    ) -> None:
        answer = web.get(f"{prefix}/quarantine/{number}/frames/1", headers=BEARER)
        assert (answer.mimetype, answer.headers["Cache-Control"]) == ("image/png", "no-store")
        picture = Image.open(io.BytesIO(answer.data))
        assert (picture.size, picture.mode) == ((100, 100), "RGB")
        assert audited(archive) == [("quarantined-viewed", {"job": number, "frame": 1})]

    @pytest.mark.parametrize(
        "name", ["CT_small.dcm", "MR_small_RLE.dcm", "examples_palette.dcm", "examples_ybr_color.dcm"]
    )
    def test_of_other_kinds(self, web: FlaskClient, archive: Archive, name: str) -> None:
        ds = bundled(name)
        number = held(archive, ds)
        picture = Image.open(io.BytesIO(web.get(f"/quarantine/{number}/frames/1", headers=BEARER).data))
        assert picture.size == (ds.Columns, ds.Rows)
        low, high = picture.convert("L").getextrema()
        assert low < high, "it shows something"

    @pytest.mark.parametrize("frame", [0, 2, 1_000_000])
    def test_that_is_not_there(self, web: FlaskClient, number: int, frame: int) -> None:
        assert web.get(f"/quarantine/{number}/frames/{frame}", headers=BEARER).status_code == 404

    def test_that_cannot_be_decoded_is_told_and_cannot_be_released(
        self, web: FlaskClient, archive: Archive, projects: Projects
    ) -> None:
        ds = secondary_capture()
        ds.PixelData = ds.PixelData[:20] + b"\xff" * 40 + ds.PixelData[60:90] + ds.PixelData[-8:]
        number = take(archive, ds, projects)
        assert web.get(f"/quarantine/{number}/frames/1", headers=BEARER).status_code == 404
        assert web.post(f"/api/v1/quarantine/{number}/review", json=CLEAN, headers=BEARER).status_code == 404
        assert archive.jobs.get(number).state == State.QUARANTINED

    def test_of_a_hostile_size_is_not_decoded(self, web: FlaskClient, archive: Archive, projects: Projects) -> None:
        number = take(archive, secondary_capture(Rows=20_000, Columns=20_000), projects)
        assert web.get(f"/quarantine/{number}/frames/1", headers=BEARER).status_code == 409


class TestFilm:
    @pytest.fixture
    def shown(self, tmp_path: Path) -> Frames:
        return scene(10, WORDS)

    @pytest.fixture
    def projects(self, archive: Archive) -> Projects:
        config = Config(projects=(Project("default", pixel_policy=PixelPolicy.REGIONS),), folder=archive.folder)
        return projects_of(config, archive.files, archive.crosswalk, archive.rulebook)

    @pytest.fixture
    def number(self, archive: Archive, projects: Projects, shown: Frames, tmp_path: Path) -> int:
        need("ffmpeg")
        return take(archive, pydicom.dcmread(io.BytesIO(video(filmed(shown, tmp_path, AVC), AVC, 10))), projects)

    def test_that_was_held_back_is_shown_frame_by_frame(self, web: FlaskClient, number: int, shown: Frames) -> None:
        assert web.get(f"/api/v1/quarantine/{number}", headers=BEARER).json["boxes"]
        for at in (1, 10):
            answer = web.get(f"/quarantine/{number}/frames/{at}", headers=BEARER)
            assert answer.mimetype == "image/png"
            picture = np.asarray(Image.open(io.BytesIO(answer.data)).convert("L")).astype(int)
            away = [np.abs(picture - frame).mean() for frame in shown]
            assert away.index(min(away)) == at - 1 and min(away) < 5
        assert web.get(f"/quarantine/{number}/frames/11", headers=BEARER).status_code == 404

    def test_is_released_with_what_was_drawn(
        self, web: FlaskClient, archive: Archive, projects: Projects, number: int
    ) -> None:
        boxes = [{"frame": None, "box": [0, 0, 640, 200]}]
        answer = web.post(f"/api/v1/quarantine/{number}/review", json={"boxes": boxes}, headers=BEARER)
        assert answer.status_code == 200
        assert Worker(archive, projects, "worker-1").step()
        (entry,) = archive.index.find(Query(Level.INSTANCE))
        for frame in decoded(film_of(archive.files.path("clean", entry.file).read_bytes())):
            assert np.ptp(frame[8:192, 8:632]) < 16

    def test_says_why_where_it_cannot_be_shown(
        self, web: FlaskClient, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        answer = web.get(f"/api/v1/quarantine/{number}/frames/1", headers=BEARER)
        assert answer.status_code == 404 and "ffmpeg is installed" in answer.text


class TestDecision:
    def test_that_nothing_identifies_lets_the_object_through(
        self, web: FlaskClient, archive: Archive, projects: Projects, number: int
    ) -> None:
        answer = web.post(f"/quarantine/{number}/review", data={"decision": "clean"}, headers=BEARER)
        assert answer.location.endswith(f"/quarantine/{number}"), "not before he says that he has seen it"
        assert archive.jobs.get(number).state == State.QUARANTINED
        form = {"decision": "clean", "accepts_rest": "on", "boxes": '[{"box": [0, 0, 9, 9]}]'}
        answer = web.post(f"/quarantine/{number}/review", data=form, headers=BEARER)
        assert answer.status_code == 303
        assert Worker(archive, projects, "worker-1").step()
        (entry,) = archive.index.find(Query(Level.INSTANCE))
        assert archive.index.receipt(entry.sop_uid)["reviewed"] == {"boxes": 0, "accepts_rest": True}
        (reviewed,) = audited(archive)
        assert reviewed[0] == "reviewed" and reviewed[1]["accepts_rest"] is True and reviewed[1]["job"] == number

    def test_about_frames_does_not_cover_what_is_beside_them(
        self, web: FlaskClient, archive: Archive, projects: Projects
    ) -> None:
        number = take(archive, slide_label(), projects)
        web.post(f"/api/v1/quarantine/{number}/review", json=CLEAN, headers=BEARER)
        assert Worker(archive, projects, "worker-1").step()
        job = archive.jobs.get(number)
        assert (job.state, job.reason) == (State.QUARANTINED, "an image of a slide's label")

    def test_with_boxes_is_kept_for_the_engine_and_shown_again(
        self, web: FlaskClient, archive: Archive, number: int
    ) -> None:
        boxes = [{"frame": None, "box": [0, 0, 100, 20]}, {"frame": 0, "box": [5, 50, 20, 60]}]
        answer = web.post(f"/api/v1/quarantine/{number}/review", json={"boxes": boxes}, headers=BEARER)
        assert answer.json == {"id": number, "state": "ready", "project": "default"}
        assert archive.reviews.decision(number) == {"boxes": boxes, "accepts_rest": False}
        job = archive.jobs.claim(Stage.CLEAN, "engine", 60)
        assert job is not None and archive.quarantine(job, "text is left", {})
        told = web.get(f"/api/v1/quarantine/{number}", headers=BEARER).json
        assert told is not None
        assert [one["box"] for one in told["boxes"]] == [[0, 0, 100, 20], [5, 50, 20, 60]]

    def test_is_learned_as_a_rule_of_the_device(
        self, web: FlaskClient, archive: Archive, projects: Projects, number: int
    ) -> None:
        form = {"decision": "redact", "boxes": '[{"frame": null, "box": [0, 0, 100, 20]}]', "learn": "on"}
        web.post(f"/quarantine/{number}/review", data={**form, "rule": "Acme Nine banner"}, headers=BEARER)
        matched = projects["default"].device_rules.boxes(
            secondary_capture(Manufacturer="ACME", ManufacturerModelName="Nine"), 100, 100
        )
        assert matched is not None
        assert (matched.boxes, matched.rules) == ((Box(0, 0, 100, 20),), ("Acme Nine banner",))
        assert [action for action, _ in audited(archive)] == ["reviewed", "rules-learned"]

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            ({"boxes": [], "accepts_rest": False}, "nothing was decided"),
            ({"boxes": [{"frame": 1, "box": [0, 0, 5, 5]}]}, "outside the frames"),
            ({"boxes": [{"frame": 0, "box": [0, 0, 101, 5]}]}, "outside the frames"),
            ({"boxes": [{"frame": 0, "box": [0, 0, 9, 5]}], "learn": "x"}, "all frames"),
            ({"boxes": "all"}, "list"),
            ({"boxes": [], "accepts_rest": True, "learn": 1}, "JSON"),
            ([], "JSON"),
        ],
        ids=str,
    )
    def test_that_makes_no_sense_changes_nothing(
        self, web: FlaskClient, archive: Archive, number: int, document: object, said: str
    ) -> None:
        answer = web.post(f"/api/v1/quarantine/{number}/review", json=document, headers=BEARER)
        assert answer.status_code == 400 and said in answer.text
        assert archive.jobs.get(number).state == State.QUARANTINED and audited(archive) == []

    @pytest.mark.parametrize("boxes", ["[]", "", "{", '[{"box": 1}]'])
    def test_on_the_page_without_boxes_goes_back_to_it(
        self, web: FlaskClient, archive: Archive, number: int, boxes: str
    ) -> None:
        answer = web.post(f"/quarantine/{number}/review", data={"decision": "redact", "boxes": boxes}, headers=BEARER)
        assert answer.status_code == 303 and answer.location.endswith(f"/quarantine/{number}")
        assert archive.jobs.get(number).state == State.QUARANTINED

    def test_cannot_be_given_twice(self, web: FlaskClient, number: int) -> None:
        web.post(f"/api/v1/quarantine/{number}/review", json=CLEAN, headers=BEARER)
        assert web.post(f"/api/v1/quarantine/{number}/review", json=CLEAN, headers=BEARER).status_code == 409

    def test_stays_with_the_job_when_it_is_tried_again(self, archive: Archive, projects: Projects, number: int) -> None:
        archive.review(number, {"boxes": [], "accepts_rest": True}, Actor("admin"), {})
        job = archive.jobs.claim(Stage.CLEAN, "engine", 60)
        assert job is not None and archive.quarantine(job, "for another reason")
        archive.release(number, Actor("admin"))
        assert Worker(archive, projects, "worker-1").step()
        assert archive.jobs.get(number).state == State.DONE
