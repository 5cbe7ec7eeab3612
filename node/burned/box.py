"""Is a rectangle of pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Box(NamedTuple):
    """Pixels of a frame: columns from `left` up to, not including, `right`; rows likewise; origin top left."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    @property
    def area(self) -> int:
        """In pixels; none where it is empty."""
        return max(self.width, 0) * max(self.height, 0)

    @property
    def rows(self) -> slice:
        """Its rows in an array."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Its columns in an array."""
        return slice(self.left, self.right)

    def grown(self, across: int, down: int) -> Box:
        """With so many columns and rows more on each side."""
        return Box(self.left - across, self.top - down, self.right + across, self.bottom + down)

    def within(self, columns: int, rows: int) -> Box:
        """What of it lies in a frame of that size; empty where nothing does."""
        left, top = min(max(self.left, 0), columns), min(max(self.top, 0), rows)
        return Box(left, top, max(min(self.right, columns), left), max(min(self.bottom, rows), top))

    def shared(self, other: Box) -> Box:
        """What both have in common; its area is 0 where that is nothing."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def touches(self, other: Box) -> bool:
        """Whether the two have a pixel in common."""
        return self.shared(other).area > 0 and self.area > 0 and other.area > 0

    def around(self, other: Box) -> Box:
        """The smallest that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def moved(self, across: int, down: int) -> Box:
        """The same size, elsewhere."""
        return Box(self.left + across, self.top + down, self.right + across, self.bottom + down)


def without_covered(boxes: Iterable[Box]) -> list[Box]:
    """The boxes, in reading order, without those that lie wholly in another."""
    ordered = sorted(set(boxes), key=lambda box: (-box.area, box))
    kept: list[Box] = []
    for box in ordered:
        if box.area and not any(box.shared(other) == box for other in kept):
            kept.append(box)
    return sorted(kept, key=lambda box: (box.top, box.left))


def tiles(rows: int, columns: int, side: int, overlap: int) -> list[Box]:
    """A frame in squares that overlap, in reading order."""
    step = side - overlap
    return [
        Box(left, top, left + side, top + side).within(columns, rows)
        for top in range(0, max(rows - overlap, 1), step)
        for left in range(0, max(columns - overlap, 1), step)
    ]
