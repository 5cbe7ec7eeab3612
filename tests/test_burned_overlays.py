"""Overlays are read as pictures and lose what is in a box; icons and images within items go."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from burned_objects import BIG, EXPLICIT, IMPLICIT, Kind, file_of, native
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.overlays import numpy_handler
from pydicom.sequence import Sequence

from lethe.node.burned.box import Box
from lethe.node.burned.frames import open_frames
from lethe.node.burned.icons import without_icons
from lethe.node.burned.overlays import overlays_of, redacted_overlays
from lethe.node.burned.redaction import redacted
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10, encoded_header, read_part10, write_part10

DEEP = Kind(allocated=16, stored=12)


def overlaid(syntax: str, pictures: np.ndarray) -> bytes:
    """An image with an overlay of several frames that lies off its corner."""
    ds = pydicom.dcmread(BytesIO(native(DEEP, DEEP.some(1, 20, 20), syntax)))
    frames, rows, columns = pictures.shape
    data = np.packbits(pictures.reshape(-1), bitorder="little").tobytes()
    data += bytes(len(data) % 2)
    data = np.frombuffer(data, "u2").byteswap().tobytes() if syntax == BIG else data
    for element, vr, value in (
        (0x0010, "US", rows),
        (0x0011, "US", columns),
        (0x0015, "IS", frames),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [-2, 4]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", data),
    ):
        ds.add_new((0x6002, element), vr, value)
    return file_of(ds, syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_boxes_are_taken_out_of_an_overlay(syntax: str) -> None:
    pictures = np.random.default_rng(1).integers(0, 2, (3, 13, 11)).astype("u1")
    source = read_part10(BytesIO(overlaid(syntax, pictures)))
    (overlay,) = overlays_of(source)
    assert (overlay.group, overlay.left, overlay.top, overlay.frames) == (0x6002, 3, -3, 3)
    assert all(np.array_equal(overlay.picture(number), pictures[number]) for number in range(3))
    after = replace(source, header=redacted_overlays(source, {0x6002: {1: [Box(2, 3, 40, 6)]}}))
    pictures[1, 3:6, 2:] = 0
    body = encoded_header(after.header, after.transfer_syntax)
    again = read_part10(BytesIO(b"".join(write_part10(body, after, "1.2", "1.2.3"))))
    (overlay,) = overlays_of(again)
    assert all(np.array_equal(overlay.picture(number), pictures[number]) for number in range(3))


def test_a_real_overlay_is_read_as_pydicom_reads_it() -> None:
    path = get_testdata_file("examples_overlay.dcm")
    with open(str(path), "rb") as file:
        (overlay,) = overlays_of(read_part10(file))
    theirs = numpy_handler.get_overlay_array(pydicom.dcmread(str(path)), overlay.group)
    assert theirs.any() and np.array_equal(overlay.picture(0), theirs)


def test_an_overlay_in_the_pixels_is_seen_and_cleared() -> None:
    values = DEEP.some(1, 20, 20)
    raw = native(Kind(allocated=16, stored=16), values | np.uint16(1 << 14), EXPLICIT)
    ds = pydicom.dcmread(BytesIO(raw))
    ds.BitsStored, ds.HighBit = 12, 11
    for element, vr, value in ((0x10, "US", 20), (0x11, "US", 20), (0x100, "US", 16), (0x102, "US", 14)):
        ds.add_new((0x6000, element), vr, value)
    source = read_part10(BytesIO(file_of(ds, EXPLICIT)))
    frames = open_frames(source)
    (overlay,) = overlays_of(source)
    assert overlay.embedded and overlay.picture(0, frames).all()
    hidden = frames.hidden(0)
    assert hidden is not None and (hidden == 1 << 14).all()
    after = redacted(frames, source, {}, beside={0: [Box(0, 0, 20, 20)]}).source
    cleared = open_frames(after)
    assert cleared.hidden(0) is None and np.array_equal(cleared.stored(0), values[0])


def test_a_continued_sign_hides_nothing() -> None:
    kind = Kind(allocated=16, stored=12, signed=True)
    frames = open_frames(read_part10(BytesIO(native(kind, kind.some(1, 9, 9), EXPLICIT))))
    assert frames.hidden(0) is None


@pytest.mark.parametrize("change", ["short", "no size", "nowhere"])
def test_an_overlay_that_cannot_be_read_is_refused(change: str) -> None:
    ds = pydicom.dcmread(BytesIO(overlaid(EXPLICIT, np.ones((1, 9, 9), "u1"))))
    if change == "short":
        ds[0x6002, 0x0010].value = 40
    elif change == "no size":
        del ds[0x6002, 0x0011]
    else:
        del ds[0x6002, 0x3000]
        ds[0x6002, 0x0102].value = 16
    with pytest.raises(CannotClean, match="60xx"):
        overlays_of(read_part10(BytesIO(file_of(ds, EXPLICIT))))


def with_icons() -> Part10:
    ds = pydicom.dcmread(BytesIO(native(DEEP, DEEP.some(1, 20, 20), EXPLICIT)))
    icon, holder = Dataset(), Dataset()
    icon.Rows, icon.Columns, icon.PixelData = 2, 2, b"\1\2\3\4"
    icon["PixelData"].VR = "OB"
    holder.IconImageSequence = Sequence([icon])
    holder.ReferencedSOPInstanceUID = "1.2.3"
    ds.IconImageSequence = Sequence([icon])
    ds.ReferencedImageSequence = Sequence([holder])
    ds.add_new((0x0009, 0x0010), "LO", "SOMEBODY")
    ds.add_new((0x0009, 0x1001), "SQ", Sequence([icon]))
    return read_part10(BytesIO(file_of(ds, EXPLICIT)))


def test_icons_go_at_every_depth() -> None:
    source = with_icons()
    clean = without_icons(source).header
    assert "IconImageSequence" not in clean
    assert "IconImageSequence" not in clean.ReferencedImageSequence[0]
    assert clean.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert "PixelData" not in clean[0x0009, 0x1001].value[0]
    assert "IconImageSequence" in source.header


def test_an_object_without_icons_is_the_object_itself() -> None:
    source = read_part10(BytesIO(native(DEEP, DEEP.some(1, 9, 9), EXPLICIT)))
    assert without_icons(source) is source
