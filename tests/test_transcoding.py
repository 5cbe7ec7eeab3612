"""Another transfer syntax and the same object: every sample, every target, read again and compared."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from struct import pack

import imagecodecs
import numpy as np
import pydicom
import pytest
from burned_objects import DEFLATED_FRAMES
from dicomweb_archive import sample, samples
from programs import SHARED
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import read_part10
from lethe.node.dimse.transcoding import TARGETS, recoded
from lethe.storage.errors import Refused


def readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return "SOPInstanceUID" in read_part10(file).header
    except CannotClean:
        return False


def written(path: Path, *accepted: str) -> pydicom.Dataset:
    with recoded(path, accepted) as (syntax, chunks):
        ds = pydicom.dcmread(BytesIO(b"".join(chunks)))
    assert ds.file_meta.TransferSyntaxUID == syntax
    return ds


def pixels(ds: pydicom.Dataset) -> np.ndarray:
    return pydicom.pixels.pixel_array(ds, raw=True)


@pytest.mark.parametrize("path", [path for path in samples() if readable(path)], ids=lambda path: path.name)
def test_what_is_written_is_the_same_object(path: Path) -> None:
    before = pydicom.dcmread(path)
    for target in TARGETS:
        try:
            after = written(path, target)
        except Refused as refusal:
            assert "cannot be" in str(refusal) or "encoded" in str(refusal), refusal
            assert before.file_meta.TransferSyntaxUID.is_compressed
            return
        assert after.SOPInstanceUID == before.SOPInstanceUID
        assert after.get("LossyImageCompression") == before.get("LossyImageCompression")
        skipped = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration", "ExtendedOffsetTable"}
        for element in before:
            if element.keyword in skipped or element.tag.element == 0 or element.tag > 0x7FE00010:
                continue
            again = after[element.tag]
            if element.VR == again.VR:
                assert again.value == element.value, element
        if "PixelData" in before and before.file_meta.TransferSyntaxUID in TARGETS:
            assert after.PixelData == before.PixelData + bytes(len(before.PixelData) % 2)


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_2frame.dcm"),
        *("JPEG2000.dcm", "MR_small_bigendian.dcm", "rtdose_rle.dcm", "liver_expb_1frame.dcm", "image_dfl.dcm"),
        *("ExplVR_BigEnd.dcm", "rtdose_expb.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_16bit.dcm"),
        *("SC_rgb_small_odd_big_endian.dcm", "JPEGLSNearLossless_08.dcm", "examples_ybr_color.dcm"),
    ],
)
def test_pixels_are_what_another_decoder_makes_of_them(name: str) -> None:
    path = sample(name)
    before, after = pydicom.dcmread(path), written(path, ExplicitVRLittleEndian)
    expected, found = pixels(before), pixels(after)
    assert found.shape == expected.shape
    lossy = before.file_meta.TransferSyntaxUID in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= (2 if lossy else 0)


@pytest.mark.parametrize("syntax", [RLELossless, DEFLATED_FRAMES, JPEG2000Lossless])
def test_frames_of_single_bits_follow_each_other_without_a_gap(tmp_path: Path, syntax: str) -> None:
    """PS3.5 8.1.1: 3 frames of 35 pixels are 14 bytes, of which the last is to make their number even."""
    frames = np.random.default_rng(7).integers(0, 2, (3, 5, 7), np.uint8)
    packed = [np.packbits(frame.ravel(), bitorder="little").tobytes() for frame in frames]
    if syntax == RLELossless:
        coded = [pack("<16L", 1, 64, *[0] * 14) + bytes((len(one) - 1,)) + one for one in packed]
    elif syntax == DEFLATED_FRAMES:
        coded = [zlib.compress(one, wbits=-15) for one in packed]
    else:
        coded = [
            imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, bitspersample=1) for frame in frames
        ]
    ds = pydicom.dcmread(sample("liver_1frame.dcm"))
    ds.Rows, ds.Columns, ds.NumberOfFrames = 5, 7, 3
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([one + bytes(len(one) % 2) for one in coded])
    ds["PixelData"].VR = "OB"
    ds.save_as(tmp_path / "bits.dcm")
    for target in TARGETS:
        after = written(tmp_path / "bits.dcm", target)
        assert after.PixelData == np.packbits(frames.ravel(), bitorder="little").tobytes()
        assert (after.BitsAllocated, after.NumberOfFrames) == (1, 3)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["liver_rle.dcm", "liver_deflate.dcm", "liver_j2k.dcm"])
def test_genuine_compressed_segmentations_are_written(name: str) -> None:
    folder = SHARED / "data" / "pydicom-data"
    assert written(folder / name, ExplicitVRLittleEndian).PixelData == pydicom.dcmread(folder / "liver.dcm").PixelData


def test_the_best_of_what_is_accepted_is_chosen() -> None:
    path = sample("MR_small_RLE.dcm")
    assert written(path, ImplicitVRLittleEndian).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    both = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    assert written(path, *both).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_reason_is_given_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="none of the transfer syntaxes"), recoded(sample("CT_small.dcm"), ["1.2.3"]):
        pass
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(sample("MR_small_RLE.dcm").read_bytes()[:-400])
    with pytest.raises(Refused, match="cannot be written"), recoded(broken, [ExplicitVRLittleEndian]):
        pass
