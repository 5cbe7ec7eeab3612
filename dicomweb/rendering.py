"""Turns one decoded frame into a picture: modality and VOI transformation, colour, cut and size. Pure.

The values follow PS3.4 N.2 and PS3.3 C.11: rescaled first, then windowed, inverted for MONOCHROME1. Nothing is written
onto the picture.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

Array = np.ndarray[Any, np.dtype[Any]]
MEDIA_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}


class Curve(StrEnum):
    """How a window maps values to grey (PS3.3 C.11.2.1.3)."""

    LINEAR = "linear"
    LINEAR_EXACT = "linear-exact"
    SIGMOID = "sigmoid"


@dataclass(frozen=True)
class Window:
    """A VOI window over rescaled values."""

    center: float
    width: float
    curve: Curve = Curve.LINEAR


@dataclass(frozen=True)
class Viewport:
    """The box the picture has to fit into, and the part of the frame that is shown: x, y, width, height, where a
    negative width or height mirrors (PS3.18 8.3.5.1.3)."""

    width: int
    height: int
    source: tuple[float, float, float, float] | None = None


def picture(frame: Array, ds: Dataset, number: int, *, window: Window | None = None) -> Image.Image:
    """The picture of frame `number` (from 1) of the object whose header is `ds`; `frame` has its colours as RGB."""
    photometric = str(ds.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        return Image.fromarray(_bytes(apply_color_lut(frame, ds)))
    if frame.ndim == 3:
        return Image.fromarray(_bytes(frame[..., :3], _most(frame, ds)))
    grey = _grey(frame, ds, number, window)
    return Image.fromarray(255 - grey if photometric == "MONOCHROME1" else grey)


def fitted(image: Image.Image, viewport: Viewport | None) -> Image.Image:
    """The wanted part of the picture at the largest size that fits into the viewport, its aspect kept."""
    if viewport is None:
        return image
    if viewport.source is not None:
        image = _cut(image, viewport.source)
    scale = min(viewport.width / image.width, viewport.height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BILINEAR)


def encoded(image: Image.Image, media_type: str, quality: int) -> bytes:
    """The picture as a file of that type; `quality` from 1 to 100 matters for JPEG."""
    out = io.BytesIO()
    options = {"quality": quality} if media_type == "image/jpeg" else {}
    image.save(out, MEDIA_TYPES[media_type], **options)
    return out.getvalue()


def _grey(frame: Array, ds: Dataset, number: int, window: Window | None) -> Array:
    rescaled = _rescaled(frame, ds, number)
    if window is None and (table := _functional(ds, number, "FrameVOILUTSequence")).get("VOILUTSequence"):
        looked_up = apply_voi(np.rint(rescaled).astype(np.int32), table)
        return _bytes(looked_up, float(2 ** int(table.VOILUTSequence[0].LUTDescriptor[2]) - 1))
    return _windowed(rescaled, window or _window_of(ds, number) or _window_over(rescaled, ds))


def _rescaled(frame: Array, ds: Dataset, number: int) -> Array:
    values = _functional(ds, number, "PixelValueTransformationSequence")
    return np.asarray(apply_modality_lut(frame, values), dtype=np.float64)


def _functional(ds: Dataset, number: int, sequence: str) -> Dataset:
    """Where a frame's values are: in its own functional group, the shared one, or the object itself (C.7.6.16)."""
    per_frame, shared = ds.get("PerFrameFunctionalGroupsSequence"), ds.get("SharedFunctionalGroupsSequence")
    own = per_frame[number - 1 : number] if per_frame else []
    for group in [*own, *(shared or [])]:
        if group.get(sequence):
            found: Dataset = group[sequence].value[0]
            return found
    return ds


def _window_of(ds: Dataset, number: int) -> Window | None:
    values = _functional(ds, number, "FrameVOILUTSequence")
    try:
        center, width = (float(_first(values.get(name))) for name in ("WindowCenter", "WindowWidth"))
    except (TypeError, ValueError):
        return None
    curve = str(values.get("VOILUTFunction", "LINEAR")).lower().replace("_", "-")
    return Window(center, width, Curve(curve) if curve in set(Curve) else Curve.LINEAR) if width >= 1 else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value


def _window_over(values: Array, ds: Dataset) -> Window:
    """From the darkest to the brightest value; a few outliers and the padding value do not count."""
    padding = ds.get("PixelPaddingValue")
    seen = values[np.isfinite(values)]
    if isinstance(padding, int):
        seen = seen[seen != padding] if (seen != padding).any() else seen
    if seen.size == 0:
        return Window(0.0, 1.0, Curve.LINEAR_EXACT)
    low, high = np.percentile(seen, (0.1, 99.9)) if seen.size > 4096 else (seen.min(), seen.max())
    if high <= low:
        low, high = seen.min(), seen.max()
    return Window(float(low + high) / 2, float(max(high - low, 1e-9)), Curve.LINEAR_EXACT)


def _windowed(values: Array, window: Window) -> Array:
    """Values to grey by the three functions of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    center, width = window.center, window.width
    if window.curve is Curve.SIGMOID:
        grey = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    elif window.curve is Curve.LINEAR and width > 1:
        grey = (values - (center - 0.5)) / (width - 1) + 0.5
    elif window.curve is Curve.LINEAR:
        grey = np.where(values > center - 0.5, 1.0, 0.0)
    else:
        grey = (values - center) / width + 0.5
    scaled: Array = np.rint(np.clip(np.nan_to_num(grey), 0, 1) * 255).astype(np.uint8)
    return scaled


def _most(frame: Array, ds: Dataset) -> float:
    """The highest value a colour sample can have."""
    bits = int(ds.get("BitsStored", 8) or 8)
    return float(2**bits - 1) if frame.dtype.kind in "iu" else float(frame.max() or 1)


def _bytes(values: Array, most: float | None = None) -> Array:
    if values.dtype == np.uint8 and most in (None, 255.0):
        return np.ascontiguousarray(values)
    most = float(np.iinfo(values.dtype).max) if most is None else most
    scaled: Array = np.rint(np.clip(values / (most or 1), 0, 1) * 255).astype(np.uint8)
    return scaled


def _cut(image: Image.Image, source: tuple[float, float, float, float]) -> Image.Image:
    x, y, width, height = source
    left, top = max(0, min(round(x), image.width - 1)), max(0, min(round(y), image.height - 1))
    right = max(left + 1, min(image.width, left + max(1, round(abs(width)))))
    bottom = max(top + 1, min(image.height, top + max(1, round(abs(height)))))
    image = image.crop((left, top, right, bottom))
    if width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if height < 0 else image
