"""Makes native frames of pictures that no transfer syntax is for (PS3.18 10.5.2): PNG and GIF, without loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageSequence

from lethe.storage.entries import DicomJson
from lethe.storage.errors import Refused

from .codestream import Frame, image_pixel
from .words import Array

TYPES = ("image/png", "image/gif")
_MOST_PIXELS = 64 << 20
"""Of one picture; of all frames of a GIF together."""


def native(media_type: str, files: Sequence[Path], target: Path) -> DicomJson:
    """Write the frames of these pictures to one file; what it holds is told by the Image Pixel attributes. Raises
    Refused."""
    shapes = set()
    frames = 0
    with target.open("wb") as out:
        for frame in (frame for path in files for frame in _frames(media_type, path)):
            shapes.add((frame.shape, frame.dtype.itemsize))
            frames += 1
            out.write(frame.astype(frame.dtype.newbyteorder("<")).tobytes())
    if len(shapes) != 1:
        raise Refused("the frames of a picture are not alike")
    ((shape, size),) = shapes
    colour = "MONOCHROME2" if len(shape) == 2 else "RGB"
    said = image_pixel(Frame(shape[0], shape[1], 8 * size, colour))
    return said | ({"00280008": {"vr": "IS", "Value": [frames]}} if frames > 1 else {})


def _frames(media_type: str, path: Path) -> Iterator[Array]:
    try:
        with Image.open(path, formats=[media_type.partition("/")[2].upper()]) as picture:
            if picture.width * picture.height * getattr(picture, "n_frames", 1) > _MOST_PIXELS:
                raise Refused("the picture is too large")
            if media_type == "image/gif":
                yield from (np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture))
                return
        yield _opaque(np.asarray(imagecodecs.png_decode(path.read_bytes())))
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError):
        raise Refused("the picture cannot be read") from None


def _opaque(frame: Array) -> Array:
    """The picture without its alpha channel, which DICOM has no place for. Raises Refused where something shows
    through."""
    if frame.ndim == 3 and frame.shape[2] in (2, 4):
        if (frame[..., -1] != np.iinfo(frame.dtype).max).any():
            raise Refused("a picture that is transparent has no place in DICOM")
        frame = frame[..., :-1]
    return frame[..., 0] if frame.ndim == 3 and frame.shape[2] == 1 else frame
