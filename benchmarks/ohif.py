#!/usr/bin/env python3
"""Open studies of a running node in OHIF, in headless Chromium, and say what was drawn and what failed.

usage: ohif.py [--data ../shared/data] [--out .bench/ohif-pictures]
OHIF is npm's `@ohif/app` as it is shipped, installed below .bench/; only its app-config.js is replaced. A small server
gives out its files and passes /dicom-web on to the node, so that all is of one origin. The node keeps objects as they
are. A study is opened by its address, and each thumbnail of it is opened once by a double click. Ends with 1 where a
study is not in the list, where nothing was drawn of one that has pixels, or where a request failed.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from chromium import Page, page
from programs import Node, dcmtk, free_port, need

ROOT = Path(__file__).resolve().parents[1]
HOME, VERSION = ROOT / ".bench" / "ohif", "3.13.2"
WITH_PIXELS, LEAST_LEVELS = {"CT", "MR", "US", "CR", "DX"}, 8
STUDIES = {
    "CT, RLE": ["dicom-test-files/data/WG04/RLE/CT2_RLE"],
    "CT, JPEG-LS": ["dicom-test-files/data/WG04/JLSL/CT2_JLSL"],
    "CT with SEG": ["pydicom/test_files/dicomdirtests/77654033/CT2/*", "highdicom/seg_image_ct_binary.dcm"],
    "MR": ["jsl/9894340694_*HASTEAXIALP*-13.dcm"],
    "MR, JPEG Lossless": ["dicom-test-files/data/WG04/JPLL/MR1_JPLL"],
    "colour multi-frame US": ["pydicom/test_files/examples_ybr_color.dcm"],
    "SR": ["highdicom/ct_image.dcm", "highdicom/sr_document.dcm"],
    "PDF": ["generated/encapsulated_pdf_phi.dcm"],
}
"""What is opened, as files below the folder of data."""
CONFIG = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "showCPUFallbackMessage": False,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "lethe",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "lethe",
            "configuration": {
                "friendlyName": "Lethe",
                "name": "lethe",
                "wadoUriRoot": "/wado",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "singlepart": "bulkdata,video,pdf",
                "bulkDataURI": {"enabled": True},
                "omitQuotationForMultipartRequest": True,
            },
        }
    ],
}
LEVELS = """Math.max(0, ...[...document.querySelectorAll('canvas')].map(canvas => {
    const context = canvas.width && canvas.height ? canvas.getContext('2d') : null;
    if (!context) return 0;
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
    for (let at = 0; at < data.length; at += 4) seen.add(data[at] + data[at + 1] + data[at + 2]);
    return seen.size;
}))"""
"""How many different brightnesses the canvas with the most has."""
THUMBNAILS = "document.querySelectorAll('[data-cy^=\"study-browser-thumbnail\"]')"

NO_TOUR = "[...document.querySelectorAll('button')].find(one => one.innerText === 'Skip all')?.click()"


@dataclass
class Study:
    """One study: what it is, its UID, whose, and the kinds of its series."""

    name: str
    uid: str
    patient: str
    modalities: set[str] = field(default_factory=set)


@dataclass
class Traffic:
    """What the browser asked for, and when the last answer was given."""

    answers: list[tuple[int, str, str]] = field(default_factory=list)
    open: int = 0
    last: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def rest(self, seconds: float, *, quiet: float = 1.5) -> None:
        """Wait until nothing was asked for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (self.open or time.monotonic() - self.last < quiet):
            time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench" / "ohif-pictures")
    args = parser.parse_args()
    need("npm", "chromium", "dcmsend")
    args.out.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="lethe-ohif-") as name:
        node = Node(Path(name) / "node", settings(port)).start()
        try:
            studies = stored(node, args.data)
            with served(installed(), node.url, port) as traffic, page(Path(name)) as shown:
                return looked_at(shown, f"http://127.0.0.1:{port}", studies, traffic, args.out)
        finally:
            node.stop()


def settings(port: int) -> str:
    return (
        f'public_url = "http://127.0.0.1:{port}"\n[auth]\nmode = "none"\n'
        '[projects.default]\nprofile = "none"\npixel_policy = "none"\n'
    )


def installed() -> Path:
    """The folder of OHIF as it is shipped."""
    files = HOME / "package" / "dist"
    if not (files / "index.html").exists():
        HOME.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"@ohif/app@{VERSION}"], cwd=HOME, check=True)
        subprocess.run(["tar", "xzf", f"ohif-app-{VERSION}.tgz"], cwd=HOME, check=True)
    return files


def stored(node: Node, data: Path) -> list[Study]:
    """The studies, once all their objects are published."""
    studies = []
    for name, patterns in STUDIES.items():
        paths = [path for pattern in patterns for path in sorted(data.glob(pattern))]
        if not paths:
            print(f"{name}: no such files, left out")
            continue
        first = pydicom.dcmread(paths[0], stop_before_pixels=True)
        study = Study(name, str(first.StudyInstanceUID), str(first.get("PatientID", "")))
        study.modalities = {str(pydicom.dcmread(path, stop_before_pixels=True).Modality) for path in paths}
        said = dcmtk("dcmsend", "--decompress-never", "-aec", "LETHE", "127.0.0.1", str(node.dicom), *map(str, paths))
        if said.returncode:
            raise SystemExit(f"{name}: {said.stderr}")
        studies.append(study)
    status = node.settle(300)
    print(f"the node has {status}")
    return studies


# OHIF, and the node behind it


@contextmanager
def served(files: Path, node: str, port: int) -> Iterator[Traffic]:
    traffic = Traffic()
    config = f"window.config = {json.dumps(CONFIG)};".encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with traffic.lock:
                traffic.open += 1
            try:
                path = self.path.partition("?")[0]
                if path.startswith(("/dicom-web", "/wado")):
                    self._pass_on()
                elif path == "/app-config.js":
                    self._give(200, "text/javascript", config)
                else:
                    self._file(path)
            finally:
                with traffic.lock:
                    traffic.open, traffic.last = traffic.open - 1, time.monotonic()

        def _file(self, path: str) -> None:
            file = (files / path.lstrip("/")).resolve()
            if not file.is_file() or files not in file.parents:
                file = files / "index.html" if "." not in path.rpartition("/")[2] else Path()
            if not file.is_file():
                return self._give(404, "text/plain", b"")
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            return self._give(200, kind, file.read_bytes())

        def _pass_on(self) -> None:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            answer = requests.get(node + self.path, headers=headers, timeout=120, stream=True)
            body = answer.raw.read(decode_content=False)
            kept = {name: value for name, value in answer.headers.items() if name.lower() in KEPT}
            self._give(answer.status_code, answer.headers.get("Content-Type", ""), body, kept)

        def _give(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
            with traffic.lock:
                traffic.answers.append((status, self.path, self.headers.get("Accept", "")))
            self.send_response(status)
            for name, value in {**({"Content-Type": kind} if kind else {}), **(headers or {})}.items():
                self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status not in (204, 304):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield traffic
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


KEPT = {"content-encoding", "etag", "last-modified", "cache-control", "accept-ranges", "content-range", "vary"}


# Looking


def looked_at(shown: Page, root: str, studies: list[Study], traffic: Traffic, out: Path) -> int:
    bad = 0
    shown.resize(1600, 1000)
    shown.visit(root)
    traffic.rest(60, quiet=3)
    shown.value(NO_TOUR)
    text = str(shown.value("document.body.innerText"))
    shown.picture(out / "list.png")
    for study in studies:
        listed = study.patient in text
        bad += not listed
        if not listed:
            print(f"{study.name}: not in the list")
    for number, study in enumerate(studies):
        began = len(traffic.answers)
        levels = opened(shown, f"{root}/viewer?StudyInstanceUIDs={study.uid}", traffic, out / f"{number}")
        expected = LEAST_LEVELS if study.modalities & WITH_PIXELS else 0
        bad += levels < expected
        asked = [path for _, path, _ in traffic.answers[began:] if path.startswith("/dicom-web")]
        kinds = "/".join(sorted(study.modalities))
        print(
            f"{study.name} ({kinds}): {levels} levels drawn, {len(asked)} DICOMweb requests, {out / f'{number}*.png'}"
        )
    failed = [answer for answer in traffic.answers if answer[0] >= 400]
    for status, path, accept in failed:
        print(f"{status} {path} (Accept: {accept})")
    for complaint in shown.complaints:
        if '"level": "warning"' not in complaint:
            print(complaint[:600])
    print(f"{len(traffic.answers)} requests, {len(failed)} failed; {bad} studies not shown")
    return int(bool(bad or failed))


def opened(shown: Page, url: str, traffic: Traffic, picture: Path) -> int:
    """Open a study and, one after another, its thumbnails; the brightnesses of the richest picture that was seen."""
    shown.visit(url)
    levels = settled(shown, traffic, picture.with_suffix(".png"))
    for number in range(int(shown.value(f"{THUMBNAILS}.length") or 0)):
        shown.value(f"{THUMBNAILS}[{number}].dispatchEvent(new MouseEvent('dblclick', {{bubbles: true}}))")
        levels = max(levels, settled(shown, traffic, picture.with_name(f"{picture.name}-{number}.png")))
    return levels


def settled(shown: Page, traffic: Traffic, picture: Path) -> int:
    levels, deadline = 0, time.monotonic() + 20
    time.sleep(1)
    while True:
        traffic.rest(60)
        shown.value(NO_TOUR)
        levels = int(shown.value(LEVELS) or 0)
        if levels >= LEAST_LEVELS or time.monotonic() > deadline:
            break
    shown.picture(picture)
    return levels


if __name__ == "__main__":
    sys.exit(main())
