"""Says where more of a block of small text may stand: a name, a number and a date are written below each other, and
where a detector just finds some of such lines in a whole frame, it misses the fainter ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from .box import Box

_SMALL, _WANTED = 24, 40
"""How high the box of a line is, in pixels as the detector has them, where others may be too small; and should be."""
_LONG, _WORD = 1.5, 4
"""How much longer than high a line is at least, and one line of a block: what is shorter may be no text at all."""
_ABOVE, _BESIDE = 4, 2
"""So many heights of a line around it, others belong to it."""
_MOST = 0.35
"""Of what a look at the whole frame costs: all looks at blocks together."""
_AHEAD = 8
"""So many heights of a line beyond its ends, the rest of it is looked for."""
_GAIN = 1.3
"""By how much larger a block must be seen, for it to be worth it."""
_ALIKE = 2.0


class Block(NamedTuple):
    """Lines of text, where others may stand, and by how much to enlarge it."""

    lines: tuple[Box, ...]
    where: Box
    scale: float

    @property
    def height(self) -> float:
        """Of its lines."""
        return median(line.height for line in self.lines)

    def holds(self, box: Box) -> bool:
        """Whether a box looks like one more of its lines, or like more of one of them."""
        if not self.height / _ALIKE <= box.height <= self.height * _ALIKE or box.width < _LONG * box.height:
            return False
        return any(_are_flush(box, line, self.height) or _share_rows(box, line) for line in self.lines)

    def reaches_further(self, box: Box) -> bool:
        """Whether it goes on where the lines that stand in its rows end, or begins before them."""
        same, more = [line for line in self.lines if _share_rows(box, line)], self.height / 2
        if not same:
            return False
        return box.left < min(line.left for line in same) - more or box.right > max(line.right for line in same) + more


def blocks_of(found: Sequence[Box], scale: float, *, shape: tuple[int, ...], most: float) -> Iterator[Block]:
    """Blocks of small lines in a frame of that shape that was looked at at that scale, those with the most text first,
    as long as they hold no more pixels for the detector than is worth while. For a whole frame it has `most`."""
    small = [box for box in found if box.height * scale <= _SMALL and box.width >= _LONG * box.height]
    left = most * _MOST
    blocks = [lines for lines in _together(small) if any(line.width >= _WORD * line.height for line in lines)]
    for lines in sorted(blocks, key=lambda some: -sum(line.width / line.height for line in some)):
        height = round(median(line.height for line in lines))
        where = lines[0]
        for line in lines:
            where = where.around(line)
        where = where.grown(_BESIDE * height, _ABOVE * height).within(shape[1], shape[0])
        closer = min(_WANTED / height, (max(left, 0) / where.area) ** 0.5)
        if closer >= _GAIN * scale:
            left -= where.area * closer * closer
            yield Block(tuple(lines), where, closer)


def goes_on(box: Box, line: Box) -> bool:
    """Whether a box, about as high, begins where a line ends or ends where it begins; lines may stand upright."""
    if line.height > line.width:
        box, line = _turned(box), _turned(line)
    apart = max(box.left - line.right, line.left - box.right)
    high = line.height / _ALIKE <= box.height <= line.height * _ALIKE
    return high and is_line(line) and apart <= line.height and _share_rows(box, line)


def is_line(box: Box) -> bool:
    """Whether a box is so long that it may go on."""
    short, long = sorted((box.width, box.height))
    return long >= _LONG * short


def further_along(line: Box, shape: tuple[int, ...]) -> Box:
    """Where in a frame of that shape a line may go on that was not found to its end; it may stand upright."""
    high = min(line.width, line.height)
    along, aside = _AHEAD * high, high // 2
    return (line.grown(along, aside) if line.width >= line.height else line.grown(aside, along)).within(*shape[1::-1])


def reaches_further(box: Box, line: Box) -> bool:
    """Whether a box goes on where a line ends, or begins before it, by more than margins differ."""
    if line.height > line.width:
        box, line = _turned(box), _turned(line)
    return box.left < line.left - line.height / 2 or box.right > line.right + line.height / 2


def _turned(box: Box) -> Box:
    return Box(box.top, box.left, box.bottom, box.right)


def _together(lines: Sequence[Box]) -> list[list[Box]]:
    """The lines of each block."""
    blocks = list[list[Box]]()
    for line in lines:
        around = line.grown(_BESIDE * line.height, _ABOVE * line.height)
        near = [block for block in blocks if any(around.touches(other) for other in block)]
        blocks = [block for block in blocks if block not in near]
        blocks.append([line, *(other for block in near for other in block)])
    return blocks


def _are_flush(box: Box, line: Box, height: float) -> bool:
    return abs(box.left - line.left) <= height or abs(box.right - line.right) <= height


def _share_rows(box: Box, line: Box) -> bool:
    return min(box.bottom, line.bottom) - max(box.top, line.top) >= 0.5 * min(box.height, line.height)
