"""What the service says of itself is what its routes are."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from dicomweb_archive import app_over, publish
from flask.testing import FlaskClient

from lethe.dicomweb.routes import TRANSACTIONS
from lethe.storage.archive import Archive

WADL = "application/vnd.sun.wadl+xml"
NAMESPACE = "{http://wadl.dev.java.net/2009/02}"


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    return app_over(archive).test_client()


def braces(rule: str) -> str:
    return rule.replace("path:", "").replace("<", "{").replace(">", "}")


@pytest.mark.parametrize(
    ("method", "accept", "kind"),
    [
        ("OPTIONS", "*/*", WADL),
        ("OPTIONS", WADL, WADL),
        ("OPTIONS", "application/json", "application/json"),
        ("OPTIONS", "image/png", None),
        ("GET", "*/*", "application/json"),
        ("GET", WADL, WADL),
    ],
)
def test_come_in_the_form_that_is_asked_for(web: FlaskClient, method: str, accept: str, kind: str | None) -> None:
    for path in ("/dicom-web/", "/dicom-web"):
        answer = web.open(path, method=method, headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype if kind else None) == (200 if kind else 406, kind)


def test_wadl_names_every_route(web: FlaskClient) -> None:
    answer = web.options("/dicom-web/", headers={"Accept": WADL})
    assert {"GET", "OPTIONS"} <= set(answer.headers["Allow"].split(", "))
    top = ElementTree.fromstring(answer.data)
    assert top.tag == f"{NAMESPACE}application"
    (resources,) = top
    assert resources.tag == f"{NAMESPACE}resources"
    assert resources.get("base") == "http://node.test/dicom-web/"
    methods = {one.get("path"): {method.get("name") for method in one.iter(f"{NAMESPACE}method")} for one in resources}
    assert {braces(rule).lstrip("/") for rule in TRANSACTIONS} <= set(methods)
    assert all({"GET", "HEAD"} <= names for path, names in methods.items() if path == "studies")
    types = {one.get("mediaType") for one in resources.iter(f"{NAMESPACE}representation")}
    assert {"application/dicom+json", 'multipart/related; type="application/dicom"', "image/png"} <= types
    assert {one.get("name") for one in resources[0].iter(f"{NAMESPACE}param")} >= {"limit", "offset"}


def test_openapi_names_every_route_with_its_variables(web: FlaskClient) -> None:
    document = web.get("/dicom-web/openapi.json").get_json()
    assert document["servers"] == [{"url": "http://node.test/dicom-web"}]
    assert {braces(rule) for rule in TRANSACTIONS} <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == {word.strip("{}") for word in path.split("/") if "{" in word}
            assert any(status.startswith("2") for status in operation["responses"])
            assert operation["responses"]["404"]
    search, study = (document["paths"][path]["get"] for path in ("/studies", "/studies/{study}"))
    assert "application/dicom+json" in search["responses"]["200"]["content"]
    assert set(study["responses"]["200"]["content"]) == {
        'multipart/related; type="application/dicom"',
        "application/zip",
    }
    assert "limit" in {one["name"] for one in search["parameters"]}
    assert (
        'multipart/related; type="application/dicom"' in document["paths"]["/studies"]["post"]["requestBody"]["content"]
    )
    pictures = document["paths"]["/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}/rendered"][
        "get"
    ]
    assert "text/html" not in pictures["responses"]["200"]["content"]


def test_wadl_tells_parameters_and_bodies_as_openapi_does(web: FlaskClient) -> None:
    root = ElementTree.fromstring(web.options("/dicom-web/", headers={"Accept": WADL}).text)
    paths = web.get("/dicom-web/openapi.json").get_json()["paths"]
    for resource in root.iter(f"{NAMESPACE}resource"):
        operations = paths[f"/{resource.get('path')}"]
        assert {method.get("name", "").lower() for method in resource.iter(f"{NAMESPACE}method")} == set(operations)
        for method in resource.iter(f"{NAMESPACE}method"):
            operation = operations[method.get("name", "").lower()]
            asked = {one.get("name") for one in method.iter(f"{NAMESPACE}param")}
            assert asked == {one["name"] for one in operation["parameters"] if one["in"] == "query"}
            taken = {one.get("mediaType") for one in method.iterfind(f"{NAMESPACE}request/{NAMESPACE}representation")}
            assert taken == set(operation.get("requestBody", {}).get("content", ()))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm"])
def test_every_media_type_that_is_named_for_objects_and_their_parts_is_given(archive: Archive, name: str) -> None:
    entry = publish(archive, name)
    web = app_over(archive).test_client()
    there = {"study": entry.study_uid, "series": entry.series_uid, "instance": entry.sop_uid, "numbers": "1"}
    paths = web.get("/dicom-web/openapi.json").get_json()["paths"]
    given = set()
    for path, operations in paths.items():
        if "{study}" not in path or path.endswith(("/rendered", "{path}")):  # which depend on the object
            continue
        for kind in operations["get"]["responses"]["200"]["content"]:
            with web.get(f"/dicom-web{path.format(**there)}", headers={"Accept": kind}) as answer:
                assert (answer.status_code, answer.mimetype) == (200, kind.partition(";")[0]), (path, kind)
                assert answer.data
            given.add((path.rpartition("/")[2], kind))
    assert {
        ("metadata", 'multipart/related; type="application/dicom+xml"'),
        ("{series}", "application/zip"),
        ("{instance}", "application/dicom"),
        ("{numbers}", 'multipart/related; type="image/jls"'),
        ("{numbers}", "image/dicom-rle"),
        ("pixeldata", 'multipart/related; type="application/octet-stream"'),
    } <= given


def test_both_say_how_workitems_are_made_and_followed(web: FlaskClient) -> None:
    paths = web.get("/dicom-web/openapi.json").get_json()["paths"]
    assert set(paths["/workitems"]) == {"get", "head", "post"}
    assert {"201", "400", "409", "415"} <= set(paths["/workitems"]["post"]["responses"])
    assert "application/dicom+json" in paths["/workitems"]["post"]["requestBody"]["content"]
    assert "202" in paths["/workitems/{workitem}/cancelrequest"]["post"]["responses"]
    subscribing = paths["/workitems/{workitem}/subscribers/{aetitle}"]["post"]
    assert {"deletionlock", "filter"} <= {one["name"] for one in subscribing["parameters"]}
    wadl = web.options("/dicom-web/", headers={"Accept": WADL}).text
    assert 'path="workitems/{workitem}/state"' in wadl and '<response status="201"/>' in wadl
