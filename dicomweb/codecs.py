"""Decodes and encodes single frames in the compressed transfer syntaxes of PS3.5 Annex A.

Only the DCT of JPEG loses anything. What JPEG-LS, JPEG 2000 and HTJ2K may lose is never taken: their lossy syntaxes are
written without loss, which PS3.5 allows. No colour is transformed that the codestream does not turn back.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID
from rle.rle import decode_frame, encode_frame

from .accept import NotAcceptable
from .shape import Shape
from .words import Array, words_of

_PREFIX = "1.2.840.10008.1.2."
DEFLATED_FRAMES = f"{_PREFIX}8.1"
RLE, JPEG_BASELINE, JPEG_EXTENDED = f"{_PREFIX}5", f"{_PREFIX}4.50", f"{_PREFIX}4.51"
LOSSLESS_JPEG = (f"{_PREFIX}4.57", f"{_PREFIX}4.70")
JPEG_LS = (f"{_PREFIX}4.80", f"{_PREFIX}4.81")
JPEG_2000 = (f"{_PREFIX}4.90", f"{_PREFIX}4.91")
HTJ2K = (f"{_PREFIX}4.201", f"{_PREFIX}4.202", f"{_PREFIX}4.203")
DCT = (JPEG_BASELINE, JPEG_EXTENDED)
_DCT_QUALITY = 95
_HEADERS = 4096
_DECODED = {"YBR_FULL_422": "YBR_FULL", "YBR_RCT": "RGB", "YBR_ICT": "RGB"}


def can_decode(transfer_syntax: str) -> bool:
    """Whether a decoder for it is installed."""
    if transfer_syntax == DEFLATED_FRAMES:
        return True
    try:
        return get_decoder(UID(transfer_syntax)).is_available
    except NotImplementedError:
        return False


def decoded_colours(shape: Shape) -> str:
    """The Photometric Interpretation of frames once they are decoded."""
    return _DECODED.get(shape.photometric, shape.photometric)


def decode(data: bytes, shape: Shape, transfer_syntax: str) -> Array:
    """The words of one compressed frame: rows, columns and, for colour, samples. Raises NotAcceptable."""
    try:
        array = _decoded(data, shape, transfer_syntax)
    except Exception:  # decoders raise whatever they like; what they say may quote the object
        raise NotAcceptable("the stored frame cannot be decoded here; ask with transfer-syntax=*") from None
    if array.dtype.kind in "iu" and array.itemsize * 8 != shape.bits_allocated >= 8:
        array = array.astype(f"{array.dtype.kind}{shape.bits_allocated // 8}")
    if array.shape != shape.array:
        raise NotAcceptable("the stored frame does not have the size its attributes give; ask with transfer-syntax=*")
    return array


def encode(array: Array, shape: Shape, transfer_syntax: str) -> bytes:
    """The frame in that transfer syntax. Raises NotAcceptable where it cannot hold such samples."""
    try:
        return bytes(_ENCODERS[transfer_syntax](np.ascontiguousarray(array), shape))
    except Exception:  # encoders raise whatever they like
        raise NotAcceptable("an image with such samples cannot be had in that transfer syntax") from None


def encoded_colours(shape: Shape, transfer_syntax: str) -> str:
    """The Photometric Interpretation of decoded frames once they are encoded."""
    colours = decoded_colours(shape)
    if shape.samples == 3 and transfer_syntax in DCT:
        return "YBR_FULL_422"
    return "YBR_RCT" if colours == "RGB" and transfer_syntax in JPEG_2000 + HTJ2K else colours


def encodable(shape: Shape, transfer_syntax: str) -> bool:
    """Whether frames of that shape have a place in that transfer syntax."""
    whole = shape.samples in (1, 3) and shape.bits_allocated in (8, 16) and shape.tag == 0x7FE00010
    if transfer_syntax == RLE:
        return shape.samples in (1, 3) and shape.bits_allocated in (8, 16, 32) and shape.tag == 0x7FE00010
    if transfer_syntax in DCT:
        bits = 8 if shape.bits_allocated == 8 else 12 if transfer_syntax == JPEG_EXTENDED and shape.samples == 1 else 0
        palette = shape.photometric == "PALETTE COLOR"
        return whole and 1 < shape.bits_stored <= bits and not shape.signed and not palette
    return whole and transfer_syntax in _ENCODERS


def _decoded(data: bytes, shape: Shape, transfer_syntax: str) -> Array:
    if transfer_syntax == DEFLATED_FRAMES:
        return words_of(_inflated(data, shape), shape)
    if transfer_syntax == RLE and shape.bits_allocated == 1:
        return words_of(_packed_bits(data, shape), shape)
    if transfer_syntax == JPEG_EXTENDED and shape.bits_stored > 8:
        twelve: Array = imagecodecs.jpeg8_decode(data)
        return twelve
    options: Any = {
        "number_of_frames": 1,
        "rows": shape.rows,
        "columns": shape.columns,
        "samples_per_pixel": shape.samples,
        "bits_allocated": shape.bits_allocated,
        "bits_stored": shape.bits_stored,
        "photometric_interpretation": shape.photometric or "MONOCHROME2",
        "pixel_representation": int(shape.signed),
        "planar_configuration": shape.planar,
        "pixel_keyword": "PixelData",
    }
    source = encapsulate([data], has_bot=False)
    array, _ = get_decoder(UID(transfer_syntax)).as_array(source, raw=True, index=0, **options)
    return array


def _inflated(data: bytes, shape: Shape) -> bytes:
    """A native frame, deflated (PS3.5 A.4.12); no more of it than there should be, perhaps padded by a byte."""
    size = -(-shape.native_bits // 8)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    frame = inflate.decompress(data, size + 2)
    if not inflate.eof or len(frame) not in (size, size + 1):
        raise ValueError("the frame has another size")
    return frame[:size]


def _packed_bits(data: bytes, shape: Shape) -> bytes:
    """Single bits in run lengths: the bytes into which they are packed, in one segment (PS3.5 8.2.2)."""
    return bytes(decode_frame(data, -(-shape.native_bits // 8), 8, "<"))


def _run_lengths(array: Array, shape: Shape) -> bytes:
    flat = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return bytes(encode_frame(flat, shape.rows, shape.columns, shape.samples, shape.bits_allocated, "<"))


def _dct(array: Array, shape: Shape) -> bytes:
    if shape.samples == 1:
        bits = 8 if shape.bits_allocated == 8 else 12
        return bytes(imagecodecs.jpeg8_encode(array, level=_DCT_QUALITY, bitspersample=bits))
    space = "RGB" if decoded_colours(shape) == "RGB" else "YCBCR"
    made = imagecodecs.jpeg8_encode(
        array, level=_DCT_QUALITY, colorspace=space, outcolorspace="YCBCR", subsampling="422"
    )
    return bytes(made)


def _lossless_jpeg(array: Array, shape: Shape) -> bytes:
    words = _unsigned(array)
    space = "GRAYSCALE" if words.ndim == 2 else "RGB"
    bits = max(2, _depth(words, shape))
    made = imagecodecs.jpeg8_encode(
        words, lossless=True, predictor=1, bitspersample=bits, colorspace=space, outcolorspace=space
    )
    return bytes(made)


def _jpeg_ls(array: Array, _shape: Shape) -> bytes:
    words = _unsigned(array)
    return bytes(imagecodecs.jpegls_encode(words, out=2 * words.nbytes + _HEADERS))


def _jpeg_2000(array: Array, shape: Shape) -> bytes:
    made = imagecodecs.jpeg2k_encode(
        array,
        codecformat="J2K",
        reversible=True,
        bitspersample=8 * array.itemsize if shape.signed else _depth(array, shape),
        mct=decoded_colours(shape) == "RGB",
        resolutions=max(1, min(6, min(array.shape[:2]).bit_length())),
        numthreads=1,
    )
    return bytes(made)


def _high_throughput(array: Array, shape: Shape) -> bytes:
    rgb = decoded_colours(shape) == "RGB"
    return bytes(imagecodecs.htj2k_encode(array, reversible=True, rgb=rgb, tlm=True, planar=False))


def _unsigned(array: Array) -> Array:
    return array.view(f"u{array.itemsize}")


def _depth(words: Array, shape: Shape) -> int:
    """As many bits as are stored, unless there are others set: then all of them."""
    whole = 8 * words.itemsize
    return shape.bits_stored if not shape.signed and int(words.max()) >> shape.bits_stored == 0 else whole


_ENCODERS: dict[str, Callable[[Array, Shape], bytes]] = {
    RLE: _run_lengths,
    **dict.fromkeys(DCT, _dct),
    **dict.fromkeys(LOSSLESS_JPEG, _lossless_jpeg),
    **dict.fromkeys(JPEG_LS, _jpeg_ls),
    **dict.fromkeys(JPEG_2000, _jpeg_2000),
    **dict.fromkeys(HTJ2K, _high_throughput),
}
ENCODED = tuple(_ENCODERS)
"""The compressed transfer syntaxes in which frames can be written."""
