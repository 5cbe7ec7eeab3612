"""The running node: parts that die are started again, SIGTERM drains, and killing anything loses nothing."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
import requests
from builders import ct, saved, series, slide_label
from kill_trial import kill_while_sending
from programs import Node, free_port, listens, running_node, wait_for

from lethe.node.config import Config
from lethe.node.config import Node as NodeConfig
from lethe.node.serve import Supervisor, _await_port
from lethe.storage.archive import Archive
from lethe.storage.intake import Handling, Origin
from lethe.storage.jobs import Stage


def send(node: Node, *paths: Path) -> None:
    result = node.lethe("send", *map(str, paths), "--to", f"LETHE@127.0.0.1:{node.dicom}")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_flow_from_c_store_to_dicomweb_fhir_and_portal(tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        send(node, *series(tmp_path / "ct", 3), saved(slide_label(), tmp_path / "sc"))
        status = node.settle()
        assert {key: status[key] for key in ("received", "published", "quarantined", "studies", "instances")} == {
            "received": 4,
            "published": 3,
            "quarantined": 1,
            "studies": 1,
            "instances": 3,
        }
        assert status == node.status()
        (study,) = node.get("/dicom-web/studies").json()
        uid = study["0020000D"]["Value"][0]
        assert len(node.get(f"/dicom-web/studies/{uid}/metadata").json()) == 3
        bundle = node.get("/fhir/R4/ImagingStudy").json()
        assert bundle["total"] == 1
        assert bundle["entry"][0]["resource"]["numberOfInstances"] == 3
        assert "an image of a slide&#39;s label" in node.get("/").text
        assert requests.get(f"{node.url}/dicom-web/studies", timeout=10).status_code == 401
        assert node.lethe("audit", "verify").returncode == 0
        assert node.lethe("verify").returncode == 0


def test_the_one_time_password_is_printed_once(tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        wait_for(lambda: f"the portal is at {node.url}/" in node.log.read_text(), seconds=10)
        assert re.search(rf"one-time password \S+\n  at {node.url}/\n", node.log.read_text())
        node.stop()
        node.start()
        wait_for(lambda: node.log.read_text().count(f"the portal is at {node.url}/") == 2, seconds=10)
        assert node.log.read_text().count("one-time password") == 1


def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    with running_node(tmp_path / "node") as node:
        for part in ("receive", "worker", "deliver", "web"):
            before = node.children(part)
            os.kill(before[0], signal.SIGKILL)
            wait_for(
                lambda part=part, before=before: len(set(node.children(part)) - {before[0]}) == len(before), seconds=20
            )
        wait_for(lambda: listens(node.dicom) and node._ready(), seconds=30)
        send(node, *series(tmp_path / "ct", 2))
        status = node.settle()
        assert status["published"] == 2, status


def test_sigterm_ends_everything_and_says_so_with_exit_code_0(tmp_path: Path) -> None:
    node = Node(tmp_path / "node").start()
    children = [number for part in ("receive", "worker", "deliver", "web") for number in node.children(part)]
    assert len(children) == 6  # two receivers, two workers, sender, web
    assert node.stop() == 0
    assert not [number for number in children if Path(f"/proc/{number}").exists()]


def test_the_parts_end_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    node = Node(tmp_path / "node").start()
    children = [number for part in ("receive", "worker", "deliver", "web") for number in node.children(part)]
    node.process.kill()
    node.process.wait()
    wait_for(lambda: not [number for number in children if Path(f"/proc/{number}").exists()], seconds=60)


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = Node(tmp_path / "node")
        node.config.write_text(f"[node]\nport = {taken.getsockname()[1]}\n[http]\nport = {free_port()}\n")
        result = node.lethe("receive")
        assert result.returncode == 1
        assert result.stderr.strip().endswith("Address already in use")
        assert "Traceback" not in result.stderr


def test_a_route_added_later_takes_what_was_held(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", '[projects.trial]\n[[routes]]\nfrom = "NOBODY"\nproject = "trial"\n').start()
    send(node, saved(ct(), tmp_path / "ct"))
    assert node.settle()["held"] == 1
    node.stop()
    node.config.write_text(node.config.read_text().replace("NOBODY", "LETHE"))
    node.start()
    try:
        wait_for(lambda: node.status()["published"] == 1, seconds=30)
    finally:
        node.stop()


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    print(kill_while_sending(tmp_path, instances=60, kills=20, seed=7))


def test_clients_that_send_half_a_request_do_not_stop_the_others(tmp_path: Path) -> None:
    import socket

    with running_node(tmp_path / "node") as node:
        slow = [socket.create_connection(("127.0.0.1", node.http)) for _ in range(60)]
        for one in slow:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-a: ")
        assert requests.get(f"{node.url}/healthz", timeout=5).ok
        for one in slow:
            one.close()


def test_a_port_that_is_taken_ends_serve_with_one_clear_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = Node(tmp_path / "node")
        node.config.write_text(f"[node]\nport = {free_port()}\n[http]\nport = {taken.getsockname()[1]}\n")
        result = node.lethe("serve")
        assert result.returncode == 1
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("lethe: cannot listen at 127.0.0.1:") and "([http] port)" in last
        assert "one-time password" not in result.stdout


def test_as_many_receivers_and_workers_run_as_are_configured(archive: Archive, tmp_path: Path) -> None:
    config = Config(node=NodeConfig(receivers=3, workers=2))
    commands = [part.command for part in Supervisor(config, tmp_path / "config.toml", archive).parts]
    assert commands == ["receive"] * 3 + ["worker"] * 2 + ["deliver", "web", "events"]


def test_who_waits_for_a_port_can_be_told_to_stop() -> None:
    stopping = threading.Event()
    stopping.set()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        _await_port("127.0.0.1", taken.getsockname()[1], "[node] port", stopping)  # or it is Unavailable


def test_a_part_for_which_there_is_no_room_is_started_later_and_the_supervisor_goes_on(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(Config(), tmp_path / "config.toml", archive)

    def no_memory(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr("lethe.node.serve.subprocess.Popen", no_memory)
        supervisor.watch()
    assert all(part.process is None for part in supervisor.parts)
    assert all(part.start_at > time.monotonic() for part in supervisor.parts)
    supervisor.stop()


def test_the_supervisor_outlives_a_data_folder_that_cannot_be_opened(tmp_path: Path, caplog) -> None:
    archive = Archive(tmp_path / "data")
    supervisor = Supervisor(Config(), tmp_path / "config.toml", archive)
    supervisor.parts.clear()
    (tmp_path / "data" / "owners.lock").mkdir()  # as on a disk that can only be read, open says no
    supervisor.watch()
    assert "what dead parts had leased cannot be let go now" in caplog.text
    supervisor.stop()
    archive.close()


def test_a_start_does_not_wait_for_the_hour_that_a_clock_was_ahead(tmp_path: Path) -> None:
    ahead = [3600.0]
    archive = Archive(tmp_path / "data", clock=lambda: time.time() + ahead[0])
    handling = Handling(study="ab" * 32, quiet={"default": 5.0})
    for number in range(2):
        incoming = saved(ct(), archive.files.incoming())
        archive.accept(incoming, f"1.2.{number}", Origin("CT01"), ["default"], handling=handling)
    archive.jobs.claim(Stage.CLEAN, "worker of a machine that is gone", 60)
    archive.queues.failed("archive", 30, "away")
    ahead[0] = 0.0
    archive.forget_the_future()
    assert [archive.jobs.claim(Stage.CLEAN, "worker", 60) is not None for _ in range(3)] == [True, True, False]
    assert archive.queues.state("archive").next_attempt <= time.time()
    assert archive.database.execute_sql("SELECT max(last) FROM gathering").fetchone()[0] <= time.time()
    archive.close()


def test_what_a_clock_that_was_ahead_put_off_is_done_once_it_is_right(tmp_path: Path) -> None:
    ahead = [86_400.0]

    def clock() -> float:
        return time.time() + ahead[0]

    archive = Archive(tmp_path / "data", clock=clock)
    supervisor = Supervisor(Config(), tmp_path / "config.toml", archive, clock=clock)
    supervisor.parts.clear()
    for number in range(3):
        incoming = saved(ct(), archive.files.incoming())
        archive.accept(incoming, f"1.2.{number}", Origin("CT01"), ["default"])
    taken = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert taken is not None
    archive.jobs.later(taken, 5, "busy")
    archive.announce("worker that hangs")
    archive.jobs.claim(Stage.CLEAN, "worker that hangs", 60)
    archive.queues.failed("archive", 30, "away")
    supervisor.watch()
    ahead[0] = 0.0  # set right
    assert archive.jobs.claim(Stage.CLEAN, "worker", 60) is None
    supervisor.watch()
    assert [archive.jobs.claim(Stage.CLEAN, "worker", 60) is not None for _ in range(4)] == [True] * 3 + [False]
    assert archive.queues.state("archive").next_attempt <= clock()
    supervisor.stop()
    archive.close()
