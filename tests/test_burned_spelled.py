"""Compressed pixel data that spell a name where no decoder looks are refused."""

from io import BytesIO

import pytest
from burned_objects import Kind, compressed, encoded, jpeg
from burned_pictures import bank

from lethe.node.burned.spelled import refuse_spelled
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10, read_part10

GREY = Kind()
TERMS = bank(person="Featherstone^Antonia", identifier="MRN7741AZF")
BASELINE, RLE = jpeg(50), "1.2.840.10008.1.2.5"


def jpeg_with_table(body: bytes) -> Part10:
    """A JPEG with a quantisation table that no component uses (T.81 B.2.4.1)."""
    frame = encoded(GREY, GREY.some(1, 24, 30, 1)[0], BASELINE)
    table = b"\xff\xdb" + (67).to_bytes(2, "big") + b"\x03" + body.ljust(64, b"\x01")[:64]
    return read_part10(BytesIO(compressed(GREY, [frame[:2] + table + frame[2:]], (24, 30), BASELINE)))


def test_a_name_in_a_table_that_no_image_needs_is_refused() -> None:
    for body in (b"xx FEATHERSTONE xx", b"antonia", b"id mrn7741azf"):
        with pytest.raises(CannotClean, match="spell a word of the header") as refusal:
            refuse_spelled(jpeg_with_table(body), TERMS)
        assert "eather" not in str(refusal.value).lower()


def test_other_words_and_images_pass() -> None:
    refuse_spelled(jpeg_with_table(b"quantisation"), TERMS)
    refuse_spelled(jpeg_with_table(b"Li Wu"), bank(person="Li^Wu"))  # too short to mean anything among coded bytes
    frames = [encoded(GREY, one, RLE) for one in GREY.some(3, 64, 64, 7)]
    refuse_spelled(read_part10(BytesIO(compressed(GREY, frames, (64, 64), RLE))), TERMS)
