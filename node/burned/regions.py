"""Tells the banner of an ultrasound frame from its picture: what lies outside every region that its header calibrates.

Text may stand within a region as well; this says only what is certainly none of the picture (PS3.3 C.8.5.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pydicom.dataset import Dataset

from .box import Box

_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("3", "3.1", "6", "6.1"))
_MOST_REGIONS = 64
_LEAST_SHARE = 0.1
"""Regions that cover less of a frame than this are no description of it."""


def us_banner(header: Dataset, rows: int, columns: int) -> list[Box] | None:
    """What lies outside every region of an ultrasound frame of that size. None where nothing is known: no regions,
    malformed ones, ones that do not fit the frame or fill it."""
    try:
        if str(header.get("SOPClassUID", "")) not in _CLASSES or rows < 1 or columns < 1:
            return None
        items = header.get("SequenceOfUltrasoundRegions") or ()
        if not 0 < len(items) <= _MOST_REGIONS:
            return None
        regions = [_region(item) for item in items]
    except Exception:  # whatever a header can hold instead: it is not a description of regions
        return None
    if not all(_fits(region, rows, columns) for region in regions):
        return None
    banner = outside(regions, rows, columns)
    share = 1 - sum(box.area for box in banner) / (rows * columns)
    return banner if banner and share >= _LEAST_SHARE else None


def outside(kept: Sequence[Box], rows: int, columns: int) -> list[Box]:
    """What none of the boxes holds of a frame of that size, as few boxes that do not overlap, in reading order."""
    within = [box.within(columns, rows) for box in kept]
    across = _bands([box for box in within if box.area], rows, columns)
    down = [_turned(box) for box in _bands([_turned(box) for box in within if box.area], columns, rows)]
    return sorted(across if len(across) <= len(down) else down, key=lambda box: (box.top, box.left))


def _region(item: Dataset) -> Box:
    """The region of one item; its corners are pixels of it (C.8.5.5.1.1)."""
    left, top = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
    right, bottom = int(item.RegionLocationMaxX1), int(item.RegionLocationMaxY1)
    return Box(left, top, right + 1, bottom + 1)


def _fits(region: Box, rows: int, columns: int) -> bool:
    """Whether it lies in the frame; some devices name the first pixel behind it instead of its last."""
    return 0 <= region.left < region.right - 1 <= columns and 0 <= region.top < region.bottom - 1 <= rows


def _bands(kept: Sequence[Box], rows: int, columns: int) -> list[Box]:
    """The same, cut into bands from edge to edge; what goes on unchanged from band to band is one box."""
    edges = sorted({0, rows, *(box.top for box in kept), *(box.bottom for box in kept)})
    open_since: dict[tuple[int, int], int] = {}
    found: list[Box] = []
    for top, bottom in pairwise(edges):
        free = _gaps([box for box in kept if box.top <= top and box.bottom >= bottom], columns)
        for span in [span for span in open_since if span not in free]:
            found.append(Box(span[0], open_since.pop(span), span[1], top))
        for span in free:
            open_since.setdefault(span, top)
    return found + [Box(left, top, right, rows) for (left, right), top in open_since.items()]


def _gaps(kept: Sequence[Box], columns: int) -> list[tuple[int, int]]:
    """The columns that none of the boxes holds, from where to where."""
    gaps, reached = [], 0
    for box in sorted(kept):
        if box.left > reached:
            gaps.append((reached, box.left))
        reached = max(reached, box.right)
    return [*gaps, (reached, columns)] if reached < columns else gaps


def _turned(box: Box) -> Box:
    return Box(box.top, box.left, box.bottom, box.right)
