"""Starts the programs the tests talk to: Lethe itself, and the peers that Debian ships. All stays on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

SHARED = Path(__file__).resolve().parents[2] / "shared"
DCMTK = ("storescu", "dcmsend", "storescp", "echoscu", "dcmdump", "findscu", "movescu", "getscu")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(*programs: str) -> None:
    """Skip the test where a peer is absent; CI installs them all and sets LETHE_PEERS=required."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("LETHE_PEERS") == "required":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def dcmtk(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's tools to its end. pynetdicom ships programs of the same names; Debian's are meant."""
    environment = os.environ | {"TCP_NODELAY": "1"}
    return subprocess.run(
        [f"/usr/bin/{program}", *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


def wait_for(condition: Callable[[], object], *, seconds: float = 60.0, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def half_written(data: Path) -> list[Path]:
    """What of no use is in `incoming/` of a data folder; a file that is kept ready is empty."""
    found = []
    for path in (data / "incoming").glob("*/*"):
        with suppress(FileNotFoundError):  # it may go while we look
            if path.name != ".lock" and (path.is_dir() or path.stat().st_size):
                found.append(path)
    return found


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Node:
    """A running `lethe serve` in a folder of its own."""

    token = "token-of-the-tests-0123456789abcdef"

    def __init__(self, folder: Path, extra: str = "", *, log_level: str = "DEBUG", events: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.dicom, self.http = free_port(), free_port()
        self.events = free_port() if events else 0
        self.config = folder / "config.toml"
        self.log = folder / "log.txt"
        self.config.write_text(
            f'[node]\nport = {self.dicom}\nlog_level = "{log_level}"\n[http]\nport = {self.http}\n'
            f"events_port = {self.events}\n{extra}",
            encoding="utf-8",
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def start(self) -> Node:
        environment = os.environ | {"LETHE_ADMIN_TOKEN": self.token}
        self._output = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lethe.node", "serve", "--config", str(self.config)],
            cwd=self.folder,
            env=environment,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        # With parts of its own: those of a supervisor that was killed answer for a while, and hold its ports.
        wait_for(lambda: listens(self.dicom) and self._ready() and self.children("web"), what="the node answers")
        return self

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self._output.close()
        return code

    def lethe(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside the node."""
        command = [sys.executable, "-m", "lethe.node", *arguments, "--config", str(self.config)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)

    def status(self) -> dict[str, int]:
        return dict(json.loads(self.lethe("status", "--json").stdout))

    def get(self, path: str, **arguments: object) -> requests.Response:
        return requests.get(self.url + path, headers=self.headers, timeout=60, **arguments)  # type: ignore[arg-type]

    def settle(self, seconds: float = 120.0, *, delivered: bool = True) -> dict[str, int]:
        """Wait until nothing is waiting, running or (if anything is to be delivered) sending."""
        status: dict[str, int] = {}

        def settled() -> bool:
            try:
                status.update(requests.get(f"{self.url}/api/v1/status", headers=self.headers, timeout=30).json())
            except requests.RequestException:  # the web part was killed, and is being started again
                return False
            return status["waiting"] + status["running"] + (status["sending"] if delivered else 0) == 0

        wait_for(settled, seconds=seconds, what=f"everything has its verdict: {status}")
        return status

    def children(self, command: str) -> list[int]:
        """The process numbers of that part."""
        found = subprocess.run(
            ["ps", "--no-headers", "-o", "pid,args", "--ppid", str(self.process.pid)], capture_output=True, text=True
        ).stdout
        return [int(line.split()[0]) for line in found.splitlines() if f"lethe.node {command} " in line]

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False


@contextmanager
def running_node(folder: Path, extra: str = "") -> Iterator[Node]:
    node = Node(folder, extra).start()
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A peer that listens on that port, until the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | {"TCP_NODELAY": "1"})
        try:
            wait_for(lambda: listens(port), what=f"{command[0]} listens: {log.read_text()[-500:]}")
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def storescp(folder: Path, title: str = "ARCHIVE") -> Iterator[int]:
    """DCMTK's storescp, which takes every transfer syntax it knows, on a free port."""
    need("storescp")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = ["/usr/bin/storescp", "+xa", "-aet", title, "-od", str(folder), "--fork", str(port)]
    with running(command, port, folder.with_suffix(".log")):
        yield port


@contextmanager
def orthanc(folder: Path, **more: object) -> Iterator[tuple[int, str]]:
    """Debian's Orthanc with an empty database, and more settings: its DICOM port and the URL of its REST API."""
    need("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    dicom, http = free_port(), free_port()
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "db"),
        "DicomPort": dicom,
        "HttpPort": http,
        "DicomAet": "ORTHANC",
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": True,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings | more))
    with running(["Orthanc", str(folder / "orthanc.json")], dicom, folder / "log.txt"):
        yield dicom, f"http://127.0.0.1:{http}"
