"""Redacting over HTTP: one file, and folders; the engine runs in a process of its own, and nothing stays behind."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from builders import PHI, ct, saved, slide_label
from burned_screens import frames_of, is_gone, screen, words
from dicomweb_archive import parts_of
from flask.testing import FlaskClient
from programs import free_port, running_node, wait_for

from lethe.node.choices import AuthMode, Fill, PixelPolicy, ProfileName
from lethe.node.config import Auth, Config, Http, Project, Redact
from lethe.node.redactbatch import BatchRedactor
from lethe.node.redaction import Asked, Redactor
from lethe.node.site import build_app
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.batches import Refusal
from lethe.storage.database import transaction
from lethe.storage.errors import Unavailable
from lethe.storage.slots import Slots
from lethe.storage.users import GRANTS, Permission, Role


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("redact")
    (folder / "root").mkdir()
    projects = (Project("default"), Project("through", profile=ProfileName.NONE))
    redact = Redact(roots=("root",), largest=4)
    return Config(
        folder=folder, projects=projects, redact=redact, auth=Auth(AuthMode.NONE), http=Http(port=free_port())
    )


@pytest.fixture(scope="module")
def archive(site: Config) -> Iterator[Archive]:
    archive = Archive(site.data)
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def web(site: Config, archive: Archive) -> FlaskClient:
    return build_app(site, archive).test_client()


def raw(ds: pydicom.FileDataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def send(web: FlaskClient, body: bytes, query: str = "", **headers: str) -> Any:
    return web.post(f"/api/v1/redact{query}", data=body, content_type="application/dicom", headers=headers)


def left_behind(archive: Archive) -> list[str]:
    return [path.name for path in archive.files.incoming().iterdir() if path.name != ".lock"]


def phi_in(data: bytes) -> list[str]:
    return [value for value in PHI.values() if value.encode() in data]


class TestOneFile:
    def test_comes_back_clean(self, web: FlaskClient, archive: Archive) -> None:
        answer = send(web, raw(ct()))
        assert (answer.status_code, answer.mimetype) == (200, "application/dicom")
        ds = pydicom.dcmread(io.BytesIO(answer.data))
        assert ds.PatientIdentityRemoved == "YES" and phi_in(answer.data) == []
        (entry,) = archive.audit.newest(1)
        assert (entry.action, entry.subject) == ("redacted", ds.SOPInstanceUID)
        answer.close()
        assert left_behind(archive) == [] and archive.counts()["received"] == 0, "nothing is kept"

    def test_may_be_a_field_of_a_form(self, web: FlaskClient, archive: Archive) -> None:
        form = {"file": (io.BytesIO(raw(ct())), "doe_john.dcm"), "fill": "contrast"}
        answer = web.post("/api/v1/redact", data=form, content_type="multipart/form-data")
        assert answer.status_code == 200
        assert archive.audit.newest(1)[0].as_dict()["detail"]["fill"] == "contrast"
        answer.close()
        assert left_behind(archive) == []

    def test_may_be_asked_for_what_was_done_in_a_form(self, web: FlaskClient) -> None:
        form = {"file": (io.BytesIO(raw(ct())), "a.dcm"), "boxes": "json"}
        assert web.post("/api/v1/redact", data=form, content_type="multipart/form-data").json["policy"] == "phi"

    @pytest.mark.parametrize(("query", "headers"), [("?boxes=json", {}), ("", {"Accept": "application/json"})], ids=str)
    def test_is_answered_with_what_was_done(self, web: FlaskClient, query: str, headers: dict[str, str]) -> None:
        told = send(web, raw(ct()), query, **headers).json
        assert told["sop_instance_uid"].startswith("2.25.")
        assert (told["policy"], told["fill"], told["boxes"]) == ("phi", "background", [])
        assert told["text_finders"] == ["rapidocr"]

    @pytest.mark.parametrize(
        ("query", "headers"), [("?boxes=multipart", {}), ("", {"Accept": "multipart/related"})], ids=str
    )
    def test_comes_back_with_what_was_done_beside_it(
        self, web: FlaskClient, archive: Archive, query: str, headers: dict[str, str]
    ) -> None:
        picture, boxes = words()
        answer = send(web, screen(picture), query, **headers)
        (first, clean), (second, told) = parts_of(answer.data, answer.content_type)
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        assert (first["Content-Type"], second["Content-Type"]) == ("application/dicom", "application/json")
        (shown,) = frames_of(clean)
        assert all(is_gone(shown, box) for box in boxes) and len(json.loads(told)["boxes"]) >= len(boxes)
        answer.close()
        assert left_behind(archive) == []

    @pytest.mark.parametrize("fill", Fill)
    def test_that_shows_the_patient_comes_back_without(self, web: FlaskClient, fill: Fill) -> None:
        picture, boxes = words()
        answer = send(web, screen(picture), f"?fill={fill}")
        (shown,) = frames_of(answer.data)
        assert all(is_gone(shown, box) for box in boxes) and phi_in(answer.data) == []
        told = send(web, screen(picture), f"?boxes=json&fill={fill}").json
        assert len(told["boxes"]) >= len(boxes) and told["fill"] == fill

    def test_has_the_policy_and_fill_that_are_asked_for(self, web: FlaskClient) -> None:
        told = send(web, raw(ct()), "?boxes=json&policy=regions&fill=contrast").json
        assert (told["policy"], told["fill"]) == ("regions", "contrast")

    def test_that_cannot_be_cleaned_is_refused_with_a_reason(self, web: FlaskClient, archive: Archive) -> None:
        answer = send(web, raw(slide_label()))
        assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
        assert "slide's label" in answer.json["detail"] and phi_in(answer.data) == []
        assert "slide's label" in archive.audit.newest(1)[0].detail
        assert left_behind(archive) == []

    @pytest.mark.parametrize("body", [b"no DICOM at all", raw(ct())[:2000], bytes(5000)], ids=["text", "cut", "zeros"])
    def test_that_is_none_is_refused(self, web: FlaskClient, body: bytes) -> None:
        answer = send(web, body)
        assert answer.status_code == 422 and phi_in(answer.data) == []

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("?policy=none", "policy is one of auto, phi, all, regions"),
            ("?policy=FEATHERSTONE", "policy is one of"),
            ("?fill=pink", "fill is one of background, contrast"),
            ("?project=other", "no such project"),
            ("?project=through", "redacts nothing"),
            ("?boxes=xml", "boxes is one of json, multipart"),
            ("?polcy=all", "project, policy, fill, boxes"),
            ("?policy=all&policy=phi", "in two ways"),
        ],
    )
    def test_asked_for_in_another_way(self, web: FlaskClient, query: str, said: str) -> None:
        answer = send(web, raw(ct()), query)
        assert answer.status_code == 400 and said in answer.json["detail"]
        assert "FEATHERSTONE" not in answer.text

    def test_asked_for_in_two_ways_in_query_and_form(self, web: FlaskClient) -> None:
        for query, status in (("?policy=all", 200), ("?policy=phi", 400)):
            form = {"file": (io.BytesIO(raw(ct())), "a.dcm"), "policy": "all", "boxes": "json"}
            answer = web.post(f"/api/v1/redact{query}", data=form, content_type="multipart/form-data")
            assert answer.status_code == status

    def test_is_missing(self, web: FlaskClient, archive: Archive) -> None:
        assert send(web, b"").status_code == 400
        form = {"other": (io.BytesIO(b"x"), "x")}
        assert web.post("/api/v1/redact", data=form, content_type="multipart/form-data").status_code == 400
        two = {"file": [(io.BytesIO(raw(ct())), "a"), (io.BytesIO(raw(ct())), "b")]}
        assert web.post("/api/v1/redact", data=two, content_type="multipart/form-data").status_code == 400, (
            "or is one of two"
        )
        assert web.post("/api/v1/redact", data=b"x", content_type="text/plain").status_code == 415
        assert left_behind(archive) == []

    def test_is_too_large(self, web: FlaskClient, archive: Archive) -> None:
        assert send(web, bytes(4_000_001)).status_code == 413
        assert web.post("/api/v1/redact-batch", data=bytes(2 << 20), content_type="application/json").status_code in (
            400,
            413,
        )
        assert left_behind(archive) == []

    def test_needs_leave(self, web: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(GRANTS, Role.ADMINISTRATOR, frozenset(Permission) - {Permission.REDACT})
        assert send(web, raw(ct())).status_code == 403
        assert web.post("/api/v1/redact-batch", json={}).status_code == 403
        assert web.get("/api/v1/redact-batch/1").status_code == 403
        assert web.delete("/api/v1/redact-batch/1").status_code == 403


def redact_once(site: Config, source: Path, target: Path) -> None:
    assert Redactor(site).to_file(source, target, Asked("default")).reason == ""


class TestProcess:
    def test_that_dies_is_said_and_replaced(self, site: Config, archive: Archive, tmp_path: Path) -> None:
        redactor = Redactor(site)
        source, target = saved(ct(), tmp_path), tmp_path / "out.dcm"
        assert redactor.to_file(source, target, Asked("default")).reason == ""
        assert redactor._pool is not None
        for process in redactor._pool._processes.values():
            process.kill()
            process.join()
        with pytest.raises(Unavailable):
            redactor.to_file(source, target, Asked("default"))
        again = redactor.to_file(source, target, Asked("default", PixelPolicy.ALL, Fill.CONTRAST))
        assert (again.reason, again.policy, again.fill) == ("", "all", "contrast")
        redactor.close()

    def test_ends_with_the_web_process_that_started_it(self, site: Config, tmp_path: Path) -> None:
        """That is a child of multiprocessing, and waited for its own child, which was never told to end; it was killed
        after half a minute."""
        source, target = saved(ct(), tmp_path), tmp_path / "out.dcm"
        web = multiprocessing.get_context("spawn").Process(target=redact_once, args=(site, source, target))
        web.start()
        web.join(60)
        exitcode = web.exitcode
        web.kill()
        assert exitcode == 0
        assert target.exists()

    def test_is_the_only_one_that_loads_the_engine(self, site: Config) -> None:
        look = (
            "import sys; from pathlib import Path; from lethe.node.config import Config; "
            "from lethe.storage.archive import Archive; from lethe.node.site import build_app; "
            "c = Config(folder=Path(sys.argv[1])); build_app(c, Archive(c.data)); "
            "print([m for m in ('onnxruntime', 'rapidocr', 'lethe.node.projects') if m in sys.modules])"
        )
        seen = subprocess.run(
            [sys.executable, "-c", look, str(site.folder / "other")], capture_output=True, text=True, timeout=300
        )
        assert seen.stdout.strip() == "[]", seen.stderr


class TestFolder:
    @pytest.fixture
    def root(self, site: Config, tmp_path: Path) -> Path:
        root = site.folder / "root" / tmp_path.name
        root.mkdir()
        return root

    def order(self, web: FlaskClient, source: Path, destination: Path, **more: str) -> Any:
        body = {"source": str(source), "destination": str(destination), **more}
        return web.post("/api/v1/redact-batch", json=body)

    def test_is_redacted_and_its_progress_told(self, web: FlaskClient, archive: Archive, root: Path) -> None:
        for number in range(2):
            saved(ct(), root / "in" / "deeper", f"{number}.dcm")
        saved(slide_label(), root / "in", "zz_DOE.dcm")
        answer = self.order(web, root / "in", root / "out", fill="contrast")
        assert answer.status_code == 202 and answer.json["total"] == 3
        place = answer.headers["Location"]
        assert place == f"/api/v1/redact-batch/{answer.json['id']}"
        wait_for(lambda: web.get(place).json["state"] == "finished", seconds=120)
        told = web.get(place).json
        assert (told["done"], told["clean"], told["refused"]) == (3, 2, 1)
        assert told["asked"] == {"project": "default", "fill": "contrast"}
        (refusal,) = told["refusals"]
        assert refusal["file"] == 3 and "slide's label" in refusal["reason"]
        assert "DOE" not in web.get(place).text, "file names are not told"
        results = list((root / "out").rglob("*.dcm"))
        assert len(results) == 2 and not any(phi_in(path.read_bytes()) for path in results)
        begun, ended = (entry.as_dict() for entry in reversed(archive.audit.newest(2)))
        assert (begun["action"], ended["action"]) == ("redact-batch-begun", "redact-batch-ended")
        assert ended["detail"] == {"state": "finished", "files": 3, "clean": 2}

    def test_must_lie_below_a_configured_one(self, web: FlaskClient, root: Path, tmp_path: Path) -> None:
        inside, outside = root / "in", tmp_path / "elsewhere"
        for folder in (inside, outside):
            saved(ct(), folder, "a.dcm")
        (root / "link").symlink_to(outside)
        for source, destination in (
            (outside, root / "out"),
            (inside, outside),
            (root / ".." / ".." / ".." / "elsewhere", root / "out"),
            (root / "link", root / "out"),
            (inside, root / "link" / "out"),
            (Path("in"), root / "out"),
            (Path("/"), root / "out"),
            (inside / ("x" * 5000), root / "out"),
            (inside, root / ("x" * 300)),
        ):
            answer = self.order(web, source, destination)
            assert answer.status_code == 400, (source, destination)
            assert str(tmp_path) not in answer.text and "elsewhere" not in answer.text
        assert not (root / "out").exists() and list(outside.iterdir()) == [outside / "a.dcm"]

    def test_files_that_lead_elsewhere_are_left_out(self, web: FlaskClient, root: Path, tmp_path: Path) -> None:
        saved(ct(), root / "in", "a.dcm")
        (root / "in" / "b.dcm").symlink_to(saved(ct(), tmp_path, "b.dcm"))
        assert self.order(web, root / "in", root / "out").json["total"] == 1

    def test_is_not_its_own_destination(self, web: FlaskClient, root: Path) -> None:
        saved(ct(), root / "in", "a.dcm")
        for destination in (root / "in", root, root / "in" / "a.dcm"):
            assert self.order(web, root / "in", destination).status_code == 400
        assert self.order(web, root / "in" / "a.dcm", root / "out").status_code == 400
        assert self.order(web, root / "none", root / "out").status_code == 400

    @pytest.mark.parametrize("body", [None, [], {}, {"source": 1}, {"source": "/x", "colour": "y"}], ids=str)
    def test_asked_for_wrongly(self, web: FlaskClient, body: object) -> None:
        assert web.post("/api/v1/redact-batch", json=body).status_code == 400

    def test_that_is_unknown(self, web: FlaskClient) -> None:
        assert web.get("/api/v1/redact-batch/none").status_code == 404

    def test_needs_configured_roots(self, site: Config, archive: Archive, tmp_path: Path) -> None:
        config = Config(folder=site.folder)
        closed = build_app(config, archive).test_client()
        answer = closed.post("/api/v1/redact-batch", json={"source": "/", "destination": str(tmp_path)})
        assert answer.status_code in (400, 401), "no accounts here, or no roots"
        with pytest.raises(ValueError, match="no folders are configured"):
            BatchRedactor(archive, config, Redactor(config)).order("/", "/x", Asked("default"), Actor("x"))

    def test_that_was_interrupted_says_so_after_a_restart(self, site: Config, archive: Archive, root: Path) -> None:
        with transaction(archive.database):
            archive.batches.begin("b1", {"project": "default"}, 9)
        archive.batches.progress("b1", 4, 3, [Refusal(2, "a reason")])
        web = build_app(site, archive).test_client()
        told = web.get("/api/v1/redact-batch/b1").json
        assert told is not None
        assert (told["state"], told["done"], told["clean"], told["total"]) == ("interrupted", 4, 3, 9)
        assert told["refusals"] == [{"file": 2, "reason": "a reason"}]

    def test_that_another_process_works_on_is_not_interrupted(self, site: Config, archive: Archive) -> None:
        with transaction(archive.database):
            archive.batches.begin("b2", {"project": "default"}, 9)
        others = Slots(archive.folder / "batches.lock")
        others.take("b2", 1)
        web = build_app(site, archive).test_client()
        assert web.get("/api/v1/redact-batch/b2").json["state"] == "running"
        others.close()
        assert build_app(site, archive).test_client().get("/api/v1/redact-batch/b2").json["state"] == "interrupted"

    def test_that_runs_is_cancelled_by_whichever_process_is_asked(
        self, site: Config, web: FlaskClient, archive: Archive, root: Path
    ) -> None:
        (root / "in").mkdir()
        for number in range(300):
            (root / "in" / f"{number:03d}.dcm").write_bytes(raw(ct()))
        place = self.order(web, root / "in", root / "out").headers["Location"]
        wait_for(lambda: list((root / "out").rglob("*.dcm")), what="the first file is done")
        other = build_app(site, archive).test_client()
        assert other.get(place).json["state"] == "running"
        assert other.delete(place).json["state"] == web.delete(place).json["state"] == "cancelled"
        wait_for(lambda: archive.audit.newest(1)[0].action == "redact-batch-ended", what="it ends")
        told = web.get(place).json
        assert told["state"] == "cancelled" and 0 < told["done"] == told["clean"] < told["total"] == 300
        assert len(list((root / "out").rglob("*.dcm"))) == told["clean"]
        assert archive.audit.newest(1)[0].as_dict()["detail"]["state"] == "cancelled"
        assert [one.action for one in archive.audit.newest(3)].count("redact-batch-cancelled") == 2

    def test_that_has_ended_or_never_was_cannot_be_cancelled(self, web: FlaskClient, root: Path) -> None:
        saved(ct(), root / "in", "a.dcm")
        place = self.order(web, root / "in", root / "out").headers["Location"]
        wait_for(lambda: web.get(place).json["state"] == "finished", seconds=120)
        answer = web.delete(place)
        assert answer.status_code == 409 and "only one that runs" in answer.json["detail"]
        assert web.get(place).json["state"] == "finished"
        assert web.delete("/api/v1/redact-batch/none").status_code == 404


@pytest.mark.parametrize(("mode", "anonymous"), [("local", 401), ("none", 200)], ids=["accounts", "no accounts"])
def test_large_files_pass_the_real_server_where_they_may(tmp_path: Path, mode: str, anonymous: int) -> None:
    ds = ct(Rows=1024, Columns=1024)
    ds.PixelData = bytes(1024 * 1024 * 2)
    body, kind = raw(ds), {"Content-Type": "application/dicom"}
    with running_node(tmp_path / "node", f'[auth]\nmode = "{mode}"\n[redact]\nlargest = 4\n') as node:

        def status(path: str, headers: dict[str, str], sent: bytes = body) -> int:
            answer = requests.post(f"{node.url}/api/v1{path}", data=sent, headers={**kind, **headers}, timeout=300)
            return answer.status_code

        assert status("/redact", node.headers) == 200
        assert status("/redact", {}) == anonymous
        assert status("/redact", node.headers, body * 3) == 413
        assert status("/redact-batch", {**node.headers, "Content-Type": "application/json"}) == 413
        assert status("/redact", node.headers) == 200, "a refused body does not disturb what follows"
        assert not [
            one for one in (node.folder / "data" / "incoming").rglob("*") if one.is_file() and one.name != ".lock"
        ]


def test_a_web_part_that_is_killed_leaves_its_batch_interrupted_and_no_process(tmp_path: Path) -> None:
    root, body = tmp_path / "root", raw(ct())
    (root / "in").mkdir(parents=True)
    for number in range(3000):
        (root / "in" / f"{number:04d}.dcm").write_bytes(body)
    with running_node(tmp_path / "node", f'[redact]\nroots = ["{root}"]\n') as node:
        order = {"source": str(root / "in"), "destination": str(root / "out")}
        begun = requests.post(f"{node.url}/api/v1/redact-batch", json=order, headers=node.headers, timeout=120)
        place = begun.headers["Location"]
        wait_for(lambda: node.get(place).json()["done"] > 0, what="the first file is done")
        (web,) = node.children("web")
        below = subprocess.run(["ps", "--no-headers", "-o", "pid", "--ppid", str(web)], capture_output=True, text=True)
        assert below.stdout.split(), "it has a process that redacts"
        os.kill(web, signal.SIGKILL)
        wait_for(lambda: node.children("web") not in ([], [web]) and node._ready(), what="the web part is back")
        told = node.get(place).json()
        assert told["state"] == "interrupted" and 0 < told["done"] < told["total"] == 3000
        wait_for(lambda: not any(is_running(int(pid)) for pid in below.stdout.split()), what="its processes end")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
