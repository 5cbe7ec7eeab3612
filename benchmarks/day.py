#!/usr/bin/env python3
"""Give a node a day's load in minutes, and say what each of its parts has meanwhile of memory, threads and descriptors.

usage: day.py [--images 86400] [--hours 24] [--write]
An image for each second of a day comes as fast as the node takes it, over 100 associations at a time; each of them ends
after ten images. All its parts run: the images are cleaned (header only), and delivered to DCMTK's storescp. After each
hour's share it is waited until nothing waits, and looked into /proc. The images are small, so that a day is short: what
leaks leaks by association, object, job and row. With --write the table goes to docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pydicom
from deidentify import uid
from dimse import MEMORY, Image, arrived, blast, command_of, node_before, put_into_page, said, storescp, temporary
from programs import Node, wait_for
from pydicom.data import get_testdata_file

START = "<!-- python benchmarks/day.py --write -->"
AT_ONCE, EACH = 100, 10
STUDY = 100
"""Images of one."""


class Seen(NamedTuple):
    """What the processes of a part have together: megabytes of memory (resident), threads, descriptors."""

    memory: float
    threads: int
    descriptors: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=86_400)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    with temporary(None) as where, temporary(MEMORY) as out, storescp(out) as archive:
        with node_before(where, archive) as node:
            text = a_day(node, out, args.images // args.hours, args.hours)
    print(text)
    if args.write:
        put_into_page(START, text)
    return 0


def a_day(node: Node, out: Path, an_hour: int, hours: int) -> str:
    start, seen = time.monotonic(), list[dict[str, Seen]]()
    source, sent = images(), 0
    for hour in range(hours):
        share = [next(source) for _ in range(an_hour)]
        for at in range(0, an_hour, AT_ONCE * EACH):
            blast(share[at : at + AT_ONCE * EACH], node.dicom, "LETHE", AT_ONCE)
        sent += an_hour
        wait_for(lambda: arrived(out) >= sent, seconds=900, what="all are delivered")  # noqa: B023
        time.sleep(1)
        seen.append(parts_of(node))
        print(f"hour {hour + 1}: {seen[-1]}", file=sys.stderr, flush=True)
    marked = sorted({min(number, hours) for number in (2, 8, 16, hours)})
    lines = [
        f"{sent:,} images over {sent // EACH:,} associations, {AT_ONCE} at once, received, cleaned and delivered in "
        f"{(time.monotonic() - start) / 60:.0f} minutes.",
        "",
        f"| part | MB after hour {marked[0]} | {' | '.join(map(str, marked[1:]))} | threads after hour {marked[0]}, "
        f"{hours} | descriptors after hour {marked[0]}, {hours} |",
        "|---|" + "---|" * (len(marked) + 2),
    ]
    marks = [seen[number - 1] for number in marked]
    for part in seen[-1]:
        first, last = marks[0][part], marks[-1][part]
        memory = " | ".join(f"{one[part].memory:.0f}" for one in marks)
        lines.append(
            f"| {part} | {memory} | {first.threads}, {last.threads} | {first.descriptors}, {last.descriptors} |"
        )
    return "\n".join(lines)


def parts_of(node: Node) -> dict[str, Seen]:
    """The processes below the node's, by what they do."""
    found = defaultdict[str, list[Seen]](list)
    for number in (node.process.pid, *children(node.process.pid)):
        process = Path("/proc") / str(number)
        words = command_of(process).split("\0")
        part = words[words.index("lethe.node") + 1] if "lethe.node" in words else "others"
        found[part].append(
            Seen(said(process, "VmRSS") / 1000, said(process, "Threads"), sum(1 for _ in os.scandir(process / "fd")))
        )
    return {
        part: Seen(
            sum(one.memory for one in some), sum(one.threads for one in some), sum(one.descriptors for one in some)
        )
        for part, some in sorted(found.items())
    }


def children(number: int) -> Iterator[int]:
    for listed in Path(f"/proc/{number}/task").glob("*/children"):
        for child in listed.read_text().split():
            yield int(child)
            yield from children(int(child))


def images() -> Iterator[Image]:
    """CT images of 64 x 64, a hundred of each study."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.Rows = ds.Columns = 64
    ds.PixelData = ds.PixelData[: 64 * 64 * 2]
    number = 0
    while True:
        study = number // STUDY
        ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = f"MRN{study:06d}", uid(study), uid(study, 0)
        ds.SOPInstanceUID, ds.InstanceNumber = uid(study, 0, number), number % STUDY + 1
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, pydicom.Dataset(ds), implicit_vr=False, little_endian=True)
        yield str(ds.SOPInstanceUID), buffer.getvalue()
        number += 1


if __name__ == "__main__":
    sys.exit(main())
