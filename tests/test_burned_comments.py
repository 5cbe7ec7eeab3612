"""What compressed frames say beside their image is blanked, and the image stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from struct import pack

import numpy as np
import pytest
from burned_objects import (
    BASELINE,
    RLE,
    Kind,
    arrays,
    compressed,
    encapsulate_fragments,
    encoded,
    file_of,
    header,
    jpeg,
)
from burned_objects import items as items_of
from burned_pictures import bank
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lethe.node.burned.comments import Quiet, quiet
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import encoded_header, read_part10, write_part10

GREY, COLOUR = Kind(), Kind("RGB")
NAME = b"FEATHERSTONE ANTONIA"
TERMS = bank(person="FEATHERSTONE^ANTONIA", identifier="MRN-7741-AZF")
JPEGS = (BASELINE, jpeg(57), jpeg(70), jpeg(80), jpeg(81))
WAVELETS = (jpeg(90), jpeg(91), jpeg(201))


def segment(marker: int, body: bytes) -> bytes:
    return pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segment(frame: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment, behind its SOI."""
    return frame[:2] + segment(marker, body) + frame[2:]


def with_comment(frame: bytes, body: bytes) -> bytes:
    """A JPEG 2000 codestream with one more comment in its main header."""
    at = frame.index(b"\xff\x90")
    return frame[:at] + segment(0x64, b"\0\1" + body) + frame[at:]


def in_tile(frame: bytes, body: bytes) -> bytes:
    """The same in the header of its first tile-part."""
    at = frame.index(b"\xff\x90")
    more = segment(0x64, b"\0\1" + body)
    size = int.from_bytes(frame[at + 6 : at + 10], "big")
    longer = pack(">L", size + len(more) if size else 0)
    return frame[: at + 6] + longer + frame[at + 10 : at + 12] + more + frame[at + 12 :]


def done(raw: bytes) -> tuple[bytes, Quiet]:
    source = read_part10(BytesIO(raw))
    result = quiet(source, TERMS)
    body = encoded_header(result.source.header, result.source.transfer_syntax)
    return b"".join(write_part10(body, result.source, "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4")), result


def frame_of(syntax: str, seed: int = 0, kind: Kind = GREY) -> bytes:
    return encoded(kind, kind.some(1, 24, 30, seed)[0], syntax)


def blanked(syntax: str, frames: list[bytes], kind: Kind = GREY) -> list[bytes]:
    """The frames afterwards, which show what they did before."""
    raw = compressed(kind, frames, (24, 30), syntax)
    made, result = done(raw)
    changed = [a != b for a, b in zip(items_of(raw), items_of(made), strict=True)]
    assert result.blanked == sum(changed)
    assert all(np.array_equal(a, b) for a, b in zip(arrays(raw), arrays(made), strict=True))
    assert [len(one) for one in items_of(raw)] == [len(one) for one in items_of(made)]
    return items_of(made)


# pydicom's decoder of JPEG-LS does not take the other segments of applications.
@pytest.mark.parametrize(
    ("syntax", "marker"),
    [(syntax, marker) for syntax in JPEGS[:3] for marker in (0xFE, 0xE1, 0xE0, 0xED, 0xE8)]
    + [(syntax, marker) for syntax in JPEGS[3:] for marker in (0xFE, 0xE0, 0xE8)],
)
def test_a_jpegs_comment_or_segment_is_blanked(syntax: str, marker: int) -> None:
    plain, telling = frame_of(syntax, 1), with_segment(frame_of(syntax, 2), marker, b"Exif\0\0" + NAME)
    first, second = blanked(syntax, [plain, telling])
    assert first.rstrip(b"\0") == plain.rstrip(b"\0"), "what says nothing keeps its bytes"
    assert NAME not in second and second.rstrip(b"\0").endswith(telling[-40:].rstrip(b"\0"))


@pytest.mark.parametrize("syntax", WAVELETS)
@pytest.mark.parametrize("put", [with_comment, in_tile])
def test_a_comment_of_jpeg_2000_is_blanked(syntax: str, put: Callable[[bytes, bytes], bytes]) -> None:
    plain = frame_of(syntax, 1)
    first, second = blanked(syntax, [plain, put(frame_of(syntax, 2), b"for " + NAME)])
    assert first.rstrip(b"\0") == plain.rstrip(b"\0")
    assert NAME not in second and second.rstrip(b"\0").endswith(frame_of(syntax, 2)[-40:].rstrip(b"\0"))


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (b"LEAD Technologies Inc. V1.01", True),
        (b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90\n", True),
        (b"Lavc58.134.100\0", True),
        (b"Kakadu-v7.10.2", True),
        (b"Created by GDCM/OpenJPEG version 2.3.0", True),
        (b"", True),
        (b"  \0\0", True),
        (b"scanned by hand, room 4", False),
        (b"Kakadu-v7.10.2 of Antonia", False),
        (b"Lavc9.1978.8.2.55.3.1", False),
        (b"M\0R\0N\0-\0007\0007\0004\0001\0-\0A\0Z\0F\0", False),
    ],
)
def test_an_encoders_name_may_stay(said: bytes, stays: bool) -> None:
    telling = with_segment(frame_of(BASELINE), 0xFE, said)
    (after,) = blanked(BASELINE, [telling])
    assert (after.rstrip(b"\0") == telling.rstrip(b"\0")) == stays


def test_colours_are_known_by_the_same_markers_afterwards() -> None:
    rgb = frame_of(BASELINE, 3, COLOUR)
    adobe = b"Adobe" + pack(">HHHB", 100, 0, 0, 0)
    jfif = b"JFIF\0\1\1\0\0\1\0\1"
    profile = b"ICC_PROFILE\0\1\1" + bytes(30) + b"sRGB" + bytes(90)
    with_adobe = with_segment(with_segment(rgb, 0xEE, adobe), 0xE2, profile)
    assert blanked(BASELINE, [with_adobe], COLOUR)[0].rstrip(b"\0") == with_adobe.rstrip(b"\0")
    thumbnail = with_segment(frame_of(BASELINE), 0xE0, jfif + b"\2\2" + bytes(range(1, 13)))
    (after,) = blanked(BASELINE, [thumbnail])
    assert jfif + bytes(14) in after
    (after,) = blanked(BASELINE, [with_segment(rgb, 0xE2, profile + NAME)], COLOUR)
    assert NAME not in after and b"ICC_PROFILE" not in after


def test_what_stands_between_scans_is_found() -> None:
    file = BytesIO()
    Image.fromarray(COLOUR.some(1, 24, 30)[0]).save(file, "JPEG", progressive=True)
    several = file.getvalue()
    second = several.index(b"\xff\xda", several.index(b"\xff\xda") + 2)
    (after,) = blanked(BASELINE, [several[:second] + segment(0xFE, NAME) + several[second:]], Kind("YBR_FULL"))
    assert NAME not in after


@pytest.mark.parametrize("table", [True, False])
def test_a_comment_in_two_fragments_is_blanked(table: bool) -> None:
    frames = [with_segment(frame_of(BASELINE, seed), 0xFE, NAME * 20) for seed in range(2)]
    ds = header(GREY, 2, 24, 30, BASELINE)
    ds.add_new(0x7FE00010, "OB", encapsulate_fragments(frames, 5, has_table=table))
    ds["PixelData"].is_undefined_length = True
    raw = file_of(ds, BASELINE)
    made, result = done(raw)
    assert result.blanked == 2 and NAME not in made and b"ANTONIA" not in made
    assert all(np.array_equal(a, b) for a, b in zip(arrays(raw), arrays(made), strict=True))


@pytest.mark.parametrize("syntax", [RLE, BASELINE])
def test_what_says_nothing_is_the_object_itself(syntax: str) -> None:
    source = read_part10(BytesIO(compressed(GREY, [frame_of(syntax)], (24, 30), syntax)))
    assert quiet(source, TERMS).source is source


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    syntax=st.sampled_from([*JPEGS, *WAVELETS]),
    at=st.floats(0, 1),
    bytes_there=st.binary(min_size=1, max_size=4),
    cut=st.booleans(),
)
def test_spoilt_frames_are_refused_or_done(syntax: str, at: float, bytes_there: bytes, cut: bool) -> None:
    frame = bytearray(frame_of(syntax))
    place = int(at * (len(frame) - 1))
    frame[place : None if cut else place + len(bytes_there)] = bytes_there
    try:
        done(compressed(GREY, [bytes(frame)], (24, 30), syntax))
    except CannotClean as refusal:
        assert str(refusal)
