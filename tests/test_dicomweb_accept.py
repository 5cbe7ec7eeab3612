"""Media type choice (PS3.18 8.7) and the multipart writer: behaviours 4 to 23 of the checklist."""

from __future__ import annotations

import pytest
from dicomweb_archive import parts_of

from lethe.dicomweb import multipart
from lethe.dicomweb.accept import JSON, NotAcceptable, Offer, Packing, choose, parse

NATIVE, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"
DECODED = Offer("application/octet-stream", Packing.MULTIPART, NATIVE, frozenset({"", NATIVE}))
STORED = Offer("image/jp2", Packing.MULTIPART, J2K, frozenset({"", "*", J2K}))
OCTETS = Offer("application/octet-stream", Packing.MULTIPART, J2K, frozenset({"*", J2K}))
FRAMES = [DECODED, STORED, OCTETS]


@pytest.mark.parametrize(
    "header",
    [
        "application/dicom+json",
        "application/dicom+json, application/json",
        "Application/DICOM+JSON",
        "toto, application/dicom+json",
        "text/html, image/gif, image/jpeg, */*; q=.2, */*; q=.2",
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*",
        "application/json; charset=utf-8",
        "application/*",
        "*/*",
    ],
)
def test_json_is_chosen(header):
    assert choose(parse(header), [JSON]).media_type == "application/dicom+json"


@pytest.mark.parametrize(
    "header",
    [
        "application/xml",
        "toto",
        "multipart/related",
        'multipart/related; type="application/dicom+xml"',
        'multipart/related; type="application/dicom+xml"; transfer-syntax=nope',
        "application/json;q=0",
        "application/dicom+json;q=0, */*",
        "application/dicom+json;q=0, application/json;q=0, */*;q=0",
        ',;,="',
    ],
)
def test_nothing_else_is_json(header):
    with pytest.raises(NotAcceptable) as refusal:
        choose(parse(header), [JSON])
    assert "application/dicom+json" in str(refusal.value)
    assert "nope" not in str(refusal.value)


@pytest.mark.parametrize(
    ("header", "offer"),
    [
        ("*/*", DECODED),
        ("multipart/related", DECODED),
        ('multipart/related; type="*/*"', DECODED),
        ('multipart/related; type="application/octet-stream"', DECODED),
        ("multipart/related; type=application/octet-stream", DECODED),
        ('multipart/related;   type =  "application/octet-stream"  ', DECODED),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1', DECODED),
        ('multipart/related; type="application/octet-stream"; transfer-syntax="*"', OCTETS),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", OCTETS),
        ('multipart/related; type="application/octet-stream; transfer-syntax=*"', OCTETS),
        ('multipart/related; type="application/octet-stream;q=0.1; transfer-syntax=1.2"; transfer-syntax=*', OCTETS),
        ('multipart/related; type="*/*"; transfer-syntax=*', STORED),
        ('multipart/related; type="image/jp2"', STORED),
        ('MULTIPART/Related; TYPE="Image/JP2"; Transfer-Syntax=*', STORED),
        ('multipart/related; type="image/*"', STORED),
        ('multipart/related; type="image/jp2"; q=0.5, multipart/related; type="application/octet-stream"', DECODED),
        ('multipart/related; type="image/jp2", multipart/related; type="application/octet-stream"', STORED),
        ('multipart/related; type="image/jp2", */*;q=0.1', STORED),
        ('multipart/related; type="image/jp2";q=0, */*;q=0.1', DECODED),
    ],
)
def test_the_best_form_of_a_frame_is_chosen(header, offer):
    assert choose(parse(header), FRAMES) == offer


@pytest.mark.parametrize(
    "header",
    [
        'multipart/related; type=" application/octet-stream"',
        'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.4.50',
        'multipart/related; type="image/jpeg"',
        "application/octet-stream",
        "image/jp2",
    ],
)
def test_no_form_of_a_frame_is_chosen(header):
    with pytest.raises(NotAcceptable):
        choose(parse(header), FRAMES)


def test_old_names_of_image_types_mean_the_new_ones():
    names = [wanted.media_type for wanted in parse("image/x-jls, image/x-dicom-rle, image/jpg")]
    assert names == ["image/jls", "image/dicom-rle", "image/jpeg"]


def test_a_long_malformed_header_is_read_quickly():
    assert parse('"' * 5000 + "," + ";=" * 5000) == ()


def test_a_multipart_body_is_what_it_says():
    parts = [
        multipart.Part("image/jp2; transfer-syntax=1.2", "http://a/frames/1", lambda: [b"\r\n--x", b""], 5),
        multipart.Part("image/jp2", "", lambda: [b"abc"], None),
    ]
    boundary = multipart.new_boundary()
    body = b"".join(multipart.body(parts, boundary))
    (first, data), (second, rest) = parts_of(body, multipart.content_type("image/jp2", boundary))
    assert first == {
        "Content-Type": "image/jp2; transfer-syntax=1.2",
        "Content-Length": "5",
        "Content-Location": "http://a/frames/1",
    }
    assert (data, rest) == (b"\r\n--x", b"abc")
    assert second == {"Content-Type": "image/jp2"}
    assert multipart.body_length(parts, boundary) is None
    assert multipart.body_length(parts[:1], boundary) == len(b"".join(multipart.body(parts[:1], boundary)))


def test_boundaries_are_long_and_never_the_same():
    boundaries = {multipart.new_boundary() for _ in range(1000)}
    assert len(boundaries) == 1000
    assert min(map(len, boundaries)) == 32


def test_a_part_of_another_length_breaks_the_body_off():
    part = multipart.Part("a/b", "", lambda: [b"abc"], 4)
    with pytest.raises(OSError, match="length"):
        list(multipart.body([part], "x"))
