"""Reads the frames of an object one by one, as the values that are stored: no colour, window or palette is applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from pydicom.uid import UID

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10

from .codestream import Stream
from .decoding import by_pixel, decode, refuse_undecodable, sign_extended
from .form import Form, Pixels, form_of
from .places import Encapsulated, Native, encapsulated_places, native_places


class Frames:
    """The frames of one object. Nothing but the frame last asked for is kept in memory."""

    def __init__(self, form: Form, places: Native | Encapsulated) -> None:
        self.form = form
        self.places = places
        self._last: tuple[int, Pixels, Stream | None] | None = None

    def __len__(self) -> int:
        return self.form.frames

    def __iter__(self) -> Iterator[Pixels]:
        return (self.stored(number) for number in range(len(self)))

    def stored(self, frame: int) -> Pixels:
        """The values stored, with their sign: rows, columns and, for colour, samples. YBR stays YBR, with chroma at
        full width, and PALETTE COLOR stays indices."""
        return stored_values(self.raw(frame), self.form)

    def raw(self, frame: int) -> Pixels:
        """The words as allocated, without sign, with the bits beside those stored. Not to be changed."""
        return self._read(frame)[0]

    def hidden(self, frame: int) -> Pixels | None:
        """The bits beside those stored, where they hold anything but a continued sign: overlays of old, or more."""
        raw, form = self.raw(frame), self.form
        if form.floating or form.bits_stored == form.bits_allocated:
            return None
        beside = raw ^ packed(stored_values(raw, form), form)
        return beside if beside.any() else None

    def stream(self, frame: int) -> Stream | None:
        """What the frame's codestream says of itself; None for native, RLE and deflated ones."""
        return self._read(frame)[1]

    def encoded(self, frame: int) -> bytes:
        """The frame as it is in the file. Native frames of single bits may have bits of their neighbours in it."""
        return self.places.read(frame)

    def digest(self, frame: int) -> bytes:
        """Stands for what the frame holds, so that equal ones need be looked at only once."""
        aligned = isinstance(self.places, Encapsulated) or self.places.bits % 16 == 0
        content = self.encoded(frame) if aligned else self.raw(frame).tobytes()
        return hashlib.blake2b(content, digest_size=16).digest()

    def colours(self, frame: int = 0) -> str:
        """What the stored samples are: "GREY", "PALETTE", "RGB" or "YBR". A JPEG's own markers say it better than the
        data set (PS3.5 8.2.1), and JPEG 2000 gives RGB whatever it was stored as."""
        form = self.form
        if form.samples == 1:
            return "PALETTE" if form.photometric == "PALETTE COLOR" else "GREY"
        stream = self.stream(frame)
        if stream and stream.colours:
            return stream.colours
        if stream and stream.transformed:
            return "RGB"
        return "YBR" if form.photometric in ("YBR_FULL", "YBR_FULL_422") else "RGB"

    def _read(self, frame: int) -> tuple[Pixels, Stream | None]:
        if not 0 <= frame < len(self):
            raise IndexError(frame)
        if self._last and self._last[0] == frame:
            return self._last[1:]
        self._last = None  # so that two frames are never in memory
        if isinstance(self.places, Native):
            raw, stream = native_words(self.places.read(frame), frame, self.places, self.form), None
        else:
            raw, stream = decode(self.places.read(frame), self.form)
        raw.flags.writeable = False
        self._last = (frame, raw, stream)
        return raw, stream


def open_frames(source: Part10) -> Frames:
    """The frames of an object. Raises CannotClean for what has none, contradicts itself or cannot be decoded here."""
    span = source.pixels
    if span is None:
        raise CannotClean("it has no pixel data")
    form = form_of(source.header, source.transfer_syntax, span.tag)
    if span.encapsulated != _is_compressed(source.transfer_syntax):
        raise CannotClean("its pixel data are not encapsulated as its transfer syntax (0002,0010) says")
    if not span.encapsulated:
        return Frames(form, native_places(source, span, form))
    refuse_undecodable(source.transfer_syntax)
    if form.floating:
        raise CannotClean("floating point pixel data cannot be compressed")
    return Frames(form, encapsulated_places(source, span, form))


def _is_compressed(syntax: UID) -> bool:
    return not str(syntax).startswith("1.2.840.10008.1.2.1") and str(syntax) not in _NATIVE


_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2")


def stored_values(raw: Pixels, form: Form) -> Pixels:
    """The values that the bits stored of these words mean."""
    if form.floating or form.bits_allocated == 1:
        return raw
    if form.bits_stored == form.bits_allocated:
        return raw.view(form.dtype)
    values = raw >> raw.dtype.type(form.shift) if form.shift else raw
    if form.signed:
        return sign_extended(values.view(form.dtype), form.bits_stored)
    most = (1 << form.bits_stored) - 1
    if not values.size or values.max() <= most:  # as usual: a large frame need not be in memory twice
        return values
    kept: Pixels = values & values.dtype.type(most)
    return kept


def packed(stored: Pixels, form: Form) -> Pixels:
    """Words that hold these values, and nothing but a continued sign beside them."""
    if form.floating or form.bits_allocated == 1:
        return stored
    words: Pixels = stored.view(form.word)
    return words << words.dtype.type(form.shift) if form.shift else words


def native_words(data: bytes, frame: int, places: Native, form: Form) -> Pixels:
    """The words of a native frame, out of the bytes that hold it."""
    flat = np.frombuffer(data, np.uint8)
    if places.swapped:
        flat = flat.view(np.uint16).byteswap().view(np.uint8)
    skip = frame * places.bits - 8 * places.within(frame)[0]
    if form.bits_allocated == 1:
        return np.unpackbits(flat, bitorder="little")[skip : skip + places.bits].reshape(form.shape)
    flat = flat[skip // 8 : (skip + places.bits) // 8]
    if places.halved:
        return _widened(flat, form)
    return by_pixel(flat.view(form.word.newbyteorder(">" if places.big else "<")), form, planar=form.planar == 1).copy()


def _widened(flat: Pixels, form: Form) -> Pixels:
    """Y Y Cb Cr (PS3.3 C.7.6.3.1.2) as Y Cb Cr for each of the two pixels."""
    pairs = flat.reshape(form.rows, form.columns // 2, 4)
    frame = np.empty(form.shape, np.uint8)
    frame[:, 0::2, 0], frame[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    frame[..., 1], frame[..., 2] = np.repeat(pairs[..., 2], 2, axis=1), np.repeat(pairs[..., 3], 2, axis=1)
    return frame
