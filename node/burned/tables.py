"""Knows what an object's own tables make of its grey levels (PS3.3 C.11.1, C.11.2, C.7.6.19): a table that goes up and
down shows what no window does, such as a name in one value of many that are noise to each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from .form import Form, Pixels

_MODALITY, _VOI, _PALETTE = "ModalityLUTSequence", "VOILUTSequence", "RedPaletteColorLookupTableDescriptor"
_MOST_BITS = 16
_MOST_TABLES = 8


def tables_of(header: Dataset, form: Form) -> list[Pixels]:
    """For each table that shows grey levels in another order than theirs: what it makes of each, from the lowest that
    can be stored on, as grey or as RGB. What cannot be read as a table is none to viewers either."""
    named = [name for name in (_MODALITY, _VOI, _PALETTE) if name in header]
    if not named or form.samples != 1 or form.photometric == "PALETTE COLOR" or form.floating:
        return []
    if form.bits_stored > _MOST_BITS:
        return []
    levels = np.arange(form.lowest, form.highest + 1).astype(form.dtype)
    return [table for table in _tables(levels, header, named) if not _is_in_order(table)]


def _tables(levels: Pixels, header: Dataset, named: list[str]) -> Iterator[Pixels]:
    values = levels
    try:
        if _MODALITY in named:
            yield (values := np.asarray(apply_modality_lut(levels, header)))
        if _VOI in named:
            for number in range(min(len(header[_VOI].value), _MOST_TABLES)):
                yield np.asarray(apply_voi(values, header, index=number))
        if _PALETTE in named:
            yield np.asarray(apply_color_lut(levels, _palette_of(header)))[:, :3]
    except Exception:  # whatever a broken table makes pydicom raise
        return


def _palette_of(header: Dataset) -> Dataset:
    """A supplemental palette as one of a colour image, as which alone pydicom takes it."""
    palette = Dataset()
    for element in header.group_dataset(0x0028):
        if 0x1100 <= element.tag.element < 0x1300:
            palette.add(element)
    return palette


def _is_in_order(table: Pixels) -> bool:
    if table.ndim > 1:
        return False
    steps = np.diff(table.astype(np.int64))
    return bool((steps >= 0).all() or (steps <= 0).all())
