"""Draws frames with text burned in, and asks the policy about them."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lethe.node.burned.box import Box
from lethe.node.burned.policy import Decision, PhiPolicy
from lethe.node.burned.readers import reader_for
from lethe.node.deid.terms import Kind, TermBank

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
Picture = NDArray[np.uint8]
Text = tuple[str, int, int]


def drawn(texts: Iterable[Text], size: int = 16, ink: int = 230, ground: int = 20) -> tuple[Picture, list[Box]]:
    """A frame with the texts at their places, and their boxes as a detector gives them."""
    image = Image.new("L", (640, 400), ground)
    pen, font, boxes = ImageDraw.Draw(image), ImageFont.truetype(FONT, size), []
    for text, left, top in texts:
        pen.text((left, top), text, fill=ink, font=font)
        boxes.append(Box(*map(int, pen.textbbox((left, top), text, font=font))).grown(3, 3).within(640, 400))
    return np.asarray(image), boxes


def bank(**noted: str) -> TermBank:
    terms = TermBank()
    for kind, value in noted.items():
        terms.note(Kind[kind.upper()], value)
    return terms


def decided(texts: Iterable[Text], terms: TermBank | None = None, size: int = 16) -> list[Decision]:
    picture, boxes = drawn(texts, size)
    readings = reader_for(["rapidocr"]).read(picture, boxes)
    return PhiPolicy(terms or TermBank()).decide(boxes, readings)


def column(*texts: str, left: int = 10, step: int = 90) -> list[Text]:
    return [(text, left, 10 + step * at) for at, text in enumerate(texts)]
