"""Puts changed frames back among native pixel data: their own bits change, and nothing else."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from .decoding import by_plane
from .form import Form, Pixels
from .places import Native


def put_back(file: BinaryIO, words: Pixels, frame: int, places: Native, form: Form) -> None:
    """Write a frame's words into the file, in which `places` says where its frames are."""
    first, last = places.within(frame)
    data = _bits(words, frame, places) if form.bits_allocated == 1 else _bytes(words, places, form)
    if len(data) < last - first:  # words of 16 bits that begin or end in a neighbour
        whole = bytearray(_straight(places.read(frame), places))
        skip = frame * places.bits // 8 - first
        whole[skip : skip + len(data)] = data
        data = bytes(whole)
    file.seek(places.start + first)
    file.write(_straight(data, places))


def _bytes(words: Pixels, places: Native, form: Form) -> bytes:
    if places.halved:
        return _narrowed(words)
    ordered = by_plane(words) if form.samples == 3 and form.planar == 1 else words
    return ordered.astype(form.word.newbyteorder(">" if places.big else "<"), copy=False).tobytes()


def _bits(words: Pixels, frame: int, places: Native) -> bytes:
    """Single bits, packed, with those of the neighbours that share a byte."""
    bits = np.unpackbits(np.frombuffer(_straight(places.read(frame), places), np.uint8), bitorder="little")
    skip = frame * places.bits - 8 * places.within(frame)[0]
    bits[skip : skip + places.bits] = words.reshape(-1)
    return np.packbits(bits, bitorder="little").tobytes()


def _straight(data: bytes, places: Native) -> bytes:
    return np.frombuffer(data, np.uint16).byteswap().tobytes() if places.swapped else data


def _narrowed(words: Pixels) -> bytes:
    """Y Cb Cr of two pixels as Y Y Cb Cr."""
    rows, columns = words.shape[:2]
    pairs = np.empty((rows, columns // 2, 4), np.uint8)
    pairs[..., 0], pairs[..., 1] = words[:, 0::2, 0], words[:, 1::2, 0]
    pairs[..., 2], pairs[..., 3] = words[:, 0::2, 1], words[:, 0::2, 2]
    return pairs.tobytes()
