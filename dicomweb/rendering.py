"""Turns one frame into grey or colour of 8 bits: modality and VOI transformation, palettes, colour spaces. Pure.

The values follow PS3.4 N.2 and PS3.3 C.11: rescaled first, then windowed, inverted for MONOCHROME1. What happens to
each of the values that a word of 8 or 16 bits can have is worked out once, in a table.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

Array = np.ndarray[Any, np.dtype[Any]]
_FEW = 4096
_OUTLIERS = (0.001, 0.999)
_MODALITY = ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence")
_VOI = ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence")


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
class Look:
    """What an object says about how one of its frames is to be shown."""

    photometric: str
    bits_stored: int
    high_bit: int
    signed: bool
    modality: Dataset
    voi: Dataset
    padding: int | None = None
    palette: Array | None = None
    """Red, green and blue of each index."""


def look_of(ds: Dataset, number: int) -> Look:
    """How frame `number` (from 1) of the object whose header is `ds` is to be shown. Raises what a header that makes
    no sense makes its reader raise."""
    photometric = str(ds.get("PhotometricInterpretation", "MONOCHROME2"))
    bits = int(ds.get("BitsStored") or ds.get("BitsAllocated") or 8)
    padding = ds.get("PixelPaddingValue")
    return Look(
        photometric=photometric,
        bits_stored=bits,
        high_bit=int(ds.get("HighBit") or bits - 1),
        signed=ds.get("PixelRepresentation") == 1,
        modality=only(_functional(ds, number, "PixelValueTransformationSequence"), _MODALITY),
        voi=only(_functional(ds, number, "FrameVOILUTSequence"), _VOI),
        padding=padding if isinstance(padding, int) else None,
        palette=_palette(ds, bits) if photometric == "PALETTE COLOR" else None,
    )


def picture(frame: Array, ds: Dataset, number: int, *, window: Window | None = None) -> Image.Image:
    """The picture of frame `number` (from 1) of the object whose header is `ds`; colours of `frame` are RGB."""
    return Image.fromarray(drawn(frame, look_of(ds, number), "RGB", window=window))


def drawn(frame: Array, look: Look, colours: str, *, window: Window | None = None) -> Array:
    """The frame in 8 bits, grey or RGB; `colours` is the Photometric Interpretation of decoded colour."""
    if look.palette is not None:
        coloured: Array = look.palette[np.clip(frame, 0, len(look.palette) - 1)]
        return coloured
    if frame.ndim == 3:
        return _rgb(_bytes(frame[..., :3], _most(frame, look)), colours)
    if frame.dtype.kind in "iu" and frame.itemsize <= 2:
        words = frame.view(f"u{frame.itemsize}")
        taken: Array = np.take(grey_table(frame, look, window), words)
        return taken
    rescaled = np.asarray(apply_modality_lut(frame, look.modality), dtype=np.float64)
    return _grey(rescaled, look, window, lambda: _range_of(rescaled, frame, look))


def grey_table(frame: Array, look: Look, window: Window | None) -> Array:
    """What becomes of each value that a word of the frame can have."""
    words = np.arange(1 << (8 * frame.itemsize), dtype=f"u{frame.itemsize}")
    stored = _stored(words, look, frame)
    rescaled = np.asarray(apply_modality_lut(stored, look.modality), dtype=np.float64)

    def seen() -> tuple[float, float]:
        counts = np.bincount(frame.view(words.dtype).ravel(), minlength=len(words))
        if look.padding is not None and (counts[stored != look.padding] > 0).any():
            counts[stored == look.padding] = 0
        return _range_by(counts, rescaled)

    return _grey(rescaled, look, window, seen)


def only(ds: Dataset, keywords: tuple[str, ...]) -> Dataset:
    """A data set with those of its attributes, as far as it has them."""
    few = Dataset()
    for keyword in keywords:
        if keyword in ds:
            few[keyword] = ds[keyword]
    return few


def _functional(ds: Dataset, number: int, sequence: str) -> Dataset:
    """Where a frame's values are: in its own functional group, the shared one, or the object itself (C.7.6.16)."""
    per_frame, shared = ds.get("PerFrameFunctionalGroupsSequence"), ds.get("SharedFunctionalGroupsSequence")
    own = per_frame[number - 1 : number] if per_frame else []
    for group in [*own, *(shared or [])]:
        if group.get(sequence):
            found: Dataset = group[sequence].value[0]
            return found
    return ds


def _palette(ds: Dataset, bits: int) -> Array:
    indices = np.arange(1 << min(bits, 16), dtype=np.uint8 if bits <= 8 else np.uint16)
    if ds.get("PixelRepresentation") == 1:
        indices = indices.view(f"i{indices.itemsize}")
    colours = np.asarray(apply_color_lut(indices, ds))
    return _bytes(colours[..., :3])


def palette_of(ds: Dataset, count: int) -> Array:
    """The colours of that many values, spread over the palette that a presentation state has."""
    entries, first, _ = (int(one) for one in ds.RedPaletteColorLookupTableDescriptor)
    indices = first + np.rint(np.linspace(0, (entries or 1 << 16) - 1, count)).astype(np.int64)
    colours = np.asarray(apply_color_lut(indices.astype(np.int32), ds))
    return _bytes(colours[..., :3])


def _stored(words: Array, look: Look, frame: Array) -> Array:
    """The values that the words hold: the stored bits alone, with their sign."""
    bits = 8 * frame.itemsize
    left, right = max(0, bits - 1 - look.high_bit), max(0, bits - look.bits_stored)
    signed = look.signed or frame.dtype.kind == "i"
    if look.high_bit >= bits:
        left = right = 0
    kept: Array = words.view(f"{'i' if signed else 'u'}{frame.itemsize}")
    return (kept << left) >> right if left or right else kept


def _grey(values: Array, look: Look, window: Window | None, seen: Callable[[], tuple[float, float]]) -> Array:
    if window is None and look.voi.get("VOILUTSequence"):
        looked_up = apply_voi(np.rint(values).astype(np.int32), look.voi)
        grey = _bytes(looked_up, float(2 ** int(look.voi.VOILUTSequence[0].LUTDescriptor[2]) - 1))
    else:
        grey = _windowed(values, window or _window_of(look) or _window_over(look, seen))
    return 255 - grey if look.photometric == "MONOCHROME1" else grey


def _window_of(look: Look) -> Window | None:
    try:
        center, width = (float(_first(look.voi.get(name))) for name in ("WindowCenter", "WindowWidth"))
    except (TypeError, ValueError):
        return None
    curve = str(look.voi.get("VOILUTFunction", "LINEAR")).lower().replace("_", "-")
    return Window(center, width, Curve(curve) if curve in set(Curve) else Curve.LINEAR) if width >= 1 else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value


def _window_over(look: Look, seen: Callable[[], tuple[float, float]]) -> Window:
    if look.bits_stored == 1:
        return Window(0.5, 1.0, Curve.LINEAR_EXACT)
    low, high = seen()
    return Window(float(low + high) / 2, float(max(high - low, 1e-9)), Curve.LINEAR_EXACT)


def _range_by(counts: Array, values: Array) -> tuple[float, float]:
    """From the darkest to the brightest of the values that occur; of many, a few outliers do not count."""
    present = np.flatnonzero(counts)
    if not len(present):
        return 0.0, 1.0
    present = present[np.argsort(values[present], kind="stable")]
    kept, total = values[present], int(counts[present].sum())
    if total > _FEW:
        upto = np.cumsum(counts[present])
        low, high = kept[np.searchsorted(upto, [part * total for part in _OUTLIERS]).clip(0, len(kept) - 1)]
        if high > low:
            return float(low), float(high)
    return float(kept[0]), float(kept[-1])


def _range_of(values: Array, frame: Array, look: Look) -> tuple[float, float]:
    """The same for values of which there are too many to count."""
    use = np.isfinite(values)
    if look.padding is not None and (frame[use] != look.padding).any():
        use &= frame != look.padding
    seen = values[use]
    if seen.size == 0:
        return 0.0, 1.0
    low, high = seen.min(), seen.max()
    if seen.size > _FEW:
        places = [int(part * (seen.size - 1)) for part in _OUTLIERS]
        sorted_there = np.partition(seen, places)
        if sorted_there[places[1]] > sorted_there[places[0]]:
            low, high = sorted_there[places[0]], sorted_there[places[1]]
    return float(low), float(high)


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


def _rgb(frame: Array, colours: str) -> Array:
    if colours not in ("YBR_FULL", "YBR_FULL_422"):
        return frame
    return np.asarray(Image.frombytes("YCbCr", frame.shape[1::-1], frame.tobytes()).convert("RGB"))


def _most(frame: Array, look: Look) -> float:
    """The highest value a colour sample can have."""
    return float(2**look.bits_stored - 1) if frame.dtype.kind in "iu" else float(frame.max() or 1)


def _bytes(values: Array, most: float | None = None) -> Array:
    if values.dtype == np.uint8 and most in (None, 255.0):
        return np.ascontiguousarray(values)
    most = float(np.iinfo(values.dtype).max) if most is None else most
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scaled: Array = np.rint(np.clip(values / (most or 1), 0, 1) * 255).astype(np.uint8)
    return scaled
