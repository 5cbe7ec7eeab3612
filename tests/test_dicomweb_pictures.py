"""What pictures show of every kind of pixel data, against pydicom's reading; presentation states, documents, cines."""

from __future__ import annotations

import io
import subprocess
from html import escape

import numpy as np
import pydicom
import pytest
from dicomweb_archive import app_over, parts_of, publish, sample, url_of
from PIL import Image, ImageCms
from programs import need
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing, convert_color_space
from pydicom.uid import ExplicitVRLittleEndian

from lethe.dicomweb.colourspaces import profile_of
from lethe.storage.archive import Archive

EXACT, ROUNDED, CONVERTED = 0, 1, 2
"""Grey levels of 256 by which a picture may differ: not at all; by rounding; by converting colours in whole numbers."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("pictures"))
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def get(archive):
    client = app_over(archive).test_client()
    return lambda url, accept="image/png", **headers: client.get(url, headers={"Accept": accept, **headers})


class Studio:
    """Publishes objects that are made here."""

    def __init__(self, archive: Archive, folder) -> None:
        self.archive, self.folder, self.made = archive, folder, 0

    def publish(self, ds: Dataset, study: str = "") -> str:
        self.made += 1
        ds.SOPInstanceUID = ds.get("SOPInstanceUID") or f"1.11.{self.made}.1"
        ds.StudyInstanceUID = study or f"1.11.{self.made}.2"
        ds.SeriesInstanceUID = f"1.11.{self.made}.3"
        path = self.folder / f"{self.made}.dcm"
        ds.save_as(path, enforce_file_format=True)
        return url_of(publish(self.archive, path))


@pytest.fixture
def studio(archive, tmp_path):
    Studio.number = getattr(Studio, "number", 0)
    studio = Studio(archive, tmp_path)
    studio.made = Studio.number
    yield studio
    Studio.number = studio.made


def an_object(sop_class: str = "1.2.840.10008.5.1.4.1.1.7", **values: object) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = sop_class
    ds.PatientID, ds.Modality = "A", "OT"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def an_image(array: np.ndarray, photometric: str = "MONOCHROME2", *, bits: int = 0, planar: int = 0, **more: object):
    ds = an_object(**more)
    ds.Rows, ds.Columns = array.shape[:2]
    ds.SamplesPerPixel = 1 if array.ndim == 2 else 3
    ds.PhotometricInterpretation = photometric
    ds.BitsAllocated = 8 * array.itemsize
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(array.dtype.kind == "i")
    if array.ndim == 3:
        ds.PlanarConfiguration = planar
        array = np.moveaxis(array, 2, 0) if planar else array
    data = np.ascontiguousarray(array).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    return ds


def shown(get, url: str, query: str = "", accept: str = "image/png") -> np.ndarray:
    response = get(f"{url}/rendered{query}", accept)
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.data))).astype(int)


def ramp(high: int, dtype: str = "u2", low: int = 0) -> np.ndarray:
    return np.linspace(low, high, 40 * 30).reshape(40, 30).round().astype(dtype)


def colours() -> np.ndarray:
    across, down = np.meshgrid(np.linspace(0, 255, 30), np.linspace(0, 255, 40))
    return np.stack([across, down, 255 - across], axis=2).round().astype(np.uint8)


def by_pydicom(ds: Dataset) -> np.ndarray:
    """Windowed by pydicom and brought to 8 bits."""
    rescaled = apply_modality_lut(ds.pixel_array, ds)
    windowed = apply_windowing(rescaled, ds).astype(float)
    bits = int(ds.BitsStored)
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    lowest = -(1 << (bits - 1)) if ds.PixelRepresentation else 0
    highest = lowest + (1 << bits) - 1
    low, high = lowest * slope + intercept, highest * slope + intercept
    grey = (windowed - low) / (high - low) * 255
    return 255 - grey if ds.PhotometricInterpretation == "MONOCHROME1" else grey


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("array", "bits"),
    [
        (ramp(255, "u1"), 8),
        (ramp(127, "i1", -128), 8),
        (ramp(4095), 12),
        (ramp(2047, "i2", -2048), 12),
        (ramp(65535), 16),
        (ramp(32767, "i2", -32768), 16),
        (ramp(2**32 - 1, "u4"), 32),
        (ramp(2**31 - 1, "i4", -(2**31)), 32),
    ],
)
def test_grey_of_any_depth_is_as_pydicom_has_it(get, studio, array, bits, photometric):
    span = float(array.max()) - float(array.min())
    ds = an_image(array, photometric, bits=bits)
    ds.WindowCenter, ds.WindowWidth = f"{float(array.min()) + span * 0.4:.8g}", f"{span * 0.5:.8g}"
    url = studio.publish(ds)
    assert abs(shown(get, url) - by_pydicom(ds)).max() <= ROUNDED
    assert abs(shown(get, url, accept="image/jpeg;q=1") - by_pydicom(ds)).mean() <= 3


@pytest.mark.parametrize("curve", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_grey_is_rescaled_first_and_windowed_by_any_function(get, studio, curve):
    ds = an_image(ramp(4095), bits=12, RescaleSlope="0.5", RescaleIntercept="-1024")
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = "40", "400", curve
    assert abs(shown(get, studio.publish(ds)) - by_pydicom(ds)).max() <= ROUNDED


def test_without_a_window_the_whole_range_is_shown(get, studio):
    for array in (ramp(900, low=100), ramp(900, "i2", -100), ramp(10**6, "u4", 10)):
        whole = shown(get, studio.publish(an_image(array)))
        expected = (array.astype(float) - array.min()) / (array.max() - array.min()) * 255
        assert abs(whole - expected).max() <= ROUNDED


def test_what_lies_above_the_bits_stored_is_not_seen(get, studio):
    array = ramp(4095)
    ds = an_image(array, bits=12, WindowCenter="2048", WindowWidth="4096")
    clean = shown(get, studio.publish(ds))
    with_overlay = an_image(array | 0xF000, bits=12, WindowCenter="2048", WindowWidth="4096")
    assert abs(shown(get, studio.publish(with_overlay)) - clean).max() == EXACT


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_single_bits(get, studio, photometric):
    bits = np.random.default_rng(2).integers(0, 2, (3, 7, 5), dtype=np.uint8)
    ds = an_image(bits[0], photometric)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit, ds.NumberOfFrames, ds.PixelData = 0, 3, packed + b"\0" * (len(packed) % 2)
    url = studio.publish(ds)
    for number in (1, 2, 3):
        picture = get(f"{url}/frames/{number}/rendered")
        white = bits[number - 1] if photometric == "MONOCHROME2" else 1 - bits[number - 1]
        assert (np.asarray(Image.open(io.BytesIO(picture.data))) == white * 255).all()


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_in_either_order(get, studio, planar):
    assert abs(shown(get, studio.publish(an_image(colours(), "RGB", planar=planar))) - colours()).max() == EXACT
    deep = colours().astype(np.uint16) * 257
    assert abs(shown(get, studio.publish(an_image(deep, "RGB", planar=planar))) - colours()).max() == EXACT


@pytest.mark.parametrize("planar", [0, 1])
def test_ybr_full(get, studio, planar):
    ybr = np.asarray(convert_color_space(colours(), "RGB", "YBR_FULL"))
    url = studio.publish(an_image(ybr, "YBR_FULL", planar=planar))
    assert abs(shown(get, url) - convert_color_space(ybr, "YBR_FULL", "RGB").astype(int)).max() <= CONVERTED


def test_ybr_full_422(get, studio):
    ds = pydicom.dcmread(sample("SC_ybr_full_422_uncompressed.dcm"))
    expected = ds.pixel_array.astype(int)
    assert abs(shown(get, studio.publish(ds)) - expected).max() <= CONVERTED


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cy+n2.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_rle_2frame.dcm",
        "examples_ybr_color.dcm",
        "examples_jpeg2k.dcm",
    ],
)
def test_compressed_colour(get, studio, name):
    """Within the rounding of two conversions; pydicom's own is in floating point."""
    ds = pydicom.dcmread(sample(name))
    expected = ds.pixel_array
    expected = (expected if expected.ndim == 3 else expected[0]).astype(int)
    del ds.SOPInstanceUID
    assert abs(shown(get, studio.publish(ds)) - expected).max() <= CONVERTED + 1


def test_palettes(get, studio):
    ds = pydicom.dcmread(sample("examples_palette.dcm"))
    expected = np.asarray(apply_color_lut(ds.pixel_array, ds)).astype(float)
    expected = expected / (65535 if expected.max() > 255 else 255) * 255
    del ds.SOPInstanceUID
    assert abs(shown(get, studio.publish(ds)) - expected).max() <= ROUNDED


def test_floating_point(get, studio):
    array = np.linspace(-1, 1, 1200, dtype="<f4").reshape(40, 30)
    ds = an_image(array.view("<u4"))
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.FloatPixelData = array.tobytes()
    expected = (array + 1) / 2 * 255
    assert abs(shown(get, studio.publish(ds)) - expected).max() <= ROUNDED


# Presentation states


def a_state(image: Dataset, **values: object) -> Dataset:
    ds = an_object("1.2.840.10008.5.1.4.1.1.11.1", **values)
    reference, series = Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedImageSequence = image.SeriesInstanceUID, [reference]
    ds.ReferencedSeriesSequence = [series]
    return ds


@pytest.fixture
def stated(get, studio):
    """What a presentation state with these attributes makes of a ramp."""
    array = ramp(255, "u1")

    def stated(own: Dataset | None = None, more: Dataset | None = None, **values: object) -> np.ndarray:
        image = an_image(array, WindowCenter="128", WindowWidth="256")
        image.update(own or {})
        studio.publish(image)
        state = a_state(image, **values)
        state.update(more or {})
        return shown(get, studio.publish(state, study=image.StudyInstanceUID))

    return stated


def test_a_state_windows_and_inverts(stated):
    voi = Dataset()
    voi.WindowCenter, voi.WindowWidth = "100", "50"
    array = ramp(255, "u1").astype(float)
    expected = np.clip((array - 99.5) / 49 + 0.5, 0, 1) * 255
    assert abs(stated(SoftcopyVOILUTSequence=[voi]) - expected).max() <= ROUNDED
    assert abs(stated(SoftcopyVOILUTSequence=[voi], PresentationLUTShape="INVERSE") - (255 - expected)).max() <= ROUNDED


def test_a_state_turns_and_crops(stated):
    array = ramp(255, "u1").astype(int)
    assert (stated() == array).all()
    assert (stated(ImageRotation=90, ImageHorizontalFlip="N") == np.rot90(array, -1)).all()
    assert (stated(ImageRotation=270, ImageHorizontalFlip="Y") == np.fliplr(np.rot90(array, 1))).all()
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [3, 5], [12, 20]
    assert (stated(DisplayedAreaSelectionSequence=[area]) == array[4:20, 2:12]).all()


def test_a_state_shuts_and_draws(stated):
    array = ramp(255, "u1").astype(int)
    shut = stated(
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge="6",
        ShutterRightVerticalEdge="25",
        ShutterUpperHorizontalEdge="11",
        ShutterLowerHorizontalEdge="30",
        ShutterPresentationValue=0,
    )
    assert (shut[10:30, 5:25] == array[10:30, 5:25]).all()
    shut[10:30, 5:25] = 0
    assert shut.max() == 0
    round_one = stated(ShutterShape="CIRCULAR", CenterOfCircularShutter=["20", "15"], RadiusOfCircularShutter="5")
    assert round_one[0, 0] == round_one[39, 29] == 0
    assert round_one[19, 14] == array[19, 14]
    line, annotation = Dataset(), Dataset()
    line.GraphicAnnotationUnits, line.GraphicDimensions, line.NumberOfGraphicPoints = "PIXEL", 2, 2
    line.GraphicData, line.GraphicType, line.GraphicFilled = [1.5, 10.5, 28.5, 10.5], "POLYLINE", "N"
    annotation.GraphicLayer, annotation.GraphicObjectSequence = "A", [line]
    drawn = stated(GraphicAnnotationSequence=[annotation])
    assert (drawn[10, 1:28] == 255).all()
    assert (drawn[12:] == array[12:]).all()
    line.GraphicAnnotationUnits, line.GraphicData = "DISPLAY", [0, 0.51, 1, 0.51]
    turned = stated(GraphicAnnotationSequence=[annotation], ImageRotation=90, ImageHorizontalFlip="N")
    assert (turned[15, :39] == 255).all()
    assert (turned[:15] == np.rot90(array, -1)[:15]).all()


def an_overlay(bits: np.ndarray, *, row: int, column: int) -> Dataset:
    """An overlay plane of group 6002, at that place of the image."""
    ds = Dataset()
    ds.add_new(0x60020010, "US", bits.shape[0])
    ds.add_new(0x60020011, "US", bits.shape[1])
    ds.add_new(0x60020040, "CS", "G")
    ds.add_new(0x60020050, "SS", [row, column])
    ds.add_new(0x60020100, "US", 1)
    ds.add_new(0x60020102, "US", 0)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    ds.add_new(0x60023000, "OW", packed + b"\0" * (len(packed) % 2))
    return ds


def test_a_state_shows_overlays_and_covers_with_them(stated):
    array, bits = ramp(255, "u1").astype(int), np.zeros((6, 5), np.uint8)
    bits[1:4, 2:] = 1
    plane, layer, expected = an_overlay(bits, row=11, column=4), Dataset(), array.copy()
    layer.add_new(0x60021001, "CS", "LAYER")
    assert (stated(plane) == array).all()
    expected[11:14, 5:8] = 255
    assert (stated(plane, layer) == expected).all()
    assert (stated(None, Dataset({**plane, **layer})) == expected).all()
    expected[11:14, 5:8] = 0
    shut = {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6002, "ShutterPresentationValue": 0}
    assert (stated(None, plane, **shut) == expected).all()


def test_a_state_shows_pixels_as_high_and_wide_as_they_are(stated):
    area = Dataset()
    area.PresentationPixelAspectRatio = ["2", "1"]
    assert stated(DisplayedAreaSelectionSequence=[area]).shape == (80, 30)
    area.PresentationPixelAspectRatio = ["1", "3"]
    assert stated(DisplayedAreaSelectionSequence=[area], ImageRotation=90).shape == (90, 40)


def test_a_state_has_a_window_for_each_frame_and_pseudo_colours(stated, studio, get):
    array = ramp(255, "u1")
    image = an_image(array, NumberOfFrames=2)
    image.PixelData = 2 * image.PixelData
    studio.publish(image)
    windows = []
    for frame, (center, width) in enumerate((("128", "256"), ("10", "2")), 1):
        voi, reference = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth, voi.ReferencedImageSequence = center, width, [reference]
        reference.ReferencedSOPInstanceUID, reference.ReferencedFrameNumber = image.SOPInstanceUID, frame
        windows.append(voi)
    state = studio.publish(a_state(image, SoftcopyVOILUTSequence=windows), study=image.StudyInstanceUID)
    frames = [shown(get, f"{state}/frames/{number}") for number in (1, 2)]
    assert abs(frames[0] - array).max() <= ROUNDED
    assert set(np.unique(frames[1])) <= {0, 255, 128}
    of_second = a_state(image, SoftcopyVOILUTSequence=windows)
    of_second.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedFrameNumber = [2]
    assert (shown(get, studio.publish(of_second, study=image.StudyInstanceUID)) == frames[1]).all()
    palette: dict[str, object] = {}
    for number, colour in enumerate(("Red", "Green", "Blue")):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        table = bytes(range(256)) if number == 0 else bytes(256) if number == 1 else bytes(range(255, -1, -1))
        palette[f"{colour}PaletteColorLookupTableData"] = table
    coloured = stated(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.3", **palette)
    assert (coloured == np.stack([array, 0 * array, 255 - array], axis=2)).all()


def test_a_state_has_its_text_upright_and_within_its_box(stated):
    text, annotation = Dataset(), Dataset()
    text.BoundingBoxAnnotationUnits = text.AnchorPointAnnotationUnits = "PIXEL"
    text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner = [3.0, 5.0], [27.0, 20.0]
    text.UnformattedTextValue, text.BoundingBoxTextHorizontalJustification = "Lé", "LEFT"
    annotation.GraphicLayer, annotation.TextObjectSequence = "A", [text]
    plain, drawn = stated(), stated(GraphicAnnotationSequence=[annotation])
    rows, columns = np.nonzero(drawn != plain)
    assert 4 <= rows.min() < rows.max() <= 22
    assert 2 <= columns.min() < columns.max() <= 27
    assert (drawn[:20] > 180).sum() > 10 > (plain[:20] > 180).sum()
    text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner = [3.0, 5.0], [18.0, 35.0]
    turn = {"ImageRotation": 90, "ImageHorizontalFlip": "Y"}
    upright = stated(GraphicAnnotationSequence=[annotation], **turn)
    rows, columns = np.nonzero(upright != stated(**turn))
    assert 2 <= rows.min() < rows.max() <= 20
    assert 4 <= columns.min() < columns.max() <= 36
    del text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner
    text.AnchorPoint = [2.0, 30.0]
    assert (stated(GraphicAnnotationSequence=[annotation])[:29] == plain[:29]).all()
    assert (stated(GraphicAnnotationSequence=[annotation])[29:] != plain[29:]).any()


def test_a_state_is_applied_by_wado_uri_and_a_state_without_its_image_is_404(archive, get, studio):
    image = an_image(ramp(255, "u1"), WindowCenter="128", WindowWidth="256")
    studio.publish(image)
    state = a_state(image, PresentationLUTShape="INVERSE")
    url = studio.publish(state, study=image.StudyInstanceUID)
    client = app_over(archive).test_client()
    query = {
        "requestType": "WADO",
        "studyUID": image.StudyInstanceUID,
        "seriesUID": image.SeriesInstanceUID,
        "objectUID": image.SOPInstanceUID,
        "contentType": "image/png",
    }
    plain = np.asarray(Image.open(io.BytesIO(client.get("/wado", query_string=query).data))).astype(int)
    more = {"presentationSeriesUID": state.SeriesInstanceUID, "presentationUID": state.SOPInstanceUID}
    inverse = client.get("/wado", query_string={**query, **more})
    assert (np.asarray(Image.open(io.BytesIO(inverse.data))).astype(int) == 255 - plain).all()
    assert (shown(get, url) == 255 - plain).all()
    packed = get(f"{url}/rendered", "multipart/related; type=image/png")
    [(head, data)] = parts_of(packed.data, packed.content_type)
    assert (data, "Content-Location" in head) == (get(f"{url}/rendered").data, False)  # the image's own shows another
    assert client.get("/wado", query_string={**query, **more, "presentationUID": "1.2.3"}).status_code == 404
    lost = an_image(ramp(255, "u1"), SOPInstanceUID="1.2.3", SeriesInstanceUID="1.2")
    assert get(f"{studio.publish(a_state(lost))}/rendered").status_code == 404


# Several frames, documents


def a_cine(count: int = 4) -> tuple[Dataset, np.ndarray]:
    frames = np.stack([np.full((16, 12), 60 * number, np.uint8) for number in range(count)])
    ds = an_image(frames[0], WindowCenter="128", WindowWidth="256", NumberOfFrames=count, FrameTime="50")
    ds.PixelData = frames.tobytes()
    return ds, frames


def test_several_frames_are_several_parts_or_a_moving_picture(get, studio):
    ds, frames = a_cine()
    url = studio.publish(ds)
    answer = get(f"{url}/frames/3,1/rendered", 'multipart/related; type="image/png"')
    parts = parts_of(answer.data, answer.content_type)
    for (head, data), number in zip(parts, (3, 1), strict=True):
        assert head["Content-Type"] == "image/png"
        assert head["Content-Location"].endswith(f"/frames/{number}/rendered")
        assert (np.asarray(Image.open(io.BytesIO(data))) == frames[number - 1]).all()
    assert get(f"{url}/frames/3,1/rendered", "*/*").content_type.startswith('multipart/related; type="image/jpeg"')
    assert get(f"{url}/frames/3,1/rendered", "image/jpeg").status_code == 406
    moving = Image.open(io.BytesIO(get(f"{url}/rendered", "image/gif").data))
    assert (moving.n_frames, moving.info["duration"]) == (4, 50)
    for number in range(4):
        moving.seek(number)
        assert abs(np.asarray(moving.convert("L")).astype(int) - frames[number]).max() <= 1
    assert Image.open(io.BytesIO(get(f"{url}/frames/2/rendered", "image/gif").data)).n_frames == 1


def test_what_is_too_large_to_move_leaves_the_next_best(get, studio, monkeypatch):
    ds, frames = a_cine()
    url = studio.publish(ds)
    monkeypatch.setattr("lethe.dicomweb.rendered._MOST_PIXELS", 2 * frames[0].size)
    answer = get(f"{url}/rendered", "image/gif, image/png;q=0.5, image/jpeg;q=0.1")
    assert answer.content_type == "image/png"
    assert (np.asarray(Image.open(io.BytesIO(answer.data))) == frames[0]).all()
    refused = get(f"{url}/rendered", "image/gif")
    assert (refused.status_code, "viewport" in refused.json["error"]) == (406, True)
    assert get(f"{url}/rendered?viewport=4,4", "image/gif, image/png;q=0.5").content_type == "image/gif"


@pytest.mark.peer
def test_several_frames_are_a_film_where_ffmpeg_is_installed(get, studio, monkeypatch, tmp_path):
    need("ffmpeg")
    ds, frames = a_cine()
    ds.Columns, ds.PixelData = 11, np.ascontiguousarray(frames[:, :, :11]).tobytes()
    url = studio.publish(ds)
    response = get(f"{url}/rendered", "video/mp4")
    assert (response.status_code, response.content_type) == (200, "video/mp4")
    assert get(f"{url}/rendered", "video/mp4", Range="bytes=4-7").data == b"ftyp"
    assert get(f"{url}/rendered", "video/mp4", If_None_Match=response.headers["ETag"]).status_code == 304
    (tmp_path / "film.mp4").write_bytes(response.data)
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "film.mp4", *raw]
    seen = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    seen = seen.reshape(4, 16, 12)[:, :, :10].astype(int)  # decoded grey has the narrow range of video, as it is coded
    assert [round(float(one.mean())) for one in seen] == pytest.approx([0, 60, 120, 180], abs=20)
    some = get(f"{url}/frames/2,3/rendered", "video/mp4")
    assert 0 < len(some.data) < len(response.data)
    for one in (f"{url}/frames/2/rendered", studio.publish(an_image(frames[0]))):
        assert get(one if "rendered" in one else f"{one}/rendered", "video/mp4").status_code == 406
    monkeypatch.setenv("PATH", str(tmp_path))
    response = get(f"{url}/rendered?viewport=8,8", "video/mp4")
    assert response.status_code == 406
    assert "image/gif" in response.json["error"]


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/gif", "image/webp", "image/jp2"])
def test_media_types_of_pictures(get, studio, media_type):
    url = studio.publish(an_image(ramp(255, "u1"), WindowCenter="128", WindowWidth="256"))
    response = get(f"{url}/rendered", media_type)
    assert response.content_type == media_type
    picture = np.asarray(Image.open(io.BytesIO(response.data)).convert("L")).astype(int)
    assert abs(picture - ramp(255, "u1")).max() <= 6
    packed = get(f"{url}/rendered", f'multipart/related; type="{media_type}"')
    assert parts_of(packed.data, packed.content_type)[0][1] == response.data


def test_icc_profiles(get, studio):
    ds = an_image(colours(), "RGB", ICCProfile=b"\0" * 200)
    url = studio.publish(ds)
    for media_type in ("image/jpeg", "image/png"):
        for asked, given in (("yes", b"\0" * 200), ("no", None)):
            picture = Image.open(io.BytesIO(get(f"{url}/rendered?iccprofile={asked}", media_type).data))
            assert picture.info.get("icc_profile") == given
        profile = Image.open(io.BytesIO(get(f"{url}/rendered?iccprofile=srgb", media_type).data)).info["icc_profile"]
        assert b"acsp" in profile[:60]
    assert get(f"{url}/rendered?iccprofile=cmyk").status_code == 400


PRIMARIES = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]]] * 4, np.uint8)


@pytest.mark.parametrize(
    ("space", "name", "expected"),
    [
        ("srgb", "sRGB built-in", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)]),
        ("adobergb", "Adobe RGB (1998)", [(219, 0, 0), (144, 255, 60), (0, 0, 250), (255, 255, 255), (0, 0, 0)]),
        ("rommrgb", "ROMM RGB", [(179, 70, 26), (138, 237, 77), (86, 35, 235), (255, 255, 255), (0, 0, 0)]),
    ],
)
def test_colours_are_converted_into_the_space_that_is_named(get, studio, space, name, expected):
    """What is expected are the published values of the primaries of sRGB in the other spaces."""
    url = studio.publish(an_image(PRIMARIES, "RGB"))
    answer = get(f"{url}/rendered?iccprofile={space}", "image/png")
    assert answer.status_code == 200 and "Warning" not in answer.headers
    picture = Image.open(io.BytesIO(answer.data))
    assert np.abs(np.asarray(picture)[0].astype(int) - np.array(expected)).max() <= 2
    profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    assert name in ImageCms.getProfileDescription(profile)
    back = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.abs(np.asarray(back).astype(int) - PRIMARIES).max() <= 8  # a wide space has few levels for the dark


def test_colours_of_the_objects_own_space_are_converted_from_it(get, studio):
    stored = np.full((4, 4, 3), (144, 255, 60), np.uint8)
    url = studio.publish(an_image(stored, "RGB", ICCProfile=profile_of("adobergb")))
    picture = Image.open(io.BytesIO(get(f"{url}/rendered?iccprofile=srgb", "image/png").data))
    assert np.abs(np.asarray(picture)[0, 0].astype(int) - (0, 255, 0)).max() <= 2
    own = Image.open(io.BytesIO(get(f"{url}/rendered?iccprofile=adobergb", "image/png").data))
    assert np.array_equal(np.asarray(own), stored)


def test_greys_have_no_profile(get, studio):
    url = studio.publish(an_image(ramp(255, "u1"), WindowCenter="128", WindowWidth="256"))
    picture = Image.open(io.BytesIO(get(f"{url}/rendered?iccprofile=adobergb", "image/png").data))
    assert picture.mode == "L" and "icc_profile" not in picture.info


def test_a_pdf_is_given_as_it_is(get, studio):
    pdf = b"%PDF-1.4\n" + b"nothing in it\n" * 99 + b"%%EOF\n"
    ds = an_object("1.2.840.10008.5.1.4.1.1.104.1", MIMETypeOfEncapsulatedDocument="application/pdf")
    ds.EncapsulatedDocument, ds.EncapsulatedDocumentLength = pdf + b"\0" * (len(pdf) % 2), len(pdf)
    url = studio.publish(ds)
    for accept in ("*/*", "application/pdf"):
        response = get(f"{url}/rendered", accept)
        assert (response.data, response.content_type) == (pdf, "application/pdf")
    assert get(f"{url}/rendered", "*/*", Range="bytes=0-3").data == b"%PDF"
    assert get(f"{url}/rendered", "image/jpeg").status_code == 406
    assert get(f"{url}/thumbnail", "*/*").status_code == 404
    for accept in ("application/pdf", "application/pdf, application/octet-stream;q=0.5"):
        response = get(f"{url}/bulkdata/00420011", accept)
        assert (response.data, response.content_type) == (pdf, "application/pdf")
    assert get(f"{url}/bulkdata/00420011", "application/octet-stream").data == pdf + b"\0" * (len(pdf) % 2)
    for tail in ("bulkdata", "bulkdata/00420011"):
        response = get(f"{url}/{tail}", 'multipart/related; type="application/pdf"')
        [(head, data)] = parts_of(response.data, response.content_type)
        assert (head["Content-Type"], data) == ("application/pdf", pdf)


def test_a_report_is_a_page_and_its_text_is_escaped(get, studio):
    def concept(meaning: str) -> Dataset:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99L", meaning
        return code

    def item(kind: str, name: str, **values: object) -> Dataset:
        made = Dataset()
        made.RelationshipType, made.ValueType, made.ConceptNameCodeSequence = "CONTAINS", kind, [concept(name)]
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "4.2", [concept("mm")]
    ds = an_object("1.2.840.10008.5.1.4.1.1.88.33", ValueType="CONTAINER", CompletionFlag="COMPLETE")
    ds.ConceptNameCodeSequence = [concept("Report <b>")]
    nested = item(
        "CONTAINER", "Findings", ContentSequence=[item("TEXT", "Note", TextValue="<script>alert(1)</script>")]
    )
    ds.ContentSequence = [
        nested,
        item("NUM", "Length", MeasuredValueSequence=[measured]),
        item("CODE", "Side", ConceptCodeSequence=[concept("left")]),
    ]
    response = get(f"{studio.publish(ds)}/rendered", "*/*")
    assert response.content_type == "text/html; charset=utf-8"
    assert "<script>" not in response.text
    for text in ("Report <b>", "<script>alert(1)</script>", "Findings", "4.2 mm", "left", "COMPLETE"):
        assert escape(text) in response.text


def test_a_video_in_an_mp4_file_is_played_and_another_is_not(get, studio):
    for stream, status in ((b"\0\0\0\x18ftypisom" + bytes(100), 200), (b"\x47" + bytes(99), 406)):
        ds = an_image(ramp(255, "u1"), "YBR_PARTIAL_420", NumberOfFrames=3)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
        ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
        ds.PixelData = encapsulate([stream[:50], stream[50:]], has_bot=False)
        ds["PixelData"].VR = "OB"
        url = studio.publish(ds)
        response = get(f"{url}/rendered", "video/mp4")
        assert response.status_code == status
        if status == 200:
            assert (response.data, response.content_type) == (stream, "video/mp4")
            assert get(f"{url}/rendered", "*/*").data == stream
        assert get(f"{url}/frames/1/rendered", "*/*").status_code == 406


def test_a_video_is_played_from_its_middle_and_not_sent_twice(get, studio):
    stream = b"\0\0\0\x18ftypisom" + bytes(range(100))
    ds = an_image(ramp(255, "u1"), "YBR_PARTIAL_420", NumberOfFrames=3)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    ds.PixelData = encapsulate([stream], has_bot=False)
    ds["PixelData"].VR = "OB"
    url, anything = f"{studio.publish(ds)}/rendered", "*/*"
    whole = get(url, anything)
    assert (whole.data, whole.content_type, whole.headers["Accept-Ranges"]) == (stream, "video/mp4", "bytes")
    part = get(url, anything, Range="bytes=12-21")
    assert (part.status_code, part.data) == (206, stream[12:22])
    assert part.headers["Content-Range"] == f"bytes 12-21/{len(stream)}"
    assert get(url, anything, If_None_Match=whole.headers["ETag"]).status_code == 304


def a_video(stream: bytes, syntax: str, *, pieces: int = 1) -> Dataset:
    ds = an_image(np.zeros((48, 64), np.uint8), "YBR_PARTIAL_420", NumberOfFrames=20)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    length = len(stream) // pieces + 1
    cut = [stream[at : at + length] for at in range(0, len(stream), length)]
    ds.PixelData = encapsulate([one + bytes(len(one) % 2) for one in cut], has_bot=False)
    ds["PixelData"].VR = "OB"
    return ds


def filmed(folder, container: str, codec: str) -> bytes:
    """One black frame, eleven red ones, eight blue ones."""
    frames = np.zeros((20, 48, 64, 3), np.uint8)
    frames[1:12, :, :, 0] = frames[12:, :, :, 2] = 255
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48", "-r", "25", "-i", "pipe:0"]
    command = ["ffmpeg", "-v", "error", "-y", *raw, "-c:v", codec, "-pix_fmt", "yuv420p", "-f", container]
    subprocess.run([*command, folder / "made"], input=frames.tobytes(), check=True)
    return (folder / "made").read_bytes()


@pytest.mark.peer
@pytest.mark.parametrize(
    ("container", "codec", "syntax", "pieces"),
    [
        ("mp4", "libx264", "1.2.840.10008.1.2.4.102", 1),  # what it is made of is told at its end
        ("h264", "libx264", "1.2.840.10008.1.2.4.102", 3),
        ("mpegts", "libx264", "1.2.840.10008.1.2.4.104", 1),
        ("mpeg2video", "mpeg2video", "1.2.840.10008.1.2.4.100", 1),
        ("hevc", "libx265", "1.2.840.10008.1.2.4.107", 2),
    ],
)
def test_a_video_has_a_thumbnail_where_ffmpeg_is_installed(get, studio, tmp_path, container, codec, syntax, pieces):
    need("ffmpeg")
    url = studio.publish(a_video(filmed(tmp_path, container, codec), syntax, pieces=pieces))

    def mean(address: str) -> list[int]:
        response = get(address)
        assert (response.status_code, response.content_type) == (200, "image/png"), response.text
        picture = Image.open(io.BytesIO(response.data))
        assert picture.size == (256, 192)
        return [round(one) for one in np.asarray(picture).reshape(-1, 3).mean(axis=0)]

    for address in (url, url.rpartition("/instances/")[0], url.partition("/series/")[0]):
        assert mean(f"{address}/thumbnail") == pytest.approx([255, 0, 0], abs=12)  # not the black one
    for number, colour in ((1, [0, 0, 0]), (2, [255, 0, 0]), (20, [0, 0, 255])):
        assert mean(f"{url}/frames/{number}/thumbnail") == pytest.approx(colour, abs=12)
    assert get(f"{url}/frames/21/thumbnail").status_code == 404
    response = get(f"{url}/thumbnail?viewport=32,32", "*/*")
    assert (response.content_type, Image.open(io.BytesIO(response.data)).size) == ("image/jpeg", (32, 24))
    assert get(f"{url}/thumbnail?viewport=32,32", "*/*", If_None_Match=response.headers["ETag"]).status_code == 304
    packed = get(f"{url}/thumbnail?viewport=32,32", 'multipart/related; type="image/jpeg"')
    assert parts_of(packed.data, packed.content_type)[0][1] == response.data


@pytest.mark.peer
def test_a_video_that_ffmpeg_cannot_read_has_no_thumbnail(get, studio, archive, monkeypatch, tmp_path):
    need("ffmpeg")
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n"
    for stream in (playlist, b"\0\0\0\x18ftypisom" + bytes(100), b"\0\0\x01\xb3" + bytes(40)):
        refused = get(f"{studio.publish(a_video(stream, '1.2.840.10008.1.2.4.102'))}/thumbnail", "*/*")
        assert (refused.status_code, "no picture" in refused.json["error"]) == (406, True)
    assert not [one for one in archive.files.incoming().iterdir() if one.suffix == ".ffmpeg"]
    url = studio.publish(a_video(filmed(tmp_path, "mp4", "libx264"), "1.2.840.10008.1.2.4.102"))
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = get(f"{url}/thumbnail", "*/*")
    assert (refused.status_code, "ffmpeg" in refused.json["error"]) == (406, True)
