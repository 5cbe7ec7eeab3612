"""What the eyes find in drawn frames; the engines are the real ones."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from burned_pictures import FONT
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lethe.node.burned.box import Box
from lethe.node.burned.engines import eyes_of
from lethe.node.burned.finder import Found
from lethe.node.burned.looking import Eyes, uneven
from lethe.node.burned.proof import suspicious
from lethe.node.burned.views import Picture, picture_of, plain_picture

ARABIC = "\u0645\u062d\u0645\u062f \u0627\u0644\u0623\u062d\u0645\u062f"
HEBREW = "\u05db\u05d4\u05df \u05d9\u05e2\u05e7\u05d1 \u05dc\u05d5\u05d9 \u05d1\u05e8\u05e7"


def tissue(rows: int, columns: int, level: int = 80) -> NDArray[np.uint8]:
    chance = np.random.default_rng(rows + columns)
    slow = cv2.resize(chance.normal(0, 1, (rows // 40, columns // 40)).astype(np.float32), (columns, rows))
    return (level + 25 * slow + chance.normal(0, 6, (rows, columns))).clip(0, 200).astype(np.uint8)


def written(frame: NDArray[np.uint8], text: str, at: tuple[int, int], size: float) -> tuple[NDArray[np.uint8], Box]:
    """The frame with white text, and where it stands."""
    ink = np.zeros(frame.shape, np.uint8)
    cv2.putText(ink, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(round(size * 1.5), 1))
    down, across = np.nonzero(ink)
    where = Box(int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1)
    return np.maximum(frame, ink), where


def share_found(frame: NDArray[np.generic], where: Box) -> float:
    boxes = eyes_of(("rapidocr",)).look_at(picture_of(frame), plain_picture(frame), suspicious(frame)).boxes
    found = np.zeros(frame.shape, bool)
    for box in boxes:
        found[box.rows, box.columns] = True
    return float(found[where.rows, where.columns].mean())


@pytest.mark.parametrize("size", [0.4, 1.0, 3.0, 6.0])
def test_text_of_any_size_is_found(size: float) -> None:
    frame, where = written(tissue(800, 1200), "DOE JO", (40, 400), size)
    assert share_found(frame, where) > 0.95


def test_small_text_in_the_middle_of_a_large_frame_is_found() -> None:
    frame, where = written(tissue(2400, 2800), "HARGROVE MARGARET 4711998", (1200, 1100), 0.5)
    assert share_found(frame, where) > 0.95


def test_where_there_is_no_stroke_nothing_is_suspected() -> None:
    assert suspicious(np.zeros((512, 512), np.uint16)) == []
    noise = np.random.default_rng(5).normal(1000, 20, (512, 512)).astype(np.int16)
    assert suspicious(noise) == []
    frame, where = written(tissue(512, 512), "L", (300, 300), 0.5)
    assert any(place.touches(where) for place in suspicious(frame))


def at_a_slant(text: str, size: int, degrees: int, *, ground: int, ink: int) -> tuple[NDArray[np.uint8], Box]:
    """A page with one text, turned as a sheet lies askew in a scanner, and where it stands."""
    line = Image.new("L", (900, 2 * size), 0)
    ImageDraw.Draw(line).text((5, size // 4), text, fill=255, font=ImageFont.truetype(FONT, size))
    line = line.crop(line.getbbox()).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    ink_of = Image.new("L", (640, 400), 0)
    left, top = (640 - line.width) // 2, (400 - line.height) // 2
    ink_of.paste(line, (left, top))
    share = np.asarray(ink_of) / 255
    frame = np.rint(ground * (1 - share) + ink * share).astype(np.uint8)
    return frame, Box(left, top, left + line.width, top + line.height)


def ink_left(frame: NDArray[np.uint8], ground: int) -> float:
    """What share of the ink no box of the eyes holds."""
    left = np.abs(frame.astype(int) - ground) > 100
    for box in eyes_of(("rapidocr",)).look_at(picture_of(frame), plain_picture(frame)).boxes:
        left[box.rows, box.columns] = False
    return float(left.sum() / (np.abs(frame.astype(int) - ground) > 100).sum())


@pytest.mark.parametrize("degrees", [15, 30, 60, -20])
def test_a_line_at_a_slant_is_covered_piece_by_piece(degrees: int) -> None:
    frame, where = at_a_slant("FEATHERSTONE ANTONIA", 22, degrees, ground=245, ink=20)
    assert ink_left(frame, 245) < 0.02
    boxes = eyes_of(("rapidocr",)).look_at(picture_of(frame), plain_picture(frame)).boxes
    assert all(box.area < where.area / 2 for box in boxes)


@pytest.mark.parametrize(("text", "size"), [("MILLER", 150), ("MIL", 250), ("MIL", 310)])
def test_a_word_that_fills_the_frame_is_found(text: str, size: int) -> None:
    frame, _ = at_a_slant(text, size, 0, ground=245, ink=20)
    assert ink_left(frame, 245) < 0.02


def lungs(seed: int, lines: Sequence[str] = ()) -> NDArray[np.uint16]:
    """A slice of 12 bits with two dark lungs that fill it, and lines of text in its corner."""
    chance, frame = np.random.default_rng(seed), np.zeros((512, 512), np.float32)
    cv2.ellipse(frame, (256, 256), (210, 154), 0, 0, 360, 0.35, -1)
    cv2.ellipse(frame, (256, 256), (197, 141), 0, 0, 360, 0.5, -1)
    for middle in (154, 358):
        cv2.ellipse(frame, (middle, 256), (51, 87), 0, 0, 360, 0.08, -1)
    for _ in range(14):
        place = chance.normal(256, 57, 2).astype(int).tolist()
        cv2.ellipse(frame, place, (13, 9), chance.uniform(0, 180), 0, 360, chance.uniform(0.4, 0.6), -1)
    noisy = cv2.GaussianBlur(frame, (5, 5), 1.2) + chance.normal(0, 0.03, frame.shape) + 0.04
    ink = np.zeros(frame.shape, np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(ink, line, (8, 22 + 21 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    drawn = ink / 255.0
    return ((noisy * (1 - drawn) + 0.95 * drawn).clip(0, 1) * 4095).astype(np.uint16)


@pytest.mark.parametrize("seed", range(50, 56))
def test_lungs_that_fill_the_frame_are_no_word(seed: int) -> None:
    slice_ = lungs(seed)
    boxes = eyes_of(("rapidocr",)).look_at(picture_of(slice_), plain_picture(slice_), suspicious(slice_)).boxes
    assert sum(box.area for box in boxes) < 0.05 * slice_.size


@pytest.mark.parametrize("seed", [71, 79, 96])
def test_a_lung_like_a_ring_is_not_covered_beside_a_line_of_text(seed: int) -> None:
    slice_ = lungs(seed, ["OKSANEN"])
    boxes = eyes_of(("rapidocr",)).look_at(picture_of(slice_), plain_picture(slice_), suspicious(slice_)).boxes
    assert any(box.top < 30 for box in boxes)
    assert sum(box.area for box in boxes) < 0.04 * slice_.size


def strip(rows: int = 420, columns: int = 640) -> NDArray[np.uint8]:
    """Three traces of a heart on paper."""
    paper = np.full((rows, columns), 255, np.uint8)
    paper[::10], paper[:, ::10] = 225, 225
    across = np.arange(10, columns - 10)
    beats = 45 * np.exp(-((((across % 70) - 25) / 3) ** 2)) + 8 * np.exp(-((((across % 70) - 45) / 6) ** 2))
    for top in (160, 260, 360):
        line = np.stack([across, top - beats], axis=-1).astype(np.int32)
        cv2.polylines(paper, [line], isClosed=False, color=0, thickness=1, lineType=cv2.LINE_AA)
    return paper


def test_the_trace_of_a_heart_is_not_covered_and_who_is_named_above_it_is() -> None:
    frame = strip()
    cv2.putText(frame, "DOE JANE", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1, cv2.LINE_AA)
    assert share_found(frame, Box(20, 28, 110, 42)) > 0.95
    assert share_found(frame, Box(10, 110, 630, 365)) < 0.05


def test_a_line_of_large_letters_across_the_frame_is_found_in_any_script() -> None:
    frame = np.full((480, 640), 20, np.uint8)
    picture = Image.fromarray(frame)
    ImageDraw.Draw(picture).text((20, 200), HEBREW, 230, ImageFont.truetype(FONT, 62))
    frame = np.asarray(picture)
    down, across = np.nonzero(frame > 128)
    assert share_found(frame, Box(across.min(), down.min(), across.max() + 1, down.max() + 1)) > 0.95


def small_lines(ground: NDArray[np.uint8], texts: list[str], left: int, top: int, ink: int) -> list[Box]:
    """Writes lines of five pixels below each other, and says where they stand."""
    image = Image.fromarray(ground)
    pen, font, boxes = ImageDraw.Draw(image), ImageFont.truetype(FONT, 7), []
    for at, text in enumerate(texts):
        pen.text((left, top + 10 * at), text, fill=ink, font=font)
        boxes.append(Box(*map(int, pen.textbbox((left, top + 10 * at), text, font=font))))
    ground[:] = np.asarray(image)
    return boxes


@pytest.mark.parametrize("edge", [90, 115])
def test_dark_lines_of_five_pixels_are_found_beside_those_that_are_plain(edge: int) -> None:
    """A bright body begins in the middle of a block of black text: the lines above it are black on nearly black."""
    frame = np.random.default_rng(edge).normal(30, 7, (256, 256)).clip(2, 60).astype(np.uint8)
    frame[edge:] = 235
    lines = ["Examined 1997 Apr 16", "Number 98943406", "VANDERQUIST MARGARET", "born 02/27/1931", "Age 66 years"]
    for where in small_lines(frame, lines, 60, 70, 0):
        assert share_found(frame, where) > 0.75


def test_an_even_edge_is_not_looked_at_again() -> None:
    picture = np.full((300, 400, 3), 40, np.uint8)
    assert not uneven(picture).area
    picture[100:120, 200:260, 1] = 44
    assert uneven(picture) == Box(184, 84, 276, 136)
    picture[:, 5] = 80  # a line from top to bottom: no row is even
    assert uneven(picture) == Box(184, 0, 276, 300)


def test_one_letter_is_read_where_a_line_goes_on_and_nowhere_else() -> None:
    frame, letter = written(np.full((200, 400), 40, np.uint8), "N", (200, 100), 0.6)
    eyes, plain, box = eyes_of(("rapidocr",)), plain_picture(frame), letter.grown(4, 4)
    line = Box(box.left - 120, box.top, box.left - 4, box.bottom)
    assert eyes.readable(plain, [box]) == []
    assert eyes.readable(plain, [box], lines=[line.moved(0, 60)]) == []
    assert eyes.readable(plain, [box], lines=[line]) == [box]


@pytest.mark.parametrize("size", [13, 16, 20])
@pytest.mark.parametrize(("left", "top"), [(20, 90), (60, 200), (40, 140)])
def test_thin_script_is_found_where_a_body_begins(size: int, left: int, top: int) -> None:
    """The reader knows no Arabic: what the detector does not see at the first look is left."""
    image = Image.new("L", (512, 512), 0)
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, size)
    pen.ellipse((70, 20, 470, 500), fill=60)
    pen.text((left, top), ARABIC, fill=230, font=font)
    noise = np.random.default_rng(size).normal(40, 6, (512, 512)).clip(0).astype(np.uint16)
    where = Box(*map(int, pen.textbbox((left, top), ARABIC, font=font)))
    assert share_found(np.asarray(image, np.uint16) * 8 + noise, where) > 0.9


@pytest.mark.parametrize("grey", [0, 255])
def test_nothing_is_found_in_a_frame_without_anything(grey: int) -> None:
    frame = np.full((240, 320), grey, np.uint8)
    assert eyes_of(("rapidocr",)).look_at(picture_of(frame), plain_picture(frame)).boxes == []


def test_what_is_taken_for_large_text_by_one_look_alone_is_none() -> None:
    class Once:
        """Sees text in the middle of the first picture it is shown."""

        edition, wants_one_grey = "once", True

        def __init__(self) -> None:
            self.looks = 0

        def find(self, picture: Picture, scale: float) -> list[Found]:
            self.looks += 1
            return [Found(Box(150, 150, 300, 210), 0.9)] if self.looks == 1 else []

    frame = tissue(512, 512)
    eyes = Eyes([Once()], eyes_of(("rapidocr",)).reader, eyes_of(("rapidocr",)).gate)
    assert eyes.look_at(picture_of(frame), plain_picture(frame)).boxes == []
