"""Kills parts of a node with SIGKILL at random points of a transfer, and proves that nothing is lost or doubled.

`benchmarks/kill.py` runs it at length, `test_kill.py` briefly.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders import series
from programs import Node, free_port
from pynetdicom import AE, evt
from pynetdicom.events import Event

from lethe.node.config import Peer
from lethe.node.dimse.contexts import support_storage
from lethe.node.dimse.scu import Destination
from lethe.storage.archive import Archive
from lethe.storage.errors import StorageError
from lethe.storage.jobs import Stage, State
from lethe.storage.query import Level, Query

_CONTEXT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
_PARTS = ("receive", "worker", "worker", "deliver", "web", "serve")
_PAUSE = 0.5  # seconds between kills, on average


class Loss(AssertionError):
    """Something was lost, doubled or contradicts something else."""


def kill_while_sending(folder: Path, instances: int, kills: int, seed: int) -> str:
    """Run the trial. Returns a line that says what was done; raises Loss where something is missing."""
    paths = series(folder / "source", instances)
    with destination() as (port, received):
        node = Node(folder / "node", _config(port), log_level="INFO").start()
        try:
            lethe = Peer("lethe", "LETHE", "127.0.0.1", node.dicom)
            sender = Sender(lethe, paths, pause=kills * _PAUSE / instances)
            sender.start()
            killed = _kill(node, kills, random.Random(seed))
            sender.join(600)
            status = node.settle(300)
        finally:
            node.stop()
        archive = Archive(node.folder / "data")
        prove(archive, sender.acknowledged, received)
    return (
        f"{instances} instances, {sum(killed.values())} kills "
        f"({', '.join(f'{count} {part}' for part, count in sorted(killed.items()))}), {sender.broken} broken sends: "
        f"{len(sender.acknowledged)} acknowledged, {status['published']} published once, {len(received)} delivered"
    )


class Sender(threading.Thread):
    """A modality that sends each file until it is acknowledged."""

    def __init__(self, lethe: Peer, paths: list[Path], *, pause: float) -> None:
        super().__init__(daemon=True)
        self._pause, self._peer = pause, lethe
        self._paths = paths
        self.acknowledged: set[Path] = set()
        self.broken = 0

    def run(self) -> None:
        while len(self.acknowledged) < len(self._paths):
            try:
                with Destination(self._peer, "MODALITY") as association:
                    for path in self._paths:
                        if path not in self.acknowledged:
                            association.open([_CONTEXT])
                            if association.send(path, _CONTEXT) == 0x0000:
                                self.acknowledged.add(path)
                            time.sleep(self._pause)
            except StorageError:
                self.broken += 1
                time.sleep(0.1)


def _kill(node: Node, kills: int, chance: random.Random) -> dict[str, int]:
    killed: dict[str, int] = {}
    while sum(killed.values()) < kills:
        time.sleep(chance.uniform(0, 2 * _PAUSE))
        part = chance.choice(_PARTS)
        if part == "serve":
            node.process.kill()
            node.process.wait()
            _start_again(node)
        else:
            running = node.children(part)
            if not running:
                continue  # dead from an earlier kill; the supervisor is about to start it
            os.kill(chance.choice(running), signal.SIGKILL)
        killed[part] = killed.get(part, 0) + 1
    return killed


def _start_again(node: Node) -> None:
    """As an operator or systemd would; the parts of the one that died end by themselves and free their ports."""
    deadline = time.monotonic() + 180  # a part may take its time to notice, and its last patience to end
    while True:
        try:
            node.start()
            return
        except AssertionError:
            if node.process.poll() is None:  # it runs and does not answer; two would be in each other's way
                node.process.kill()
                node.process.wait()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def prove(archive: Archive, acknowledged: set[Path], received: dict[str, int]) -> None:
    """That what was acknowledged is published once and delivered, and nothing else. Raises Loss."""
    contradictions = list(archive.verify())
    if contradictions:
        raise Loss("; ".join(contradictions))
    published = [entry.sop_uid for entry in archive.index.find(Query(Level.INSTANCE))]
    if len(published) != len(set(published)) or len(published) != len(acknowledged):
        raise Loss(f"{len(acknowledged)} acknowledged, {len(published)} published")
    if set(received) != set(published):
        raise Loss(f"{len(published)} published, {len(received)} delivered")
    jobs = archive.jobs.find()
    if {job.state for job in jobs} != {State.DONE}:
        raise Loss("jobs are left: " + ", ".join(sorted({f"{job.stage} {job.state} {job.reason}" for job in jobs})))
    actions = [entry.action for entry in archive.audit.entries()]
    if actions.count("published") != len(published):
        raise Loss(f"published {actions.count('published')} times, {len(published)} instances")
    if len([job for job in jobs if job.stage == Stage.SEND]) != len(published):
        raise Loss("there is not exactly one SEND job for each instance")


@contextmanager
def destination(host: str = "127.0.0.1") -> Iterator[tuple[int, dict[str, int]]]:
    """A receiver that counts how often it got each SOP Instance UID."""
    received: dict[str, int] = {}
    lock = threading.Lock()

    def store(event: Event) -> int:
        with lock:
            uid = str(event.request.AffectedSOPInstanceUID)
            received[uid] = received.get(uid, 0) + 1
        return 0x0000

    ae, port = AE("ARCHIVE"), free_port()
    support_storage(ae)
    ae.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield port, received
    finally:
        ae.shutdown()


def _config(port: int) -> str:
    return f"""[[peers]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
[projects.default]
send_to = ["archive"]
"""
