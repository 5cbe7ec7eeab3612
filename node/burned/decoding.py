"""Decodes one compressed frame into the words that the data set allocates for its samples, colour by pixel.

No colour is transformed: what comes out is what the codestream's components are. JPEG 2000 undoes its own transform, as
PS3.5 8.2.4 wants it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import pairwise
from struct import unpack_from

import imagecodecs
import numpy as np
from pydicom.uid import UID

from lethe.node.deid.errors import CannotClean

from .codestream import BASELINE, EXTENDED, JPEG_2000, JPEG_LS, LOSSLESS, PROGRESSIVE, Stream, stream_of
from .form import Form, Pixels

_PREFIX = "1.2.840.10008.1.2."
RLE, DEFLATED_FRAMES = f"{_PREFIX}5", f"{_PREFIX}8.1"
JPEG_BASELINE, JPEG_EXTENDED = f"{_PREFIX}4.50", f"{_PREFIX}4.51"
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = f"{_PREFIX}4.57", f"{_PREFIX}4.70"
JPEG_LS_LOSSLESS, JPEG_LS_NEAR = f"{_PREFIX}4.80", f"{_PREFIX}4.81"
JPEG_2000_LOSSLESS, JPEG_2000_ANY = f"{_PREFIX}4.90", f"{_PREFIX}4.91"
HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K_ANY = (f"{_PREFIX}4.{number}" for number in (201, 202, 203))
DCT, LOSSLESS_JPEG = frozenset({JPEG_BASELINE, JPEG_EXTENDED}), frozenset({JPEG_LOSSLESS, JPEG_LOSSLESS_SV1})
JLS = frozenset({JPEG_LS_LOSSLESS, JPEG_LS_NEAR})
J2K, HTJ2K = frozenset({JPEG_2000_LOSSLESS, JPEG_2000_ANY}), frozenset({HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K_ANY})
_PROCESSES = {
    **dict.fromkeys(DCT, (BASELINE, EXTENDED, PROGRESSIVE)),
    **dict.fromkeys(LOSSLESS_JPEG, (LOSSLESS,)),
    **dict.fromkeys(JLS, (JPEG_LS,)),
    **dict.fromkeys(J2K | HTJ2K, (JPEG_2000,)),
}
_VIDEO = (f"{_PREFIX}4.10", f"{_PREFIX}7.")
_SLACK = 256
"""What may follow the last run of a segment."""
_ANOTHER_SIZE = "a frame's size, samples or depth are not those that the header says"


def refuse_undecodable(syntax: UID) -> None:
    """Raise CannotClean for compressed pixel data that are not decoded here."""
    if syntax.startswith(_VIDEO):
        raise CannotClean("video: its frames cannot be had one by one")
    if syntax not in {RLE, DEFLATED_FRAMES, *_PROCESSES}:
        raise CannotClean("its pixel data cannot be decoded here: not an encoding that is known")


def decode(data: bytes, form: Form) -> tuple[Pixels, Stream | None]:
    """The words of one frame, and what its codestream says of itself, if it is of a kind that does. Raises CannotClean
    for what cannot be decoded exactly."""
    syntax = str(form.transfer_syntax)
    if syntax == RLE:
        return _guarded(lambda: _run_lengths(data, form)), None
    if syntax == DEFLATED_FRAMES:
        return _guarded(lambda: _inflated(data, form)), None
    stream = stream_of(data)
    refuse_other(stream, form)
    values = _guarded(lambda: decoded_values(data, syntax, form))
    if values.shape != form.shape:
        raise CannotClean(_ANOTHER_SIZE)
    return words_of(values, stream, form), stream


def refuse_other(stream: Stream, form: Form) -> None:
    """Raise CannotClean where a codestream is of another kind, size or depth than the header says."""
    syntax = str(form.transfer_syntax)
    if syntax in DCT and stream.precision == 12:
        raise CannotClean("JPEG Extended with 12 bits (PS3.5 A.4.1) cannot be decoded exactly")
    if stream.process not in _PROCESSES[syntax]:
        raise CannotClean("a frame is compressed otherwise than its transfer syntax (0002,0010) says")
    size = (stream.rows, stream.columns, stream.components)
    if size != (form.rows, form.columns, form.samples) or stream.precision > form.bits_allocated:
        raise CannotClean(_ANOTHER_SIZE)
    if syntax in DCT and (stream.precision, form.bits_stored) != (8, 8):
        raise CannotClean(_ANOTHER_SIZE)


def decoded_values(data: bytes, syntax: str, form: Form) -> Pixels:
    """What the codec gives for a codestream."""
    if syntax in DCT or syntax in LOSSLESS_JPEG:
        space = "GRAYSCALE" if form.samples == 1 else "YCBCR" if syntax in DCT else "RGB"
        return imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)
    if syntax in JLS:
        return imagecodecs.jpegls_decode(data)
    # OpenJPEG for high throughput as well: the binding of OpenJPH swallows errors and gives what memory held.
    return imagecodecs.jpeg2k_decode(data, numthreads=1, planar=False)


def words_of(values: Pixels, stream: Stream, form: Form) -> Pixels:
    """Decoded values as words of the size allocated, the sign carried through the bits that the codestream lacks."""
    if values.dtype == form.word and not form.signed:
        return np.ascontiguousarray(values)
    signed = values.astype(f"i{max(values.itemsize, form.word.itemsize)}", copy=False)
    if form.signed and not stream.signed and stream.precision < 8 * signed.itemsize:
        signed = sign_extended(signed, stream.precision)
    return np.ascontiguousarray(signed.astype(form.word, copy=False))


def values_of(words: Pixels, stream: Stream) -> Pixels:
    """The other way round: what a codestream like that one has to hold."""
    size = 1 if stream.precision <= 8 else 2 if stream.precision <= 16 else 4
    if stream.signed:
        wide = words.astype(f"i{max(words.itemsize, size)}")
        return sign_extended(wide, stream.precision).astype(f"i{size}")
    kept: Pixels = words & words.dtype.type((1 << stream.precision) - 1)
    return kept.astype(f"u{size}")


def sign_extended(values: Pixels, bits: int) -> Pixels:
    """Signed numbers whose lowest bits are two's complement of that length."""
    away = 8 * values.itemsize - bits
    extended: Pixels = (values << away) >> away
    return extended


def _guarded(decoder: Callable[[], Pixels]) -> Pixels:
    """What the decoder gives. Codecs raise whatever they like, and what they say may quote the object."""
    try:
        return decoder()
    except CannotClean:
        raise
    except Exception as error:
        raise CannotClean(f"a frame cannot be decoded ({type(error).__name__})") from None


def _run_lengths(data: bytes, form: Form) -> Pixels:
    """Segments of the samples' bytes, highest first, sample after sample (PS3.5 Annex G)."""
    count, *starts = unpack_from("<16L", data)
    size, pixels = form.word.itemsize, -(-form.rows * form.columns * min(form.bits_allocated, 8) // 8)
    unused, starts = starts[count:], [*starts[:count], len(data)]
    if count != size * form.samples or starts[0] < 64 or any(a > b for a, b in pairwise(starts)):
        raise CannotClean(_ANOTHER_SIZE)
    if any(unused) or any(data[64 : starts[0]]):
        raise CannotClean("a frame has bytes between its header and its first segment, or beside their table")
    planes = np.empty((form.samples, pixels, size), np.uint8)
    for number, (start, end) in enumerate(pairwise(starts)):
        plane = imagecodecs.packbits_decode(data[start:end], out=pixels + _SLACK)
        if len(plane) < pixels or len(set(plane[pixels:])) > 1:  # a run may be longer than it need be
            raise CannotClean(_ANOTHER_SIZE)
        planes[number // size, :, size - 1 - number % size] = np.frombuffer(plane, np.uint8, pixels)
    if form.bits_allocated == 1:
        return np.unpackbits(planes.reshape(-1), bitorder="little", count=form.rows * form.columns).reshape(form.shape)
    return by_pixel(planes.reshape(-1).view(form.word.newbyteorder("<")), form, planar=True)


def _inflated(data: bytes, form: Form) -> Pixels:
    """A deflated frame is a native one, deflated (PS3.5 A.4.12)."""
    bits = form.rows * form.columns * form.samples * form.bits_allocated
    inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), -(-bits // 8)
    flat = inflate.decompress(data, size + 2)
    if not inflate.eof or not 0 <= len(flat) - size <= 1 or inflate.unused_data.strip(b"\0"):
        raise CannotClean(_ANOTHER_SIZE)
    if form.bits_allocated == 1:
        return np.unpackbits(np.frombuffer(flat, np.uint8), count=bits, bitorder="little").reshape(form.shape)
    words = np.frombuffer(flat[:size], form.word.newbyteorder("<"))
    return by_pixel(words, form, planar=form.planar == 1)


def by_pixel(words: Pixels, form: Form, *, planar: bool) -> Pixels:
    """A frame of words, one after the other or plane by plane, as rows, columns and samples."""
    if form.samples == 1 or not planar:
        return np.ascontiguousarray(words.reshape(form.shape)).astype(form.word, copy=False)
    planes = words.reshape(form.samples, form.rows, form.columns)
    return np.ascontiguousarray(np.moveaxis(planes, 0, 2)).astype(form.word, copy=False)


def by_plane(frame: Pixels) -> Pixels:
    """The other way round: samples first."""
    return np.ascontiguousarray(np.moveaxis(frame, 2, 0))
