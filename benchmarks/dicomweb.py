#!/usr/bin/env python3
"""Search and retrieve over DICOMweb side by side with Orthanc, and search indexes of up to a million instances.

usage: dicomweb.py [--slices 50] [--seconds 3] [--rounds 2] [--frames 2000] [--sizes 10000,100000,1000000]
[--folder DIR] [--write]
Ten series of SLICES CT images of 0.5 MB are sent to both, unchanged, over DIMSE. Then wrk asks both for the same
resources over two connections, with gzip, images without it as well, in turn; the best round counts. Orthanc is
Debian's with its DICOMweb plug-in and the cache of metadata that it has, and TCP_NODELAY=1. A single resource asked
again and again is what caches are for; so the second table asks an index of generated instances in such a way that no
answer is kept ready. One object of FRAMES such images tells how long the first of its frames takes, and what memory.
With --write the tables go to docs/performance.md. Figures hold for one machine: compare within one run.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from day import parts_of
from deidentify import SIZE, make_ct, named_ct, uid
from dimse import MEMORY, blast, image, put_into_page, temporary
from programs import Node, free_port, running, wait_for

from lethe.node.config import Peer
from lethe.node.dimse.scu import Destination
from lethe.storage.archive import Archive
from lethe.storage.database import transaction
from lethe.storage.entries import CleanInstance

START = "<!-- make bench-dicomweb WRITE=--write -->"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
OBJECTS = "multipart/related; type=application/dicom; transfer-syntax=*"
FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
AS_IT_IS = '[projects.default]\nprofile = "none"\npixel_policy = "none"\n[auth]\nmode = "none"\n'
MULTI_FRAME, LITTLE = "1.2.840.10008.5.1.4.1.1.7.3", "1.2.840.10008.1.2.1"
SERIES_OF_STUDY, SLICES = 2, 50
ASKED, ADDED = 200, 5_000
"""Questions of each kind, and instances, that the second table is made of."""


@dataclass(frozen=True)
class Resource:
    """What is asked for: its path below the service's root, as what, and in which encoding."""

    name: str
    path: str
    accept: str = "*/*"
    encoding: str = "gzip"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("slices", 50), ("seconds", 3), ("rounds", 2), ("frames", 2000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if shutil.which("wrk") is None or shutil.which("Orthanc") is None or not PLUGIN.exists():
        raise SystemExit("wrk, Orthanc and its DICOMweb plug-in (Debian: wrk orthanc orthanc-dicomweb) are needed")
    parts = []
    for part in (
        lambda: side_by_side(args.slices, args.seconds, args.rounds, args.folder),
        lambda: one_large(args.frames, args.folder),
        lambda: large([int(size) for size in args.sizes.split(",") if size], args.folder),
    ):
        parts.append(part())
        print(parts[-1], flush=True)
    if args.write:
        put_into_page(START, "\n\n".join(parts))
    return 0


# Beside Orthanc


def side_by_side(slices: int, seconds: int, rounds: int, folder: Path | None) -> str:
    best: dict[tuple[str, str], float] = {}
    with temporary(MEMORY) as made, temporary(folder) as where:
        images = [image(path) for path in sorted(make_ct(made / "in", slices).iterdir())]
        with lethe(where / "lethe") as ours, orthanc_web(where / "orthanc") as theirs:
            services = {"Lethe": ours, "Orthanc": theirs}
            for _, title, port, _ in services.values():
                blast(images, port, title, 1)
            for root, _, _, settled in services.values():
                settled()
                wait_for(lambda root=root: known(root) == len(images), what="all images are found")
            for _ in range(rounds):
                for resource in resources(slices):
                    for name, (root, *_) in services.items():
                        rate = asked(root, resource, seconds)
                        best[resource.name, name] = max(best.get((resource.name, name), 0.0), rate)
    lines = [
        f"{len(images)} CT images of 0.5 MB, `wrk -t1 -c2`, {rounds} rounds of {seconds} s, the best.",
        "",
        "| requests/s | Lethe | Orthanc | to Orthanc |",
        "|---|---|---|---|",
    ]
    for resource in resources(slices):
        one, other = best[resource.name, "Lethe"], best[resource.name, "Orthanc"]
        ratio = f"{one / other:.2f}" if other else ""
        lines.append(f"| {resource.name} | {number(one)} | {number(other)} | {ratio} |")
    return "\n".join(lines)


def resources(slices: int) -> list[Resource]:
    study, series = f"studies/{uid(0)}", f"studies/{uid(0)}/series/{uid(0, 0)}"
    one = f"{series}/instances/{uid(0, 0, 0)}"
    return [
        Resource("search: studies", "studies"),
        Resource("search: studies by PatientID", "studies?PatientID=MRN000003"),
        Resource("search: series of a study", f"{study}/series"),
        Resource(f"search: {slices} instances of a series", f"{series}/instances"),
        Resource(f"metadata of a series of {slices}", f"{series}/metadata"),
        Resource(f"metadata of a study of {2 * slices}", f"{study}/metadata"),
        Resource("instance", one, OBJECTS),
        Resource(f"series of {slices} instances", series, OBJECTS),
        Resource("frame", f"{one}/frames/1", FRAMES),
        Resource("instance, without gzip", one, OBJECTS, "identity"),
        Resource(f"series of {slices} instances, without gzip", series, OBJECTS, "identity"),
        Resource("frame, without gzip", f"{one}/frames/1", FRAMES, "identity"),
        Resource("rendered JPEG", f"{one}/rendered", "image/jpeg"),
    ]


def asked(root: str, resource: Resource, seconds: int) -> float:
    """Answers per second. An answer that is none ends the run."""
    asked_as = {"Accept": resource.accept, "Accept-Encoding": resource.encoding}
    headers = [word for name, value in asked_as.items() for word in ("-H", f"{name}: {value}")]
    first = requests.get(f"{root}/{resource.path}", headers=asked_as, timeout=60)
    if first.status_code != 200 or not first.content:
        raise SystemExit(f"{resource.name}: {first.status_code} from {root}")
    command = ["wrk", "-t1", "-c2", f"-d{seconds}s", *headers, f"{root}/{resource.path}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s*([0-9.]+)", said)
    if found is None or "Non-2xx" in said:
        raise SystemExit(f"{resource.name}: {said}")
    return float(found[1])


def known(root: str) -> int:
    answer = requests.get(f"{root}/studies", headers={"Accept": "application/dicom+json"}, timeout=60)
    return sum(one["00201208"]["Value"][0] for one in answer.json()) if answer.content else 0


Service = tuple[str, str, int, Callable[[], object]]
"""URL of the DICOMweb service, AE title, DICOM port, and what waits until all that came is published."""


@contextmanager
def lethe(folder: Path) -> Iterator[Service]:
    node = Node(folder, AS_IT_IS, log_level="WARNING").start()
    try:
        yield f"{node.url}/dicom-web", "LETHE", node.dicom, lambda: node.settle(300)
    finally:
        node.stop()


@contextmanager
def orthanc_web(folder: Path) -> Iterator[Service]:
    folder.mkdir()
    dicom, http = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "db"),
        "DicomPort": dicom,
        "HttpPort": http,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "HttpCompressionEnabled": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "EnableMetadataCache": True},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with running(["Orthanc", str(folder / "orthanc.json")], dicom, folder / "log.txt"):
        yield f"http://127.0.0.1:{http}/dicom-web", "ORTHANC", dicom, lambda: None


# A large object


def one_large(frames: int, folder: Path | None) -> str:
    """How soon the first frames of one multi-frame object come, and what the web part takes for that."""
    with temporary(MEMORY) as made, temporary(folder) as where:
        source = multi_frame(made / "large.dcm", frames)
        megabytes = source.stat().st_size / 1e6
        node = Node(where / "lethe", AS_IT_IS, log_level="WARNING").start()
        try:
            with Destination(Peer("lethe", "LETHE", "127.0.0.1", node.dicom), "BENCH") as destination:
                destination.open([(MULTI_FRAME, LITTLE)])
                destination.send(source, (MULTI_FRAME, LITTLE))
            node.settle(300)
            url = requests.get(f"{node.url}/dicom-web/instances", timeout=60).json()[0]["00081190"]["Value"][0]
            requests.get(f"{node.url}/dicom-web/studies", timeout=60)  # the service is awake
            spans, before = [], parts_of(node)["web"].memory
            for number in (1, frames, *random.Random(0).choices(range(1, frames + 1), k=200)):
                start = time.perf_counter()
                answer = requests.get(f"{url}/frames/{number}", headers={"Accept": FRAMES}, timeout=60)
                spans.append((time.perf_counter() - start) * 1000)
                answer.raise_for_status()
            after = parts_of(node)["web"].memory
        finally:
            node.stop()
    return (
        f"Of an object of {megabytes:,.0f} MB in {frames:,} frames, the first frame that is asked for takes "
        f"{spans[0]:.0f} ms, the last frame {spans[1]:.0f} ms, 200 others {statistics.median(spans[2:]):.1f} ms "
        f"(median). The web part has {before:.0f} MB of memory before and {after:.0f} MB after."
    )


def multi_frame(path: Path, frames: int) -> Path:
    ds = named_ct()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MULTI_FRAME
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid(9, 9, 9)
    ds.NumberOfFrames = frames
    frame = random.Random(0).randbytes(SIZE * SIZE * 2)
    ds.PixelData = frame * frames
    ds.save_as(path)
    return path


# Large indexes


def large(sizes: list[int], folder: Path | None) -> str:
    rows: dict[str, list[str]] = {}
    with temporary(folder) as where:
        node = Node(where / "node", AS_IT_IS, log_level="WARNING")
        made = 0
        for size in sizes:
            rate = grown(where / "node" / "data", made, size)
            rows.setdefault("instances added/s, one transaction for 100", []).append(f"{rate:,.0f}")
            made = size
            node.start()
            try:
                for name, question in questions(size).items():
                    rows.setdefault(name, []).append(times(f"{node.url}/dicom-web", question))
            finally:
                node.stop()
    head = " | ".join(f"{size:,} instances" for size in sizes)
    lines = [
        f"Searches in an index of generated instances (studies of {SERIES_OF_STUDY} series of {SLICES}) on SQLite, "
        f"none kept ready, over HTTP: median / 99th percentile of {ASKED}, in ms.",
        "",
        f"| | {head} |",
        "|---|" + "---|" * len(sizes),
    ]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def grown(folder: Path, first: int, last: int) -> float:
    """Enter the generated instances from one number to another; how many a second, of those at the end."""
    archive, start = Archive(folder), time.perf_counter()
    try:
        fill(archive.database, archive.index.add, range(first, last - ADDED, SLICES))
        start = time.perf_counter()
        for begin in range(last - ADDED, last, 100):
            with transaction(archive.database):
                for number in range(begin, begin + 100):
                    archive.index.add(generated(number))
        return ADDED / (time.perf_counter() - start)
    finally:
        archive.close()


def fill(database: Any, add: Callable[[CleanInstance], bool], firsts: range) -> None:
    """Enter whole series: the first instance of each as a published one, the others as its copies, for time's sake."""
    with transaction(database):
        (known,) = database.execute_sql("SELECT COALESCE(MAX(id), 0) FROM instance").fetchone()
        for number in firsts:
            add(generated(number))
        columns = [row[1] for row in database.execute_sql("PRAGMA table_info(instance)").fetchall() if row[1] != "id"]
        copied = {
            "uid": "RTRIM(uid, '1') || n",
            "number": "n",
            "file": "PRINTF('%064x', (id << 8) + n + 1152921504606846976)",
            "attributes": """REPLACE(REPLACE(attributes, uid, RTRIM(uid, '1') || n),
                '"00200013":{"vr":"IS","Value":[1]}', '"00200013":{"vr":"IS","Value":[' || n || ']}')""",
        }
        database.execute_sql(
            f"""WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SLICES})
            INSERT INTO instance ({", ".join(columns)})
            SELECT {", ".join(copied.get(name, name) for name in columns)} FROM instance, numbers WHERE id > {known}"""
        )
        database.execute_sql(f"UPDATE series SET instances = {SLICES}")
        database.execute_sql(f"UPDATE study SET instances = {SLICES} * series")


def generated(number: int) -> CleanInstance:
    """The instance with that number: one study has a hundred, one patient has two studies."""
    series, slice_number = divmod(number, SLICES)
    study = series // SERIES_OF_STUDY
    values: dict[str, tuple[str, object]] = {
        "00080005": ("CS", "ISO_IR 100"),
        "00080008": ("CS", "ORIGINAL"),
        "00080016": ("UI", "1.2.840.10008.5.1.4.1.1.2"),
        "00080018": ("UI", f"2.25.{study + 1}.{series + 1}.{slice_number + 1}"),
        "00080020": ("DA", date_of(study)),
        "00080030": ("TM", "101500"),
        "00080050": ("SH", f"A{study:07d}"),
        "00080060": ("CS", modality_of(study)),
        "00081030": ("LO", "CT CHEST"),
        "0008103E": ("LO", f"SERIES {series % SERIES_OF_STUDY}"),
        "00100010": ("PN", {"Alphabetic": f"Name{study // 2:06d}^Given"}),
        "00100020": ("LO", f"MRN{study // 2:07d}"),
        "00100030": ("DA", "19650515"),
        "00100040": ("CS", "MF"[study % 2]),
        "0020000D": ("UI", f"2.25.{study + 1}"),
        "0020000E": ("UI", f"2.25.{study + 1}.{series + 1}"),
        "00200010": ("SH", str(study)),
        "00200011": ("IS", series % SERIES_OF_STUDY + 1),
        "00200013": ("IS", slice_number + 1),
        "00280010": ("US", 512),
        "00280011": ("US", 512),
        "00280100": ("US", 16),
    }
    metadata = {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in values.items()}
    return CleanInstance(metadata, "1.2.840.10008.1.2.1", "default", f"{number:064x}", 524_288)


def date_of(study: int) -> str:
    return f"20{study % 25:02d}{study // 25 % 12 + 1:02d}{study // 300 % 28 + 1:02d}"


def modality_of(study: int) -> str:
    return "CT" if study % 3 else "MR"


def questions(size: int) -> dict[str, Callable[[int], str]]:
    """Each kind of search, as the path of its nth question; none is asked twice in the same words."""
    studies = size // (SERIES_OF_STUDY * SLICES)
    order = random.Random(0).choices(range(studies), k=ASKED)

    def series_of(number: int) -> str:
        return f"studies/2.25.{order[number] + 1}/series"

    return {
        "studies by PatientID": lambda n: f"studies?PatientID=MRN{order[n] // 2:07d}&_={n}",
        "studies by AccessionNumber": lambda n: f"studies?AccessionNumber=A{order[n]:07d}&_={n}",
        "studies by StudyInstanceUID": lambda n: f"studies?StudyInstanceUID=2.25.{order[n] + 1}&_={n}",
        "studies by the start of PatientName": lambda n: f"studies?PatientName=name{order[n] // 2:06d}*&_={n}",
        "studies by StudyDate, 25 of many": lambda n: f"studies?StudyDate={date_of(order[n])}-&limit=25&_={n}",
        "studies by StudyDate and modality, 25 of many": lambda n: (
            f"studies?StudyDate={date_of(order[n])}-&ModalitiesInStudy={modality_of(order[n])}&limit=25&_={n}"
        ),
        "25 studies, from anywhere": lambda n: f"studies?limit=25&offset={order[n]}&_={n}",
        "series of a study": lambda n: f"{series_of(n)}?_={n}",
        f"{SLICES} instances of a series": lambda n: (
            f"{series_of(n)}/2.25.{order[n] + 1}.{order[n] * 2 + 1}/instances?_={n}"
        ),
        "an instance by SOPInstanceUID": lambda n: (
            f"instances?SOPInstanceUID=2.25.{order[n] + 1}.{order[n] * 2 + 1}.{n % SLICES + 1}&_={n}"
        ),
    }


def times(root: str, question: Callable[[int], str]) -> str:
    """Median and 99th percentile of the milliseconds until the answer is there. An answer without results is none."""
    spans = []
    with requests.Session() as session:
        session.get(f"{root}/studies?limit=1", timeout=60).raise_for_status()
        for number in range(ASKED):
            start = time.perf_counter()
            answer = session.get(f"{root}/{question(number)}", timeout=60)
            spans.append((time.perf_counter() - start) * 1000)
            if answer.status_code != 200 or not answer.json():
                raise SystemExit(f"{question(number)}: {answer.status_code}")
    return f"{statistics.median(spans):.1f} / {statistics.quantiles(spans, n=100)[98]:.1f}"


def number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


if __name__ == "__main__":
    sys.exit(main())
