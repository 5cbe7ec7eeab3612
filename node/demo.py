"""Shows the whole flow with real studies: a node in a throw-away folder, a second receiver behind it, a modality in
front of it, then what was removed, what was held back and why, and where to look."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lethe.storage.archive import Archive
from lethe.storage.errors import StorageError

from .config import Peer
from .dimse.admission import Admission
from .dimse.scp import Receiver
from .dimse.scu import Destination, is_stored
from .fates import show_fates
from .routing import always
from .samples import Sample, samples

_READY_WITHIN, _DONE_WITHIN = 60.0, 300.0


def demo(*, stay: bool) -> int:
    """Run the demonstration; `stay` keeps it up until Ctrl-C. Returns the exit code."""
    console = Console()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    logging.getLogger().addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory(prefix="lethe-demo-") as name:
        folder = Path(name)
        dicom, http, second = _port(11112), _port(8080), _port(11113)
        _write_config(folder / "config.toml", dicom, http, second)
        with _second_receiver(folder / "destination", second), _node(folder / "config.toml", http):
            console.print(
                f"\n[bold]Lethe[/bold] is up: LETHE at 127.0.0.1:{dicom}, destination ARCHIVE at 127.0.0.1:{second}\n"
            )
            archive = Archive(folder / "data")
            chosen = samples()
            refused = _send(chosen, Peer("lethe", "LETHE", "127.0.0.1", dicom), archive, console)
            show_fates(archive, chosen, refused, console)
            _links(console, http, folder)
            if stay:
                console.print("It stays up until Ctrl-C.\n")
                _wait_for_interrupt()
    return 0


def _write_config(path: Path, dicom: int, http: int, second: int) -> None:
    path.write_text(
        f"""[node]
port = {dicom}
log_level = "WARNING"
[http]
port = {http}
events_port = 0
[auth]
mode = "none"
[[peers]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {second}
[projects.default]
send_to = ["archive"]
""",
        encoding="utf-8",
    )


@contextmanager
def _second_receiver(folder: Path, port: int) -> Iterator[None]:
    """A second Lethe without routes: it keeps what it gets, as an archive would."""
    receiver = Receiver(Archive(folder), Admission("ARCHIVE", [], trust_loopback=True), always())
    receiver.start("127.0.0.1", port)
    try:
        yield
    finally:
        receiver.stop(1.0)


@contextmanager
def _node(config: Path, http: int) -> Iterator[None]:
    command = [sys.executable, "-m", "lethe.node", "serve", "--config", str(config)]
    process = subprocess.Popen(command, cwd=config.parent, start_new_session=True)
    try:
        deadline = time.monotonic() + _READY_WITHIN
        while not _is_ready(http):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StorageError("the node did not start; its messages stand above")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _is_ready(http: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{http}/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def _send(chosen: list[Sample], node: Peer, archive: Archive, console: Console) -> Counter[str]:
    """Send every sample and wait until each has its verdict. Returns why some were refused at the door."""
    refused = Counter[str]()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, Destination(node, "MODALITY") as modality:
        sending = progress.add_task("sent by C-STORE", total=len(chosen))
        cleaning = progress.add_task("de-identified or quarantined", total=len(chosen))
        for sample in chosen:
            stored = (sample.sop_class, sample.transfer_syntax)
            modality.open([stored], likely=((one.sop_class, one.transfer_syntax) for one in chosen))
            try:
                status = modality.send(sample.path, stored)
                if not is_stored(status):
                    refused[f"0x{status:04X}"] += 1
            except StorageError as error:
                refused[str(error)] += 1
            progress.advance(sending)
            progress.update(cleaning, completed=_settled(archive.counts()))
        _wait_until_settled(archive, lambda done: progress.update(cleaning, completed=done))
        settled = _settled(archive.counts())
        progress.update(cleaning, total=settled, completed=settled)
    return refused


def _settled(counts: Mapping[str, int]) -> int:
    return counts["published"] + counts["quarantined"] + counts["failed"]


def _wait_until_settled(archive: Archive, show: Callable[[int], None]) -> None:
    deadline = time.monotonic() + _DONE_WITHIN
    while time.monotonic() < deadline:
        counts = archive.counts()
        show(_settled(counts))
        if counts["waiting"] + counts["running"] + counts["sending"] == 0:
            return
        time.sleep(0.1)


def _links(console: Console, http: int, folder: Path) -> None:
    root = f"http://127.0.0.1:{http}"
    for name, path in (
        ("portal", "/"),
        ("DICOMweb", "/dicom-web/studies"),
        ("FHIR", "/fhir/R4/ImagingStudy"),
    ):
        console.print(f"  {name:10} {root}{path}", highlight=False)
    console.print(f"  {'folder':10} {folder}\n", highlight=False)


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


def _port(preferred: int) -> int:
    """The preferred port, or any other that is free."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StorageError("no port is free")
