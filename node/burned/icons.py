"""Removes images within images: an icon is the image made small, text included, and nobody has looked at the others.

The header is cleaned of them in any case (PS3.15 Table E.1-1 for icons; pixel data in other items are misplaced); here
they go as well for whoever redacts without a profile.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from lethe.node.deid.elements import Path, decoded, items, vr_of
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import PIXEL_TAGS

ICONS = Tag("IconImageSequence")


def without_icons(source: Part10) -> Part10:
    """The object without icons and without pixel data in items, at any depth; the same object where it has none. Raises
    CannotClean for sequences that cannot be read."""
    if not any(_images(source.header, ())):
        return source
    header = copy.deepcopy(source.header)
    for dataset, tag in list(_images(header, ())):
        del dataset[tag]
    return replace(source, header=header)


def _images(dataset: Dataset, path: Path) -> Iterator[tuple[Dataset, int]]:
    """Each element that holds an image within the image, and the data set it is in."""
    for tag in sorted(dataset.keys()):
        if tag == ICONS or (path and tag in PIXEL_TAGS):
            yield dataset, tag
        elif vr_of(dataset, tag) == "SQ":
            for below, item in items(decoded(dataset, tag, path), path, int(tag)):
                yield from _images(item, below)
