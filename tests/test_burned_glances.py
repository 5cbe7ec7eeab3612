"""Which frames of a cine are looked at by themselves, and that what moves or is in one of them is covered in each."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from burned_pictures import FONT
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lethe.node.burned.box import Box
from lethe.node.burned.engines import eyes_of
from lethe.node.burned.glances import Alike, glanced, stays
from lethe.node.burned.sight import Sight
from lethe.node.burned.sights import in_time
from lethe.node.burned.views import picture_of, plain_picture

Frame = NDArray[np.uint8]
EYES = eyes_of(("rapidocr",))
WHOLE = Box(0, 0, 512, 400)


class Cine:
    """Frames that are at hand."""

    inverted = False

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, number: int) -> Frame:
        return self.frames[number]

    grey = frame

    def has(self, number: int) -> bool:
        return True

    def write(self, number: int, text: str, left: int, size: int) -> None:
        image = Image.fromarray(self.frames[number])
        ImageDraw.Draw(image).text((left, 150), text, fill=180, font=ImageFont.truetype(FONT, size))
        self.frames[number] = np.maximum(self.frames[number], np.asarray(image))

    def looked_at(self) -> list[int]:
        """The frames that are looked at by themselves, where nothing is known beforehand."""
        looked = list[int]()

        def look(numbers: Alike) -> Sight:
            looked.append(numbers[0])
            frame = self.frame(numbers[0])
            plain = plain_picture(frame)
            return Sight(numbers, EYES.look_at(picture_of(frame), plain), plain)

        mean = np.mean(self.frames, axis=0).astype(np.float32)
        each = [(number,) for number in range(len(self))]
        list(glanced(self, each, WHOLE, EYES, mean=mean, known=lambda _: (), look=look))
        return looked


def speckle(count: int) -> Cine:
    """Another one in each frame."""
    chance = np.random.default_rng(13)
    noise = (cv2.GaussianBlur(chance.rayleigh(30, (400, 512)), (0, 0), 1.2) for _ in range(count))
    return Cine([one.clip(0, 255).astype(np.uint8) for one in noise])


def tissue(count: int) -> Cine:
    """The same in all frames, but for some noise."""
    chance = np.random.default_rng(14)
    still = cv2.GaussianBlur(chance.rayleigh(60, (400, 512)), (0, 0), 2.5)
    return Cine([(still + chance.normal(0, 6, still.shape)).clip(0, 255).astype(np.uint8) for _ in range(count)])


@pytest.mark.parametrize("cine", [speckle(9), tissue(9)], ids=["speckle", "tissue"])
@pytest.mark.parametrize("size", [12, 16])
def test_the_one_frame_that_has_a_name_is_looked_at_and_no_other(cine: Cine, size: int) -> None:
    before = cine.frames[4]
    cine.write(4, "PETROSYAN ANNA", 180, size)
    assert cine.looked_at() == [4]
    cine.frames[4] = before


def test_nothing_is_looked_at_where_there_is_nothing() -> None:
    assert tissue(9).looked_at() == []


@pytest.mark.parametrize(("frames", "is_there"), [(range(9), True), ([4], False), ([3, 4, 5], False)])
def test_what_is_in_most_frames_stays(frames: Sequence[int], is_there: bool) -> None:
    cine = tissue(9)
    for number in frames:
        cine.write(number, "PETROSYAN ANNA", 180, 16)
    mean = np.mean(cine.frames, axis=0).astype(np.float32)
    assert stays(cine.grey(4), mean, Box(175, 150, 330, 170)) == is_there


def test_a_name_that_moves_is_looked_for_in_every_frame() -> None:
    cine = tissue(12)
    for number in range(12):
        cine.write(number, "PETROSYAN ANNA", 60 + 25 * number, 16)
    assert sorted(cine.looked_at()) == list(range(12))


def test_a_frame_of_a_short_cine_is_looked_at_for_what_moves_slowly_and_for_nothing_else() -> None:
    """In a few frames together its letters run into each other; what stays is seen in all of them, and better."""
    cine = tissue(12)
    for number in range(12):
        cine.write(number, "SANDOVAL", 180 + 2 * number, 14)
        cine.write(number, "L 4", 20, 14)
    *_, one = in_time(cine, tuple(range(12)), EYES)
    assert one.single is not None
    (box,) = one.seen.boxes
    assert 165 < box.left - 2 * one.single < 181


@pytest.mark.parametrize(
    ("seed", "ground", "noise"), [(0, 160, 12), (1, 160, 12), (0, 160, 15), (6, 160, 15), (6, 180, 9)]
)
def test_a_line_that_comes_and_goes_is_found_to_its_end(seed: int, ground: int, noise: int) -> None:
    """Of what is hardly brighter than what is around it, the mean and the highest values show a part, or nothing."""
    chance = np.random.default_rng(seed)
    smooth = cv2.resize(chance.random((9, 11)), (512, 400), interpolation=cv2.INTER_CUBIC)
    still = (ground + 60 * smooth).astype(np.float32)
    for left, top in ((40, 60), (95, 90), (300, 70)):
        cv2.line(still, (left, 0), (top, 399), 80, 5)
    frames = [np.roll(still, at, 0) + chance.normal(0, noise, still.shape) for at in range(12)]
    cine = Cine([one.clip(0, 255).astype(np.uint8) for one in frames])
    name = Box(20, 370, 200, 386)
    for number in (5, 6, 7):
        image = Image.fromarray(cine.frames[number])
        ImageDraw.Draw(image).text((20, 366), "BJÖRNSDÓTTIR GUÐRÚN", fill=255, font=ImageFont.truetype(FONT, 18))
        cine.frames[number] = np.asarray(image)
    first = next(iter(in_time(cine, range(12), EYES)))
    covered = np.zeros((400, 512), bool)
    for box in first.seen.boxes:
        covered[box.rows, box.columns] = True
    assert covered[name.rows, name.columns].mean() > 0.98
