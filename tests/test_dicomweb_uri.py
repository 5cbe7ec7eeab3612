"""WADO-URI (PS3.18 9): what its parameters give, and which are refused."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from dicomweb_archive import app_over, publish, sample, url_of
from PIL import Image
from programs import need

from lethe.storage.archive import Archive

UIDS = ("studyUID", "seriesUID", "objectUID")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("uri"))
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def client(archive):
    return app_over(archive).test_client()


@pytest.fixture(scope="module")
def asked(archive):
    """The parameters that name an object."""
    known: dict[str, dict[str, str]] = {}

    def asked(name: str) -> dict[str, str]:
        if name not in known:
            uid = f"1.6.{len(known) + 1}"
            uids = {"StudyInstanceUID": uid, "SeriesInstanceUID": uid + ".1", "SOPInstanceUID": uid + ".1.1"}
            publish(archive, name, **uids)
            known[name] = {"requestType": "WADO", **dict(zip(UIDS, uids.values(), strict=True))}
        return known[name]

    return asked


@pytest.fixture(scope="module")
def get(client, asked):
    return lambda name, **more: client.get("/wado", query_string={**asked(name), **more})


def image(response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.data))


def test_a_single_image_is_a_jpeg_and_the_same_as_rendered(get, client, archive, asked):
    for spelt in ({}, {"contentType": "image/jpg"}, {"contentType": "image/jpeg"}, {"contentType": "*/*"}):
        response = get("CT_small.dcm", **spelt)
        assert response.content_type == "image/jpeg"
        assert image(response).size == (128, 128)
    rendered = url_of(archive.index.instance(asked("CT_small.dcm")["objectUID"])) + "/rendered"
    assert get("CT_small.dcm").data == client.get(rendered).data
    for more, query in (
        ({"windowCenter": "40", "windowWidth": "400"}, "window=40,400,linear"),
        ({"rows": "64", "columns": "64"}, "viewport=64,64"),
    ):
        same = client.get(f"{rendered}?{query}", headers={"Accept": "image/png"})
        assert (
            np.asarray(image(get("CT_small.dcm", contentType="image/png", **more))) == np.asarray(image(same))
        ).all()


def test_without_a_parameter_the_header_says_what_is_wanted(client, asked):
    def kind(header: str, name: str = "CT_small.dcm", **more: str) -> str:
        response = client.get("/wado", query_string={**asked(name), **more}, headers={"Accept": header})
        return response.content_type.partition(";")[0] if response.status_code == 200 else str(response.status_code)

    assert kind("image/png") == "image/png"
    assert kind("application/dicom") == "application/dicom"
    assert kind("image/gif;q=0.5, image/webp") == "image/webp"
    assert kind("text/csv") == "406"
    assert kind("image/png", contentType="image/jpeg") == "image/jpeg"
    for anything in ("*/*", "image/avif,image/webp,*/*;q=0.8", "text/html,application/xhtml+xml,*/*;q=0.8", ""):
        assert kind(anything) == "image/jpeg"
        assert kind(anything, "rtdose.dcm") == "application/dicom"
    assert kind("image/jpeg", "rtdose.dcm") == "image/jpeg"


def test_an_object_comes_in_the_transfer_syntax_asked_for(get):
    def syntax(**more: str) -> str:
        response = get("MR_small_RLE.dcm", contentType="application/dicom", **more)
        assert response.status_code == 200
        assert response.content_type.startswith("application/dicom")
        return str(pydicom.dcmread(io.BytesIO(response.data)).file_meta.TransferSyntaxUID)

    assert syntax() == "1.2.840.10008.1.2.1"
    assert syntax(transferSyntax="1.2.840.10008.1.2.5") == "1.2.840.10008.1.2.5"
    assert syntax(transferSyntax="*") == "1.2.840.10008.1.2.5"
    assert syntax(transferSyntax="1.2.840.10008.1.2.4.70") == "1.2.840.10008.1.2.4.70"
    for refused in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.102"):
        assert get("MR_small_RLE.dcm", contentType="application/dicom", transferSyntax=refused).status_code == 406
    assert get("MR_small_RLE.dcm", contentType="application/dicom", transferSyntax="x").status_code == 400


def test_several_frames_are_an_object_unless_one_is_asked_for(get):
    assert get("rtdose.dcm").content_type.startswith("application/dicom")
    assert image(get("rtdose.dcm", frameNumber="15")).size == (10, 10)
    assert image(get("rtdose.dcm", contentType="image/png")).size == (10, 10)
    for wrong in ("0", "16", "x", "-1", ""):
        assert get("rtdose.dcm", frameNumber=wrong).status_code == 400
    assert get("CT_small.dcm", frameNumber="1").status_code == 400
    assert get("rtdose.dcm", frameNumber="2", contentType="application/dicom").status_code == 400


def test_rows_columns_and_region_keep_the_aspect(get):
    name = "examples_palette.dcm"
    whole = np.asarray(image(get(name, contentType="image/png")))
    assert image(get(name, rows="100", columns="100")).size == (100, 44)
    assert image(get(name, rows="35")).size == (80, 35)
    assert image(get(name, columns="80")).size == (80, 35)
    part = np.asarray(image(get(name, contentType="image/png", region="0.25,0.2,0.5,0.6")))
    assert (part == whole[70:210, 200:400]).all()
    assert image(get(name, region="0,0,0.5,0.5", rows="10", columns="999")).size == (23, 10)


@pytest.mark.parametrize(
    "more",
    [
        {"requestType": ""},
        {"requestType": "XDS"},
        {"objectUID": ""},
        {"studyUID": ""},
        {"seriesUID": "a"},
        {"windowCenter": "1"},
        {"windowWidth": "1"},
        {"windowCenter": "x", "windowWidth": "1"},
        {"windowCenter": "1", "windowWidth": "0"},
        {"rows": "0"},
        {"columns": "99999"},
        {"rows": "ten"},
        {"region": "0,0,1"},
        {"region": "0,0,1,2"},
        {"region": "0.5,0,0.5,1"},
        {"region": "a,b,c,d"},
        {"imageQuality": "0"},
        {"imageQuality": "101"},
        {"presentationUID": "1.2"},
    ],
)
def test_malformed_parameters_are_400(get, more):
    assert get("CT_small.dcm", **more).status_code == 400


def test_what_is_not_there_is_404_and_what_cannot_be_had_is_406(get, client):
    for name in UIDS:
        assert get("CT_small.dcm", **{name: "1.2.3.4.5"}).status_code == 404
    for media_type in ("video/mp4", "text/html", "no-type", "application/dicom+json"):
        assert get("CT_small.dcm", contentType=media_type).status_code == 406
    assert client.get("/wado").status_code == 400
    assert client.post("/wado").status_code == 405


def test_quality_and_annotation(get):
    sizes = [len(get("examples_palette.dcm", imageQuality=str(quality)).data) for quality in (5, 50, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    written = get("CT_small.dcm", annotation="patient,technique")
    assert written.status_code == 200
    assert written.data != get("CT_small.dcm").data


def test_annotation_that_nobody_knows_is_passed_over_with_a_warning(get):
    answer = get("CT_small.dcm", annotation="bogus")
    assert (answer.status_code, answer.data) == (200, get("CT_small.dcm").data)
    assert answer.headers["Warning"].startswith("299 ")
    assert "bogus" not in answer.headers["Warning"]


def test_colours_are_converted_as_for_rendered(get, client, asked):
    uids = [asked("examples_palette.dcm")[name] for name in UIDS]
    url = "/dicom-web/studies/{}/series/{}/instances/{}/rendered".format(*uids)
    for space in ("yes", "srgb", "adobergb"):
        answer = get("examples_palette.dcm", contentType="image/png", iccprofile=space)
        assert Image.open(io.BytesIO(answer.data)).info["icc_profile"]
        assert answer.data == client.get(f"{url}?iccprofile={space}", headers={"Accept": "image/png"}).data
    assert get("examples_palette.dcm", iccprofile="cmyk").status_code == 400


@pytest.mark.peer
def test_several_frames_are_a_film_where_it_is_asked_for(get):
    need("ffmpeg")
    film = get("rtdose.dcm", contentType="video/mp4")
    assert (film.status_code, film.content_type, film.data[4:8]) == (200, "video/mp4", b"ftyp")
    assert get("rtdose.dcm", contentType="video/mp4", frameNumber="2").status_code == 406


def test_a_report_is_a_page(get):
    response = get("test-SR.dcm")
    assert response.content_type == "text/html; charset=utf-8"
    report = pydicom.dcmread(sample("test-SR.dcm"))
    assert report.ConceptNameCodeSequence[0].CodeMeaning in response.text
