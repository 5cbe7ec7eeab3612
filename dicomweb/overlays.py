"""Reads overlay planes as masks (PS3.3 C.9.2): what a presentation state draws, or covers, with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

GROUPS = range(0x6000, 0x6020, 2)
_FRAME_ORIGIN, _ORIGIN, _LAYER, _DATA = 0x0051, 0x0050, 0x1001, 0x3000


def activated(state: Dataset, image: Dataset) -> Iterator[tuple[Dataset, int]]:
    """The overlays that a presentation state shows, its own or the image's, by what holds them and their group."""
    for group in GROUPS:
        if (group, _LAYER) in state and state[group, _LAYER].value:
            holder = next((one for one in (state, image) if (group, _DATA) in one), None)
            if holder is not None:
                yield holder, group


def mask_of(holder: Dataset, group: int, size: tuple[int, int], frame: int) -> Image.Image:
    """Where the bits of an overlay are set, of an image of that size; of several frames, those of that one."""
    mask = Image.new("L", size, 0)
    bits = np.asarray(holder.overlay_array(group))
    if bits.ndim == 3:
        place = frame - (int(holder[group, _FRAME_ORIGIN].value) if (group, _FRAME_ORIGIN) in holder else 1)
        if not 0 <= place < len(bits):
            return mask
        bits = bits[place]
    row, column = (int(one) for one in holder[group, _ORIGIN].value) if (group, _ORIGIN) in holder else (1, 1)
    mask.paste(Image.fromarray(bits.astype(np.uint8) * 255), (column - 1, row - 1))
    return mask
