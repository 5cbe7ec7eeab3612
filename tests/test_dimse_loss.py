"""A network that loses packets, one in fifty: what was acknowledged is there, and what is there was acknowledged."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from builders import ct, saved
from dimse_wire import CT, LITTLE
from lossy_link import LossyLink, lossy_link
from programs import need, wait_for

from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.limits import Limits
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

CONTEXT = (CT, LITTLE)
LOSS, OBJECTS = 0.02, 30


def sent(paths: Sequence[Path], peer: Peer) -> set[str]:
    """Send each until it is acknowledged; the names of those that were."""
    acknowledged: set[str] = set()
    with Destination(peer, "CT01", answer_seconds=60) as destination:
        for path in paths:
            for _ in range(10):
                try:
                    destination.open([CONTEXT])
                    if destination.send(path, CONTEXT) == 0x0000:
                        acknowledged.add(path.stem)
                        break
                except Unavailable:
                    destination.close()
    return acknowledged


def objects(folder: Path) -> list[Path]:
    return [saved(ct(), folder) for _ in range(OBJECTS)]


def test_what_is_received_over_a_network_that_loses_packets_is_all_there(archive: Archive, tmp_path: Path) -> None:
    paths = objects(tmp_path / "out")
    with lossy_link(LOSS) as link:
        admission = Admission("LETHE", (Peer("ct", "CT01", link.far.address, 104),), trust_loopback=False)
        receiver = Receiver(archive, admission, always("default"), limits=Limits(least_free=0))
        port = link.near.run(lambda: receiver.start(link.near.address, 0))
        acknowledged = link.far.run(lambda: sent(paths, Peer("lethe", "LETHE", link.near.address, port)))
        receiver.stop(0.5)
        assert link.dropped > 0
    assert len(acknowledged) == OBJECTS == archive.counts()["received"]
    assert list(archive.verify()) == []


@pytest.mark.peer
def test_what_is_sent_over_a_network_that_loses_packets_arrives(tmp_path: Path) -> None:
    need("storescp")
    paths, folder, port = objects(tmp_path / "out"), tmp_path / "in", 11_112
    folder.mkdir()
    with lossy_link(LOSS) as link:
        process = link.near.run(lambda: storescp_in(folder, port))
        try:
            wait_for(lambda: link.far.run(lambda: answers(link, port)), what="storescp answers")
            acknowledged = link.far.run(lambda: sent(paths, Peer("archive", "ARCHIVE", link.near.address, port)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        assert link.dropped > 0
    arrived = {path.name.removeprefix("CT.") for path in folder.iterdir()}
    assert arrived == acknowledged == {path.stem for path in paths}


def storescp_in(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = ["/usr/bin/storescp", "-aet", "ARCHIVE", "-od", str(folder), str(port)]
    return subprocess.Popen(command, env=os.environ | {"TCP_NODELAY": "1"}, stderr=subprocess.DEVNULL)


def answers(link: LossyLink, port: int) -> bool:
    try:
        return Destination(Peer("archive", "ARCHIVE", link.near.address, port), "CT01").echo() == 0
    except Unavailable:
        return False
