"""Makes the samples from which the gate learns: pictures as it will see them, and where text is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pydicom
from bodies import Grey, Random, drawn_body
from letters import Text, write
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from lethe.node.burned.views import Picture, picture_of

SIDE, CELL = 288, 8
NONE, TEXT, NEAR = 0, 1, 2
_GENUINE = ("693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm")
"""Slices without text that pydicom's wheel has."""


@dataclass(frozen=True)
class Sample:
    """A picture and, for each cell of 8 x 8 pixels, whether text is there (NEAR: it does not matter)."""

    picture: Picture
    cells: NDArray[np.uint8]
    values: NDArray[np.int32]


def made_sample(random: Random, *, genuine: list[Grey], text: float = 0.55) -> Sample:
    """A sample, with text in it with the odds `text`."""
    frame = part_of(random, genuine) if genuine and random.random() < 0.15 else drawn_body(random, SIDE)
    if random.random() < 0.15:
        frame = (frame.max() - frame).astype(np.float32)
    noise = noise_of(frame)
    texts: list[Text] = []
    if random.random() < text:
        frame, texts = write(random, frame, noise)
    if random.random() < 0.1:
        frame = cv2.GaussianBlur(frame, (0, 0), random.uniform(0.3, 0.7))
    if random.random() < 0.15:
        frame = _jpeg(random, frame)
    values = _stored(random, frame)
    return Sample(picture_of(values), _cells(texts), values)


def noise_of(frame: Grey) -> float:
    """The noise where most of the frame is: the median of blocks of differences."""
    steps = np.abs(np.diff(frame, axis=1, append=frame[:, -1:]))
    blocks = steps.reshape(steps.shape[0] // 16, 16, -1, 16).mean(axis=(1, 3))
    return float(np.median(blocks)) * 0.9 + 1e-4


def genuine_slices() -> list[Grey]:
    """What pydicom's wheel has of slices without text."""
    found = []
    for name in _GENUINE:
        path = get_testdata_file(name, download=False)
        if path and Path(str(path)).is_file():
            try:
                wide = pydicom.dcmread(str(path)).pixel_array.astype(np.float32)
            except Exception as error:  # a decoder that is not installed
                print(name, "left out:", error)
                continue
            low, high = np.percentile(wide, (0.5, 99.5))
            found.append(((wide - low) / max(float(high - low), 1.0)).astype(np.float32))
    return found


def part_of(random: Random, slices: list[Grey]) -> Grey:
    """A part of a slice, turned and resized."""
    one = slices[int(random.integers(len(slices)))]
    rows, columns = one.shape
    side = int(min(rows, columns) * random.uniform(0.5, 1.0))
    top, left = random.integers(0, rows - side + 1), random.integers(0, columns - side + 1)
    part = np.rot90(one[top : top + side, left : left + side], random.integers(4))
    part = part[:, ::-1] if random.random() < 0.5 else part
    way = cv2.INTER_CUBIC if random.random() < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (SIDE, SIDE), interpolation=way).astype(np.float32)


def _jpeg(random: Random, frame: Grey) -> Grey:
    low, high = float(frame.min()), float(frame.max())
    grey = ((frame - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(40, 97))])
    return cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255 * (high - low) + low


def _stored(random: Random, frame: Grey) -> NDArray[np.int32]:
    """Whole numbers, of 8 to 16 bits."""
    most = int(random.choice([255, 1023, 4095, 4095, 20000]))
    low, high = float(frame.min()), float(frame.max())
    scaled = (frame - low) * (most / max(high - low, 1e-6))
    return scaled.round().astype(np.uint16).astype(np.int32)


def _cells(texts: list[Text]) -> NDArray[np.uint8]:
    cells = np.zeros((SIDE // CELL, SIDE // CELL), np.uint8)
    for text in texts:
        share = text.place.reshape(SIDE // CELL, CELL, SIDE // CELL, CELL).mean(axis=(1, 3))
        cells = np.where(
            (share > 0.35) & text.clear, TEXT, np.where((share > 0) & (cells == NONE), NEAR, cells)
        ).astype(np.uint8)
    around = cv2.dilate((cells > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where((cells == NONE) & (around > 0), NEAR, cells).astype(np.uint8)
