"""Brings pictures into the colour space that a request names, with its ICC profile (PS3.18 8.3.5.1.5, ICC.1)."""

from __future__ import annotations

import io
from functools import cache
from struct import pack

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms
from PIL.Image import Image

SPACES = ("srgb", "adobergb", "rommrgb")
_D50, _D65 = (0.3457, 0.3585), (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# Primaries and white as chromaticities, and the exponent: Adobe RGB (1998) 4.3; ISO 22028-2.
_ADOBE = ("Adobe RGB (1998) compatible", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), _D65, 563 / 256)
_ROMM = ("ROMM RGB compatible", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), _D50, 1.8)

Chromaticity = tuple[float, float]
Numbers = NDArray[np.float64]


def in_space(picture: Image, own: bytes, space: str) -> tuple[Image, bytes]:
    """The picture, whose colours are those of its own profile, or of sRGB where it has none that can be used, in that
    colour space, and the profile of that."""
    wanted = profile_of(space)
    try:
        return _converted(picture, own, wanted), wanted
    except (ImageCms.PyCMSError, OSError):
        return _converted(picture, profile_of("srgb"), wanted), wanted


def _converted(picture: Image, own: bytes, wanted: bytes) -> Image:
    source = own or profile_of("srgb")
    if source == wanted:
        return picture
    made = ImageCms.profileToProfile(
        picture.convert("RGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(source)),
        ImageCms.ImageCmsProfile(io.BytesIO(wanted)),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert made is not None
    return made


@cache
def profile_of(space: str) -> bytes:
    """The ICC profile of one of the colour spaces."""
    if space == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _profile(*(_ADOBE if space == "adobergb" else _ROMM))


def _profile(name: str, primaries: tuple[Chromaticity, ...], white: Chromaticity, exponent: float) -> bytes:
    """A display profile of three colorants and one exponent."""
    columns = np.stack([_xyz(one) for one in primaries], axis=1)
    columns = _to_d50(white) @ (columns * np.linalg.solve(columns, _xyz(white)))
    curve = pack(">4s4xLH2x", b"curv", 1, round(exponent * 256))
    said = name.encode() + b"\0"
    contents = {
        b"desc": pack(">4s4xL", b"desc", len(said)) + said + bytes(78),
        b"cprt": b"text" + bytes(4) + b"No copyright, use freely\0",
        b"wtpt": _xyz_type(_xyz(white)),
        **{tag: _xyz_type(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(contents)
    for tag, content in contents.items():
        table += pack(">4sLL", tag, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    whole = pack(">L", len(contents)) + table + body
    head = pack(
        ">L4xL4s4s4s6H4s", 128 + len(whole), 0x02100000, b"mntr", b"RGB ", b"XYZ ", 2001, 4, 1, 0, 0, 0, b"acsp"
    )
    return head + bytes(28) + _fixed(_xyz(_D50)) + bytes(48) + whole


def _xyz(chromaticity: Chromaticity) -> Numbers:
    """Of luminance 1."""
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_d50(white: Chromaticity) -> Numbers:
    """Chromatic adaptation from a white to that of profiles, after Bradford."""
    ratio = (_BRADFORD @ _xyz(_D50)) / (_BRADFORD @ _xyz(white))
    adapted: Numbers = np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD
    return adapted


def _xyz_type(values: Numbers) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: Numbers) -> bytes:
    return pack(">3l", *(round(float(value) * 65536) for value in values))
