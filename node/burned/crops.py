"""Cuts out of a picture what is to be read, stretched and turned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .box import Box
from .reader import Orientation, Picture

Crop = NDArray[np.float32]
TALL = 1.4
"""From how many times its width a box is tall on."""
_MAYBE_UPRIGHT = 2.6
_FLATTEST, _GREYS = 8.0, 256


def crop_of(picture: Picture, box: Box) -> Crop:
    """What is in a box, in grey from 0 to 1, stretched; of colours the channel in which the text stands out most."""
    rows, columns = picture.shape[:2]
    inside = box.within(columns, rows)
    part = picture[inside.rows, inside.columns]
    if min(part.shape[:2]) < 3:
        return np.zeros((0, 0), np.float32)
    if part.ndim == 3:
        part = part[..., int(cv2.meanStdDev(part)[1].argmax())]
    counts = np.bincount(part.ravel(), minlength=_GREYS).cumsum()
    low, high = np.searchsorted(counts, (0.01 * (part.size - 1), 0.99 * (part.size - 1)), side="right")
    stretched = ((np.arange(_GREYS) - low) / max(high - low, _FLATTEST)).clip(0, 1).astype(np.float32)
    return np.asarray(stretched[part], np.float32)


def turns_of(crop: Crop) -> tuple[Orientation, ...]:
    """The ways up in which its text may stand, the likeliest first."""
    height, width = crop.shape
    if not width:
        return ()
    if height < TALL * width:
        return (Orientation.UPRIGHT,)
    standing = (Orientation.UPWARDS, Orientation.DOWNWARDS)
    return (Orientation.UPRIGHT, *standing) if height < _MAYBE_UPRIGHT * width else standing


def turned(crop: Crop, turn: Orientation) -> Crop:
    """A crop turned so that its text is upright."""
    return np.ascontiguousarray(np.rot90(crop, -turn // 90))
