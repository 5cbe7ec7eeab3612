#!/usr/bin/env python3
"""Send through a node over a network that loses packets and goes dark, and show that nothing is lost or doubled.

usage: faults.py [--instances 300] [--loss 1] [--holes 10] [--senders 4] [--seed 0]
The node is in a network namespace of its own (root, iproute2 and /dev/net/tun are needed); modalities and the archive
that it delivers to are in another. Of the packets between the two `--loss` per cent are dropped, and `--holes` times
all of them for a while. At the end every acknowledged instance must be published once and delivered, and files, jobs,
index and audit trail must agree.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders import series
from kill_trial import Sender, destination, prove
from lossy_link import LossyLink, lossy_link
from programs import Node

from lethe.node.config import Peer
from lethe.storage.archive import Archive

PATIENCE = "idle_seconds = 5\nanswer_seconds = 5\nrequest_seconds = 5\n"


def trial(folder: Path, args: argparse.Namespace) -> str:
    """Run it. Returns a line that says what was done; raises Loss where something is missing."""
    paths = series(folder / "source", args.instances)
    with lossy_link(args.loss / 100) as link:
        archive = destination(link.far.address)
        port, received = link.far.run(archive.__enter__)
        node = link.near.run(lambda: started(folder / "node", link, port))
        lethe = Peer("lethe", "LETHE", link.near.address, node.dicom)
        shares = [paths[number :: args.senders] for number in range(args.senders)]
        senders = [Sender(lethe, share, pause=args.holes * 4.0 / len(share)) for share in shares]
        for sender in senders:
            link.far.run(sender.start)
        dark = go_dark(link, args.holes, random.Random(args.seed))
        for sender in senders:
            sender.join(600)
        status = link.near.run(lambda: node.settle(600))
        link.near.run(node.stop)
        dropped, passed = link.dropped, link.passed
    acknowledged = {path for sender in senders for path in sender.acknowledged}
    prove(Archive(node.folder / "data"), acknowledged, received)
    broken, doubled = sum(sender.broken for sender in senders), sum(received.values()) - len(received)
    return (
        f"{args.instances} instances, {dropped} of {passed} packets lost, {args.holes} times dark for {dark:.0f} s "
        f"in all, {broken} broken sends: {len(acknowledged)} acknowledged, {status['published']} published once, "
        f"{len(received)} delivered ({doubled} of them twice)"
    )


def started(folder: Path, link: LossyLink, port: int) -> Node:
    """A node that the modality at the far end may store to, and that delivers there."""
    far = f'host = "{link.far.address}"\n'
    modality = f'[[peers]]\nname = "modality"\nae_title = "MODALITY"\nport = 104\n{far}'
    archive = f'[[peers]]\nname = "archive"\nae_title = "ARCHIVE"\nport = {port}\n{far}'
    node = Node(folder, f'{modality}{archive}[projects.default]\nsend_to = ["archive"]\n', log_level="INFO")
    text = node.config.read_text(encoding="utf-8")
    node.config.write_text(text.replace("[node]\n", f'[node]\nhost = "0.0.0.0"\n{PATIENCE}'), encoding="utf-8")
    return node.start()


def go_dark(link: LossyLink, holes: int, chance: random.Random) -> float:
    """Nothing passes for a while, again and again; for how many seconds in all."""
    usual, total = link.loss, 0.0
    for _ in range(holes):
        time.sleep(chance.uniform(1, 3))
        seconds = chance.uniform(1, 8)  # some shorter than the patience of either side, some longer
        link.loss = 1.0
        time.sleep(seconds)
        link.loss = usual
        total += seconds
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("instances", 300), ("holes", 10), ("senders", 4), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--loss", type=float, default=1.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lethe-faults-") as folder:
        print(trial(Path(folder), args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
