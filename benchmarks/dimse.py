#!/usr/bin/env python3
"""Receive, send, and the whole way from received to delivered clean, side by side with Orthanc and DCMTK's storescp.

usage: dimse.py [--slices 50] [--rounds 3] [--big 2048] [--crowds 10] [--folder DIR] [--write]
Ten series of SLICES CT images of 0.5 MB lie in memory; every program keeps what it gets in a folder of DIR (the disk of
temporary files, if not said), is started anew for each round, and the best round counts. Rounds alternate between
the programs. Lethe answers what is synced to disk; Orthanc syncs each file, storescp nothing. The sender costs next
to nothing: each association sends one image after the other and waits for each answer, from when all of them have
theirs ready. All programs have TCP_NODELAY=1.
With --write the tables go to docs/performance.md. Figures hold for one machine: compare within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from blake3 import blake3

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from deidentify import make_ct
from dimse_wire import CT, P_DATA, RELEASE_RQ, Wire, fragment, status_of, store_request
from programs import Node, free_port, listens, orthanc, running, wait_for

from lethe.node.config import Peer
from lethe.node.dimse.meta import read_file_meta
from lethe.node.dimse.scu import Destination

ROOT = Path(__file__).resolve().parents[1]
PAGE, START, END = ROOT / "docs" / "performance.md", "<!-- make bench-dimse WRITE=--write -->", "<!-- end -->"
PIECE = 131_072 - 6
MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
Image = tuple[str, bytes]
"""SOP Instance UID and data set."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("slices", 50), ("rounds", 3), ("big", 2048), ("crowds", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lethe-bench-", dir=MEMORY) as name:
        source = make_ct(Path(name) / "in", args.slices)
        images = [image(path) for path in sorted(source.iterdir())]
        parts = []
        for part in (
            lambda: receiving(images, args.rounds, args.folder),
            lambda: sending(source, args.rounds, args.folder),
            lambda: whole_way(images, args.rounds, args.folder),
            lambda: memory(args.big, args.folder),
            lambda: steady(images, args.crowds, args.folder),
        ):
            parts.append(part())
            print(parts[-1], flush=True)
    text = "\n".join(parts)
    if args.write:
        put_into_page(START, text)
    return 0


def put_into_page(start: str, text: str) -> None:
    """Put tables into docs/performance.md, between the comment that says what made them and an end."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
    PAGE.write_text(f"{before}{start}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


# Receiving


def receiving(images: list[Image], rounds: int, folder: Path | None) -> str:
    programs = {
        "Lethe, 1 receiver": lambda where: lethe_receivers(where, 1),
        "Lethe, 2 receivers (the default)": lambda where: lethe_receivers(where, 2),
        "Orthanc": orthanc_receiver,
        "storescp": storescp,
    }
    best, alone = {(name, count): 0.0 for name in programs for count in (1, 4)}, 0.0
    # Some file systems make files slowly for half a minute after thousands were removed.
    with ExitStack() as kept:
        for _ in range(rounds):
            for name, count in best:
                where = kept.enter_context(temporary(folder))
                with programs[name](where) as (port, title):
                    best[name, count] = max(best[name, count], len(images) / blast(images, port, title, count))
            alone = max(alone, len(images) / written_alone(images, kept.enter_context(temporary(folder))))
    lines = [
        "| receive, images/s | 1 association | 4 | to Orthanc, 1 | 4 | to storescp, 1 |",
        "|---|---|---|---|---|---|",
    ]
    for name in programs:
        one, four = best[name, 1], best[name, 4]
        ratios = (one / best["Orthanc", 1], four / best["Orthanc", 4], one / best["storescp", 1])
        lines.append(f"| {name} | {one:.0f} | {four:.0f} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    ratios = (alone / best["Orthanc", 1], alone / best["storescp", 1])
    lines.append(f"| no network, only hash, write, sync | {alone:.0f} | | {ratios[0]:.2f} | | {ratios[1]:.2f} |")
    return "\n".join([f"{len(images)} CT images of 0.5 MB, {rounds} rounds, the best.", "", *lines])


def written_alone(images: list[Image], folder: Path) -> float:
    """Seconds to do with all of them, one after the other, what comes before every answer: each is hashed, written and
    synced, and so is a row about it."""
    with contextlib.closing(sqlite3.connect(folder / "rows.db", isolation_level=None)) as database:
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE row (name, uid)")
        start = time.perf_counter()
        for uid, data in images:
            name = blake3(data).hexdigest()
            with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
                file.write(data)
                os.fsync(file.fileno())
            database.execute("INSERT INTO row VALUES (?, ?)", (name, uid))
        return time.perf_counter() - start


def blast(images: list[Image], port: int, title: str, associations: int) -> float:
    """Seconds to have them all taken over so many associations."""
    shares, ready = [images[number::associations] for number in range(associations)], threading.Barrier(associations)
    with ThreadPoolExecutor(associations) as pool:
        spans = list(pool.map(lambda share: send_all(share, port, title, ready), shares))
    return max(end for _, end in spans) - min(start for start, _ in spans)


def send_all(images: list[Image], port: int, title: str, ready: threading.Barrier) -> tuple[float, float]:
    with Wire(port) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, accepted = wire.associate(called=title)
        at = accepted.index(b"\x51\0\0\x04") + 4
        piece = min(int.from_bytes(accepted[at : at + 4], "big") or PIECE, PIECE + 6) - 6
        messages = [b"".join(message(uid, data, piece)) for uid, data in images]
        ready.wait(60)
        start = time.perf_counter()
        for one in messages:
            wire.send(one)
            kind, body = wire.read()
            if kind != P_DATA or status_of(body) != 0x0000:
                raise SystemExit(f"{title} did not take an image")
        end = time.perf_counter()
        wire.send(RELEASE_RQ)
        wire.read()
    return start, end


def message(uid: str, data: bytes, piece: int) -> Iterator[bytes]:
    yield fragment(store_request(uid), 3)
    for at in range(0, len(data), piece):
        yield fragment(data[at : at + piece], 2 if at + piece >= len(data) else 0)


def image(path: Path) -> Image:
    with path.open("rb") as file:
        return read_file_meta(file).sop_instance, file.read()


@contextmanager
def lethe_receivers(folder: Path, count: int) -> Iterator[tuple[int, str]]:
    port, config = free_port(), folder / "config.toml"
    config.write_text(f'[node]\nport = {port}\nreceivers = {count}\nlog_level = "WARNING"\nleast_free = 0\n')
    command = [sys.executable, "-m", "lethe.node", "receive", "--config", str(config)]
    with ExitStack() as stack:
        for number in range(count):
            stack.enter_context(running(command, port, folder / f"log{number}.txt"))
        wait_for(lambda: listeners(port) == count, what="all receivers listen")
        yield port, "LETHE"


def listeners(port: int) -> int:
    """How many sockets listen on that port of IPv4."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


@contextmanager
def orthanc_receiver(folder: Path) -> Iterator[tuple[int, str]]:
    with orthanc(folder / "orthanc") as (port, _):
        yield port, "ORTHANC"


@contextmanager
def storescp(folder: Path) -> Iterator[tuple[int, str]]:
    port, out = free_port(), folder / "scp"
    out.mkdir()
    command = ["/usr/bin/storescp", "+xa", "--fork", "-aet", "ARCHIVE", "-od", str(out), str(port)]
    with running(command, port, folder / "scp.log"):
        yield port, "ARCHIVE"


@contextmanager
def temporary(folder: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lethe-bench-", dir=folder) as name:
        yield Path(name)


# Sending


def sending(source: Path, rounds: int, folder: Path | None) -> str:
    paths = sorted(source.iterdir())
    seconds: dict[str, list[float]] = {"Lethe": [], "Orthanc": []}
    with temporary(folder) as where, orthanc(where / "orthanc") as (_, url):
        wait_for(lambda: listens(int(url.rpartition(":")[2])), what="Orthanc's REST API answers")
        for path in paths:
            requests.post(f"{url}/instances", data=path.read_bytes(), timeout=60).raise_for_status()
        for _ in range(rounds):
            with temporary(MEMORY) as out, storescp(out) as (port, title):
                seconds["Lethe"].append(lethe_sends(paths, port, title))
            with temporary(MEMORY) as out, storescp(out) as (port, title):
                seconds["Orthanc"].append(orthanc_sends(url, port, title))
    rates = {name: len(paths) / min(one) for name, one in seconds.items()}
    lines = [f"| {name} | {rate:.0f} | {rate / rates['Orthanc']:.2f} |" for name, rate in rates.items()]
    return "\n".join(["", "| send to storescp over 1 association | images/s | to Orthanc |", "|---|---|---|", *lines])


def lethe_sends(paths: list[Path], port: int, title: str) -> float:
    context = (CT, "1.2.840.10008.1.2.1")
    start = time.perf_counter()
    with Destination(Peer("scp", title, "127.0.0.1", port), "LETHE") as destination:
        destination.open([context])
        if any(destination.send(path, context) for path in paths):
            raise SystemExit("storescp did not take an image")
    return time.perf_counter() - start


def orthanc_sends(url: str, port: int, title: str) -> float:
    modality = {"AET": title, "Host": "127.0.0.1", "Port": port}
    requests.put(f"{url}/modalities/scp", json=modality, timeout=60).raise_for_status()
    studies = requests.get(f"{url}/studies", timeout=60).json()
    start = time.perf_counter()
    requests.post(f"{url}/modalities/scp/store", json=studies, timeout=600).raise_for_status()
    return time.perf_counter() - start


# The whole way


def whole_way(images: list[Image], rounds: int, folder: Path | None) -> str:
    programs = {"Lethe, 2 workers": lethe_node, "Orthanc": orthanc_pipeline}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            with temporary(folder) as where, temporary(MEMORY) as out, storescp(out) as archive:
                with program(where, archive) as play:
                    start = time.perf_counter()
                    play(images)
                    wait_for(lambda out=out: arrived(out) >= len(images), seconds=600, what="all are delivered")
                    seconds[name].append(time.perf_counter() - start)
    rates = {name: len(images) / min(one) for name, one in seconds.items()}
    lines = [f"| {name} | {rate:.0f} | {rate / rates['Orthanc']:.2f} |" for name, rate in rates.items()]
    head = ["| received, cleaned (header only), delivered | images/s | to Orthanc |", "|---|---|---|"]
    return "\n".join(["", *head, *lines])


def arrived(out: Path) -> int:
    return sum(1 for _ in os.scandir(out / "scp"))


@contextmanager
def lethe_node(where: Path, archive: tuple[int, str]) -> Iterator[Callable[[list[Image]], object]]:
    with node_before(where, archive) as node:
        yield lambda images: blast(images, node.dicom, "LETHE", 1)


@contextmanager
def node_before(where: Path, archive: tuple[int, str]) -> Iterator[Node]:
    """A node with all its parts, which cleans headers and sends to that archive."""
    extra = f"""[[peers]]
name = "archive"
ae_title = "{archive[1]}"
host = "127.0.0.1"
port = {archive[0]}
[projects.default]
options = ["retain-longitudinal-modified-dates"]
pixel_policy = "none"
send_to = ["archive"]
"""
    node = Node(where / "node", extra, log_level="WARNING").start()
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def orthanc_pipeline(where: Path, archive: tuple[int, str]) -> Iterator[Callable[[list[Image]], object]]:
    """Studies are anonymized and sent two at a time, once all are received, by REST, as a script does."""
    with orthanc(where / "orthanc") as (port, url):
        modality = {"AET": archive[1], "Host": "127.0.0.1", "Port": archive[0]}
        requests.put(f"{url}/modalities/scp", json=modality, timeout=60).raise_for_status()

        def hand_on(study: str) -> None:
            made = requests.post(f"{url}/studies/{study}/anonymize", json={}, timeout=600).json()["ID"]
            requests.post(f"{url}/modalities/scp/store", json=[made], timeout=600).raise_for_status()

        def play(images: list[Image]) -> None:
            blast(images, port, "ORTHANC", 1)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(hand_on, requests.get(f"{url}/studies", timeout=60).json()))

        yield play


# What it takes to run


def memory(megabytes: int, folder: Path | None) -> str:
    """Peak memory of a receiver that takes one object of that size."""
    with temporary(folder) as where, lethe_receivers(where, 1) as (port, title):
        receiver = process_of(where)
        with Wire(port) as wire:
            wire.associate(called=title)
            wire.socket.settimeout(600)
            wire.send(fragment(store_request("1.2.3.4"), 3))
            block, left = fragment(bytes(PIECE), 0), megabytes << 20
            while left > PIECE:
                wire.send(block)
                left -= PIECE
            wire.send(fragment(bytes(left), 2))
            if status_of(wire.read()[1]) != 0x0000:
                raise SystemExit("the large object was not taken")
        peak = said(receiver, "VmHWM")
    return f"\nA receiver that takes one object of {megabytes:,} MB uses {peak / 1000:.0f} MB of memory."


def steady(images: list[Image], crowds: int, folder: Path | None) -> str:
    """Crowds of 100 associations, one after another: what the receiver has grown by meanwhile, and its idling."""
    with temporary(folder) as where, lethe_receivers(where, 1) as (port, title):
        receiver, seen = process_of(where), []
        for number in range(crowds):
            crowd = [images[(100 * number + one) % len(images)] for one in range(200)]
            blast(crowd, port, title, 100)
            wait_for(lambda: said(receiver, "Threads") < 30, seconds=60, what="the associations have ended")
            seen.append(
                (said(receiver, "VmRSS"), said(receiver, "Threads"), sum(1 for _ in os.scandir(receiver / "fd")))
            )
        before = ticks(receiver)
        time.sleep(5)
        idle = (ticks(receiver) - before) / os.sysconf("SC_CLK_TCK") / 5
    (early, _, some), (late, threads, descriptors) = seen[1], seen[-1]
    return (
        f"\n{crowds * 100:,} associations in crowds of 100, {crowds * 200:,} images: memory {early / 1000:.0f} MB "
        f"after the second crowd, {late / 1000:.0f} MB after the last; {threads} threads; {some} descriptors, then "
        f"{descriptors}. Idle, it takes {idle:.1%} of a processor."
    )


def process_of(where: Path) -> Path:
    """The receiver whose configuration lies there, in /proc."""
    (found,) = (pid for pid in Path("/proc").glob("[0-9]*") if str(where) in command_of(pid))
    return found


def command_of(pid: Path) -> str:
    with contextlib.suppress(OSError):
        return (pid / "cmdline").read_text()
    return ""


def said(process: Path, what: str) -> int:
    """A number of /proc/PID/status."""
    (line,) = (line for line in (process / "status").read_text().splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1])


def ticks(process: Path) -> int:
    return sum(int(field) for field in (process / "stat").read_text().rpartition(")")[2].split()[11:13])


if __name__ == "__main__":
    sys.exit(main())
