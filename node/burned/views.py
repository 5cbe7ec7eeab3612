"""Makes the picture of a frame in which all text is seen that somebody could make visible.

A screen shows one window of a frame's values; text may hide outside it. So the picture's three channels are three looks
at one frame: what stands out from its surroundings, whatever their brightness; the values between the first and the
last half per cent; and the equalised values, in which no range of them is flat. The gate knows them as they are; to a
text detector three looks that differ are colours, and it is given them as one.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""(rows, columns, 3), 0 to 255."""
Grey = npt.NDArray[np.uint8]
Wide = npt.NDArray[np.float32]
Values = npt.NDArray[np.generic]

_LEVELS = 1 << 16
_NEAR, _FAR = 21, 43
"""Sizes in pixels of the neighbourhoods from which a pixel stands out, and in which that is usual; text is smaller."""
_FAINT = 0.02
"""What share of the range of values is never called standing out by itself."""
_STRENGTH = 64
_WEIGHTS = np.array([[0.48, 0.29, 0.23]], np.float32)
_BLEND = np.array([[0.75, 0.25, 0]] * 3, np.float32)
"""How much each look counts for a detector: what stands out, most. What is only in the last stands out as well."""
_STRIP = 1024
_INK, _AWAY, _FOR_FEW = 30, 3, 190
"""So many pixels may be a text; how far outside, in terms of the range of nearly all others, they have greys of their
own, and how many of these."""
_VALUES, _SOME, _MANY, _ENOUGH = 64, 3, 10**6, 8000
"""So many values are a picture; every so many rows are enough to tell which there are, in frames of more pixels; and so
many pixels, to tell whether there is a gap between them."""


def picture_of(frame: Values, *, inverted: bool = False) -> Picture:
    """The picture of one frame: (rows, columns) of any number type, or (rows, columns, 3) of RGB. `inverted` for
    MONOCHROME1."""
    if frame.ndim == 3:
        colours = _bytes(frame)
        grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
        channels = [standing_out(grey), colours.max(axis=2), colours.min(axis=2)]
    else:
        levels = _levels(frame)
        counts = np.bincount(levels.ravel(), minlength=1).cumsum()
        channels = [standing_out(levels), _stretched(counts)[levels], _equalised(counts)[levels]]
    picture = np.dstack(channels)
    return 255 - picture if inverted else picture


def in_one(picture: Picture) -> Picture:
    """The looks of `picture_of` in one, in their place, for a large frame need not be in memory twice. So a detector is
    to see them: in fringes of colours, thin script is none. Of 57 lines of Arabic it missed ten among them, and none in
    one grey."""
    return np.asarray(cv2.transform(picture, _BLEND, picture), np.uint8)


def plain_picture(frame: Values, *, inverted: bool = False) -> Picture:
    """The picture as a screen would show it."""
    if frame.ndim == 3:
        return _bytes(frame)
    grey = grey_picture(frame)
    return np.dstack([255 - grey if inverted else grey] * 3)


def in_grey(frame: Values) -> Values:
    """Colours in grey levels, weighed so that none that go together are the same grey: red and green as bright, or red
    and the grey of a third of it, are when all three count alike, and what is red on green when they count as light. Of
    what is grey, its own."""
    if frame.ndim == 2:
        return frame
    return np.asarray(cv2.transform(frame.astype(np.float32), _WEIGHTS), np.float32)


def grey_picture(values: Values) -> Grey:
    """Values of any number type from black to white, but for the first and last half per cent."""
    levels = _levels(values)
    return _stretched(np.bincount(levels.ravel(), minlength=1).cumsum())[levels]


def standing_out(values: Values) -> Grey:
    """How far each pixel is from the mean around it, in terms of how far pixels are from it there. Flat is 128."""
    low, high = np.percentile(values[::2, ::2].astype(np.float32), (0.5, 99.5))
    faint = max(float(high - low), 1.0) * _FAINT
    greys = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _STRIP):  # a strip at a time, or a mammogram takes half a gigabyte
        first, last = max(top - _FAR, 0), top + _STRIP
        strip = _away(values[first : last + _FAR].astype(np.float32), faint)
        greys[top:last] = strip[top - first : last - first]
    return greys


def evened(picture: Picture, near: int) -> Picture:
    """What stands out from so many pixels around it, in each channel, what is dark as much as what is bright."""
    roots = np.sqrt(picture.astype(np.float32))
    faint = max(float(np.ptp(roots)), 1.0) * _FAINT / 2
    return np.dstack([_away(np.ascontiguousarray(one), faint, near, 3 * near) for one in np.moveaxis(roots, 2, 0)])


def _away(wide: npt.NDArray[np.float32], faint: float, near: int = _NEAR, far: int = _FAR) -> Grey:
    away = wide - _mean(wide, near)
    usual = np.sqrt(_mean(away * away, far).clip(0))  # rounding may leave less than nothing
    greys: Grey = np.clip(away / (usual + faint) * _STRENGTH + 128, 0, 255).astype(np.uint8)
    return greys


def _mean(values: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """The mean around each pixel, nearer ones counting more: of a mean of means."""
    half = size // 2 | 1
    return cv2.blur(cv2.blur(values, (half, half)), (half, half))  # type: ignore[return-value]


def _levels(frame: Values) -> npt.NDArray[np.uint16]:
    """The values as whole numbers from 0, in order, none so far from the others that nothing of those can be told."""
    if frame.dtype.kind in "iu" and frame.dtype.itemsize <= 2:
        whole = (frame.astype(np.int32) - int(frame.min())).astype(np.uint16)
        used = np.flatnonzero(np.bincount(whole[::_SOME].ravel()))
        return _positions(np.arange(_LEVELS), used)[whole] if _has_a_gap(used) else whole
    most = float(np.finfo(np.float32).max)
    wide: npt.NDArray[np.float64] = np.nan_to_num(frame.astype(np.float64), nan=-most, posinf=most, neginf=-most)
    if _has_a_gap(np.unique(_sample(wide))):
        return _positions(wide, np.unique(wide[:: 1 if wide.size <= _MANY else _SOME]))
    low, high = np.percentile(wide, (0.05, 99.95))
    if high <= low:
        low, high = float(wide.min()), float(wide.max())
    steps = np.clip((wide - low) * ((_LEVELS - 1) / max(high - low, 1e-300)), 0, _LEVELS - 1)
    return np.asarray(steps, np.uint16)


def _sample(wide: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A few thousand of its values, spread evenly."""
    step = max(int((wide.shape[0] * wide.shape[1] / _ENOUGH) ** 0.5), 1)
    return wide[::step, ::step]


def _has_a_gap(used: npt.NDArray[Any]) -> bool:
    """Whether values, each once and in order, are a picture, and some of them further away than it is wide."""
    halves = used / 2  # the whole may be more than a number can be
    return len(used) >= _VALUES and 2 * float(np.diff(halves).max()) > float(halves[-1] - halves[0])


def _positions(values: npt.NDArray[Any], used: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Where values lie among those that are used: half by how large they are and half by how many are smaller, so that
    neither a padding far below the picture nor a single spot above it leaves the picture itself without contrast."""
    if len(used) == 1:
        return np.zeros(values.shape, np.uint16)
    size = used / 2 - used[0] / 2  # halves, for the whole may be more than a number can be
    places = size / size[-1] + np.linspace(0, 1, len(used))
    return np.asarray(np.interp(values, used, places * ((_LEVELS - 1) / 2)), np.uint16)


def _stretched(counts: npt.NDArray[np.int64]) -> Grey:
    """Grey by level, from the first to the last half per cent of the pixels; where a few lie far outside, as a small
    bright text on a dark frame does, they have most of the greys, for what is left may be noise."""
    low, high = (int(one) for one in np.searchsorted(counts, (counts[-1] * 0.005, counts[-1] * 0.995)))
    if high <= low:
        low, high = 0, max(len(counts) - 1, 1)
    bottom, top = (int(one) for one in np.searchsorted(counts, (_INK, counts[-1] - _INK)))
    far = _AWAY * (high - low)
    few = _FOR_FEW / 2 if low - bottom > far and top - high > far else _FOR_FEW
    darkest, lightest = few * (low - bottom > far), 255 - few * (top - high > far)
    knots = min(bottom, low - 1), low, high, max(top, high + 1)
    greys: Grey = np.interp(np.arange(len(counts)), knots, (0, darkest, lightest, 255)).astype(np.uint8)
    return greys


def _equalised(counts: npt.NDArray[np.int64]) -> Grey:
    """Grey by level, every grey for as many pixels as the others."""
    greys: Grey = (counts * (255 / counts[-1])).astype(np.uint8)
    return greys


def _bytes(frame: Values) -> Picture:
    """Colours of any depth as bytes."""
    if frame.dtype == np.uint8:
        return frame  # type: ignore[return-value]
    wide = frame.astype(np.float32)
    low, high = float(wide.min()), float(wide.max())
    some = _sample(wide)
    first, last = np.percentile(some, (0.5, 99.5))
    if high - low > 2 * (last - first) or _has_a_gap(np.unique(some)):
        return grey_picture(frame.reshape(len(frame), -1)).reshape(frame.shape)
    return ((wide - low) * (255 / max(high - low, 1.0))).astype(np.uint8)
