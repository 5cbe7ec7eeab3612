"""Encodes one frame as others of its object are encoded, without loss, so that what is decoded from it is the same.

Only codecs without loss are used, also where the transfer syntax allows it: what was lossy once must not be so again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import imagecodecs
import numpy as np
from rle.rle import encode_frame

from . import decoding as syntaxes
from .codestream import LOSSLESS, Stream, colour_markers, remarked
from .decoding import by_plane, values_of
from .form import Form, Pixels

_HEADERS = 4096
_WHOLE_WORDS = syntaxes.JLS | syntaxes.HTJ2K
"""Their encoders take 8, 16 or 32 bits and nothing between."""


class CannotEncode(Exception):
    """No encoder here can hold a frame in that form."""


def encode(words: Pixels, form: Form, stream: Stream | None, original: bytes) -> bytes:
    """The frame's words in the transfer syntax of `form`; `stream` and `original` are the frame as it was. Raises
    CannotEncode."""
    syntax = str(form.transfer_syntax)
    try:
        if syntax == syntaxes.RLE:
            return _run_lengths(words, form)
        if syntax == syntaxes.DEFLATED_FRAMES:
            return _deflated(words, form)
        assert stream is not None
        if syntax in _WHOLE_WORDS:
            stream = replace(stream, precision=8 if stream.precision <= 8 else 16 if stream.precision <= 16 else 32)
        return _ENCODERS[syntax](values_of(words, stream), stream, original)
    except Exception as error:  # codecs raise whatever they like
        raise CannotEncode(type(error).__name__) from None


def _run_lengths(words: Pixels, form: Form) -> bytes:
    flat = words.astype(form.word.newbyteorder("<"), copy=False).tobytes()
    return bytes(encode_frame(flat, form.rows, form.columns, form.samples, form.bits_allocated, "<"))


def _deflated(words: Pixels, form: Form) -> bytes:
    if form.bits_allocated == 1:
        flat = np.packbits(words.reshape(-1), bitorder="little").tobytes()
    else:
        ordered = by_plane(words) if form.samples == 3 and form.planar == 1 else words
        flat = ordered.astype(form.word.newbyteorder("<"), copy=False).tobytes()
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(flat) + deflate.flush()


def _lossless_jpeg(values: Pixels, stream: Stream, original: bytes) -> bytes:
    """Process 14 with the predictor of the original; one that was none before gets the first (PS3.5 A.4.2)."""
    space = "GRAYSCALE" if values.ndim == 2 else "RGB"
    made = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(values),
        lossless=True,
        predictor=stream.selection if stream.process == LOSSLESS and 1 <= stream.selection <= 7 else 1,
        bitspersample=stream.precision,
        colorspace=space,
        outcolorspace=space,
    )
    return remarked(bytes(made), colour_markers(original))


def _jpeg_ls(values: Pixels, _stream: Stream, _original: bytes) -> bytes:
    values = np.ascontiguousarray(values)
    made = imagecodecs.jpegls_encode(values, out=2 * values.nbytes + _HEADERS)
    return remarked(bytes(made), b"")


def _jpeg_2000(values: Pixels, stream: Stream, _original: bytes) -> bytes:
    made = imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(values),
        codecformat="J2K",
        reversible=True,
        bitspersample=stream.precision,
        mct=stream.transformed,
        resolutions=_resolutions(values),
        numthreads=1,
    )
    return bytes(made)


def _high_throughput(values: Pixels, stream: Stream, _original: bytes) -> bytes:
    made = imagecodecs.htj2k_encode(
        np.ascontiguousarray(values), reversible=True, rgb=stream.transformed, tlm=True, planar=False
    )
    return bytes(made)


def _resolutions(values: Pixels) -> int:
    """As many as usual, of which none is empty."""
    return max(1, min(6, int(min(values.shape[:2])).bit_length()))


_ENCODERS: dict[str, Callable[[Pixels, Stream, bytes], bytes]] = {
    **dict.fromkeys(syntaxes.LOSSLESS_JPEG, _lossless_jpeg),
    **dict.fromkeys(syntaxes.JLS, _jpeg_ls),
    **dict.fromkeys(syntaxes.J2K, _jpeg_2000),
    **dict.fromkeys(syntaxes.HTJ2K, _high_throughput),
}
