"""WADO-RS over a real archive (PS3.18 10.4): instances, metadata, frames and bulk data."""

from __future__ import annotations

import gzip
import io
import json
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_archive import app_over, parts_of, publish, sample, samples, url_of
from PIL import Image
from programs import SHARED
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

from lethe.dicomweb.locate import locate
from lethe.storage.archive import Archive
from lethe.storage.errors import NotFound, Unavailable

ROOT = "http://node.test"
ANY = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JPEG = "1.2.840.10008.1.2.4.50"
JLS = "multipart/related; type=image/jls"
OCTETS = 'multipart/related; type="application/octet-stream"'


class Web:
    """An archive, and requests to it."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder)
        self.app = app_over(self.archive)
        self.entries: dict[str | Path, str] = {}

    def url(self, name: str | Path) -> str:
        """The path of the instance that a file of pydicom's became; they share UIDs, so each gets its own study."""
        if name not in self.entries:
            number = len(self.entries) + 1
            uids = {
                "StudyInstanceUID": f"1.2.{number}",
                "SeriesInstanceUID": f"1.2.{number}.1",
                "SOPInstanceUID": f"1.2.{number}.1.1",
            }
            self.entries[name] = url_of(publish(self.archive, name, **uids))
        return self.entries[name]

    def get(self, url: str, accept: str = "", method: str = "GET", **headers: str):
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        if accept:
            given["Accept"] = accept
        return self.app.test_client().open(url, method=method, headers=given)

    def stored(self, name: str) -> bytes:
        """The bytes of the clean file."""
        uid = self.url(name).rpartition("/")[2]
        with self.archive.files.open("clean", self.archive.index.instance(uid).file) as file:
            return file.read()

    def parts(self, url: str, accept: str = "") -> list[tuple[dict[str, str], bytes]]:
        response = self.get(url, accept)
        assert response.status_code == 200, response.text
        return parts_of(response.data, response.content_type)


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    web = Web(tmp_path_factory.mktemp("retrieve"))
    yield web
    web.archive.close()


# Instances


@pytest.mark.parametrize("accept", ["", "*/*", 'multipart/related; type="application/dicom"; transfer-syntax=*'])
def test_an_instance_is_given_byte_for_byte(web, accept):
    url = web.url("CT_small.dcm")
    response = web.get(url, accept)
    assert response.content_type.startswith('multipart/related; type="application/dicom"; boundary=')
    [(head, data)] = parts_of(response.data, response.content_type)
    assert data == web.stored("CT_small.dcm")
    assert int(response.headers["Content-Length"]) == len(response.data)
    assert head["Content-Type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert head["Content-Length"] == str(len(data))
    assert head["Content-Location"] == ROOT + url


def test_an_instance_alone_has_an_etag_ranges_and_a_head(web):
    url, stored = web.url("CT_small.dcm"), web.stored("CT_small.dcm")
    whole = web.get(url, "application/dicom; transfer-syntax=*")
    assert whole.data == stored
    assert whole.content_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert web.get(url, "application/dicom", If_None_Match=whole.headers["ETag"]).status_code == 304
    part = web.get(url, "application/dicom", Range="bytes=128-131")
    assert (part.status_code, part.data) == (206, b"DICM")
    assert part.headers["Content-Range"] == f"bytes 128-131/{len(stored)}"
    head = web.get(url, "application/dicom", method="HEAD")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(stored)))


@pytest.mark.parametrize(
    "accept",
    [
        "image/jpeg",
        "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50",
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2',
        'multipart/related; type="application/octet-stream"',
    ],
)
def test_what_an_instance_cannot_be_had_in_is_406(web, accept):
    assert web.get(web.url("CT_small.dcm"), accept).status_code == 406


def test_what_cannot_be_made_leaves_the_next_best(web):
    """RFC 9110 12.5.1: a JPEG of 8 bits cannot hold 16."""
    url, dicom = web.url("CT_small.dcm"), 'multipart/related; type="application/dicom"; transfer-syntax='
    for level in (url, url.rpartition("/instances")[0], url.partition("/series")[0]):
        [(_, data)] = web.parts(level, f"{dicom}{JPEG}, {dicom}*;q=0.5")
        assert data == web.stored("CT_small.dcm")
        assert web.get(level, f"{dicom}{JPEG}").status_code == 406
        zipped = web.get(level, f"{dicom}{JPEG}, application/zip;q=0.1")
        assert (zipped.status_code, zipped.content_type) == (200, "application/zip")
    asked = f"multipart/related; type=image/jpeg;transfer-syntax={JPEG}"
    [(head, data)] = web.parts(f"{url}/frames/1", f"{asked}, multipart/related; type=application/octet-stream;q=0.1")
    assert head["Content-Type"] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert data == pydicom.dcmread(sample("CT_small.dcm")).PixelData
    assert web.get(f"{url}/frames/1", asked).status_code == 406


def test_a_study_of_several_kinds_is_given_in_the_best_form_of_each(tmp_path):
    web = Web(tmp_path)
    for number, name in enumerate(("CT_small.dcm", "SC_rgb_rle.dcm", "test-SR.dcm"), 1):
        uids = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": f"1.2.{number}", "SeriesNumber": number}
        publish(web.archive, name, SOPInstanceUID=f"1.2.{number}.1", **uids)
    dicom = 'multipart/related; type="application/dicom"; transfer-syntax='
    parts = web.parts("/dicom-web/studies/1.2", f"{dicom}{JPEG}, {dicom}*;q=0.5")
    given = [head["Content-Type"].rpartition("=")[2] for head, _ in parts]
    stored = web.archive.index.instance("1.2.3.1").transfer_syntax
    assert given[:2] == ["1.2.840.10008.1.2.1", JPEG]
    assert given[2] in (JPEG, stored)
    web.archive.close()


def test_other_representations_have_other_tags_and_only_a_strong_one_keeps_a_range(web):
    url, stored = web.url("CT_small.dcm"), web.stored("CT_small.dcm")
    tag = web.get(url, "application/dicom").headers["ETag"]
    packed = web.get(url, 'multipart/related; type="application/dicom"').headers["ETag"]
    assert tag.startswith('"')
    assert packed.startswith("W/")
    assert packed.removeprefix("W/") != tag
    assert web.get(url, "application/dicom", If_None_Match=packed).status_code == 200
    for accept, own in (("application/dicom", tag), ('multipart/related; type="application/dicom"', packed)):
        known = web.get(url, accept, If_None_Match=f'"other", {own}')
        assert (known.status_code, known.headers["ETag"]) == (304, own)
    weak = f"W/{tag}"
    assert web.get(url, "application/dicom", If_None_Match=weak).status_code == 304
    held = web.get(url, "application/dicom", Range="bytes=0-99", If_Range=tag)
    assert (held.status_code, held.data) == (206, stored[:100])
    for condition in ('"other"', weak, packed, "Sat, 01 Jan 2022 00:00:00 GMT", tag.strip('"'), "*"):
        whole = web.get(url, "application/dicom", Range="bytes=0-99", If_Range=condition)
        assert (whole.status_code, whole.data) == (200, stored), condition
    value = f"{url}/bulkdata/7FE00010"
    tag = web.get(value, "application/octet-stream").headers["ETag"]
    for condition, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200)):
        asked = {"Range": "bytes=0-9", "If_Range": condition}
        assert web.get(value, "application/octet-stream", **asked).status_code == status


def test_a_study_and_a_series_are_given_whole(tmp_path):
    web = Web(tmp_path)
    for number, name in enumerate(("CT_small.dcm", "JPEG2000.dcm", "rtdose.dcm"), 1):
        uids = {
            "SOPInstanceUID": f"1.2.3.{number}",
            "StudyInstanceUID": "1.2",
            "SeriesInstanceUID": f"1.2.{number % 2}",
        }
        publish(web.archive, name, InstanceNumber=number, SeriesNumber=number % 2, **uids)
    parts = web.parts("/dicom-web/studies/1.2", 'multipart/related; type="application/dicom"; transfer-syntax=*')
    uids = [str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID) for _, data in parts]
    assert uids == ["1.2.3.2", "1.2.3.1", "1.2.3.3"]
    assert len(web.parts("/dicom-web/studies/1.2/series/1.2.1")) == 2
    mixed = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.51'
    assert web.get("/dicom-web/studies/1.2", mixed).status_code == 406
    assert web.get("/dicom-web/studies/1.2", "application/dicom").status_code == 406
    assert web.get("/dicom-web/studies/1.2/metadata").json[0]["00080018"]["Value"] == ["1.2.3.2"]
    web.archive.close()


def test_unknown_is_404_wrong_hierarchy_is_404_malformed_is_400(web):
    url, other = web.url("CT_small.dcm"), web.url("MR_small.dcm")
    study, series, uid = url.split("/")[3::2]
    wrong = other.split("/")[3]
    for tail in ("", "/metadata", "/rendered", "/thumbnail"):
        for level in ("1.2.9999", "1.2.9999/series/1", f"{wrong}/series/{series}", f"{study}/series/1.9"):
            assert web.get(f"/dicom-web/studies/{level}{tail}").status_code == 404, (level, tail)
        assert web.get(f"/dicom-web/studies/{wrong}/series/{series}/instances/{uid}{tail}").status_code == 404
        for level in ("nope", f"{study}/series/a%00b", f"{study}/series/{series}/instances/{'1' * 70}"):
            assert web.get(f"/dicom-web/studies/{level}{tail}").status_code == 400, (level, tail)
    assert web.get("/dicom-web/nonsense/<b>").json == {"error": "there is no such resource"}


def test_slashes_too_many_are_no_failure(web):
    url = web.url("CT_small.dcm")
    for odd in (url + "/", url + "/metadata/", "/dicom-web/studies/", "/dicom-web/", "/dicom-web"):
        assert web.get(odd).status_code in (200, 308), odd
    for odd in ("/dicom-web//studies", "/dicom-web/studies//series", "//dicom-web/studies", "/dicom-web/studies/%2F"):
        assert web.get(odd).status_code in (200, 308, 400, 404), odd


def test_wrong_methods_are_405_with_allow(web):
    instance = web.url("CT_small.dcm")
    wrong = {
        "/dicom-web": ("PUT", "POST", "DELETE"),
        "/dicom-web/studies": ("PUT", "DELETE"),
        instance: ("POST", "PUT"),
        f"{instance}/frames/1": ("POST", "DELETE"),
    }
    for url, methods in wrong.items():
        for method in methods:
            response = web.get(url, method=method)
            assert response.status_code == 405
            assert {"GET", "HEAD"} <= set(response.headers["Allow"].replace(" ", "").split(","))


def test_wrong_methods_of_workitems_are_405(web):
    workitem = "/dicom-web/workitems/1.2.3"
    for tail, allowed in (
        ("/state", {"PUT", "OPTIONS"}),
        ("/cancelrequest", {"POST", "OPTIONS"}),
        ("/subscribers/AE", {"POST", "DELETE", "OPTIONS"}),
        ("/subscribers/AE/suspend", {"POST", "OPTIONS"}),
    ):
        response = web.get(workitem + tail)
        assert response.status_code == 405
        assert set(response.headers["Allow"].replace(" ", "").split(",")) == allowed
        assert web.get(workitem + tail, method="OPTIONS").status_code == 200
    assert web.get(workitem, method="DELETE").status_code == 405


def test_options_names_the_methods_of_an_address_and_no_other(web):
    instance = web.url("CT_small.dcm")
    for url, allowed in {
        "/dicom-web/studies": "GET, HEAD, OPTIONS, POST",
        "/dicom-web/studies/": "GET, HEAD, OPTIONS, POST",
        instance: "DELETE, GET, HEAD, OPTIONS",
        f"{instance}/frames/1": "GET, HEAD, OPTIONS",
        "/dicom-web/workitems/1.2.3/state": "OPTIONS, PUT",
    }.items():
        response = web.get(url, method="OPTIONS")
        assert (response.status_code, response.data, response.headers["Allow"]) == (200, b"", allowed)
        assert response.headers["Allow"] == web.get(url, method="PATCH").headers["Allow"]


def test_what_is_wanted_only_as_it_was_is_412_when_it_is_not(web):
    url = web.url("CT_small.dcm")
    tag = web.get(url, "application/dicom").headers["ETag"]
    for condition, status in {tag: 200, "*": 200, f'"x", {tag}': 200, '"x"': 412, f"W/{tag}": 412}.items():
        assert web.get(url, "application/dicom", If_Match=condition).status_code == status
    for path in ("/metadata", "/frames/1", "/rendered"):
        assert web.get(url + path, If_Match='"x"').status_code == 412


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_method_makes_an_unknown_address_known(web, method):
    for path in ("nope", "studies/1.2/nope", "workitems/1.2/nope/nope"):
        assert web.get(f"/dicom-web/{path}", method=method).status_code == 404


def test_what_is_deleted_is_answered_by_nothing(tmp_path):
    web = Web(tmp_path)
    response = web.get(web.url("CT_small.dcm"), method="DELETE")
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    web.archive.close()


def test_every_route_states_what_it_needs(web):
    for rule in web.app.url_map.iter_rules():
        if rule.endpoint.startswith("dicomweb."):
            others = {"dicomweb.store": "store", "dicomweb.delete": "delete"}
            needed = "worklist" if "/workitems" in rule.rule else others.get(rule.endpoint, "read")
            assert web.app.view_functions[rule.endpoint].permission == needed, rule


def test_failures_say_what_kind_and_nothing_of_the_object(web, monkeypatch, caplog):
    def busy(*_: object) -> None:
        raise Unavailable("the database is busy")

    secret = "DOE^JOHN"

    def broken(*_: object) -> None:
        raise RuntimeError(secret)

    monkeypatch.setattr(web.archive.index, "find", busy)
    response = web.get("/dicom-web/studies")
    assert (response.status_code, response.json) == (503, {"error": "the database is busy"})
    assert response.headers["Retry-After"]
    monkeypatch.setattr(web.archive.index, "find", broken)
    with caplog.at_level(logging.ERROR):
        response = web.get("/dicom-web/studies")
    assert response.status_code == 500
    assert "DOE" not in response.text + caplog.text
    assert "RuntimeError" in caplog.text


def test_a_file_that_is_gone_breaks_the_answer_off(tmp_path):
    web = Web(tmp_path)
    url = web.url("CT_small.dcm")
    entry = web.archive.index.instance(url.rpartition("/")[2])
    second = publish(web.archive, "CT_small.dcm", SOPInstanceUID="1.2.3.4")
    publish(web.archive, "CT_small.dcm", SOPInstanceUID="1.2.3.5", Rows=128, PixelData=bytes(5 << 20))
    web.archive.files.remove("clean", entry.file)
    web.archive.files.remove("clean", second.file)
    assert web.get(url, "application/dicom").status_code == 404
    assert web.get(url).status_code == 404
    with pytest.raises(ConnectionAbortedError):
        _ = web.get(f"/dicom-web/studies/{second.study_uid}").data
    web.archive.close()


# Metadata


def test_metadata_is_complete_and_names_bulk_data_absolutely(web):
    url = web.url("CT_small.dcm")
    response = web.get(f"{url}/metadata", "application/dicom+json")
    assert response.content_type == "application/dicom+json"
    [attributes] = response.json
    assert list(attributes) == sorted(attributes)
    assert attributes["7FE00010"] == {"vr": "OW", "BulkDataURI": f"{ROOT}{url}/bulkdata/7FE00010"}
    assert attributes["00280010"] == {"vr": "US", "Value": [128]}
    study, series = url.rpartition("/series/")[0], url.rpartition("/instances/")[0]
    assert web.get(f"{study}/metadata").json == web.get(f"{series}/metadata").json == [attributes]
    assert web.get(f"{web.url('JPEG2000.dcm')}/metadata").json[0]["7FE00010"]["vr"] == "OB"


def test_metadata_is_compressed_for_who_wants_it_and_has_an_etag_that_changes(tmp_path):
    web = Web(tmp_path)
    first = publish(web.archive, "CT_small.dcm")
    url = f"/dicom-web/studies/{first.study_uid}/metadata"
    packed = web.get(url, Accept_Encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.data)) == web.get(url).json
    tag = packed.headers["ETag"]
    unchanged = web.get(url, If_None_Match=tag)
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", tag)
    assert unchanged.headers["Vary"] == packed.headers["Vary"]
    publish(web.archive, "CT_small.dcm", SOPInstanceUID="1.2.3.4")
    changed = web.get(url, If_None_Match=tag)
    assert (changed.status_code, len(changed.json)) == (200, 2)
    assert web.get(url, method="HEAD").data == b""
    web.archive.close()


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/html, image/gif, image/jpeg, */*; q=.2, */*; q=.2", 200),
        ("application/json", 200),
        ("application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*", 200),
        ("multipart/related", 406),
        ("application/dicom", 406),
    ],
)
def test_media_types_of_metadata(web, accept, status):
    assert web.get(f"{web.url('CT_small.dcm')}/metadata", accept).status_code == status


# Frames


@pytest.mark.parametrize(
    ("big", "little"),
    [
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("rtdose_expb.dcm", "rtdose.dcm"),
        ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
        ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
    ],
)
def test_big_endian_frames_are_given_little_endian(web, big, little):
    [(head, data)] = web.parts(web.url(big) + "/frames/1")
    [(_, same)] = web.parts(web.url(little) + "/frames/1", ANY)
    assert data == same
    assert head["Content-Type"] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "image_dfl.dcm", "SC_rgb_small_odd.dcm"])
def test_native_frames_are_exactly_the_samples(web, name):
    array = pixel_array(sample(name)) if name != "image_dfl.dcm" else pydicom.dcmread(sample(name)).pixel_array
    url = web.url(name) + "/frames/1"
    [(head, data)] = web.parts(url)
    assert data == array.tobytes()
    assert head["Content-Length"] == str(len(data))
    assert head["Content-Location"] == ROOT + url


def test_frames_come_in_the_order_asked_for(web):
    url = web.url("rtdose.dcm")
    array = pydicom.dcmread(sample("rtdose.dcm")).pixel_array
    parts = web.parts(f"{url}/frames/3,1,15,3")
    assert [data for _, data in parts] == [array[number].tobytes() for number in (2, 0, 14, 2)]
    assert [head["Content-Location"].rpartition("/")[2] for head, _ in parts] == ["3", "1", "15", "3"]
    assert len(web.parts(f"{url}/frames/1%2C2")) == 2
    assert len(web.parts(f"{url}/frames/1%2c2")) == 2


@pytest.mark.parametrize("frames", ["0", "1,0", "-1", "x", "1,", ",", "1,,2", "1-3", "%20", "1.0", "٣"])
def test_what_is_no_frame_number_is_400(web, frames):
    assert web.get(f"{web.url('rtdose.dcm')}/frames/{frames}").status_code == 400
    assert web.get(f"{web.url('rtdose.dcm')}/frames/{frames}/thumbnail").status_code == 400


def test_a_frame_that_is_not_there_is_404(web):
    for frames in ("16", "1,16", "999999999"):
        response = web.get(f"{web.url('rtdose.dcm')}/frames/{frames}")
        assert (response.status_code, response.json) == (404, {"error": "the instance has 15 frames"})
        assert web.get(f"{web.url('rtdose.dcm')}/frames/{frames}/thumbnail").status_code == 404
    assert web.get(f"{web.url('CT_small.dcm')}/frames/2").status_code == 404
    assert web.get(f"{web.url('test-SR.dcm')}/frames/1").status_code == 404
    assert web.get(f"{web.url('MR_truncated.dcm')}/frames/1").status_code in (404, 200)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("JPEG2000.dcm", "image/jp2"),
        ("SC_rgb_rle_2frame.dcm", "image/dicom-rle"),
        ("SC_rgb_dcmtk_+eb+cy+n2.dcm", "image/jpeg"),
        ("SC_rgb_jpeg_gdcm.dcm", "image/jpeg"),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls"),
        ("examples_ybr_color.dcm", "image/jpeg"),
    ],
)
def test_compressed_frames_are_given_as_stored_or_decoded(web, name, media_type):
    ds = pydicom.dcmread(sample(name))
    count = int(ds.get("NumberOfFrames", 1))
    encoded = list(generate_frames(ds.PixelData, number_of_frames=count))
    syntax = ds.file_meta.TransferSyntaxUID
    wanted = sorted({1, count})
    url = f"{web.url(name)}/frames/{','.join(map(str, wanted))}"
    for accept, answered in (
        (ANY, "application/octet-stream"),
        (f'multipart/related; type="{media_type}"', media_type),
    ):
        parts = web.parts(url, accept)
        assert [data for _, data in parts] == [encoded[number - 1] for number in wanted]
        assert parts[0][0]["Content-Type"] == f"{answered}; transfer-syntax={syntax}"
    array = pixel_array(ds, raw=True)
    array = array if count > 1 else array[np.newaxis]
    for accept in ("", "*/*", OCTETS, 'multipart/related; type="*/*"'):
        parts = web.parts(url, accept)
        assert [data for _, data in parts] == [array[number - 1].tobytes() for number in wanted]
        assert parts[0][0]["Content-Type"] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"


def test_one_frame_can_be_had_without_multipart(web):
    ds = pydicom.dcmread(sample("JPEG2000.dcm"))
    url = web.url("JPEG2000.dcm") + "/frames/1"
    encoded = next(generate_frames(ds.PixelData))
    alone = web.get(url, "image/jp2")
    assert (alone.data, alone.content_type) == (encoded, "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91")
    assert web.get(url, "application/octet-stream; transfer-syntax=*").data == encoded
    assert web.get(url, "image/gif").status_code == 406
    assert web.get(web.url("rtdose.dcm") + "/frames/1,2", "application/octet-stream").status_code == 406


@pytest.mark.parametrize(
    ("name", "frame", "accept"),
    [
        ("rtdose.dcm", 15, "application/octet-stream"),
        ("JPEG2000.dcm", 1, "image/jp2"),
        ("JPEG2000.dcm", 1, "application/octet-stream"),
        ("CT_small.dcm", 1, "image/jls"),
    ],
)
def test_a_frame_alone_can_be_had_in_ranges(web, name, frame, accept):
    url = f"{web.url(name)}/frames/{frame}"
    whole = web.get(url, accept)
    assert (whole.status_code, whole.headers["Accept-Ranges"]) == (200, "bytes")
    size = len(whole.data)
    for asked, (start, stop) in {
        "0-9": (0, 10),
        "5-": (5, size),
        "-7": (size - 7, size),
        "3-999999": (3, size),
    }.items():
        part = web.get(url, accept, Range=f"bytes={asked}")
        assert (part.status_code, part.data) == (206, whole.data[start:stop])
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    assert web.get(url, accept, Range=f"bytes={size}-").status_code == 416
    assert web.get(url, accept, Range="bytes=0-1,5-6").data == whole.data
    assert web.get(url, Range="bytes=0-9").status_code == 200  # as one part of many


def test_a_frame_in_many_fragments_is_joined(web, tmp_path):
    ds = pydicom.dcmread(sample("JPEG2000.dcm"))
    encoded = next(generate_frames(ds.PixelData))
    pieces = [encoded[start : start + 100] for start in range(0, len(encoded), 100)]
    pieces = [piece + b"\0" * (len(piece) % 2) for piece in pieces]
    ds.PixelData = pydicom.encaps.encapsulate([b"".join(pieces)] * 2, fragments_per_frame=5, has_bot=False)
    ds.NumberOfFrames = 2
    ds.SOPInstanceUID = "1.2.77"
    ds.save_as(tmp_path / "fragments.dcm")
    url = url_of(
        publish(web.archive, tmp_path / "fragments.dcm", StudyInstanceUID="1.2.78", SeriesInstanceUID="1.2.79")
    )
    parts = web.parts(f"{url}/frames/1,2", ANY)
    assert [data for _, data in parts] == [b"".join(pieces)] * 2


def test_frames_of_single_bits_start_at_a_byte(web, tmp_path):
    frames = np.random.default_rng(1).integers(0, 2, (5, 7, 3), dtype=np.uint8)
    ds = pydicom.dcmread(sample("liver_1frame.dcm"))
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SOPInstanceUID = 7, 3, 5, "1.2.80"
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    ds.PixelData = packed + b"\0" * (len(packed) % 2)
    ds.save_as(tmp_path / "bits.dcm")
    url = url_of(publish(web.archive, tmp_path / "bits.dcm", StudyInstanceUID="1.2.81", SeriesInstanceUID="1.2.82"))
    parts = web.parts(f"{url}/frames/1,2,3,4,5")
    for (_, data), frame in zip(parts, frames, strict=True):
        assert data == np.packbits(frame.ravel(), bitorder="little").tobytes()


@pytest.mark.parametrize("size", [(7, 3), (16, 16)])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"])
def test_compressed_frames_of_single_bits_are_decoded(web, tmp_path, caplog, syntax, size):
    frames = np.random.default_rng(1).integers(0, 2, (3, *size), dtype=np.uint8)
    frames[1] = 1
    packed = [np.packbits(frame.ravel(), bitorder="little").tobytes() for frame in frames]
    ds = pydicom.dcmread(sample("liver_1frame.dcm"))
    ds.Rows, ds.Columns, ds.NumberOfFrames = *size, 3
    uid = f"1.2.83.{syntax[-1]}.{size[0]}"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = uid, f"{uid}.1", f"{uid}.2"
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = pydicom.encaps.encapsulate([_compressed(data, syntax) for data in packed])
    ds["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(tmp_path / "bits.dcm", ds, implicit_vr=False, little_endian=True)
    url = url_of(publish(web.archive, tmp_path / "bits.dcm"))
    for accept in ("", OCTETS, f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"):
        assert [data for _, data in web.parts(f"{url}/frames/1,2,3", accept)] == packed
    assert [data for _, data in web.parts(f"{url}/pixeldata")] == packed
    stored = web.parts(f"{url}/frames/1", ANY)[0]
    assert stored[0]["Content-Type"] == f"application/octet-stream; transfer-syntax={syntax}"
    assert stored[1] == _compressed(packed[0], syntax)
    shown = web.get(f"{url}/frames/1/rendered", "image/png")
    assert (np.asarray(Image.open(io.BytesIO(shown.data)).convert("L")) == frames[0] * 255).all()
    assert web.get(f"{url}/thumbnail").status_code == 200
    native = pydicom.dcmread(io.BytesIO(web.get(url, "application/dicom").data))
    assert native.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert native.PixelData.startswith(np.packbits(frames.ravel(), bitorder="little").tobytes())
    assert not caplog.records


def _compressed(data: bytes, syntax: str) -> bytes:
    """A frame without runs as RLE (PS3.5 Annex G), or deflated; padded."""
    if syntax.endswith("8.1"):
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        made = deflate.compress(data) + deflate.flush()
    else:
        made = struct.pack("<16L", 1, 64, *[0] * 14) + bytes([len(data) - 1]) + data
    return made + bytes(len(made) % 2)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"])
def test_frames_of_single_bits_that_are_broken_are_406(web, tmp_path, caplog, syntax):
    ds = pydicom.dcmread(sample("liver_1frame.dcm"))
    uid = f"1.2.84.{syntax[-1]}"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = uid, f"{uid}.1", f"{uid}.2"
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = pydicom.encaps.encapsulate([_compressed(bytes(100), syntax)])
    ds["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(tmp_path / "bits.dcm", ds, implicit_vr=False, little_endian=True)
    url = url_of(publish(web.archive, tmp_path / "bits.dcm"))
    for tail in ("rendered", "thumbnail", "frames/1?accept=application/octet-stream"):
        response = web.get(f"{url}/{tail}")
        assert response.status_code == 406
        assert "Error" not in response.json["error"]
    assert not caplog.records


@pytest.mark.shared
@pytest.mark.parametrize("name", ["liver_rle.dcm", "liver_deflate.dcm"])
def test_genuine_compressed_segmentations_are_decoded(web, name):
    url = web.url(SHARED / "data" / "pydicom-data" / name)
    packed = pydicom.dcmread(SHARED / "data" / "pydicom-data" / "liver.dcm").PixelData
    assert b"".join(data for _, data in web.parts(f"{url}/frames/1,2,3")) == packed[: 3 * 512 * 512 // 8]
    assert web.get(f"{url}/rendered").status_code == 200


def test_a_video_has_no_single_frames(web, tmp_path):
    ds = pydicom.dcmread(sample("JPEG2000.dcm"))
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.90", "1.2.91", "1.2.92"
    ds.save_as(tmp_path / "video.dcm")
    url = url_of(publish(web.archive, tmp_path / "video.dcm"))
    for tail in ("frames/1", "rendered"):
        response = web.get(f"{url}/{tail}")
        assert response.status_code == 406
        assert "video" in response.json["error"]
    assert web.get(url, "application/dicom").status_code == 200


def test_a_frame_that_cannot_be_decoded_is_given_as_stored_to_who_takes_anything(web, tmp_path):
    ds = pydicom.dcmread(sample("JPEG2000.dcm"))
    ds.PixelData = pydicom.encaps.encapsulate([b"no image at all."])
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.95", "1.2.96", "1.2.97"
    ds.save_as(tmp_path / "broken.dcm")
    url = url_of(publish(web.archive, tmp_path / "broken.dcm"))
    assert web.get(f"{url}/frames/1", 'multipart/related; type="application/octet-stream"').status_code == 406
    assert web.get(f"{url}/rendered").status_code == 406
    (headers, body), *_ = web.parts(f"{url}/frames/1", "*/*")
    assert body == b"no image at all."
    assert "transfer-syntax=1.2.840.10008.1.2.4.91" in str(headers)
    assert web.parts(f"{url}/frames/1", ANY)[0][1] == b"no image at all."
    for tail in ("bulkdata", "pixeldata", "bulkdata/7FE00010"):
        [(headers, body), *_] = web.parts(f"{url}/{tail}")
        assert body == b"no image at all."
        assert "transfer-syntax=1.2.840.10008.1.2.4.91" in str(headers)
        assert web.get(f"{url}/{tail}", 'multipart/related; type="application/octet-stream"').status_code == 406


# Bulk data


def test_whole_pixel_data_and_ranges_of_it(web):
    [attributes] = web.get(f"{web.url('rtdose.dcm')}/metadata").json
    url = attributes["7FE00010"]["BulkDataURI"].removeprefix(ROOT)
    value = pydicom.dcmread(sample("rtdose.dcm")).PixelData
    [(head, data)] = web.parts(url)
    assert data == value
    assert head["Content-Location"] == ROOT + url
    alone = web.get(url, "application/octet-stream")
    assert (alone.data, alone.headers["Accept-Ranges"]) == (value, "bytes")
    ranges = {"0-99": (0, 100), "5990-": (5990, 6000), "-10": (5990, 6000), "-6001": (0, 6000), "9-9999": (9, 6000)}
    for asked, (start, stop) in ranges.items():
        part = web.get(url, "application/octet-stream", Range=f"bytes={asked}")
        assert (part.status_code, part.data) == (206, value[start:stop])
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/6000"
        assert part.headers["Content-Length"] == str(stop - start)
    packed = web.get(url, Range="bytes=1-3")
    assert packed.status_code == 206
    assert parts_of(packed.data, packed.content_type)[0][1] == value[1:4]
    beyond = web.get(url, "application/octet-stream", Range="bytes=6000-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */6000")
    assert "Content-Type" not in beyond.headers
    assert web.get(url, "application/octet-stream", Range="lines=1-2").status_code == 200
    head = web.get(url, "application/octet-stream", method="HEAD", Range="bytes=0-9")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "6000")


def test_big_endian_bulk_data_is_turned_also_from_the_middle_of_a_word(web):
    value = pydicom.dcmread(sample("MR_small.dcm")).PixelData
    url = f"{web.url('MR_small_bigendian.dcm')}/bulkdata/7FE00010"
    assert web.get(url, "application/octet-stream").data == value
    assert web.get(url, "application/octet-stream", Range="bytes=3-8").data == value[3:9]


def test_every_bulk_data_uri_resolves_to_its_value(web):
    seen = 0
    for name in ("waveform_ecg.dcm", "examples_palette.dcm", "liver_1frame.dcm", "examples_overlay.dcm"):
        ds = pydicom.dcmread(sample(name))
        for uri in uris(web.get(f"{web.url(name)}/metadata").json[0]):
            assert uri.startswith(ROOT + web.url(name))
            path = uri.rpartition("/bulkdata/")[2].split("/")
            within = ds
            for tag, number in zip(path[:-1:2], path[1::2], strict=True):
                within = within[int(tag, 16)].value[int(number)]
            assert web.get(uri.removeprefix(ROOT), "application/octet-stream").data == within[int(path[-1], 16)].value
            seen += 1
    assert seen > 6


def uris(attributes: dict) -> list[str]:
    found = []
    for element in attributes.values():
        if "BulkDataURI" in element:
            found.append(element["BulkDataURI"])
        for value in element.get("Value", []) if element["vr"] == "SQ" else []:
            found += uris(value)
    return found


def test_compressed_pixel_data_is_given_as_its_frames(web):
    url = web.url("SC_rgb_rle_2frame.dcm")
    for accept in ("", ANY, 'multipart/related; type="image/dicom-rle"'):
        whole = [data for _, data in web.parts(f"{url}/bulkdata/7FE00010", accept)]
        assert whole == [data for _, data in web.parts(f"{url}/frames/1,2", accept)]


def test_compressed_pixel_data_as_a_whole_is_given_under_its_own_type(web):
    encoded = next(generate_frames(pydicom.dcmread(sample("SC_rgb_jpeg_dcmtk.dcm")).PixelData))
    url, jpeg = web.url("SC_rgb_jpeg_dcmtk.dcm"), "multipart/related; type=image/jpeg"
    for tail in ("pixeldata", "bulkdata", "bulkdata/7FE00010"):
        response = web.get(f"{url}/{tail}", jpeg)
        assert response.content_type.startswith('multipart/related; type="image/jpeg"; ')
        [(head, data)] = parts_of(response.data, response.content_type)
        assert (head["Content-Type"], data) == (f"image/jpeg; transfer-syntax={JPEG}", encoded)


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "CT_small.dcm", "SC_rgb_rle_2frame.dcm"])
def test_pixel_data_is_made_into_what_frames_are_made_into(web, name):
    url, count = web.url(name), 2 if "2frame" in name else 1
    single = [data for _, data in web.parts(f"{url}/frames/{'1,2' if count == 2 else 1}", JLS)]
    for tail in ("pixeldata", "bulkdata/7FE00010"):
        assert [data for _, data in web.parts(f"{url}/{tail}", JLS)] == single
    first = web.get(f"{url}/pixeldata", JLS)
    assert web.get(f"{url}/pixeldata", JLS, If_None_Match=first.headers["ETag"]).status_code == 304
    baseline = f"multipart/related; type=image/jpeg; transfer-syntax={JPEG}"
    assert web.get(f"{url}/pixeldata", baseline).status_code == (406 if name == "CT_small.dcm" else 200)
    assert web.get(f"{url}/pixeldata", "multipart/related; type=image/png").status_code == 406


@pytest.mark.parametrize(
    ("syntax", "begins", "types"),
    [
        ("1.2.840.10008.1.2.4.102", b"\0\0\0\x18ftypisom", ["video/mp4"]),
        ("1.2.840.10008.1.2.4.102", b"\0\0\0\x01\x67\x64\0\x28", []),
        ("1.2.840.10008.1.2.4.100", b"\0\0\x01\xb3\x16\0", ["video/mpeg", "video/mpeg2"]),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_video_is_given_as_its_stream(web, tmp_path, syntax, begins, types, pieces):
    stream = begins + bytes(range(100)) * 2
    half = len(stream) // 4 * 2
    ds = pydicom.dcmread(sample("JPEG2000.dcm"))
    ds.file_meta.TransferSyntaxUID, ds.NumberOfFrames = syntax, 9
    ds.PixelData = pydicom.encaps.encapsulate(
        [stream] if pieces == 1 else [stream[:half], stream[half:]], has_bot=False
    )
    uid = f"1.2.93.{pieces}.{len(types)}.{len(begins)}"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = uid, f"{uid}.1", f"{uid}.2"
    ds.save_as(tmp_path / "video.dcm")
    url = url_of(publish(web.archive, tmp_path / "video.dcm"))
    value = f"{url}/bulkdata/7FE00010"
    for tail in ("bulkdata/7FE00010", "bulkdata", "pixeldata"):
        for accept in ("", ANY, OCTETS, f"{OCTETS}; transfer-syntax={syntax}"):
            [(head, data)] = web.parts(f"{url}/{tail}", accept)
            assert head["Content-Type"] == f"application/octet-stream; transfer-syntax={syntax}"
            assert (data, head["Content-Location"]) == (stream, ROOT + value)
        for name in ("video/mp4", "video/mpeg", "video/mpeg2"):
            response = web.get(f"{url}/{tail}", f'multipart/related; type="{name}"')
            assert response.status_code == (200 if name in types else 406)
    for address in (value, f"{url}/pixeldata"):
        media_type = types[0] if types else "application/octet-stream"
        alone = web.get(address, media_type)
        assert (alone.data, alone.content_type) == (stream, f"{media_type}; transfer-syntax={syntax}")
        packed = web.get(address, f'multipart/related; type="{media_type}"')
        assert packed.content_type.startswith(f'multipart/related; type="{media_type}"; boundary=')
    part = web.get(value, "application/octet-stream", Range="bytes=2-9")
    assert (part.status_code, part.data) == ((206, stream[2:10]) if pieces == 1 else (200, stream))


@pytest.mark.parametrize(
    "path", ["00991001", "nope", "7FE00010/0", "00081140/0/00080000", "7FE00010/-1/7FE00010", "1/"]
)
def test_bulk_data_that_is_not_there_is_404(web, path):
    assert web.get(f"{web.url('CT_small.dcm')}/bulkdata/{path}").status_code == 404


def test_every_element_of_every_file_is_located():
    """Against pydicom's own reading, at every depth, in every encoding."""
    located, broken = 0, {"rtplan_truncated.dcm", "SC_rgb_jpeg.dcm"}
    for path in samples():
        if path.stat().st_size > 40_000:
            continue
        try:
            ds = pydicom.dcmread(path)
            syntax = ds.file_meta.TransferSyntaxUID
        except Exception:
            continue
        if syntax.is_deflated or ds.original_encoding[0] != syntax.is_implicit_VR or path.name in broken:
            continue
        with path.open("rb") as file:
            located += walk(file, syntax, ds, [])
    assert located > 3000


def walk(file: io.BufferedReader, syntax: str, ds: pydicom.Dataset, above: list[int]) -> int:
    located = 0
    for tag in ds.keys():  # noqa: SIM118
        item = ds.get_item(tag)
        if isinstance(item, pydicom.dataelem.RawDataElement) and item.value is not None and item.VR != "SQ":
            place = locate(file, str(syntax), [*above, tag])
            if place.length is not None:
                file.seek(place.offset)
                assert file.read(place.length) == item.value, (file.name, tag)
                located += 1
        elif item.VR == "SQ":
            for number, nested in enumerate(ds[tag].value or []):
                located += walk(file, syntax, nested, [*above, tag, number])
    return located


def test_nothing_is_located_in_what_is_no_file():
    for data in (b"", b"\0" * 128 + b"DICM", b"\0" * 200, b"\0" * 132 + b"\x08\x00\x05\x00CS\xff\xff"):
        with pytest.raises(NotFound):
            locate(io.BytesIO(data), "1.2.840.10008.1.2.1", [0x7FE00010])


@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.2.9", "1.2.3", "1.2.840.10008.1.2.8.99"])
def test_a_transfer_syntax_nobody_knows_is_taken_for_explicit_little_endian(syntax):
    with sample("CT_small.dcm").open("rb") as file:
        assert locate(file, syntax, [0x7FE00010]).length == 32768
