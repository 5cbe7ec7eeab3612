"""Frames are read as they are stored, or refused with a reason: never a crash, never more memory than a frame takes."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from burned_objects import (
    BASELINE,
    BIG,
    DEFLATED_FRAMES,
    EXPLICIT,
    EXTENDED,
    IMPLICIT,
    RLE,
    Kind,
    arrays,
    compressed,
    encapsulate_fragments,
    encoded,
    file_of,
    header,
    jpeg,
    native,
    redact,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.pixels import pixel_array

from lethe.node.burned.box import Box
from lethe.node.burned.codes import codes_in
from lethe.node.burned.frames import Frames, open_frames
from lethe.node.burned.painted import painted
from lethe.node.burned.redaction import redacted
from lethe.node.choices import Fill
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import read_part10

GREY, DEEP, COLOUR = Kind(), Kind(allocated=16, stored=16), Kind("RGB")
BUNDLED = sorted(Path(str(get_testdata_file("CT_small.dcm"))).parent.glob("*.dcm"))
SHARED = Path(__file__).resolve().parents[2] / "shared"


def opened(raw: bytes) -> Frames:
    return open_frames(read_part10(BytesIO(raw)))


def read_all(raw: bytes) -> list[np.ndarray]:
    return list(opened(raw))


def changed(raw: bytes, **attributes: object) -> bytes:
    """The same object with other words about it."""
    ds = pydicom.dcmread(BytesIO(raw))
    for keyword, value in attributes.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return file_of(ds, ds.file_meta.TransferSyntaxUID)


def with_pixels(ds: FileDataset, data: bytes, syntax: str) -> bytes:
    ds.add_new(0x7FE00010, "OB", data)
    ds["PixelData"].is_undefined_length = syntax not in (IMPLICIT, EXPLICIT, BIG)
    return file_of(ds, syntax)


def same_as_pydicom(path: Path) -> str:
    """Compare every frame of a file with what pydicom makes of it; says what happened."""
    with path.open("rb") as file:
        try:
            source = read_part10(file)
            if source.pixels is None:
                return "no pixels"
            frames = open_frames(source)
            stored = [frames.stored(number) for number in range(min(len(frames), 4))]
        except CannotClean as error:
            assert str(error)
            return "refused"
        for number, ours in enumerate(stored):
            try:
                theirs = pixel_array(path, index=number, raw=True)
            except Exception:  # pydicom cannot read it: nothing to compare with
                return "alone"
            assert theirs.dtype.kind == ours.dtype.kind
            assert np.array_equal(theirs, ours), f"frame {number} of {path.name}"
    return "same"


@pytest.mark.filterwarnings("ignore")
def test_bundled_files_are_read_as_pydicom_reads_them() -> None:
    found = [same_as_pydicom(path) for path in BUNDLED]
    assert found.count("same") > 50


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folder", ["data", "pixels/set_dev"])
def test_shared_files_are_read_as_pydicom_reads_them(folder: str) -> None:
    paths = [path for path in sorted((SHARED / folder).rglob("*")) if path.is_file() and path.stat().st_size < 20 << 20]
    found = [same_as_pydicom(path) for path in paths]
    assert found.count("same") > (230 if folder == "data" else 55)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folder", ["data", "pixels/set_dev"])
def test_shared_files_can_be_redacted(folder: str) -> None:
    done = 0
    for path in sorted((SHARED / folder).rglob("*")):
        if not path.is_file() or path.stat().st_size > 3 << 20:
            continue
        raw = path.read_bytes()
        try:
            frames = opened(raw)
            form = frames.form
            boxes = {len(frames) - 1: [Box(0, 0, form.columns // 2 + 1, form.rows // 3 + 1)]}
            made, result = redact(raw, boxes)
            after = opened(made)
            last = after.raw(len(frames) - 1)
        except CannotClean as error:
            assert str(error)
            continue
        outside = np.ones(form.shape[:2], bool)
        for box in result.boxes[len(frames) - 1]:
            outside[box.rows, box.columns] = False
        assert last[outside].tobytes() == frames.raw(len(frames) - 1)[outside].tobytes()
        assert len(frames) == 1 or after.digest(0) == frames.digest(0)
        done += 1
    assert done > (230 if folder == "data" else 55)


@pytest.mark.parametrize("syntax", [RLE, BASELINE, jpeg(70), jpeg(80), jpeg(90), jpeg(201), DEFLATED_FRAMES])
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("table", ["basic", "none"])
def test_fragments_are_told_apart(syntax: str, fragments: int, table: str) -> None:
    values = GREY.some(3, 24, 30)
    raw = compressed(
        GREY, [encoded(GREY, one, syntax) for one in values], (24, 30), syntax, table=table, fragments=fragments
    )
    if table == "none" and fragments > 1 and syntax in (RLE, DEFLATED_FRAMES):
        with pytest.raises(CannotClean, match="told apart"):
            opened(raw)
        return
    for ours, theirs in zip(read_all(raw), values, strict=True):
        assert syntax == BASELINE or np.array_equal(ours, theirs)


def test_equal_frames_have_equal_digests() -> None:
    values = np.repeat(DEEP.some(1, 9, 11), 3, axis=0)
    values[2, 0, 0] += 1
    for raw in (
        native(DEEP, values, EXPLICIT),
        native(Kind(allocated=1, stored=1), values & 1, EXPLICIT),
        compressed(DEEP, [encoded(DEEP, one, jpeg(90)) for one in values], (9, 11), jpeg(90)),
    ):
        first, second, third = (opened(raw).digest(number) for number in range(3))
        assert first == second != third


def test_floating_point_frames_are_read_and_covered() -> None:
    values = np.random.default_rng(0).random((2, 7, 9)).astype("<f4")
    values[0, 6, 8] = np.nan
    ds = header(Kind(allocated=32, stored=32), 2, 7, 9, EXPLICIT)
    ds.FloatPixelData = values.tobytes()
    ds["FloatPixelData"].VR = "OF"
    raw = file_of(ds, EXPLICIT)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(read_all(raw), values, strict=True))
    made, _ = redact(raw, {0: [Box(0, 0, 3, 3)]}, Fill.CONTRAST)
    after = read_all(made)
    assert len(np.unique(after[0][:3, :3])) == 1
    assert np.array_equal(after[0][3:], values[0, 3:], equal_nan=True) and np.array_equal(after[1], values[1])


@pytest.mark.parametrize(
    ("photometric", "space", "colours"),
    [("RGB", "YCBCR", "YBR"), ("YBR_FULL", "RGB", "RGB"), ("YBR_FULL_422", "YCBCR", "YBR"), ("RGB", "RGB", "RGB")],
)
def test_a_jpeg_says_itself_what_its_components_are(photometric: str, space: str, colours: str) -> None:
    values = COLOUR.some(1, 16, 16)[0] // 8 * 8
    frame = bytes(imagecodecs.jpeg8_encode(values, 100, colorspace=space, outcolorspace=space, subsampling="444"))
    raw = compressed(Kind(photometric), [frame], (16, 16), BASELINE)
    frames = opened(raw)
    assert frames.colours() == colours
    assert np.abs(frames.stored(0).astype(int) - values).max() < 10
    made, done = redact(raw, {0: [Box(0, 0, 8, 8)]}, Fill.CONTRAST)
    assert np.array_equal(read_all(made)[0][8:], frames.stored(0)[8:]) and done.notes["encoder"] == "jpeg blocks"
    assert opened(made).colours() == colours


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no rows": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), Rows=None), "Rows"),
    "zero columns": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), Columns=0), "Rows"),
    "zero frames": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), NumberOfFrames=0), "Number of Frames"),
    "too many frames": (lambda: changed(native(GREY, GREY.some(2, 4, 4), EXPLICIT), NumberOfFrames=3), "shorter"),
    "hidden frames": (lambda: changed(native(GREY, GREY.some(3, 4, 4), EXPLICIT), NumberOfFrames=2), "go on"),
    "short": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), Rows=5), "shorter"),
    "no bits": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), BitsAllocated=None), "Bits Allocated"),
    "odd bits": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), BitsAllocated=12), "Bits Allocated"),
    "more bits": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), BitsStored=9), "Bits Stored"),
    "no colour": (
        lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), PhotometricInterpretation=None),
        "0028,0004",
    ),
    "odd colour": (
        lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), PhotometricInterpretation="CMYK"),
        "0028,0004",
    ),
    "samples": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), SamplesPerPixel=3), "0028,0002"),
    "huge": (lambda: changed(native(GREY, GREY.some(1, 4, 4), EXPLICIT), Rows=20000, Columns=20000), "larger than"),
    "12-bit extended": (lambda: twelve_bits(), "decoded exactly"),
    "a bomb": (lambda: bomb(20000, 20000), "larger than"),
    "a bomb beside the header": (lambda: bomb(64, 64), "not those"),
    "a frame too many": (lambda: fragments_of(3, 2, "none"), "told apart"),
    "a frame too few": (lambda: fragments_of(1, 2, "none"), "told apart"),
    "a second image in a frame": (lambda: fragments_of(2, 1, "none"), "after the end"),
    "no frame at all": (lambda: fragments_of(0, 1, "none"), "no frame"),
    "lossless as baseline": (lambda: mislabelled(jpeg(70), BASELINE), "otherwise"),
    "garbage": (lambda: compressed(GREY, [b"\xff\xd8\xff" + os.urandom(50)], (8, 8), BASELINE), "not in the form"),
    "nothing": (lambda: compressed(GREY, [b"\0\0"], (8, 8), jpeg(90)), "not in the form"),
    "cut": (
        lambda: compressed(GREY, [encoded(GREY, GREY.some(1, 40, 40)[0], jpeg(90))[:300]], (40, 40), jpeg(90)),
        ".",
    ),
    "broken run lengths": (
        lambda: compressed(GREY, [pack("<LL", 1, 64) + bytes(56) + b"\x80\x80"], (40, 40), RLE),
        "not those",
    ),
    "video": (lambda: compressed(GREY, [bytes(80)], (40, 40), jpeg(102)), "video"),
    "deflated to more": (lambda: deflated_more(), "not those"),
}


def twelve_bits() -> bytes:
    frame = bytes(imagecodecs.jpeg8_encode(Kind(allocated=16, stored=12).some(1, 16, 16)[0], bitspersample=12))
    return compressed(Kind(allocated=16, stored=12), [frame], (16, 16), EXTENDED)


def bomb(rows: int, columns: int) -> bytes:
    """A small codestream that claims 20,000 by 20,000 pixels."""
    frame = encoded(GREY, GREY.some(1, 64, 64)[0], jpeg(90))
    return compressed(GREY, [frame[:8] + pack(">LL", 20000, 20000) + frame[16:]], (rows, columns), jpeg(90))


def fragments_of(there: int, said: int, table: str) -> bytes:
    coded = [encoded(GREY, one, jpeg(90)) for one in GREY.some(max(there, 1), 16, 16)][:there]
    ds = header(GREY, said, 16, 16, jpeg(90))
    return with_pixels(ds, encapsulate_fragments(coded, 1, has_table=table == "basic"), jpeg(90))


def mislabelled(true: str, said: str) -> bytes:
    return compressed(GREY, [encoded(GREY, GREY.some(1, 16, 16)[0], true)], (16, 16), said)


def deflated_more() -> bytes:
    frame = encoded(GREY, np.zeros((4000, 4000), np.uint8), DEFLATED_FRAMES)
    return compressed(GREY, [frame], (16, 16), DEFLATED_FRAMES)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_for_certain_is_refused(name: str) -> None:
    make, why = REFUSED[name]
    raw = make()
    tracemalloc.start()
    try:
        with pytest.raises(CannotClean, match=why):
            read_all(raw)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    syntax=st.sampled_from([BASELINE, RLE, jpeg(70), jpeg(80), jpeg(90), jpeg(201), DEFLATED_FRAMES]),
    at=st.floats(0, 1),
    bytes_there=st.binary(min_size=1, max_size=4),
)
def test_spoilt_frames_are_refused_or_redacted(syntax: str, at: float, bytes_there: bytes) -> None:
    frame = bytearray(encoded(GREY, GREY.some(1, 24, 24)[0], syntax))
    place = int(at * (len(frame) - 1))
    frame[place : place + len(bytes_there)] = bytes_there
    raw = compressed(GREY, [bytes(frame)], (24, 24), syntax)
    try:
        made, _ = redact(raw, {0: [Box(2, 2, 12, 9)]})
    except CannotClean:
        return
    before, after = read_all(raw)[0], read_all(made)[0]
    assert np.array_equal(before[16:], after[16:])


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_single_pixels_can_be_covered(syntax: str) -> None:
    for kind in (GREY, DEEP, COLOUR, Kind(allocated=1, stored=1)):
        made, done = redact(native(kind, kind.some(1, 1, 1), syntax), {0: [Box(-5, -5, 5, 5)]})
        assert done.boxes == {0: [Box(0, 0, 1, 1)]} and len(arrays(made)) == 1


def test_a_long_object_is_not_held_in_memory(tmp_path: Path) -> None:
    path, rows = tmp_path / "long.dcm", 1024
    ds = header(DEEP, 40, rows, rows, EXPLICIT)
    ds.add_new(0x7FE00010, "OW", DEEP.some(1, rows, rows).tobytes() * 40)
    ds.save_as(path)
    del ds
    with path.open("rb") as file:
        source = read_part10(file)
        frames = open_frames(source)
        tracemalloc.start()
        for number in range(40):
            frames.stored(number)
        done = redacted(frames, source, {number: [Box(5, 5, 500, 60)] for number in range(40)})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert done.notes["changed"] == 40
    assert peak < 20 << 20  # of 80 MiB


def test_a_frame_whose_words_hold_nothing_but_its_values_is_in_memory_once() -> None:
    kind = Kind(allocated=16, stored=12)
    values = kind.some(1, 64, 64)
    frames = opened(native(kind, values, EXPLICIT))
    assert np.shares_memory(frames.stored(0), frames.raw(0)) and np.array_equal(frames.stored(0), values[0])
    telling = values | np.uint16(1 << 15)
    frames = opened(native(kind, telling, EXPLICIT))
    assert np.array_equal(frames.stored(0), values[0]) and np.array_equal(frames.raw(0), telling[0])


@pytest.mark.parametrize(
    ("look", "most"), [(codes_in, 6), (lambda picture: list(painted(picture, [])), 8)], ids=["codes", "painted"]
)
def test_a_large_frame_is_looked_at_in_so_many_bytes_a_pixel(look: Callable[[Any], object], most: int) -> None:
    """A picture of it has three, and 40 million pixels have to go into a worker's gigabyte."""
    grain = np.random.default_rng(1).integers(0, 256, (2400, 2400), dtype=np.uint8)
    picture = cv2.GaussianBlur(np.dstack([grain] * 3), (0, 0), 2) if most == 8 else np.dstack([grain] * 3)
    cv2.putText(picture, "AB12 CD34", (12, 50), 0, 1.6, (20, 200, 250), 2)
    tracemalloc.start()
    try:
        look(picture)
        assert tracemalloc.get_traced_memory()[1] < most * grain.size
    finally:
        tracemalloc.stop()
