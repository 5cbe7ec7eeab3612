"""Tells how light each index of a PALETTE COLOR image is (PS3.3 C.7.6.3.1.5, C.7.9.2)."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from .form import Form, Pixels

_MOST_INDICES = 1 << 16
LIGHTNESS = (0.299, 0.587, 0.114)
"""What red, green and blue add to how light a colour is."""


def lightness(header: Dataset, form: Form) -> Pixels | None:
    """A number for each index that can be stored; None where the palette is missing or cannot be read."""
    colours = palette_colours(header, form)
    return None if colours is None else colours @ np.array(LIGHTNESS)


def palette_colours(header: Dataset, form: Form) -> Pixels | None:
    """Red, green and blue, from 0 to 1, for each index from 0 on; None where the palette cannot be read."""
    indices = np.arange(min(form.highest + 1, _MOST_INDICES), dtype=form.word)
    try:
        colours = apply_color_lut(indices, header)
    except Exception:  # whatever a broken palette makes pydicom raise
        return None
    return colours[:, :3] / np.iinfo(colours.dtype).max
