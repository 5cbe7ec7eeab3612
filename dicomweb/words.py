"""Reads the samples of one native frame. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from .shape import Shape

Array = np.ndarray[Any, np.dtype[Any]]


def words_of(data: bytes, shape: Shape) -> Array:
    """The words of a native frame, colour by pixel, chroma at full sampling."""
    if shape.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=shape.native_bits, bitorder="little")
        return bits.reshape(shape.array)
    kind = "u" if not shape.signed else "i"
    kind = "f" if shape.tag != 0x7FE00010 else kind
    words = np.frombuffer(data, f"<{kind}{shape.bits_allocated // 8}")
    if shape.samples == 3 and shape.native_bits != shape.decoded_bits:
        return _sampled_fully(words, shape)
    if shape.samples > 1 and shape.planar == 1:
        return np.moveaxis(words.reshape(shape.samples, shape.rows, shape.columns), 0, 2)
    return words.reshape(shape.array)


def _sampled_fully(words: Array, shape: Shape) -> Array:
    """Two pixels share their chroma: Y Y Cb Cr (PS3.3 C.7.6.3.1.2)."""
    four = words.reshape(-1, 4)
    full = np.empty((len(four), 2, 3), words.dtype)
    full[:, :, 0] = four[:, :2]
    full[:, :, 1] = four[:, 2:3]
    full[:, :, 2] = four[:, 3:4]
    return full.reshape(shape.array)
