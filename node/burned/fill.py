"""Chooses what a box is filled with: one value for all of it, so that nothing of what was there can be told."""

from __future__ import annotations

import numpy as np

from ..choices import Fill
from .box import Box
from .form import Form, Pixels
from .palette import LIGHTNESS

_RING = 2


def filling(
    frame: Pixels, box: Box, fill: Fill, form: Form, colours: str = "GREY", palette: Pixels | None = None
) -> Pixels:
    """The value of each sample for that box of a frame of stored values. `colours` is what the samples are, as
    `Frames.colours` says it; `palette` how light each index is, where they are indices."""
    around = surroundings(frame, box)
    if colours == "PALETTE":
        return _index(around, fill, form, palette)
    middle: Pixels
    if not around.size:
        middle = np.zeros(form.samples)
    else:
        middle = np.nan_to_num(np.asarray(np.median(around, axis=0)))
    if form.photometric == "HSV" or (fill is Fill.BACKGROUND and around.size):
        return middle.astype(form.dtype)
    if form.samples == 3:
        return _black_or_white(middle, form, colours)
    darkest, lightest = _extremes(frame, form)
    return np.array([darkest if middle[0] - darkest > lightest - middle[0] else lightest], form.dtype)


def surroundings(frame: Pixels, box: Box) -> Pixels:
    """The pixels next to a box, one after the other; none where it is all of the frame."""
    rows, columns = frame.shape[:2]
    outer = box.grown(_RING, _RING).within(columns, rows)
    strips = (
        Box(outer.left, outer.top, outer.right, box.top),
        Box(outer.left, box.bottom, outer.right, outer.bottom),
        Box(outer.left, box.top, box.left, box.bottom),
        Box(box.right, box.top, outer.right, box.bottom),
    )
    samples = 1 if frame.ndim == 2 else frame.shape[2]
    return np.concatenate([frame[one.rows, one.columns].reshape(-1, samples) for one in strips])


def _index(around: Pixels, fill: Fill, form: Form, palette: Pixels | None) -> Pixels:
    """Of the palette: the index that most pixels around have, or that of the darkest or lightest colour."""
    common = np.array([0], form.dtype)
    if around.size:
        values, counts = np.unique(around, return_counts=True)
        common = values[counts.argmax() :][:1].astype(form.dtype)
    if palette is None or (fill is Fill.BACKGROUND and around.size):
        return common
    here = palette[min(max(int(common[0]), 0), len(palette) - 1)]
    darkest, lightest = int(palette.argmin()), int(palette.argmax())
    return np.array([darkest if here - palette[darkest] > palette[lightest] - here else lightest], form.dtype)


def _black_or_white(middle: Pixels, form: Form, colours: str) -> Pixels:
    is_light = (middle[0] if colours == "YBR" else middle @ np.array(LIGHTNESS)) > form.highest / 2
    light = 0 if is_light else form.highest
    grey = 1 << (form.bits_stored - 1)
    return np.array([light, grey, grey] if colours == "YBR" else [light] * 3, form.dtype)


def _extremes(frame: Pixels, form: Form) -> tuple[float, float]:
    """The darkest and the lightest value: those of the frame, which its window shows; of a flat one, those that its
    bits can hold."""
    if form.floating:
        finite = frame[np.isfinite(frame)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return (low, high) if low < high else (low, low + 1.0)
    low, high = int(frame.min()), int(frame.max())
    return (low, high) if low < high else (form.lowest, form.highest)
