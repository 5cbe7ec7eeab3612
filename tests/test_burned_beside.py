"""Where more of a block of small text is looked for, and what is done with what comes to light at the last look."""

import pytest
from burned_pictures import column, drawn

from lethe.node.burned.beside import blocks_of, further_along, goes_on, reaches_further
from lethe.node.burned.box import Box
from lethe.node.burned.engines import eyes_of
from lethe.node.burned.looking import Seen
from lethe.node.burned.views import plain_picture

FRAME, MOST = (512, 512), 736 * 736
LINES = [Box(100, top, 200, top + 12) for top in (100, 116, 132)]


def test_lines_below_each_other_are_one_block_that_is_seen_larger() -> None:
    (block,) = blocks_of(LINES, 1.4, shape=FRAME, most=MOST)
    assert set(block.lines) == set(LINES) and block.scale > 2 * 1.4
    assert all(block.where.shared(line) == line for line in LINES)
    assert block.holds(Box(100, 148, 180, 160)) and not block.holds(Box(130, 148, 150, 190))
    assert not block.reaches_further(Box(101, 116, 198, 128)) and block.reaches_further(Box(100, 116, 220, 128))


@pytest.mark.parametrize(
    "found", [[Box(100, 100, 300, 160)], [Box(100, 100, 118, 112)], []], ids=["large", "short", "nothing"]
)
def test_what_is_large_or_a_lone_spot_is_no_block(found: list[Box]) -> None:
    assert not list(blocks_of(found, 1.4, shape=FRAME, most=MOST))


def test_all_blocks_together_cost_a_part_of_a_look() -> None:
    many = [Box(left, top, left + 60, top + 8) for left in range(0, 500, 90) for top in range(0, 500, 50)]
    for found in (many, many[::7], many[:1]):
        blocks = list(blocks_of(found, 1.4, shape=FRAME, most=MOST))
        assert sum(block.where.area * block.scale**2 for block in blocks) < 0.4 * MOST


@pytest.mark.parametrize(("lines", "proven"), [(3, True), (9, False)])
def test_what_comes_to_light_is_covered_and_looked_at_again_but_not_for_ever(lines: int, proven: bool) -> None:
    picture, boxes = drawn(column(*["VANDERQUIST HOLGER"] * lines, step=32), size=20)
    seen = eyes_of(("rapidocr",)).with_the_rest(plain_picture(picture), Seen((), (boxes[0],)))
    assert (not seen.left) == proven
    if proven:
        assert all(sum(one.shared(box).area for one in seen.second) > 0.6 * box.area for box in boxes[1:])


LINE = Box(100, 50, 200, 70)


@pytest.mark.parametrize(
    ("box", "goes"),
    [
        (Box(205, 50, 220, 70), True),
        (Box(80, 52, 102, 68), True),
        (Box(230, 50, 250, 70), False),
        (Box(205, 75, 220, 95), False),
        (Box(205, 20, 240, 100), False),
    ],
)
def test_what_a_line_goes_on_with_stands_at_its_end_and_is_as_high(box: Box, goes: bool) -> None:
    assert goes_on(box, LINE) is goes
    upright = Box(box.top, box.left, box.bottom, box.right)
    assert goes_on(upright, Box(50, 100, 70, 200)) is goes


def test_nothing_goes_on_from_a_spot_that_is_no_line() -> None:
    assert not goes_on(Box(125, 50, 140, 70), Box(100, 50, 120, 70))


@pytest.mark.parametrize("line", [LINE, Box(50, 100, 70, 200)], ids=["lying", "upright"])
def test_a_line_is_looked_for_beyond_its_ends(line: Box) -> None:
    where, along = further_along(line, FRAME), line.width > line.height
    assert where.shared(line) == line and (where.width > where.height) == along
    assert (where.right if along else where.bottom) > 300 and (where.left if along else where.top) == 0
    assert not reaches_further(line.grown(3, 3), line)
    assert reaches_further(line.grown(40, 0) if along else line.grown(0, 40), line)
