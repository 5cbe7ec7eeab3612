"""Other origins, addresses and odd paths, asked of the running node over its own server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from dicomweb_archive import publish, url_of
from dicomweb_client.api import DICOMwebClient
from programs import Node, running_node

from lethe.storage.archive import Archive

VIEWER = "http://127.0.0.1:3000"
SETTINGS = f'cors_origins = ["{VIEWER}"]\ntrusted_proxies = ["127.0.0.2"]\n'


@pytest.fixture(scope="module")
def published() -> list[str]:
    return []


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, published: list[str]) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("origins")
    archive = Archive(folder / "data")
    published.append(url_of(publish(archive, "CT_small.dcm")))
    archive.close()
    with running_node(folder, SETTINGS) as running:
        yield running


def test_a_browser_asks_first_and_reads_failures_too(node: Node, published: list[str]) -> None:
    url = f"{node.url}{published[0]}/metadata"
    asks = {"Origin": VIEWER, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    preflight = requests.options(url, headers=asks, timeout=30)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, VIEWER)
    expected = {url: 200, f"{node.url}/dicom-web/studies/1.2/metadata": 404, f"{node.url}/dicom-web/studies/x": 400}
    for address, status in expected.items():
        answer = requests.get(address, headers=node.headers | {"Origin": VIEWER}, timeout=30)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, VIEWER)
    refused = requests.get(url, headers=node.headers | {"Origin": VIEWER, "Accept": "image/png"}, timeout=30)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (406, VIEWER)
    stranger = requests.get(url, headers={"Origin": VIEWER}, timeout=30)
    assert (stranger.status_code, stranger.headers["Access-Control-Allow-Origin"]) == (401, VIEWER)
    wrong = requests.put(url, headers=node.headers | {"Origin": VIEWER}, timeout=30)
    assert (wrong.status_code, wrong.headers["Access-Control-Allow-Origin"]) == (405, VIEWER)
    assert {"GET", "HEAD"} <= set(wrong.headers["Allow"].replace(" ", "").split(","))


def test_a_client_that_leaves_the_port_out_can_follow_our_addresses(node: Node) -> None:
    client = DICOMwebClient(f"{node.url}/dicom-web", headers=node.headers)
    (study,) = client.search_for_studies()
    assert study["00081190"]["Value"][0].startswith(f"{node.url}/dicom-web/studies/")
    (metadata,) = client.retrieve_study_metadata(study["0020000D"]["Value"][0])
    assert len(client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])[0]) == 128 * 128 * 2


def test_only_a_trusted_proxy_says_the_address(node: Node) -> None:
    said = node.headers | {"Forwarded": "host=my-domain;proto=https"}
    for source, host in {"127.0.0.2": "https://my-domain", "127.0.0.1": node.url}.items():
        with requests.Session() as session:
            adapter = requests.adapters.HTTPAdapter()
            adapter.init_poolmanager(1, 1, source_address=(source, 0))
            session.mount("http://", adapter)
            (study,) = session.get(f"{node.url}/dicom-web/studies", headers=said, timeout=30).json()
        assert study["00081190"]["Value"][0].startswith(f"{host}/dicom-web/studies/")


def test_options_without_a_question_tells_the_capabilities(node: Node) -> None:
    answer = requests.options(f"{node.url}/dicom-web/", headers=node.headers | {"Origin": VIEWER}, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/vnd.sun.wadl+xml")
    assert f'base="{node.url}/dicom-web/"' in answer.text


def test_odd_paths_are_never_our_fault(node: Node, published: list[str]) -> None:
    study = published[0].split("/series/")[0]
    same = [f"{study}/series/", study.replace("studies", "stud%69es") + "/series", f"/{study}//series"]
    for path in same:
        answer = requests.get(node.url + path, headers=node.headers, timeout=30)
        assert answer.status_code in (200, 404), path
    for odd in ("%00", "%FF", "%2F", "%2e%2e", "%E2%98%83", "a%0D%0Ab", "1.2%2F3", "%25", ";", "*", "{study}"):
        for path in (f"/dicom-web/{odd}", f"/dicom-web/studies/{odd}", f"/dicom-web/studies/{odd}/metadata"):
            answer = requests.get(node.url + path, headers=node.headers, timeout=30)
            assert answer.status_code in (200, 400, 404), (path, answer.status_code)
    for query in ("PatientName=B%2A", "PatientName=%FF", "includefield=00081030%2C00080060", "%00=1", "limit=%00"):
        answer = requests.get(f"{node.url}/dicom-web/studies?{query}", headers=node.headers, timeout=30)
        assert answer.status_code in (200, 204, 400), (query, answer.status_code)
