"""A running node is stored into and deleted from by clients nobody here wrote, and by slow and large ones."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import requests
from builders import ct, saved
from dicomweb_client.api import DICOMwebClient
from programs import Node, need, running_node, wait_for
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid

BOUNDARY = "b" * 20
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running_node(tmp_path_factory.mktemp("stow"), "stow_wait = 120\n") as node:
        yield node


@pytest.fixture
def client(node: Node) -> DICOMwebClient:
    return DICOMwebClient(f"{node.url}/dicom-web", headers=dict(node.headers))


def encoded(ds: pydicom.Dataset) -> bytes:
    out = BytesIO()
    dcmwrite(out, ds)
    return out.getvalue()


def body_of(*objects: pydicom.Dataset) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = [head + encoded(one) + b"\r\n" for one in objects]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def incoming(node: Node) -> list[str]:
    return [path.name for path in (node.folder / "data" / "incoming").glob("*/*") if path.name != ".lock"]


def peak(node: Node) -> int:
    """The most memory, in MB, that any process of the web part has had."""
    (part,) = node.children("web")
    found = subprocess.run(["ps", "--no-headers", "-o", "pid", "--ppid", str(part)], capture_output=True, text=True)
    answering = found.stdout.split()
    assert len(answering) >= 2
    pages = [Path(f"/proc/{pid}/status").read_text() for pid in answering]
    return max(int(page.partition("VmHWM:")[2].split()[0]) for page in pages) // 1024


def test_dicomweb_client_stores_finds_and_deletes(client: DICOMwebClient) -> None:
    study, series = generate_uid(), generate_uid()
    # More than 1 MB in all: the client then sends chunks without a Content-Length.
    sent = [ct(StudyInstanceUID=study, SeriesInstanceUID=series, PatientID="MRN-9") for _ in range(30)]
    answer = client.store_instances(sent)
    assert "FailedSOPSequence" not in answer
    stored = answer.ReferencedSOPSequence
    assert [item.ReferencedSOPInstanceUID for item in stored] == [ds.SOPInstanceUID for ds in sent]
    clean = stored[0].StudyInstanceUID, stored[0].SeriesInstanceUID
    assert answer.RetrieveURL == f"{client.base_url}/studies/{clean[0]}"
    assert client.retrieve_instance(*clean, stored[0].SOPInstanceUID).PixelData == sent[0].PixelData
    assert len(client.search_for_instances(*clean)) == 30

    client.delete_instance(*clean, stored[0].SOPInstanceUID)
    assert len(client.search_for_instances(*clean)) == 29
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": clean[0]})
    assert found["00201208"]["Value"] == [29]
    with pytest.raises(requests.HTTPError, match="404"):
        client.delete_instance(*clean, stored[0].SOPInstanceUID)
    again = client.store_instances(sent[:1], study_instance_uid=study)
    assert again.ReferencedSOPSequence[0].SOPInstanceUID == stored[0].SOPInstanceUID
    assert client.retrieve_instance(*clean, stored[0].SOPInstanceUID).PixelData == sent[0].PixelData
    client.delete_series(*clean)
    assert client.search_for_studies(search_filters={"StudyInstanceUID": clean[0]}) == []
    with pytest.raises(requests.HTTPError, match="404"):
        client.delete_study(clean[0])


def test_curl(node: Node, tmp_path: Path) -> None:
    need("curl")
    path = saved(ct(), tmp_path)
    command = ["curl", "-sS", "-H", f"Authorization: Bearer {node.token}", "--data-binary", f"@{path}"]
    command += ["-H", "Content-Type: application/dicom", f"{node.url}/dicom-web/studies"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=300).stdout)
    place = answer["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert requests.get(place, headers=node.headers, timeout=60).status_code == 200
    assert requests.delete(place, headers=node.headers, timeout=60).status_code == 204
    assert requests.get(place, headers=node.headers, timeout=60).status_code == 404
    assert requests.delete(place, headers=node.headers, timeout=60).status_code == 404


def test_a_large_body_does_not_come_into_memory(node: Node) -> None:
    ds = ct(Rows=12_600, Columns=12_600)
    ds.PixelData = bytes(12_600 * 12_600 * 2)
    whole = body_of(ds)
    assert len(whole) > 300_000_000
    before = peak(node)
    chunks = (whole[start : start + (1 << 20)] for start in range(0, len(whole), 1 << 20))
    headers = {**node.headers, "Content-Type": MULTIPART}
    response = requests.post(f"{node.url}/dicom-web/studies", data=chunks, headers=headers, timeout=300)
    assert response.status_code in (200, 202, 409), response.text
    assert str(ds.SOPInstanceUID) in response.text
    assert peak(node) - before < 64
    assert not incoming(node)


def test_a_slow_upload_holds_up_nobody_and_one_that_breaks_off_leaves_nothing(node: Node) -> None:
    ds = ct()
    whole = body_of(ds)
    head = f"POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1:{node.http}\r\nAuthorization: Bearer {node.token}\r\n"
    head += f"Content-Type: {MULTIPART}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    received = node.status()["received"]
    with (
        socket.create_connection(("127.0.0.1", node.http)) as slow,
        socket.create_connection(("127.0.0.1", node.http)) as broken,
    ):
        for one in (slow, broken):
            one.sendall(head.encode())
        for start in range(0, len(whole), 4096):
            piece = whole[start : start + 4096]
            slow.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if start == 8192:
                broken.sendall(f"{len(piece):x}\r\n".encode() + piece)
                broken.close()
            assert start % 8192 or node.get("/dicom-web/studies?limit=1").ok
        slow.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert str(ds.SOPInstanceUID).encode() in answer
    wait_for(lambda: not incoming(node), what="nothing is left of what broke off")
    assert node.status()["received"] == received + 1


def test_what_is_malformed_or_strange_is_told_so(node: Node) -> None:
    def asked(method: str, path: str, **more: str) -> int:
        headers = {**node.headers, **more}
        return requests.request(method, f"{node.url}/dicom-web{path}", headers=headers, timeout=60).status_code

    assert asked("DELETE", "/studies/notAStudyInstanceUid") == 400
    assert asked("DELETE", "/studies/1.2.3.4") == 404
    assert asked("DELETE", "/studies") == 405
    assert asked("POST", "/studies/1.2.3.4/series") == 405
    assert asked("POST", "/studies", **{"Content-Type": "text/plain"}) == 415
    assert asked("POST", "/studies", **{"Content-Type": MULTIPART, "Accept": "image/png"}) == 406
    assert requests.delete(f"{node.url}/dicom-web/studies/1.2.3.4", timeout=60).status_code == 401


def test_nothing_of_what_was_sent_is_in_the_log(node: Node) -> None:
    attributes = {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00080018": {"vr": "UI", "Value": ["ZEBRAFISH"]},
        "00080020": {"vr": "DA", "Value": ["FEATHERSTONE"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "KUMQUATSON" * 10}]},
        "00100020": {"vr": "LO", "Value": ["QUILLFEATHER" * 10]},
    }
    kind = f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom+json\r\nContent-Location: VANDERQUIST\r\n\r\n"
    body = head + json.dumps([attributes]) + f"\r\n--{BOUNDARY}--"
    headers = {**node.headers, "Content-Type": kind}
    response = requests.post(f"{node.url}/dicom-web/studies", data=body, headers=headers, timeout=60)
    assert response.status_code == 409
    requests.post(f"{node.url}/dicom-web/studies", data=body_of(ct(PatientID="Q" * 80)), headers=headers, timeout=60)
    log = node.log.read_text()
    for word in ("ZEBRAFISH", "FEATHERSTONE", "KUMQUATSON", "QUILLFEATHER", "VANDERQUIST", "QQQQQ"):
        assert word not in log and word not in response.text
