"""No name, ID, date or UID of the source is in anything that leaves: file, response, log, error page, URL."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from builders import bundled, ct, saved, secondary_capture, slide_label
from burned_screens import frames_of, is_gone, screen, words
from PIL import Image
from programs import Node, running_node
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

PLANTED = {
    "name": "FEATHERSTONE",
    "given name": "ANTONIA",
    "id": "MRN-7741-AZF",
    "accession": "ACC9920771",
    "institution": "Corbinian",
    "physician": "VANDERQUIST",
    "birth date": "19580317",
    "study date": "20190822",
    "phone": "555-0199-731",
    "address": "Quillfeather",
    "comment": "ZEBRAFISH",
    "private": "KUMQUATSON",
}
"""Strings that occur nowhere by chance."""


def planted(ds: pydicom.FileDataset) -> pydicom.FileDataset:
    """The object with every kind of identifier planted, at several depths."""
    ds.PatientName = "FEATHERSTONE^ANTONIA"
    ds.PatientID = "MRN-7741-AZF"
    ds.OtherPatientIDs = ["MRN-7741-AZF", "MRN-7741-AZF-2"]
    ds.PatientBirthDate = "19580317"
    ds.AccessionNumber = "ACC9920771"
    ds.InstitutionName = "Saint Corbinian Infirmary"
    ds.InstitutionAddress = "7 Quillfeather Lane"
    ds.ReferringPhysicianName = "VANDERQUIST^HOLGER"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20190822"
    ds.PatientTelephoneNumbers = "555-0199-731"
    ds.PatientComments = "ZEBRAFISH, see FEATHERSTONE of 2019-08-22"
    ds.ImageComments = "ZEBRAFISH"
    ds.ManufacturerModelName = "Scanner of FEATHERSTONE"  # outside Table E.1-1: only the text check finds it
    item = Dataset()
    item.PatientID, item.PatientName = "MRN-7741-AZF", "FEATHERSTONE^ANTONIA"
    item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID = ds.SOPInstanceUID, ds.SOPClassUID
    outer = Dataset()
    outer.ReferencedStudySequence = [item]
    ds.OriginalAttributesSequence = [item]
    ds.RequestAttributesSequence = [outer]
    block = ds.private_block(0x0029, "KUMQUATSON", create=True)
    block.add_new(0x01, "LO", "FEATHERSTONE")
    return ds


@pytest.fixture(scope="module")
def sent() -> list[pydicom.FileDataset]:
    study = generate_uid()
    names = ("MR_small_bigendian.dcm", "MR_small_implicit.dcm", "693_J2KI.dcm", "rtplan.dcm", "waveform_ecg.dcm")
    objects = [ct(StudyInstanceUID=study), ct(StudyInstanceUID=study), *(bundled(name) for name in names)]
    shown = pydicom.dcmread(BytesIO(screen(words()[0])))
    return [planted(ds) for ds in [*objects, secondary_capture(), shown, slide_label()]]


@pytest.fixture(scope="module")
def forbidden(sent: list[pydicom.FileDataset]) -> list[str]:
    uids = {ds[keyword].value for ds in sent for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    return [*PLANTED.values(), "2019-08-22", "1958-03-17", *map(str, uids)]


@pytest.fixture(scope="module")
def node(sent: list[pydicom.FileDataset], tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = tmp_path_factory.mktemp("leaks")
    extra = ""  # the default options
    with running_node(folder / "node", extra) as node:
        paths = [str(saved(ds, folder / "sent", f"{number}.dcm")) for number, ds in enumerate(sent)]
        result = node.lethe("send", *paths, "--to", f"LETHE@127.0.0.1:{node.dicom}")
        assert result.returncode == 0, result.stdout + result.stderr
        status = node.settle()
        assert (status["published"], status["quarantined"]) == (len(sent) - 1, 1), node.get("/api/v1/quarantine").text
        yield node


def found(data: bytes, forbidden: list[str]) -> list[str]:
    """Which forbidden strings the bytes hold, in Latin-1 or UTF-16, in any case."""
    texts = (data.decode("latin-1").lower(), data.replace(b"\0", b"").decode("latin-1").lower())
    return [string for string in forbidden if any(string.lower() in text for text in texts)]


def pages(node: Node) -> list[str]:
    """Every URL a client would come to: those of the searches, and those that the answers name."""
    seen: list[str] = []
    waiting = ["/", "/dicom-web/studies?includefield=all", "/dicom-web/series", "/dicom-web/instances?includefield=all"]
    waiting += ["/fhir/R4/metadata", "/fhir/R4/ImagingStudy", "/fhir/R4/Patient", "/fhir/R4/Endpoint"]
    waiting += ["/api/v1/status", "/api/v1/quarantine", "/api/v1/openapi.json", "/metrics", "/healthz", "/readyz"]
    for study in node.get("/dicom-web/studies").json():
        uid = study["0020000D"]["Value"][0]
        waiting += [f"/dicom-web/studies/{uid}", f"/dicom-web/studies/{uid}/metadata", f"/studies/{uid}"]
        waiting += [
            f"/dicom-web/studies/{uid}/thumbnail",
            f"/fhir/R4/ImagingStudy?identifier=urn:dicom:uid|urn:oid:{uid}",
        ]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.append(path)
        text = node.get(path).text
        links = re.findall(re.escape(node.url) + r"(/[^\s\"'<>\\]+)", text) + re.findall(r'href="(/[^"]*)"', text)
        waiting += [link.replace("&amp;", "&") for link in links if "logout" not in link and len(seen) < 300]
    return seen


def test_no_file_holds_anything_of_the_source(node: Node, forbidden: list[str]) -> None:
    files = [path for path in (node.folder / "data" / "clean").rglob("*") if path.is_file()]
    assert len(files) > 6
    for path in files:
        assert not found(path.read_bytes(), forbidden)
        assert not found(path.name.encode(), forbidden)


def test_no_frame_shows_anything_of_the_source(node: Node) -> None:
    """Of the screen that does; the stored frame and what a viewer is given."""
    _, boxes = words()
    (path,) = (path for path in (node.folder / "data" / "clean").rglob("*") if path.is_file() and is_screen(path))
    (frame,) = frames_of(path.read_bytes())
    assert all(is_gone(frame, box) for box in boxes)
    ds = pydicom.dcmread(path)
    place = f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    answer = node.get(f"/dicom-web/{place}/rendered")
    rendered = np.asarray(Image.open(BytesIO(answer.content)).convert("L"))
    assert rendered.shape == frame.shape
    assert all(is_gone(rendered, box) for box in boxes)


def is_screen(path: Path) -> bool:
    return pydicom.dcmread(path, stop_before_pixels=True).get("Columns") == 640


def test_no_response_header_or_url_holds_anything_of_the_source(node: Node, forbidden: list[str]) -> None:
    paths = pages(node)
    assert len(paths) > 40
    for path in paths:
        response = node.get(path)
        assert response.status_code < 500, path
        assert not found(path.encode(), forbidden)
        assert not found(response.content, forbidden), path
        assert not found(str(response.headers).encode(), forbidden), path


@pytest.mark.parametrize(
    "path",
    [
        "/FEATHERSTONE",
        "/dicom-web/studies?PatientName=FEATHERSTONE&StudyDate=20190822x",
        "/dicom-web/studies/MRN-7741-AZF",
        "/dicom-web/studies/1.2.3/metadata?x=FEATHERSTONE",
        "/dicom-web/studies?FEATHERSTONE=1&Zebrafish=2",
        "/fhir/R4/FEATHERSTONE",
        "/fhir/R4/Patient/MRN-7741-AZF",
        "/fhir/R4/ImagingStudy?started=FEATHERSTONE",
        "/fhir/R4/ImagingStudy?identifier=MRN-7741-AZF|FEATHERSTONE&_count=x",
        "/studies/FEATHERSTONE",
        "/api/v1/FEATHERSTONE",
        "/login?next=//FEATHERSTONE.example",
    ],
)
def test_no_error_page_says_what_it_was_asked(node: Node, path: str) -> None:
    for headers in (node.headers, {}, node.headers | {"Accept": "text/html"}):
        response = requests.get(node.url + path, headers=headers, timeout=30, allow_redirects=False)
        assert response.status_code < 500
        if "/fhir/R4/ImagingStudy?identifier" not in path:  # a searchset repeats its own query as its self link
            assert not found(response.content + str(response.headers).encode(), list(PLANTED.values())) or (
                response.is_redirect
            )


def test_no_log_line_holds_anything_of_the_source(node: Node, forbidden: list[str]) -> None:
    """Runs last in this module: the log then holds what the other tests provoked as well."""
    log = node.log.read_bytes()
    assert b"DEBUG" in log
    assert not found(log, forbidden)


def test_the_quarantined_original_cannot_be_reached_by_name(node: Node, sent: list[pydicom.FileDataset]) -> None:
    refused = sent[-1]
    for level in (
        "",
        f"/series/{refused.SeriesInstanceUID}",
        f"/series/{refused.SeriesInstanceUID}/instances/{refused.SOPInstanceUID}",
    ):
        assert node.get(f"/dicom-web/studies/{refused.StudyInstanceUID}{level}").status_code == 404
    (original,) = (path for path in (node.folder / "data" / "inbox").rglob("*") if path.is_file())
    for path in (f"/data/inbox/{original.name}", f"/static/../data/inbox/{original.name}", f"/inbox/{original.name}"):
        assert node.get(path).status_code in (403, 404)


def test_the_audit_trail_alone_knows(node: Node, sent: list[pydicom.FileDataset], tmp_path: Path) -> None:
    export = node.lethe("audit", "export").stdout
    assert sent[0].SOPInstanceUID in export
    assert "FEATHERSTONE" not in export
