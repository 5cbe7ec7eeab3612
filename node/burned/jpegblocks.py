"""Fills boxes in a baseline JPEG by its DCT blocks: those outside keep their coefficients, so no pixel is coded twice.

A block belongs to a box or it does not, so boxes grow to whole MCUs (ISO/IEC 10918-1 A.2); decoders that smooth chroma
let it bleed one pixel further.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jpeglib
import numpy as np

from lethe.node.deid.errors import CannotClean

from .box import Box
from .codestream import BASELINE, EXTENDED, Stream, spliced
from .form import Pixels

_BLOCK = 8
_COMPONENTS = ("Y", "Cb", "Cr")


def can_edit(stream: Stream | None) -> bool:
    """Whether its blocks can be written again: sequential, 8 bits, Huffman coded, one or three components."""
    return (
        stream is not None
        and stream.process in (BASELINE, EXTENDED)
        and stream.precision == 8
        and stream.components in (1, 3)
        and all(factor in (1, 2, 4) for pair in stream.sampling for factor in pair)
    )


def grown(box: Box, stream: Stream) -> Box:
    """The box in whole MCUs, within the image."""
    across, down = _mcu(stream)
    left, top = box.left // across * across, box.top // down * down
    right, bottom = -(-box.right // across) * across, -(-box.bottom // down) * down
    return Box(left, top, right, bottom).within(stream.columns, stream.rows)


def bled(box: Box, stream: Stream) -> Box:
    """A grown box with the pixels around it that smoothed chroma may change."""
    if stream.components == 1:
        return box
    (widest, tallest), factors = _largest(stream), stream.sampling
    across, down = any(one != widest for one, _ in factors), any(one != tallest for _, one in factors)
    return box.grown(int(across), int(down)).within(stream.columns, stream.rows)


def filled(data: bytes, stream: Stream, boxes: Sequence[Box], values: Sequence[Pixels]) -> bytes:
    """The same JPEG with each grown box filled with the value beside it, as near as its quantisation allows. Raises
    CannotClean where the result is not as it should be."""
    with _as_path(data) as path:
        image = jpeglib.read_dct(path)
        image.load()
        expected = [component.copy() for component in _components(image, stream)]
        steps = [image.get_component_qt(number)[0, 0] for number in range(stream.components)]
        for box, value in zip(boxes, values, strict=True):
            for blocks, part, step, level in zip(expected, _parts(box, stream), steps, value, strict=True):
                blocks[part] = 0
                blocks[(*part, 0, 0)] = _dc(int(level), int(step))
        image.Y, *chroma = expected
        if chroma:
            image.Cb, image.Cr = chroma
        with _as_path(b"") as result:
            image.write_dct(result)
            made = spliced(data, _content(result))
    with _as_path(made) as path:
        again = jpeglib.read_dct(path)
        again.load()
        found = _components(again, stream)
    if any(not np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
        raise CannotClean("a redacted JPEG frame, read again, is not what it should be")
    return made


def _components(image: Any, stream: Stream) -> list[Pixels]:
    return [getattr(image, name) for name in _COMPONENTS[: stream.components]]


def _parts(box: Box, stream: Stream) -> Iterator[tuple[slice, slice]]:
    """The blocks of each component that a grown box holds."""
    across, down = _mcu(stream)
    widest, tallest = _largest(stream)
    for wide, tall in stream.sampling:
        wide, tall = (1, 1) if stream.components == 1 else (wide, tall)
        pixels_across, pixels_down = _BLOCK * widest // wide, _BLOCK * tallest // tall
        left, right = box.left // across * across, -(-box.right // across) * across
        top, bottom = box.top // down * down, -(-box.bottom // down) * down
        yield (
            slice(top // pixels_down, -(-bottom // pixels_down)),
            slice(left // pixels_across, -(-right // pixels_across)),
        )


def _mcu(stream: Stream) -> tuple[int, int]:
    widest, tallest = _largest(stream)
    return _BLOCK * widest, _BLOCK * tallest


def _largest(stream: Stream) -> tuple[int, int]:
    """The largest sampling factors; a single component is coded block by block, whatever it says."""
    if stream.components == 1:
        return 1, 1
    return max(one for one, _ in stream.sampling), max(one for _, one in stream.sampling)


def _dc(level: int, step: int) -> int:
    """The quantised DC coefficient whose block has that level."""
    return round((level - 128) * _BLOCK / step)


@contextmanager
def _as_path(data: bytes) -> Iterator[str]:
    """Bytes in memory under a path, for a library that reads and writes nothing else."""
    handle = os.memfd_create("frame")
    try:
        os.write(handle, data)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
