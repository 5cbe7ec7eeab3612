"""Cuts a picture, fits it into a box, and writes it as a file of the type that is wanted. Pure; nothing is written onto
the picture.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

MEDIA_TYPES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/jp2": "JPEG2000",
}


@dataclass(frozen=True)
class Viewport:
    """The box the picture has to fit into, and the part of the frame that is shown: x, y, width, height, where a
    negative width or height mirrors (PS3.18 8.3.5.1.3)."""

    width: int
    height: int
    source: tuple[float, float, float, float] | None = None


def fitted(image: Image.Image, viewport: Viewport | None) -> Image.Image:
    """The wanted part of the picture at the largest size that fits into the viewport, its aspect kept."""
    if viewport is None:
        return image
    if viewport.source is not None:
        image = cut(image, viewport.source)
    scale = min(viewport.width / image.width, viewport.height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if scale < 0.25:
        image = image.reduce(int(0.5 / scale))  # most of the pixels need not be looked at so closely
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BILINEAR)


def encoded(image: Image.Image, media_type: str, quality: int, profile: bytes = b"") -> bytes:
    """The picture as a file of that type; `quality` from 1 to 100 matters for JPEG and WebP, and `profile` is an ICC
    profile that goes with it."""
    if media_type == "image/jpeg" and not profile:
        return bytes(imagecodecs.jpeg8_encode(np.asarray(image), level=quality))
    out = io.BytesIO()
    options: dict[str, Any] = {"icc_profile": profile} if profile and media_type != "image/gif" else {}
    if media_type in ("image/jpeg", "image/webp"):
        options["quality"] = quality
    if media_type == "image/png":
        options["compress_level"] = 3
    image.save(out, MEDIA_TYPES[media_type], **options)
    return out.getvalue()


def animated(images: list[Image.Image], milliseconds: int) -> bytes:
    """The pictures as a GIF that shows one after the other, again and again."""
    out = io.BytesIO()
    images[0].save(
        out, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0, optimize=False, disposal=1
    )
    return out.getvalue()


def cut(image: Image.Image, source: tuple[float, float, float, float]) -> Image.Image:
    """A part of the picture: x, y, width, height; a negative width or height mirrors it."""
    x, y, width, height = source
    left, top = max(0, min(round(x), image.width - 1)), max(0, min(round(y), image.height - 1))
    right = max(left + 1, min(image.width, left + max(1, round(abs(width)))))
    bottom = max(top + 1, min(image.height, top + max(1, round(abs(height)))))
    image = image.crop((left, top, right, bottom))
    if width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if height < 0 else image
