"""The Native DICOM Model: DCMTK, which writes it from the file, says the same of an object as we do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.etree import ElementTree

import pydicom
import pytest
from dicomweb_archive import app_over, parts_of, publish, sample
from flask.testing import FlaskClient
from programs import dcmtk, need

from lethe.dicomweb import readxml
from lethe.dicomweb.dicomjson import describe
from lethe.dicomweb.nativexml import native_xml
from lethe.storage.archive import Archive

XML = 'multipart/related; type="application/dicom+xml"'
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
UNLIKE = ("DS", "FL", "FD", "OB", "OW", "UN")
"""Numbers and bytes are compared in the tests of the JSON from which the XML is made."""


def values(model: ElementTree.Element, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Every value with its place: tags, numbers and names of the elements above it."""
    for child in model:
        name = child.tag.removeprefix(NATIVE)
        # Group 7001 of the waveform has no creator; DCMTK leaves its block out all the same.
        if child.get("tag", "").startswith(("0002", "00080005", "7001")) or child.get("vr") in UNLIKE:
            continue
        place = f"{path}/{name} {child.get('tag', '')}{child.get('number', '')} {child.get('vr', '')}"
        if len(child):
            yield from values(child, place)
        elif child.text and child.text.strip():
            yield place, child.get("keyword", ""), child.text.strip()


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm"])
def test_dcmtk_writes_the_same(name: str) -> None:
    need("dcm2xml")
    theirs = dcmtk("dcm2xml", "--native-format", "--convert-to-utf8", str(sample(name)))
    assert theirs.returncode == 0, theirs.stderr
    ours = native_xml(describe(pydicom.dcmread(sample(name))))
    expected = list(values(ElementTree.fromstring(theirs.stdout)))
    assert len(expected) > 20
    assert list(values(ElementTree.fromstring(ours))) == expected


def test_private_attributes_come_back_to_the_block_of_their_creator() -> None:
    model = {
        "00090010": {"vr": "LO", "Value": ["ACME 1"]},
        "00090011": {"vr": "LO", "Value": ["ACME 2"]},
        "00091001": {"vr": "LO", "Value": ["one"]},
        "00091101": {"vr": "US", "Value": [2]},
        "00091110": {"vr": "SQ", "Value": [{"00110012": {"vr": "LO", "Value": ["C"]}, "00111201": {"vr": "LO"}}]},
        "00191001": {"vr": "LO", "Value": ["whose?"]},
    }
    assert readxml.read(native_xml(model).encode()) == model


def test_a_private_creator_that_only_attributes_name_gets_a_block() -> None:
    text = """<NativeDicomModel>
    <DicomAttribute tag="00090010" vr="LO"><Value number="1">TAKEN</Value></DicomAttribute>
    <DicomAttribute tag="00090001" vr="LO" privateCreator="ACME"><Value number="1">x</Value></DicomAttribute>
    <DicomAttribute tag="00090010" vr="LO" privateCreator="ACME"><Value number="1">y</Value></DicomAttribute>
    </NativeDicomModel>"""
    assert readxml.read(text.encode()) == {
        "00090010": {"vr": "LO", "Value": ["TAKEN"]},
        "00090011": {"vr": "LO", "Value": ["ACME"]},
        "00091101": {"vr": "LO", "Value": ["x"]},
        "00091110": {"vr": "LO", "Value": ["y"]},
    }


def test_what_xml_cannot_hold_and_what_it_would_change() -> None:
    text = native_xml(
        {
            "00081030": {"vr": "LO", "Value": ['a<b>&"\x1b', None, "c\r\nd"]},
            "00091001": {"vr": "LO", "Value": ["x"]},
            "00090010": {"vr": "LO", "Value": ['ACME "1"']},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B^^Dr", "Ideographic": "山田^太郎"}, {}]},
            "00400275": {"vr": "SQ", "Value": [{}, {"00400007": {"vr": "LO"}}]},
            "7FE00010": {"vr": "OW", "BulkDataURI": "http://a/b?c&d"},
        }
    )
    model = ElementTree.fromstring(text)
    found = {attribute.get("tag"): attribute for attribute in model}
    assert [value.text for value in found["00081030"]] == ['a<b>&"\ufffd', None, "c\r\nd"]
    assert [value.get("number") for value in found["00081030"]] == ["1", "2", "3"]
    assert found["00090001"].get("privateCreator") == 'ACME "1"'
    assert found["00090001"].get("keyword") is None
    first, second = found["00100010"]
    assert [part.tag.removeprefix(NATIVE) for part in first[0]] == ["FamilyName", "GivenName", "NamePrefix"]
    assert first[1][1].text == "太郎" and len(second) == 0
    assert [len(item) for item in found["00400275"]] == [0, 1]
    assert found["7FE00010"][0].get("uri") == "http://a/b?c&d"


@pytest.fixture
def web(archive: Archive) -> FlaskClient:
    publish(archive, "CT_small.dcm")
    publish(archive, "MR_small.dcm")
    return app_over(archive).test_client()


def test_a_search_gives_one_part_for_each_result(web: FlaskClient) -> None:
    answer = web.get("/dicom-web/studies", headers={"Accept": XML})
    assert answer.status_code == 200
    results = web.get("/dicom-web/studies").get_json()
    parts = parts_of(answer.data, answer.content_type)
    assert len(parts) == len(results) == 2
    for (headers, body), result in zip(parts, results, strict=True):
        assert headers["Content-Type"] == "application/dicom+xml"
        assert body.decode() == native_xml(json.loads(json.dumps(result)))
    assert web.get("/dicom-web/studies?PatientID=nobody", headers={"Accept": XML}).status_code == 204
    few = web.get("/dicom-web/studies?limit=1", headers={"Accept": XML})
    assert len(parts_of(few.data, few.content_type)) == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("multipart/related; type=application/dicom+xml", "multipart/related"),
        ("multipart/related; type=application/dicom+xml; transfer-syntax=nope", None),
        ("multipart/related", None),
        ("multipart/related, application/dicom+json", "application/dicom+json"),
        ("application/dicom+xml", None),
        (f"{XML};q=0.5, application/dicom+json", "application/dicom+json"),
        (f"application/json;q=0.5, {XML}", "multipart/related"),
        (
            "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*",
            "application/dicom+json",
        ),
        ("text/html, image/gif, image/jpeg, */*; q=.2, */*; q=.2", "application/dicom+json"),
        ("*/*", "application/dicom+json"),
    ],
)
def test_json_or_xml_is_what_the_client_prefers(web: FlaskClient, accept: str, kind: str | None) -> None:
    answer = web.get("/dicom-web/studies", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype if kind else None) == (200 if kind else 406, kind)
