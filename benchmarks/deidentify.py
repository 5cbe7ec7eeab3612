#!/usr/bin/env python3
"""De-identify the headers of 0.5 MB CT images with Lethe, in one process and in two, and with other programs.

usage: deidentify.py [--slices 50] [--rounds 3] [--big 1024] [--folder DIR]
Ten series of SLICES images lie on one file system (memory, where there is one). Rounds alternate between the programs,
and the best counts. Python programs are timed after a few files, without their start; gdcmanon, Orthanc and
`lethe deidentify` as they are called. Those of PyPI are installed below .bench/ as peers.lock pins them; a program that
is not there is left out and named. Prints tables in Markdown. Figures hold for one machine: compare within one run.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import requests
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from programs import orthanc

ROOT = Path(__file__).resolve().parents[1]
ONE_TOOL = ROOT / "benchmarks" / "one_tool.py"
PEERS = ROOT / ".bench" / "peers"
STUDIES, SERIES, SIZE = 5, 2, 512


@dataclass
class Contender:
    """One program: its version, how one round is run (into a folder, giving its seconds), and what was seen."""

    name: str
    version: str
    run: Callable[[Path], tuple[float, int]]
    in_python: bool = False
    seconds: list[float] = field(default_factory=list)
    files: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("slices", 50), ("rounds", 3), ("big", 1024)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lethe-bench-", dir=args.folder) as name, ExitStack() as stack:
        folder = Path(name)
        source = make_ct(folder / "in", args.slices)
        count = len(list(source.iterdir()))
        contenders = [*python_tools(source), *gdcmanon(source, folder), *stack.enter_context(orthancs(source, folder))]
        contenders += [lethe_command(source, folder, workers) for workers in (1, 2)]
        for _ in range(args.rounds):
            for one in contenders:
                play(one, folder / "out")
        print(table(contenders, count))
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as name:
        print(memory(Path(name), args.big))
    return 0


def make_ct(folder: Path, slices: int) -> Path:
    """CT images of 512 x 512 x 16 bit with some 260 elements, the same on every run."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    body = ((np.hypot(x - 256, y - 256) < 200) * 1000 + random.normal(0, 20, (SIZE, SIZE))).astype(np.int16)
    template = named_ct()
    for study in range(STUDIES):
        for series in range(SERIES):
            for number in range(slices):
                ds = copy.deepcopy(template)
                ds.PatientID = f"MRN{study:06d}"
                ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(study), uid(study, series)
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid(study, series, number)
                ds.InstanceNumber = number + 1
                ds.PixelData = (body + random.integers(-5, 5, body.shape, dtype=np.int16)).tobytes()
                ds.save_as(folder / f"{study}_{series}_{number:03d}.dcm")
    return folder


def named_ct() -> pydicom.FileDataset:
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.Rows = ds.Columns = SIZE
    ds.PatientName, ds.PatientBirthDate = "DOE^JOHN^Q", "19650515"
    return ds


def uid(*place: int) -> str:
    return str(generate_uid(entropy_srcs=[str(place)]))


def play(one: Contender, out: Path) -> None:
    """One round of one program."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    seconds, one.files = one.run(out)
    one.seconds.append(seconds)
    shutil.rmtree(out)


def python_tools(source: Path) -> Iterator[Contender]:
    yield python_tool(Path(sys.executable), "lethe", "Lethe, default options", source)
    yield two_workers(source)
    yield python_tool(Path(sys.executable), "lethe-basic", "Lethe, Basic Profile alone", source)
    python = installed_peers()
    for tool in ("dicognito", "dicom-anonymizer", "deid"):
        yield python_tool(python, tool, tool, source)


def two_workers(source: Path) -> Contender:
    def run(out: Path) -> tuple[float, int]:
        seen = side_by_side(Path(sys.executable), "lethe", source, out, 2)
        return max(float(one["seconds"]) for one in seen), sum(int(one["files"]) for one in seen)

    return Contender("Lethe, two workers", "", run)


def python_tool(python: Path, tool: str, name: str, source: Path) -> Contender:
    contender = Contender(name, "", lambda _out: (0.0, 0), in_python=True)

    def run(out: Path) -> tuple[float, int]:
        seen = one_tool(python, tool, source, out)
        contender.version = str(seen["version"])
        return float(seen["seconds"]), int(seen["files"])

    contender.run = run
    return contender


def one_tool(python: Path, tool: str, source: Path, out: Path) -> dict[str, float]:
    (seen,) = side_by_side(python, tool, source, out, 1)
    return seen


def side_by_side(python: Path, tool: str, source: Path, out: Path, processes: int) -> list[dict[str, float]]:
    """What so many processes saw that share the files out and begin together, once each is ready."""
    command = [str(python), str(ONE_TOOL), tool, str(source)]
    running = [
        subprocess.Popen(
            [*command, str(out / f"files{number}"), str(number), str(processes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for number in range(processes)
    ]
    for one in running:
        while one.stdout and one.stdout.readline() not in ("ready\n", ""):
            pass
    for one in running:
        if one.stdin:
            one.stdin.write("\n")
            one.stdin.flush()
    return [dict(json.loads(one.communicate()[0].splitlines()[-1])) for one in running]


def installed_peers() -> Path:
    python, lock, stamp = PEERS / "bin" / "python", ROOT / "benchmarks" / "peers.lock", PEERS / "peers.lock"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--no-deps", "--require-hashes", "-r", lock], check=True)
        shutil.copy(lock, stamp)
    return python


def gdcmanon(source: Path, folder: Path) -> Iterator[Contender]:
    """With a certificate: the Basic Profile, originals encrypted in the object (PS3.15 E.1.1)."""
    if shutil.which("gdcmanon") is None or shutil.which("openssl") is None:
        print("gdcmanon (Debian libgdcm-tools) or openssl is not there: left out", file=sys.stderr)
        return
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=benchmark"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    said = subprocess.run(["gdcmanon", "--version"], capture_output=True, text=True).stdout.split()
    command = ["gdcmanon", "-e", "-c", str(certificate), "-i", str(source)]
    yield Contender("gdcmanon -e", said[2] if len(said) > 2 else "", lambda out: timed([*command, "-o", str(out)], out))


def lethe_command(source: Path, folder: Path, workers: int) -> Contender:
    """The whole command, its start included."""
    config = folder / f"lethe-{workers}.toml"
    config.write_text(f'[node]\nworkers = {workers}\ndata = "{folder / f"data-{workers}"}"\n', encoding="utf-8")
    command = [sys.executable, "-m", "lethe.node", "deidentify", "--config", str(config), str(source)]
    name = f"`lethe deidentify`, {workers} process{'es' if workers > 1 else ''}"
    return Contender(name, "", lambda out: timed([*command, str(out / "files")], out))


def timed(command: list[str], out: Path) -> tuple[float, int]:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start, sum(path.is_file() for path in out.rglob("*"))


@contextmanager
def orthancs(source: Path, folder: Path) -> Iterator[list[Contender]]:
    """Debian's Orthanc, with the images in its store: what it anonymizes goes there as well."""
    if shutil.which("Orthanc") is None:
        print("Orthanc is not there: left out", file=sys.stderr)
        yield []
        return
    with orthanc(folder / "orthanc") as (_, url):
        for path in sorted(source.iterdir()):
            requests.post(f"{url}/instances", data=path.read_bytes(), timeout=60).raise_for_status()
        studies = requests.get(f"{url}/studies", timeout=60).json()
        version = requests.get(f"{url}/system", timeout=60).json()["Version"]
        yield [Contender("Orthanc, REST /anonymize", version, lambda _out: anonymized(url, studies))]


def anonymized(url: str, studies: list[str]) -> tuple[float, int]:
    start = time.perf_counter()
    made = [requests.post(f"{url}/studies/{one}/anonymize", json={}, timeout=600).json()["ID"] for one in studies]
    seconds = time.perf_counter() - start
    count = sum(len(requests.get(f"{url}/studies/{one}/instances", timeout=60).json()) for one in made)
    for one in made:
        requests.delete(f"{url}/studies/{one}", timeout=60).raise_for_status()
    return seconds, count


def table(contenders: list[Contender], count: int) -> str:
    rates = {one.name: one.files / min(one.seconds) for one in contenders}
    others = [rates[one.name] for one in contenders if one.in_python and not one.name.startswith("Lethe")]
    lines = [
        f"{count} CT images of 0.5 MB, {len(contenders[0].seconds)} rounds, the best; one process each if not said.",
        "",
        "| program | version | objects/s | to the fastest other in Python | to gdcmanon |",
        "|---|---|---|---|---|",
    ]
    for one in contenders:
        rate = rates[one.name]
        ratios = [f"{rate / base:.2f}" if base else "" for base in (max(others), rates.get("gdcmanon -e"))]
        missing = "" if one.files == count else f" ({one.files} of {count} written)"
        lines.append(f"| {one.name}{missing} | {one.version} | {rate:.0f} | {' | '.join(ratios)} |")
    ratio = rates["Lethe, two workers"] / rates["Lethe, default options"]
    return "\n".join([*lines, "", f"Two workers do {ratio:.2f} times the work of one."])


def memory(folder: Path, megabytes: int) -> str:
    """Peak memory of the process that cleans one small image, and one large multi-frame image."""
    lines = ["", "| one object of | peak memory (RSS) |", "|---|---|"]
    for frames in (1, megabytes * 2):
        source = folder / f"in-{frames}"
        source.mkdir()
        large_ct(source / "one.dcm", frames)
        seen = one_tool(Path(sys.executable), "lethe", source, folder)
        lines.append(f"| {frames / 2:,.1f} MB | {seen['peak']:.0f} MB |")
        shutil.rmtree(source)
        shutil.rmtree(folder / "files0")
    return "\n".join(lines)


def large_ct(path: Path, frames: int) -> None:
    """A CT of so many frames. Its pixels are a hole in the file: nothing is decoded, and the copy is of full size."""
    ds = named_ct()
    ds.NumberOfFrames = frames
    length = frames * SIZE * SIZE * 2
    del ds[0xFFFCFFFC], ds["PixelData"]
    ds.save_as(path)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\0\0" + length.to_bytes(4, "little"))
        file.truncate(file.tell() + length)


if __name__ == "__main__":
    sys.exit(main())
