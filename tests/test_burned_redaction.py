"""Boxes are covered in every form of pixel data: nothing outside them changes, and the form stays what it was.

What was and what is are read by pydicom, which has no part in the writing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from burned_objects import (
    BASELINE,
    DEFLATED_FRAMES,
    EXPLICIT,
    EXTENDED,
    NATIVE,
    RLE,
    Kind,
    Pixels,
    arrays,
    compressed,
    encoded,
    items,
    jpeg,
    native,
    redact,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lethe.node.burned.box import Box
from lethe.node.choices import Fill

KINDS = {
    "one bit": Kind(allocated=1, stored=1),
    "8": Kind(),
    "8 inverted": Kind("MONOCHROME1"),
    "8 signed": Kind(signed=True),
    "12": Kind(allocated=16, stored=12),
    "12 signed": Kind(allocated=16, stored=12, signed=True),
    "12 at the top": Kind(allocated=16, stored=12, high=15),
    "16": Kind(allocated=16, stored=16),
    "16 signed inverted": Kind("MONOCHROME1", 16, 16, signed=True),
    "32": Kind(allocated=32, stored=32),
    "palette": Kind("PALETTE COLOR"),
    "palette 16": Kind("PALETTE COLOR", 16, 8),
    "rgb": Kind("RGB"),
    "rgb planes": Kind("RGB", planar=1),
    "rgb 16": Kind("RGB", 16, 16),
    "ybr": Kind("YBR_FULL"),
    "ybr planes": Kind("YBR_FULL", planar=1),
    "ybr 422": Kind("YBR_FULL_422"),
}
_LOSSLESS = (
    "8",
    "8 inverted",
    "8 signed",
    "12",
    "12 signed",
    "16",
    "16 signed inverted",
    "palette",
    "rgb",
    "rgb 16",
    "ybr",
)
_BY_RUNS = [name for name in KINDS if name not in ("one bit", "12 at the top", "ybr 422", "32", "palette 16")]
_DEFLATED = [name for name in KINDS if name not in ("12 at the top", "ybr 422")]
CODECS = [
    *((RLE, name) for name in _BY_RUNS),
    *((DEFLATED_FRAMES, name) for name in _DEFLATED),
    # GDCM, which alone reads lossless JPEG here, does not read YBR_FULL in it.
    *((jpeg(number), name) for number in (57, 70) for name in _LOSSLESS if name != "ybr"),
    *((jpeg(number), name) for number in (80, 81, 90, 91, 201, 202, 203) for name in _LOSSLESS),
]
MANY = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def cases(draw: st.DrawFn, smallest: int = 1) -> tuple[int, int, int, dict[int, list[Box]], Fill, int]:
    """Frames, rows, columns, boxes that may stand over the edge, a fill and a seed."""
    frames, rows, columns = (draw(st.integers(low, high)) for low, high in ((1, 4), (smallest, 40), (smallest, 40)))
    corner = st.integers(-3, 39)
    one = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), corner, corner, st.integers(1, 30), st.integers(1, 30))
    boxes = draw(st.dictionaries(st.integers(0, frames - 1), st.lists(one, min_size=1, max_size=3), min_size=1))
    return frames, rows, columns, boxes, draw(st.sampled_from(Fill)), draw(st.integers(0, 9))


def outside(shape: Sequence[int], boxes: Sequence[Box]) -> Pixels:
    """Which pixels are in no box."""
    mask = np.ones(shape[:2], bool)
    for box in boxes:
        mask[box.rows, box.columns] = False
    return mask


def check(raw: bytes, boxes: dict[int, list[Box]], fill: Fill) -> tuple[bytes, dict[str, object]]:
    """Redact an object and compare all of it with what it was."""
    made, done = redact(raw, boxes, fill)
    before, after = arrays(raw), arrays(made)
    assert len(before) == len(after)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        assert old.dtype == new.dtype and old.shape == new.shape
        covered = done.boxes.get(number, ())
        mask = outside(old.shape, covered)
        assert np.array_equal(old[mask], new[mask]), f"frame {number} changed outside its boxes"
        inside = [box.within(old.shape[1], old.shape[0]) for box in boxes.get(number, ())]
        for box in inside:
            assert not mask[box.rows, box.columns].any(), f"frame {number}: a box is not covered"
        # Where two pixels share their colour, a box takes both: its neighbour may have covered it anew.
        near = [box.grown(1, 0) for box in inside]
        whole = [box for box in inside if box.area and sum(box.touches(one) for one in near) == 1]
        for box in whole if not str(done.notes["encoder"]).startswith("jpeg blocks") else ():
            pixels = new[box.rows, box.columns].reshape(box.area, -1)
            assert (pixels == pixels[0]).all(), f"frame {number}: something is left in a box"
    return made, dict(done.notes)


def same_form(raw: bytes, made: bytes) -> None:
    """What the header says of the pixels is as before, and so is everything else."""
    old, new = pydicom.dcmread(BytesIO(raw)), pydicom.dcmread(BytesIO(made))
    assert old.file_meta.TransferSyntaxUID == new.file_meta.TransferSyntaxUID
    del old.PixelData, new.PixelData
    for ds in (old, new):
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if keyword in ds:
                del ds[keyword]
    assert old == new


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("name", KINDS)
@MANY
@given(case=cases())
def test_native_frames_change_in_their_boxes_only(
    name: str, syntax: str, case: tuple[int, int, int, dict[int, list[Box]], Fill, int]
) -> None:
    kind = KINDS[name]
    frames, rows, columns, boxes, fill, seed = case
    columns += columns % 2 if kind.photometric == "YBR_FULL_422" else 0
    raw = native(kind, kind.some(frames, rows, columns, seed), syntax)
    made, _ = check(raw, boxes, fill)
    same_form(raw, made)


@pytest.mark.parametrize(("syntax", "name"), CODECS)
@MANY
@given(case=cases(smallest=8), table=st.sampled_from(["basic", "none", "extended"]))
def test_compressed_frames_keep_their_codec(
    syntax: str, name: str, case: tuple[int, int, int, dict[int, list[Box]], Fill, int], table: str
) -> None:
    kind = KINDS[name]
    frames, rows, columns, boxes, fill, seed = case
    coded = [encoded(kind, one, syntax) for one in kind.some(frames, rows, columns, seed)]
    raw = compressed(kind, coded, (rows, columns), syntax, table=table)
    made, notes = check(raw, boxes, fill)
    same_form(raw, made)
    assert notes["transfer_syntax_before"] == notes["transfer_syntax_after"] == syntax
    untouched(raw, made, boxes, rows, columns)


def untouched(raw: bytes, made: bytes, boxes: dict[int, list[Box]], rows: int, columns: int) -> None:
    """Frames without boxes keep their bytes, under every table."""
    touched = {number for number, some in boxes.items() if any(box.within(columns, rows).area for box in some)}
    for number, (old, new) in enumerate(zip(items(raw), items(made), strict=True)):
        if number not in touched:
            assert old.rstrip(b"\0") == new.rstrip(b"\0"), f"frame {number} has other bytes"


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize("syntax", [BASELINE, EXTENDED])
@pytest.mark.parametrize("name", ["8", "8 inverted", "rgb", "ybr", "ybr 422"])
@MANY
@given(case=cases(smallest=3), table=st.sampled_from(["basic", "none", "extended"]))
def test_blocks_outside_the_boxes_of_a_jpeg_are_not_coded_again(
    name: str,
    syntax: str,
    subsampling: str,
    case: tuple[int, int, int, dict[int, list[Box]], Fill, int],
    table: str,
) -> None:
    kind = KINDS[name]
    frames, rows, columns, boxes, fill, seed = case
    coded = [encoded(kind, one, syntax, subsampling) for one in kind.some(frames, rows, columns, seed)]
    raw = compressed(kind, coded, (rows, columns), syntax, table=table)
    made, notes = check(raw, boxes, fill)
    same_form(raw, made)
    assert notes["encoder"] in ("jpeg blocks", "none")
    untouched(raw, made, boxes, rows, columns)
    for number, new in enumerate(arrays(made)):
        for box in boxes.get(number, ()):
            inside = box.within(columns, rows)
            if inside.area and len(boxes[number]) == 1:  # lightness has no neighbour's chroma in it
                lightness = new[inside.rows, inside.columns].reshape(inside.area, -1)[:, 0]
                assert len(set(lightness.tolist())) == 1


@pytest.mark.parametrize("has_table", [True, False])
def test_frames_of_several_fragments_stay_what_they_are(*, has_table: bool) -> None:
    kind = KINDS["16"]
    coded = [encoded(kind, one, jpeg(90)) for one in kind.some(3, 30, 40)]
    table = "basic" if has_table else "none"
    raw = compressed(kind, coded, (30, 40), jpeg(90), table=table, fragments=3)
    made, _ = check(raw, {1: [Box(2, 2, 20, 9)]}, Fill.CONTRAST)
    untouched(raw, made, {1: [Box(2, 2, 20, 9)]}, 30, 40)


def test_lossy_colour_in_jpeg_2000_becomes_reversible_and_says_so() -> None:
    kind = Kind("YBR_ICT")
    coded = [encoded(kind, one, jpeg(91)) for one in Kind("RGB").some(2, 32, 48)]
    raw = compressed(kind, coded, (32, 48), jpeg(91))
    made, notes = check(raw, {0: [Box(3, 3, 30, 12)]}, Fill.BACKGROUND)
    assert pydicom.dcmread(BytesIO(made)).PhotometricInterpretation == "YBR_RCT"
    assert notes["encoder"] == "reversible, all frames" and notes["transfer_syntax_after"] == jpeg(91)


@pytest.mark.parametrize(
    ("grey", "syntax", "photometric"),
    [(True, jpeg(70), "MONOCHROME2"), (False, EXPLICIT, "YBR_FULL")],
)
def test_a_progressive_jpeg_becomes_lossless_and_says_so(grey: bool, syntax: str, photometric: str) -> None:
    buffer = BytesIO()
    kind = Kind() if grey else Kind("YBR_FULL_422")
    values = (Kind() if grey else KINDS["rgb"]).some(1, 40, 40)[0]
    Image.fromarray(values).save(buffer, "JPEG", progressive=True, quality=90)
    raw = compressed(kind, [buffer.getvalue()] * 2, (40, 40), BASELINE)
    made, notes = check(raw, {1: [Box(0, 0, 20, 10)]}, Fill.CONTRAST)
    after = pydicom.dcmread(BytesIO(made))
    # Decoders take three components of a lossless JPEG for RGB, so colours leave uncompressed.
    assert after.file_meta.TransferSyntaxUID == syntax and after.PhotometricInterpretation == photometric
    assert notes["encoder"] == ("jpeg lossless, all frames" if grey else "native, all frames")


def test_what_hides_beside_the_bits_stored_is_cleared_in_the_boxes_or_alone() -> None:
    kind = KINDS["12"]
    values = kind.some(1, 20, 20)
    raw = native(Kind(allocated=16, stored=16), values | np.uint16(0xA000), EXPLICIT)
    ds = pydicom.dcmread(BytesIO(raw))
    ds.BitsStored, ds.HighBit = 12, 11
    buffer = BytesIO()
    ds.save_as(buffer)
    made, _ = redact(buffer.getvalue(), {0: [Box(0, 0, 5, 5)]}, beside={0: [Box(10, 10, 20, 20)]})
    words = np.frombuffer(pydicom.dcmread(BytesIO(made)).PixelData, "<u2").reshape(20, 20)
    assert not (words[:5, :5] >> 12).any() and not (words[10:, 10:] >> 12).any()
    assert np.array_equal(words[10:, 10:], values[0, 10:, 10:]) and (words[:10, 10:] >> 12 == 0xA).all()


def test_an_object_without_boxes_is_the_object_itself() -> None:
    raw = native(KINDS["8"], KINDS["8"].some(2, 9, 9), EXPLICIT)
    made, done = redact(raw, {0: [Box(50, 50, 60, 60)], 1: []})
    assert done.notes["changed"] == 0 and done.boxes == {}
    assert np.array_equal(arrays(made)[1], arrays(raw)[1])


DCMTK = {
    RLE: "dcmdrle",
    BASELINE: "dcmdjpeg",
    jpeg(57): "dcmdjpeg",
    jpeg(70): "dcmdjpeg",
    jpeg(80): "dcmdjpls",
    jpeg(81): "dcmdjpls",
}


@pytest.mark.peer
# Baseline JPEG has 8 bits, and near-lossless coding makes more than 12 bits of 12.
@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (syntax, name)
        for syntax in DCMTK
        for name in ("8", "12", "16", "rgb")
        if not (syntax == BASELINE and KINDS[name].stored > 8) and (syntax, name) != (jpeg(81), "12")
    ],
)
def test_dcmtk_decodes_what_was_written(syntax: str, name: str, tmp_path: Path) -> None:
    program, kind = shutil.which(DCMTK[syntax]), KINDS[name]
    if program is None:
        pytest.skip(f"{DCMTK[syntax]} is not installed")
    coded = [encoded(kind, one, syntax) for one in kind.some(2, 32, 40)]
    raw = compressed(kind, coded, (32, 40), syntax)
    made, _ = redact(raw, {0: [Box(4, 4, 30, 14)]})
    (tmp_path / "in.dcm").write_bytes(made)
    subprocess.run([program, tmp_path / "in.dcm", tmp_path / "out.dcm"], check=True, capture_output=True)
    theirs, ours = arrays((tmp_path / "out.dcm").read_bytes()), arrays(made)
    for one, other in zip(theirs, ours, strict=True):
        tolerance = 2 if syntax == BASELINE else 0  # another inverse DCT
        assert np.abs(one.astype(int) - other.astype(int)).max() <= tolerance


def test_the_same_object_and_boxes_give_the_same_bytes() -> None:
    kind = KINDS["ybr 422"]
    coded = [encoded(kind, one, BASELINE, "422") for one in kind.some(2, 33, 47)]
    raw = compressed(kind, coded, (33, 47), BASELINE)
    boxes = {0: [Box(4, 4, 30, 14)], 1: [Box(0, 0, 9, 9)]}
    assert redact(raw, boxes)[0] == redact(raw, boxes)[0]
