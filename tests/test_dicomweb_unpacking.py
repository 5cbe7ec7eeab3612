"""Multipart bodies are taken apart the same way wherever they are cut, and bad ones are refused, never guessed at."""

from __future__ import annotations

from io import BytesIO

import pytest

from lethe.dicomweb.unpacking import Unpacker
from lethe.storage.errors import Refused

BODY = (
    b"This is a preamble.\r\n--b\r\nContent-Type: application/dicom\r\nContent-Location: x\r\n\r\none\r\n--bc\r\n"
    b"--b--x\r\n\r\n--b  \r\n\r\n\r\n\r\n--b\r\nContent-Type:\r\n  folded\r\n\r\n\r\n--b-- \r\nepilogue --b\r\n"
)


def unpacked(body: bytes, boundary: str = "b", step: int = 1 << 18) -> list[tuple[dict[str, str], bytes]]:
    stream = BytesIO(body)
    parts = Unpacker(lambda size: stream.read(min(size, step)), boundary).parts()
    return [(dict(headers), b"".join(content)) for headers, content in parts]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64, 1 << 18])
def test_wherever_the_body_is_cut(step: int) -> None:
    assert unpacked(BODY, step=step) == [
        ({"content-type": "application/dicom", "content-location": "x"}, b"one\r\n--bc\r\n--b--x\r\n"),
        ({}, b"\r\n"),
        ({"content-type": "folded"}, b""),
    ]


@pytest.mark.parametrize("step", [1, 4, 1 << 18])
def test_lines_that_end_in_lf_alone_keep_a_cr_of_the_content(step: int) -> None:
    body = b"--b\nContent-Type: application/dicom\n\ndata\r\n--b\n\n\n--b--"
    assert unpacked(body, step=step) == [({"content-type": "application/dicom"}, b"data\r"), ({}, b"")]


@pytest.mark.parametrize("step", [1, 4, 1 << 18])
def test_an_empty_part_without_a_line_of_its_own(step: int) -> None:
    assert unpacked(b"--b\r\nA: 1\r\n\r\n--b--", step=step) == [({"a": "1"}, b"")]


def test_no_part_at_all() -> None:
    assert unpacked(b"--b--\r\n") == []


def test_a_part_that_is_not_taken_is_passed_over() -> None:
    stream = BytesIO(b"--b\r\n\r\none\r\n--b\r\nX: y\r\n\r\ntwo\r\n--b--")
    assert [dict(headers) for headers, _ in Unpacker(stream.read, "b").parts()] == [{}, {"x": "y"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing of the kind",
        b"--b",
        b"--b\r\n",
        b"--b\r\nContent-Type: application/dicom",
        b"--b\r\n\r\ncut off",
        b"--b\r\n\r\ncut off\r\n--b",
        b"--b\r\n\r\ncut off\r\n--b-",
        b"--b\r\nno colon\r\n\r\n\r\n--b--",
        b"--b\r\n" + b"A: b\r\n" * 5000 + b"\r\n\r\n--b--",
        b"--b\r\nA: " + bytes(40_000),
    ],
)
def test_what_is_malformed_is_refused(body: bytes) -> None:
    for step in (1, 1 << 18):
        with pytest.raises(Refused):
            unpacked(body, step=step)
