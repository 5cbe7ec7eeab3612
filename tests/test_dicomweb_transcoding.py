"""What objects and frames become in other transfer syntaxes, compared with what pydicom reads of both."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_archive import app_over, parts_of, publish, sample, url_of
from pydicom.pixels import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

from lethe.dicomweb import codecs, transcoding
from lethe.dicomweb.codecs import DCT, JPEG_EXTENDED
from lethe.dicomweb.locate import readable
from lethe.dicomweb.pixels import layout_in
from lethe.storage.archive import Archive

PART10 = 'multipart/related; type="application/dicom"'
COMPRESSED = [
    "JPEG2000.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_rle_32bit_2frame.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "examples_ybr_color.dcm",
    "JPGExtended.dcm",
]
NATIVE = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "examples_palette.dcm",
    "rtdose.dcm",
    "rtdose_expb.dcm",
    "liver_expb_1frame.dcm",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("transcoding"))
    yield archive
    archive.close()


@pytest.fixture(scope="module")
def get(archive):
    client = app_over(archive).test_client()
    return lambda url, accept="", **headers: client.get(
        url, headers={**({"Accept": accept} if accept else {}), **headers}
    )


@pytest.fixture(scope="module")
def url(archive):
    urls: dict[str, str] = {}

    def url(name: str | Path) -> str:
        if str(name) not in urls:
            uid = f"1.9.{len(urls) + 1}"
            uids = {"SOPInstanceUID": uid, "SeriesInstanceUID": uid + ".1", "StudyInstanceUID": uid + ".2"}
            urls[str(name)] = url_of(publish(archive, name, **uids))
        return urls[str(name)]

    return url


def object_in(response) -> pydicom.Dataset:
    assert response.status_code == 200, response.text
    [(_, data)] = parts_of(response.data, response.content_type)
    return pydicom.dcmread(io.BytesIO(data))


def plain(ds: pydicom.Dataset) -> np.ndarray:
    """The samples as they are stored, in no other colour space."""
    if ds.file_meta.TransferSyntaxUID == JPEG_EXTENDED and ds.BitsStored > 8:
        frame = next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1))
        return codecs.imagecodecs.jpeg8_decode(frame)
    return pixel_array(ds, raw=True)


def others(ds: pydicom.Dataset) -> dict:
    """The attributes that have to stay."""
    left_out = {"7FE00010", "7FE00001", "7FE00002", "00280004", "00280006", "00282110", "00282112", "00282114"}
    left_out.add("FFFCFFFC")
    made = json.loads(ds.to_json(suppress_invalid_tags=True, bulk_data_threshold=1 << 30))
    return {tag: {**e, "vr": ""} for tag, e in made.items() if tag not in left_out and not tag.endswith("0000")}


@pytest.mark.parametrize("name", [*COMPRESSED, *NATIVE])
def test_without_a_transfer_syntax_objects_come_in_explicit_little_endian(get, url, name):
    stored = object_in(get(url(name), f"{PART10}; transfer-syntax=*"))
    given = object_in(get(url(name)))
    assert given.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (plain(given) == plain(stored)).all()
    assert others(given) == others(stored)
    if name in COMPRESSED:
        size = plain(stored).size * stored.BitsAllocated // 8
        assert len(given.PixelData) == size + size % 2
        assert given.get("PlanarConfiguration", 0) == 0
        assert given.PhotometricInterpretation in ("MONOCHROME2", "RGB", "YBR_FULL")


@pytest.mark.parametrize("target", transcoding.TARGETS)
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_bigendian.dcm", "SC_rgb_small_odd.dcm", "examples_palette.dcm", "JPEG2000.dcm"]
)
def test_objects_come_in_the_transfer_syntax_asked_for(get, url, name, target):
    stored = object_in(get(url(name), f"{PART10}; transfer-syntax=*"))
    response = get(url(name), f"{PART10}; transfer-syntax={target}")
    if target in DCT and (stored.BitsStored > 8 or stored.PhotometricInterpretation == "PALETTE COLOR"):
        assert response.status_code == 406
        return
    given = object_in(response)
    assert given.file_meta.TransferSyntaxUID == target
    assert others(given) == others(stored)
    difference = abs(pixel_array(given).astype(int) - pixel_array(stored).astype(int))
    if target in DCT:
        assert (given.LossyImageCompression, given.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
        assert float(given.LossyImageCompressionRatio) > 0
        return
    assert difference.max() == 0


def test_a_lossy_jpeg_stays_close_to_what_it_was_made_from():
    """Within 12 of 256 levels at the worst pixel and 2 on the average, at quality 95 with half the chroma."""
    ds = pydicom.dcmread(sample("SC_rgb_small_odd.dcm"))
    ramp = np.linspace(0, 255, 64)
    ds.Rows = ds.Columns = 64
    rgb = np.stack([np.add.outer(ramp, ramp) / 2, np.add.outer(ramp[::-1], ramp) / 2, np.full((64, 64), 90)], axis=2)
    rgb = rgb.astype(np.uint8)
    shape = transcoding.shape_in(ds, 0x7FE00010)
    data = codecs.encode(rgb, shape, DCT[0])
    given = np.asarray(codecs.imagecodecs.jpeg8_decode(data)).astype(int)
    assert abs(given - rgb).max() <= 12
    assert abs(given - rgb).mean() <= 2


def test_twelve_bits_in_jpeg_extended(get, url, tmp_path):
    """Within 8 of 4096 levels."""
    ds = pydicom.dcmread(sample("MR_small.dcm"))
    values = np.add.outer(np.arange(64) * 20, np.arange(64) * 40).astype(np.uint16)
    ds.PixelData, ds.PixelRepresentation, ds.BitsStored, ds.HighBit = values.tobytes(), 0, 12, 11
    ds.save_as(tmp_path / "twelve.dcm")
    given = object_in(get(url(tmp_path / "twelve.dcm"), f"{PART10}; transfer-syntax={JPEG_EXTENDED}"))
    assert abs(plain(given).astype(int) - values).max() <= 8
    [(head, data)] = parts_of(
        (
            answer := get(
                url(tmp_path / "twelve.dcm") + "/frames/1",
                f"multipart/related; type=image/jpeg; transfer-syntax={JPEG_EXTENDED}",
            )
        ).data,
        answer.content_type,
    )
    assert head["Content-Type"] == f"image/jpeg; transfer-syntax={JPEG_EXTENDED}"
    assert abs(codecs.imagecodecs.jpeg8_decode(data).astype(int) - values).max() <= 8


@pytest.mark.parametrize(
    ("media_type", "syntax"),
    [
        ("image/jpeg", "4.70"),
        ("image/jls", "4.80"),
        ("image/x-jls", "4.80"),
        ("image/jp2", "4.90"),
        ("image/jphc", "4.201"),
        ("image/dicom-rle", "5"),
        ("image/x-dicom-rle", "5"),
    ],
)
def test_frames_come_in_the_default_transfer_syntax_of_their_media_type(get, url, media_type, syntax):
    """PS3.18 Table 8.7.3-5."""
    answer = get(url("CT_small.dcm") + "/frames/1", f'multipart/related; type="{media_type}"')
    [(head, data)] = parts_of(answer.data, answer.content_type)
    uid = f"1.2.840.10008.1.2.{syntax}"
    assert head["Content-Type"] == f"{media_type.replace('x-', '')}; transfer-syntax={uid}"
    ds = pydicom.dcmread(sample("CT_small.dcm"))
    shape = transcoding.shape_in(ds, 0x7FE00010)
    assert (codecs.decode(data, shape, uid) == ds.pixel_array).all()


def test_frames_are_recompressed_from_one_codec_to_another(get, url):
    ds = pydicom.dcmread(sample("SC_rgb_rle_2frame.dcm"))
    answer = get(url("SC_rgb_rle_2frame.dcm") + "/frames/2,1", 'multipart/related; type="image/jp2"')
    parts = parts_of(answer.data, answer.content_type)
    shape = transcoding.shape_in(ds, 0x7FE00010)
    for (_, data), number in zip(parts, (1, 0), strict=True):
        assert (codecs.decode(data, shape, "1.2.840.10008.1.2.4.90") == ds.pixel_array[number]).all()


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.100", "1.2.3", "x"]
)
def test_what_has_no_place_in_web_services_is_406(get, url, syntax):
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"):
        for accept in (f"{PART10}; transfer-syntax={syntax}", f"application/dicom; transfer-syntax={syntax}"):
            assert get(url(name), accept).status_code == 406
            assert get(url(name).rpartition("/instances/")[0], accept).status_code == 406


def test_an_object_without_pixel_data_comes_in_any_transfer_syntax(get, url):
    for target in transcoding.TARGETS:
        given = object_in(get(url("test-SR.dcm"), f"{PART10}; transfer-syntax={target}"))
        assert given.file_meta.TransferSyntaxUID == target
        assert "ContentSequence" in given


def test_what_follows_the_pixel_data_is_kept_unless_it_no_longer_holds(get, url, tmp_path):
    ds = pydicom.dcmread(sample("MR_small_RLE.dcm"))
    block = ds.private_block(0x7FE1, "LETHE TEST", create=True)
    block.add_new(1, "OW", b"\x01\x02\x03\x04")
    ds.DataSetTrailingPadding = bytes(64)
    ds.save_as(tmp_path / "tail.dcm")
    given = object_in(get(url(tmp_path / "tail.dcm")))
    assert given[0x7FE11001].value == b"\x01\x02\x03\x04"
    assert 0xFFFCFFFC not in given
    assert (given.pixel_array == pydicom.dcmread(sample("MR_small_RLE.dcm")).pixel_array).all()


def test_words_of_a_big_endian_header_are_turned(get, url, tmp_path):
    ds = pydicom.dcmread(sample("MR_small_bigendian.dcm"))
    ds.add_new(0x00281201, "OW", b"\x00\x01\x00\x02")
    ds.save_as(tmp_path / "words.dcm")
    given = object_in(get(url(tmp_path / "words.dcm")))
    assert given[0x00281201].value == b"\x01\x00\x02\x00"


def test_a_single_part_has_the_length_it_says(get, url):
    response = get(url("MR_small_RLE.dcm"), "application/dicom")
    assert int(response.headers["Content-Length"]) == len(response.data)
    assert response.content_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
    assert (
        get(url("MR_small_RLE.dcm"), "application/dicom", **{"If-None-Match": response.headers["ETag"]}).status_code
        == 304
    )


def test_what_cannot_be_decoded_is_given_as_stored_unless_asked_for_otherwise(get, url, tmp_path):
    ds = pydicom.dcmread(sample("JPEG2000.dcm"))
    ds.PixelData = pydicom.encaps.encapsulate([b"no image at all."])
    ds.save_as(tmp_path / "broken.dcm")
    broken = url(tmp_path / "broken.dcm")
    assert object_in(get(broken)).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.91"
    assert object_in(get(broken.rpartition("/instances/")[0])).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.91"
    assert get(broken, f"{PART10}; transfer-syntax=1.2.840.10008.1.2.1").status_code == 406


def test_a_mixed_series_comes_in_one_transfer_syntax_or_not_at_all(get, archive):
    uids = {"StudyInstanceUID": "1.8", "SeriesInstanceUID": "1.8.1"}
    names = ("CT_small.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm", "SC_rgb_dcmtk_+eb+cy+n2.dcm")
    for number, name in enumerate(names, 1):
        publish(archive, name, SOPInstanceUID=f"1.8.1.{number}", InstanceNumber=number, **uids)
    for level in ("/dicom-web/studies/1.8", "/dicom-web/studies/1.8/series/1.8.1"):
        answer = get(level)
        heads = [head["Content-Type"] for head, _ in parts_of(answer.data, answer.content_type)]
        assert heads == ["application/dicom; transfer-syntax=1.2.840.10008.1.2.1"] * 4
        assert get(level, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
        stored = get(level, f"{PART10}; transfer-syntax=*")
        assert stored.headers["ETag"] != answer.headers["ETag"]
        kinds = {head["Content-Type"] for head, _ in parts_of(stored.data, stored.content_type)}
        assert len(kinds) == 4
        assert get(level, f"{PART10}; transfer-syntax=1.2.840.10008.1.2.4.50").status_code == 406
        lossless = get(level, f"{PART10}; transfer-syntax=1.2.840.10008.1.2.4.70")
        for _, data in parts_of(lossless.data, lossless.content_type):
            assert pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID == UID("1.2.840.10008.1.2.4.70")


def test_a_zip_holds_the_very_files(get, archive):
    uids = {"StudyInstanceUID": "1.7", "SeriesInstanceUID": "1.7.1"}
    entries = [
        publish(archive, name, SOPInstanceUID=f"1.7.1.{number}", **uids)
        for number, name in enumerate(("CT_small.dcm", "MR_small_RLE.dcm"), 1)
    ]
    for level, count in (
        ("/dicom-web/studies/1.7", 2),
        ("/dicom-web/studies/1.7/series/1.7.1", 2),
        (url_of(entries[1]), 1),
    ):
        answer = get(level, "application/zip")
        assert answer.content_type == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
            assert packed.testzip() is None
            assert len(packed.namelist()) == count
            with archive.files.open("clean", entries[1].file) as file:
                assert packed.read("1.7/1.7.1/1.7.1.2.dcm") == file.read()


def test_fragments_are_joined_by_any_table_or_none(tmp_path, get, url):
    ds = pydicom.dcmread(sample("SC_rgb_dcmtk_+eb+cy+n2.dcm"))
    one = next(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1))
    for name, encapsulated in {
        "basic": (pydicom.encaps.encapsulate([one, one], fragments_per_frame=3), {}),
        "none": (pydicom.encaps.encapsulate([one, one], fragments_per_frame=3, has_bot=False), {}),
        "extended": (pydicom.encaps.encapsulate_extended([one, one]), {}),
    }.items():
        data = encapsulated[0]
        if name == "extended":
            ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = data
        else:
            ds.PixelData = data
        ds.NumberOfFrames = 2
        ds.save_as(tmp_path / f"{name}.dcm")
        answer = get(
            url(tmp_path / f"{name}.dcm") + "/frames/2,1", 'multipart/related; type="image/jpeg"; transfer-syntax=*'
        )
        frames = [data.rstrip(b"\0") for _, data in parts_of(answer.data, answer.content_type)]
        assert frames == [one.rstrip(b"\0")] * 2, name
        given = object_in(get(url(tmp_path / f"{name}.dcm")))
        assert given.pixel_array.shape[0] == 2
        assert "ExtendedOffsetTable" not in given


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle_2frame.dcm"])
def test_all_pixel_data_and_all_bulk_data_at_every_level(get, url, name, level):
    address = url(name)
    address = {"study": address.rpartition("/series/")[0], "series": address.rpartition("/instances/")[0]}.get(
        level, address
    )
    ds = pydicom.dcmread(sample(name))
    array = plain(ds)
    whole = list(array) if "rle" in name else [array]
    for kind in ("pixeldata", "bulkdata"):
        answer = get(f"{address}/{kind}")
        assert answer.status_code == 200
        parts = [
            (h, d) for h, d in parts_of(answer.data, answer.content_type) if "7FE00010" in str(h) or "frames" in str(h)
        ]
        assert [data for _, data in parts] == [one.astype(one.dtype.newbyteorder("<")).tobytes() for one in whole]
        for head, data in parts:
            alone = get(head["Content-Location"].removeprefix("http://node.test"), "application/octet-stream")
            assert alone.data == data
    stored = get(f"{address}/pixeldata", 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
    if "rle" in name:
        frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=2))
        assert [data for _, data in parts_of(stored.data, stored.content_type)] == frames
    assert get(f"{address}/pixeldata", "image/png").status_code == 406


def test_no_pixel_data_is_404(get, url):
    assert get(url("test-SR.dcm") + "/pixeldata").status_code == 404
    assert get("/dicom-web/studies/1.2.3.4.99/pixeldata").status_code == 404


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "MR_small_implicit.dcm", "examples_ybr_color.dcm"])
def test_dcmtk_reads_what_is_written(get, url, name, tmp_path):
    dcmdump = shutil.which("dcmdump")
    if dcmdump is None:
        pytest.skip("DCMTK is not installed")
    for target in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1.99"):
        (tmp_path / "x.dcm").write_bytes(get(url(name), f"application/dicom; transfer-syntax={target}").data)
        done = subprocess.run([dcmdump, "-q", str(tmp_path / "x.dcm")], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle_2frame.dcm", "image_dfl.dcm"])
def test_implicit_vr_is_written_for_who_calls_it(get, url, name):
    """No client of the web gets it; a DIMSE peer may need it."""
    stored = get(url(name), "application/dicom; transfer-syntax=*").data
    ds = pydicom.dcmread(io.BytesIO(stored))
    syntax = str(ds.file_meta.TransferSyntaxUID)
    made = transcoding.recoded(readable(io.BytesIO(stored), syntax), syntax, transcoding.IMPLICIT)
    data = b"".join(made.pieces)
    assert made.length == len(data)
    given = pydicom.dcmread(io.BytesIO(data))
    assert given.file_meta.TransferSyntaxUID == transcoding.IMPLICIT
    assert (plain(given) == plain(ds)).all()
    assert others(given) == others(ds)


def test_large_objects_are_never_in_memory(tmp_path):
    """A quarter of a gigabyte, most of it a hole in the file, in less than 16 MB."""
    ds = pydicom.dcmread(sample("MR_small_implicit.dcm"))
    del ds.PixelData
    ds.Rows = ds.Columns = 1024
    ds.NumberOfFrames, frame = 128, 2 << 20
    ds.save_as(tmp_path / "large.dcm")
    with (tmp_path / "large.dcm").open("r+b") as file:
        file.seek(0, 2)
        file.write(b"\xe0\x7f\x10\x00" + struct.pack("<L", 128 * frame))
        file.truncate(file.tell() + 128 * frame)
    with (tmp_path / "large.dcm").open("rb") as file:
        tracemalloc.start()
        made = transcoding.recoded(file, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
        length = sum(len(piece) for piece in made.pieces)
        layout = layout_in(file, "1.2.840.10008.1.2", transcoding.shape_in(ds, 0x7FE00010))
        assert sum(len(piece) for piece in layout.native(file, 128)) == frame
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert length == made.length > 128 * frame
    assert peak < 16 << 20
