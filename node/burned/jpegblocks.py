"""Fills boxes in a baseline JPEG by its DCT blocks: those outside keep their coefficients, so no pixel is coded twice.

A block belongs to a box or it does not, so boxes grow to whole MCUs (ISO/IEC 10918-1 A.2); decoders that smooth chroma
let it bleed one pixel further.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_short, c_ushort
from typing import Any

import jpeglib
import numpy as np
from jpeglib._bind import CJpegLib

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
    return box.grown(*_smoothed(stream)).within(stream.columns, stream.rows)


def _smoothed(stream: Stream) -> tuple[int, int]:
    """How far, across and down, decoders mix chroma that has fewer samples than there are pixels."""
    if stream.components == 1:
        return 0, 0
    widest, tallest = _largest(stream)
    return int(any(one != widest for one, _ in stream.sampling)), int(any(one != tallest for _, one in stream.sampling))


def filled(data: bytes, stream: Stream, boxes: Sequence[Box], values: Sequence[Pixels]) -> bytes:
    """The same JPEG with each grown box filled with the value beside it, as near as its quantisation allows. The image
    must have been decoded before: the library below ends the process over what is no JPEG."""
    image = _coefficients(data, stream)
    for number, name in enumerate(_COMPONENTS[: stream.components]):
        blocks, step = getattr(image, name), int(image.get_component_qt(number)[0, 0])
        for box, value in zip(boxes, values, strict=True):
            part = _part(box, stream, number)
            blocks[part] = 0
            blocks[(*part, 0, 0)] = _dc(int(value[number]), step)
    image.content = None  # nothing but its coefficients and quantisation is wanted of the original
    with _as_path(b"") as path:
        image.write_dct(path)
        return spliced(data, _content(path))


def is_flat(frame: Pixels, box: Box, stream: Stream) -> bool:
    """Whether each MCU of a grown box has one value: of lightness everywhere, of chroma but for the edge where decoders
    that smooth it mix it with the next."""
    across, down = _mcu(stream)
    wide, tall = _smoothed(stream)
    rows, columns = np.arange(0, box.height, down), np.arange(0, box.width, across)
    region = frame[box.rows, box.columns].reshape(box.height, box.width, -1)
    least = np.minimum.reduceat(np.minimum.reduceat(region[..., 0], rows, 0), columns, 1)
    most = np.maximum.reduceat(np.maximum.reduceat(region[..., 0], rows, 0), columns, 1)
    if (least != most).any():
        return False
    inside = np.ones((box.height, box.width), bool)
    for step, width in ((down, tall), (across, wide)):
        edge = np.arange(inside.shape[0]) % step
        inside[(edge < width) | (edge >= step - width)] = False
        inside = inside.T
    chroma = np.where(inside[..., None], region[..., 1:], 0)
    low = np.minimum.reduceat(np.minimum.reduceat(np.where(inside[..., None], chroma, 255), rows, 0), columns, 1)
    high = np.maximum.reduceat(np.maximum.reduceat(chroma, rows, 0), columns, 1)
    return bool((low >= high).all())


def _coefficients(data: bytes, stream: Stream) -> Any:
    """Its quantised DCT coefficients, eight by eight for each block of each component."""
    widest, tallest = _largest(stream)
    factors = [(1, 1)] if stream.components == 1 else stream.sampling
    image = jpeglib.DCTJPEG(
        path="frame",
        content=data,
        height=stream.rows,
        width=stream.columns,
        # How libjpeg counts blocks, those of MCUs that are not whole included.
        block_dims=np.array(
            [
                (-(-stream.rows * down // (tallest * _BLOCK)), -(-stream.columns * across // (widest * _BLOCK)))
                for across, down in factors
            ]
        ),
        samp_factor=np.array([(down, across) for across, down in factors]),
        jpeg_color_space=jpeglib.JCS_GRAYSCALE if stream.components == 1 else jpeglib.JCS_YCbCr,
        num_scans=1,
        markers=None,
        huffmans=None,
        progressive_mode=False,
        quant_tbl_no=None,
        Y=None,
        Cb=None,
        Cr=None,
        K=None,
        qt=None,
    )
    # Not by image.load(), which writes the frame to a temporary file, and leaves it there when it fails.
    parts = [image._alloc_dct_component(number) for number in range(stream.components)]
    tables, numbers = ((c_ushort * 64) * 4)(), (c_short * 4)()
    with _as_path(data) as path:
        given = dict(zip(_COMPONENTS, [*parts, None, None], strict=False))
        CJpegLib.read_jpeg_dct(path=path, srcfile=path, **given, K=None, qt=tables, quant_tbl_no=numbers)
    for name, part in zip(_COMPONENTS, parts, strict=False):
        blocks = np.ctypeslib.as_array(part)
        setattr(image, name, blocks.reshape(*blocks.shape[:-1], _BLOCK, _BLOCK))
    image.quant_tbl_no = np.array(numbers[: stream.components])
    image.qt = np.ctypeslib.as_array(tables).reshape(4, _BLOCK, _BLOCK)[: image.quant_tbl_no.max() + 1]
    return image


def _part(box: Box, stream: Stream, number: int) -> tuple[slice, slice]:
    """The blocks of a component that a grown box holds."""
    across, down = _mcu(stream)
    wide, tall = (1, 1) if stream.components == 1 else stream.sampling[number]
    return (
        slice(box.top // down * tall, -(-box.bottom // down) * tall),
        slice(box.left // across * wide, -(-box.right // across) * wide),
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
