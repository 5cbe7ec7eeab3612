"""Writes text onto a picture that is otherwise finished, that of a presentation state upright whatever way the image is
turned (PS3.3 C.10.5.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

Point = tuple[float, float]
Map = Callable[[Point], Point]
"""From a place in the image, in pixels, to the same place in the picture."""
LEADING = 1.2
"""From one line to the next, as a multiple of their size."""
_SMALLEST, _LARGEST = 6, 256
_LINES_IN_PICTURE = 32
_ANCHORS = {"LEFT": ("la", 0.0), "CENTER": ("ma", 0.5), "RIGHT": ("ra", 1.0)}


def lettered(image: Image.Image, text: Dataset, placed: Map) -> None:
    """Draw one text object: into its box, or at its anchor point; a visible anchor is joined to the box by a line."""
    lines = lines_of(text)
    box = _corners(image, text, placed)
    anchor = _point(image, text, "AnchorPoint", "AnchorPointAnnotationUnits", placed)
    if not lines or (box is None and anchor is None):
        return
    if box is None:
        assert anchor is not None
        box = (*anchor, *anchor)
        size = max(_SMALLEST, min(image.height // _LINES_IN_PICTURE, _LARGEST))
    else:
        size = _fitting(lines, box[2] - box[0], box[3] - box[1])
        if anchor is not None and text.get("AnchorPointVisibility") == "Y":
            ImageDraw.Draw(image).line([anchor, _nearest(anchor, box)], fill=_colours(image)[0])
    side, part = _ANCHORS.get(str(text.get("BoundingBoxTextHorizontalJustification", "LEFT")), _ANCHORS["LEFT"])
    write(image, lines, (box[0] + part * (box[2] - box[0]), box[1]), size, anchor=side)


def write(image: Image.Image, lines: Sequence[str], place: Point, size: float, *, anchor: str = "la") -> None:
    """Write lines, the first one anchored at that place, in white with a black edge."""
    canvas, font, (white, black) = ImageDraw.Draw(image), ImageFont.load_default(size), _colours(image)
    for number, line in enumerate(lines):
        spot = place[0], place[1] + number * size * LEADING
        canvas.text(spot, line, fill=white, font=font, anchor=anchor, stroke_width=1, stroke_fill=black)


def widest(lines: Sequence[str], size: float) -> float:
    """How many pixels the longest line takes."""
    return max(ImageFont.load_default(size).getlength(line) for line in lines)


def has_character(character: str) -> bool:
    """Whether the font has it: it has those of Western Europe."""
    return ord(character) < 0x100


def lines_of(text: Dataset) -> list[str]:
    """The lines of a text object."""
    return str(text.get("UnformattedTextValue") or "").splitlines()


def is_drawable(text: Dataset) -> bool:
    """Whether the font has its characters."""
    return all(has_character(character) for line in lines_of(text) for character in line)


def _corners(image: Image.Image, text: Dataset, placed: Map) -> tuple[float, float, float, float] | None:
    units = "BoundingBoxAnnotationUnits"
    first = _point(image, text, "BoundingBoxTopLeftHandCorner", units, placed)
    second = _point(image, text, "BoundingBoxBottomRightHandCorner", units, placed)
    if first is None or second is None:
        return None
    (left, right), (top, bottom) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    return left, top, right, bottom


def _point(image: Image.Image, text: Dataset, name: str, units: str, placed: Map) -> Point | None:
    value: Any = text.get(name)
    if value is None or len(value) != 2:
        return None
    x, y = float(value[0]), float(value[1])
    return (x * image.width, y * image.height) if text.get(units) == "DISPLAY" else placed((x, y))


def _fitting(lines: list[str], width: float, height: float) -> int:
    """The largest size at which the lines fit into the box."""
    size = max(_SMALLEST, min(int(height / (LEADING * len(lines))), _LARGEST))
    longest = widest(lines, size)
    return max(_SMALLEST, int(size * min(1.0, width / longest))) if longest > 0 else size


def _colours(image: Image.Image) -> tuple[Any, Any]:
    """White and black."""
    return (255, 0) if image.mode == "L" else ((255, 255, 255), (0, 0, 0))


def _nearest(point: Point, box: tuple[float, float, float, float]) -> Point:
    return min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3])
