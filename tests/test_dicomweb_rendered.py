"""Rendered images and thumbnails (PS3.18 10.4.1.1.3): what the picture shows, and what may be asked for."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from dicomweb_archive import app_over, parts_of, publish, sample, url_of
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from lethe.dicomweb.pictures import Viewport, fitted
from lethe.dicomweb.rendering import Curve, Window, picture
from lethe.storage.archive import Archive

ROOT = "http://node.test"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("rendered"))
    yield archive
    archive.close()


@pytest.fixture
def get(archive):
    client = app_over(archive).test_client()
    return lambda url, accept="", **more: client.get(url, headers={"Accept": accept, **more} if accept else more)


@pytest.fixture
def url(archive):
    urls: dict[str, str] = {}

    def url(name: str) -> str:
        if name not in urls:
            uid = "1.3." + ".".join(str(byte) for byte in name.encode()[-12:])
            uids = {"SOPInstanceUID": uid, "SeriesInstanceUID": uid + ".1", "StudyInstanceUID": uid + ".2"}
            try:
                urls[name] = url_of(archive.index.instance(uid))
            except Exception:
                urls[name] = url_of(publish(archive, name, **uids))
        return urls[name]

    return url


def image(response) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.data))


def pixels(response) -> np.ndarray:
    return np.asarray(image(response))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("CT_small.dcm", (128, 128)),
        ("MR_small_bigendian.dcm", (64, 64)),
        ("JPEG2000.dcm", (256, 1024)),
        ("SC_rgb_rle_16bit_2frame.dcm", (100, 100)),
        ("SC_rgb_dcmtk_+eb+cy+n2.dcm", (100, 100)),
        ("SC_ybr_full_422_uncompressed.dcm", (100, 100)),
        ("SC_rgb_small_odd_big_endian.dcm", (3, 3)),
        ("examples_palette.dcm", (800, 350)),
        ("examples_ybr_color.dcm", (320, 240)),
        ("liver_1frame.dcm", (512, 512)),
        ("rtdose.dcm", (10, 10)),
        ("image_dfl.dcm", (512, 512)),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64)),
    ],
)
def test_every_kind_of_image_becomes_a_picture(get, url, name, size):
    response = get(f"{url(name)}/rendered")
    assert response.content_type == "image/jpeg"
    assert image(response).size == size
    png = pixels(get(f"{url(name)}/rendered", "image/png")).astype(int)
    assert png.std() > 0
    assert image(get(f"{url(name)}/rendered", "image/gif")).format == "GIF"
    assert max(image(get(f"{url(name)}/thumbnail")).size) == 256


def test_colours_are_right(get, url):
    rgb = pydicom.dcmread(sample("SC_rgb_rle_2frame.dcm")).pixel_array[0]
    assert (pixels(get(f"{url('SC_rgb_rle_2frame.dcm')}/rendered", "image/png")) == rgb).all()
    ybr = pixels(get(f"{url('SC_ybr_full_422_uncompressed.dcm')}/rendered", "image/png")).astype(int)
    assert abs(ybr[5, 50] - [255, 0, 0]).max() < 10
    deep = pixels(get(f"{url('SC_rgb_rle_16bit_2frame.dcm')}/rendered", "image/png")).astype(int)
    assert abs(deep[5, 50] - [255, 0, 0]).max() < 3


def test_one_picture_of_several_frames_is_the_first(get, url):
    base = url("rtdose.dcm")
    assert get(f"{base}/rendered").data == get(f"{base}/frames/1/rendered").data
    assert get(f"{base}/rendered").data != get(f"{base}/frames/15/rendered").data
    assert get(f"{base}/frames/16/rendered").status_code == 404
    assert get(f"{base}/frames/0/rendered").status_code == 400
    assert image(get(f"{base}/frames/3/thumbnail")).size == (256, 256)


def test_a_window_works_on_rescaled_values(get, url):
    ds = pydicom.dcmread(sample("CT_small.dcm"))
    hounsfield = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    expected = np.clip((hounsfield - (100 - 0.5)) / 199 + 0.5, 0, 1) * 255
    for query in ("window=100,200,linear", "window=100%2C200%2Clinear", "window=1e2,2.0e2,LINEAR"):
        shown = pixels(get(f"{url('CT_small.dcm')}/rendered?{query}", "image/png")).astype(int)
        assert abs(shown - expected).max() <= 1


@pytest.mark.parametrize(
    "query",
    [
        "window=1,2",
        "window=1,2,cubic",
        "window=1,x,linear",
        "window=1,0,linear",
        "window=nan,1,linear",
        "window=",
        "window=1,2,linear,",
        "viewport=0,1",
        "viewport=1",
        "viewport=a,b",
        "viewport=1,2,3",
        "viewport=99999,1",
        "viewport=1,1,0,0,0,5",
        "viewport=,5",
        "viewport=9,9,0,0,1e999,5",
        "viewport=9,9,1e999,0,5,5",
        "window=1e999,1,linear",
        "quality=0",
        "quality=101",
        "quality=x",
    ],
)
def test_malformed_wishes_are_400(get, url, query):
    assert get(f"{url('CT_small.dcm')}/rendered?{query}").status_code == 400


def test_viewport_quality_and_media_type(get, url):
    base = f"{url('examples_palette.dcm')}/rendered"
    assert image(get(f"{base}?viewport=200%2C200")).size == (200, 88)
    part = pixels(get(f"{base}?viewport=100,100,10,20,100,100", "image/png"))
    assert (part == pixels(get(base, "image/png"))[20:120, 10:110]).all()
    cut = pixels(get(f"{base}?viewport=790,330,10,20,,", "image/png"))
    assert (cut == pixels(get(f"{base}?viewport=790,330,10,20,790,330", "image/png"))).all()
    assert image(get(f"{base}?viewport=8,8,,,10,10")).size == (8, 8)
    sizes = [len(get(f"{base}?quality={quality}").data) for quality in (5, 50, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert get(base, "application/dicom+json").status_code == 406
    assert get(f"{base}?accept=image/png", "image/jpeg").content_type == "image/png"


def test_text_is_written_where_it_is_asked_for_and_only_there(get, url):
    base = f"{url('CT_small.dcm')}/rendered?viewport=512,512"
    plain = pixels(get(base, "image/png"))
    for words, top, bottom in (("patient", True, False), ("technique", False, True), ("technique,patient", True, True)):
        response = get(f"{base}&annotation={words}", "image/png")
        assert "Warning" not in response.headers
        written = (pixels(response) != plain).any(axis=1)
        assert (written[:100].any(), written[420:].any()) == (top, bottom), words
        assert not written[200:300].any()
    assert pixels(get(f"{url('CT_small.dcm')}/rendered?viewport=8,8&annotation=patient", "image/png")).shape[:2] == (
        8,
        8,
    )
    plain = get(base)
    assert "Warning" not in plain.headers
    for asked, like in (("bogus", plain), ("patient,bogus", get(f"{base}&annotation=patient")), ("", plain)):
        answer = get(f"{base}&annotation={asked}")
        assert (answer.status_code, answer.data) == (200, like.data)
        warning = answer.headers.get("Warning", "")
        assert warning.startswith("299 ") == bool(asked)
        assert "bogus" not in warning


def test_a_picture_is_not_sent_twice(archive, url):
    client, base = app_over(archive).test_client(), f"{url('CT_small.dcm')}/thumbnail"
    tag = client.get(base).headers["ETag"]
    assert client.get(base, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"{base}?viewport=9,9", headers={"If-None-Match": tag}).status_code == 200


def test_a_thumbnail_heeds_its_viewport_alone(archive, url):
    client, base = app_over(archive).test_client(), f"{url('CT_small.dcm')}/thumbnail"
    plain = client.get(base).data
    for other in ("annotation=patient", "window=10,5,linear", "window=none", "quality=5", "iccprofile=yes"):
        assert client.get(f"{base}?{other}").data == plain, other
    assert client.get(f"{base}?viewport=none").status_code == 400


def test_a_study_is_shown_by_an_image_even_if_its_first_series_has_none(archive, get):
    uids = {"StudyInstanceUID": "1.4"}
    publish(archive, "test-SR.dcm", SOPInstanceUID="1.4.1", SeriesInstanceUID="1.4.2", SeriesNumber=1, **uids)
    assert get("/dicom-web/studies/1.4/thumbnail").status_code == 404
    assert get("/dicom-web/studies/1.4/series/1.4.2/instances/1.4.1/thumbnail").status_code == 404
    for number in range(1, 6):
        more = {"SOPInstanceUID": f"1.4.3.{number}", "InstanceNumber": number, "SeriesInstanceUID": "1.4.3"}
        publish(archive, "CT_small.dcm", PatientComments=str(number), SeriesNumber=2, **uids, **more)
    assert image(get("/dicom-web/studies/1.4/thumbnail")).size == (256, 256)
    assert image(get("/dicom-web/studies/1.4/rendered")).size == (128, 128)
    assert image(get("/dicom-web/studies/1.4/series/1.4.3/rendered")).size == (128, 128)
    assert get("/dicom-web/studies/1.4/series/1.4.9/thumbnail").status_code == 404


def test_a_series_is_shown_by_one_of_those_that_have_pixel_data(archive, get, tmp_path):
    ds = pydicom.dcmread(sample("CT_small.dcm"))
    del ds.PixelData
    ds.save_as(tmp_path / "bare.dcm")
    uids = {"StudyInstanceUID": "1.41", "SeriesInstanceUID": "1.41.1", "SeriesNumber": 1}
    publish(archive, tmp_path / "bare.dcm", SOPInstanceUID="1.41.1.1", InstanceNumber=1, **uids)
    assert get("/dicom-web/studies/1.41/rendered").status_code == 404
    publish(archive, "test-SR.dcm", SOPInstanceUID="1.41.1.2", InstanceNumber=2, **uids)
    small = {"StudyInstanceUID": "1.41", "SeriesInstanceUID": "1.41.2", "SeriesNumber": 2}
    publish(archive, "MR_small.dcm", SOPInstanceUID="1.41.2.1", **small)
    for tail, size in (("rendered", (64, 64)), ("thumbnail", (256, 256))):
        assert image(get(f"/dicom-web/studies/1.41/{tail}")).size == size
    for number, name in ((3, "CT_small.dcm"), (4, "rtdose.dcm")):
        publish(archive, name, SOPInstanceUID=f"1.41.1.{number}", InstanceNumber=number, **uids)
    assert image(get("/dicom-web/studies/1.41/rendered")).size == (128, 128)
    dose = get("/dicom-web/studies/1.41/series/1.41.1/instances/1.41.1.4/thumbnail")
    for level in ("1.41", "1.41/series/1.41.1"):
        assert get(f"/dicom-web/studies/{level}/thumbnail").data == dose.data


def test_rendered_as_multipart_a_study_is_all_its_images(archive, get):
    study = "1.2.77"
    for number, name in enumerate(("test-SR.dcm", "CT_small.dcm", "rtdose.dcm", "MR_small.dcm", "MR_small_RLE.dcm"), 1):
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number % 2}"}
        broken = {"PixelData": encapsulate([b"no RLE"]), "InstanceNumber": 1} if number == 5 else {}
        publish(archive, name, **uids, SOPInstanceUID=f"{study}.9.{number}", **broken)
    url, kind = f"/dicom-web/studies/{study}", "multipart/related; type=image/png"
    response = get(f"{url}/rendered?viewport=32,32", kind)
    parts = parts_of(response.data, response.content_type)
    assert sorted(head["Content-Location"].partition("/instances/")[2] for head, _ in parts) == [
        f"{study}.9.{number}/frames/1/rendered" for number in (2, 3, 4)
    ]
    for head, data in parts:
        assert (head["Content-Type"], Image.open(io.BytesIO(data)).size) == ("image/png", (32, 32))
        assert data == get(head["Content-Location"].partition("node.test")[2] + "?viewport=32,32", "image/png").data
    assert get(f"{url}/rendered?viewport=32,32", kind, If_None_Match=response.headers["ETag"]).status_code == 304
    series = get(f"{url}/series/{study}.0/rendered", kind)
    assert len(parts_of(series.data, series.content_type)) == 2
    assert get(f"{url}/rendered", "multipart/related; type=image/tiff").status_code == 406
    broken = get(f"{url}/series/{study}.1/instances/{study}.9.5/rendered", "image/png")
    assert broken.status_code == 406  # and was left out
    assert get(f"{url}/rendered", "*/*").content_type == "image/jpeg"


def test_a_study_without_images_is_shown_by_a_document(archive, get):
    uids = {"StudyInstanceUID": "1.42", "SeriesInstanceUID": "1.42.1"}
    publish(archive, "test-SR.dcm", SOPInstanceUID="1.42.1.1", InstanceNumber=1, **uids)
    alone = get("/dicom-web/studies/1.42/series/1.42.1/instances/1.42.1.1/rendered")
    for level in ("1.42", "1.42/series/1.42.1"):
        response = get(f"/dicom-web/studies/{level}/rendered")
        assert (response.content_type, response.data) == ("text/html; charset=utf-8", alone.data)
        assert get(f"/dicom-web/studies/{level}/rendered", "image/png").status_code == 406
        assert get(f"/dicom-web/studies/{level}/thumbnail").status_code == 404


# The pure part


def header(**values: object) -> Dataset:
    ds = Dataset()
    ds.PhotometricInterpretation, ds.BitsStored = "MONOCHROME2", 16
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def shown(values: list[float], ds: Dataset, number: int = 1, window: Window | None = None) -> list[int]:
    return np.asarray(picture(np.array([values]), ds, number, window=window))[0].tolist()


def test_the_three_window_functions():
    assert shown([-1, 0, 99.5, 199, 300], header(), window=Window(100, 200)) == [0, 0, 128, 255, 255]
    assert shown([0, 100, 200], header(), window=Window(100, 200, Curve.LINEAR_EXACT)) == [0, 128, 255]
    assert shown([-1e9, 100, 1e9], header(), window=Window(100, 200, Curve.SIGMOID)) == [0, 128, 255]
    assert shown([99, 100], header(), window=Window(100, 1)) == [0, 255]


def test_the_window_comes_from_the_object_or_the_values_and_monochrome1_is_inverted():
    ds = header(WindowCenter=["100", "5"], WindowWidth=["200", "5"])
    assert shown([0, 199], ds) == [0, 255]
    ds.VOILUTFunction = "SIGMOID"
    assert 25 < shown([0, 199], ds)[0] < 35
    assert shown([-5, 0, 5], header()) == [0, 128, 255]
    assert shown([7, 7], header()) == [128, 128]
    assert shown([-2000, 0, 10], header(PixelPaddingValue=-2000)) == [0, 0, 255]
    assert shown([0, 10], header(PhotometricInterpretation="MONOCHROME1")) == [255, 0]
    assert shown([0, 1], header(WindowCenter="", WindowWidth="0")) == [0, 255]
    assert shown([float("nan"), 1.0, 2.0], header())[1:] == [0, 255]


def test_values_of_functional_groups_come_before_those_of_the_object():
    def group(center: str, slope: str) -> Dataset:
        voi, rescale, item = Dataset(), Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, "201"
        rescale.RescaleSlope, rescale.RescaleIntercept = slope, "0"
        item.FrameVOILUTSequence, item.PixelValueTransformationSequence = [voi], [rescale]
        return item

    ds = header(WindowCenter="1", WindowWidth="1")
    ds.SharedFunctionalGroupsSequence = [group("100.5", "1")]
    assert shown([0, 100, 200], ds) == [0, 128, 255]
    ds.PerFrameFunctionalGroupsSequence = [Dataset(), group("200.5", "2")]
    assert shown([0, 100, 200], ds, 1) == [0, 128, 255]
    assert shown([0, 50, 100, 150], ds, 2) == [0, 0, 128, 255]


def test_a_region_may_be_mirrored_and_lie_at_the_edge():
    ramp = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    assert np.asarray(fitted(ramp, Viewport(2, 2, (1, 1, 2, 2)))).tolist() == [[5, 6], [9, 10]]
    assert np.asarray(fitted(ramp, Viewport(2, 2, (1, 1, -2, -2)))).tolist() == [[10, 9], [6, 5]]
    assert fitted(ramp, Viewport(9, 9, (3, 3, 50, 50))).size == (9, 9)
    assert fitted(ramp, None) is ramp


def test_a_voi_table_is_applied_to_rescaled_values():
    table = Dataset()
    table.add_new(0x00283002, "SS", [4, -1, 8])
    table.add_new(0x00283006, "US", [0, 10, 20, 255])
    ds = header(VOILUTSequence=[table], PixelRepresentation=1, RescaleSlope="1", RescaleIntercept="-10")
    assert shown([0, 9, 10, 11, 12, 99], ds) == [0, 0, 10, 20, 255, 255]


def test_what_cannot_be_followed_is_406_and_no_failure(archive, get):
    uids = {"SOPInstanceUID": "1.5.1", "SeriesInstanceUID": "1.5.2", "StudyInstanceUID": "1.5.3"}
    without = publish(archive, "CT_small.dcm", PhotometricInterpretation="PALETTE COLOR", **uids)
    assert get(f"{url_of(without)}/rendered").status_code == 406
