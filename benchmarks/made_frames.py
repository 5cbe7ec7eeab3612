"""Draws frames with burned-in text, as the benchmark and its pictures use them where the team's own set is not there.

Every person, number and institution is invented. A folder holds DICOM files and `truth.json`: where each string is,
whether it identifies somebody, and which pixels are its ink.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

Grey = NDArray[np.float32]
"""0 to 1."""
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "OT": "1.2.840.10008.5.1.4.1.1.7",
}
_CINE = "1.2.840.10008.5.1.4.1.1.3.1"


@dataclass(frozen=True)
class Line:
    """A line of text at a place; `phi` where it identifies somebody."""

    text: str
    left: int
    top: int
    phi: bool
    size: int = 15
    ink: float = 0.95


@dataclass(frozen=True)
class Drawn:
    """One object: its frames, and the lines that are in all of them."""

    name: str
    modality: str
    frames: Sequence[Grey]
    lines: Sequence[Line]
    bits: int = 8
    colour: bool = False
    header: dict[str, Any] = field(default_factory=dict)


_PATIENT = {"PatientName": "OKSANEN^TUULA", "PatientID": "4410937", "PatientBirthDate": "19580317", "PatientSex": "F"}


def drawn_set() -> Iterator[Drawn]:
    """What is drawn: corners of a CT, an ultrasound screen, a radiograph, a cine, and a frame without text."""
    yield Drawn("ct_corners", "CT", [body(512, 0)], corner_lines(512), bits=12)
    yield Drawn("mr_corners", "MR", [body(256, 1)], corner_lines(256, 10), bits=12)
    yield Drawn("us_screen", "US", [cone(480, 640, 0)], screen_lines(), colour=True)
    yield Drawn("cr_label", "CR", [chest(900, 760)], chest_lines(), bits=12)
    yield Drawn("us_cine", "US", [cone(480, 640, number) for number in range(27)], screen_lines())
    yield Drawn("ct_clean", "CT", [body(512, 2)], (), bits=12)


def corner_lines(side: int, size: int = 15) -> list[Line]:
    """Who, where and when at the left; how at the right."""
    step, right = round(size * 1.4), round(side * 0.72)
    left = ["OKSANEN, TUULA", "ID 4410937", "17.03.1958  F", "HAVNHOLM HOSPITAL"]
    technical = ["kV 120", "mAs 210", "W:400 L:40", "FOV 350 mm"]
    lines = [Line(text, size // 2, size // 2 + at * step, True, size) for at, text in enumerate(left)]
    lines += [Line(text, right, size // 2 + at * step, False, size) for at, text in enumerate(technical)]
    return [*lines, Line("14-Nov-2023 09:42", size // 2, side - 2 * size, True, size)]


def screen_lines() -> list[Line]:
    banner = ["OKSANEN TUULA", "4410937", "DOB 17/03/1958", "14/11/2023 09:42:10"]
    lines = [Line(text, left, 8, True, 14) for text, left in zip(banner, (8, 170, 270, 440), strict=True)]
    lines.append(Line("HAVNHOLM HOSPITAL", 8, 28, True, 14))
    settings = ["MI 1.2", "TIS 0.7", "Gain 55%", "Depth 16 cm", "2D"]
    return [*lines, *(Line(text, 8, 90 + 22 * at, False, 13) for at, text in enumerate(settings))]


def chest_lines() -> list[Line]:
    return [
        Line("L", 690, 90, False, 34),
        Line("CHEST PA", 560, 850, False, 20),
        Line("OKSANEN TUULA 17.03.1958", 20, 18, True, 20),
        Line("HAVNHOLM HOSPITAL  14.11.2023", 20, 850, True, 20),
    ]


def body(side: int, seed: int) -> Grey:
    """A slice through something like a body."""
    random = np.random.default_rng(seed)
    picture = np.zeros((side, side), np.float32)
    middle = (side // 2, side // 2)
    for width, height, grey in ((0.41, 0.3, 0.35), (0.385, 0.275, 0.5), (0.1, 0.17, 0.08)):
        centres = [middle] if grey > 0.1 else [(middle[0] - side // 5, middle[1]), (middle[0] + side // 5, middle[1])]
        for centre in centres:
            cv2.ellipse(picture, centre, (int(width * side), int(height * side)), 0, 0, 360, grey, -1)
    cv2.circle(picture, (side // 2, round(side * 0.68)), side // 18, 0.9, -1)
    for _ in range(14):
        place = random.normal(side / 2, side / 9, 2).astype(int).tolist()
        turned, grey = random.uniform(0, 180), random.uniform(0.4, 0.6)
        cv2.ellipse(picture, place, (side // 40, side // 60), turned, 0, 360, grey, -1)
    noise = cv2.GaussianBlur(random.normal(0, 0.05, picture.shape).astype(np.float32), (3, 3), 0.8)
    return np.clip(cv2.GaussianBlur(picture, (5, 5), 1.2) + noise + 0.04, 0, 1)


def cone(rows: int, columns: int, number: int) -> Grey:
    """Speckle in the sector of an ultrasound probe, which moves from frame to frame."""
    random = np.random.default_rng(100 + number)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = x - columns / 2, y - 20
    depth, angle = np.hypot(x, y), np.abs(np.arctan2(x, np.maximum(y, 1)))
    inside = (depth > 50) & (depth < rows - 50) & (angle < 0.62)
    tissue = 0.45 + 0.2 * np.sin(depth / 38 + number / 6) * np.cos(angle * 9)
    beat, around = 8 * np.sin(number / 4), np.arctan2(y - 240, x + 20)
    wall = np.hypot(x + 20, (y - 240) * 0.8) - 58 - beat - 9 * np.sin(3 * around) - 6 * np.sin(5 * around + 1)
    chamber = 0.12 + 0.88 / (1 + np.exp(-wall / 7))
    speckle = cv2.GaussianBlur(random.rayleigh(0.8, (rows, columns)).astype(np.float32), (5, 3), 1)
    return np.where(inside, np.clip(tissue * speckle * chamber, 0, 0.9), 0).astype(np.float32)


def chest(rows: int, columns: int) -> Grey:
    random = np.random.default_rng(7)
    picture = np.full((rows, columns), 0.75, np.float32)
    for side in (-1, 1):
        centre = (columns // 2 + side * columns // 5, round(rows * 0.45))
        cv2.ellipse(picture, centre, (columns // 7, rows // 4), side * 6, 0, 360, 0.25, -1)
        for rib in range(8):
            where = (centre[0], round(rows * (0.24 + 0.055 * rib)))
            cv2.ellipse(picture, where, (columns // 6, rows // 22), side * 12, 180, 360, 0.5, 6)
    blurred = cv2.GaussianBlur(picture, (31, 31), 9)
    return np.clip(blurred + random.normal(0, 0.015, picture.shape).astype(np.float32), 0, 1)


def written(lines: Sequence[Line], frame: Grey) -> tuple[Grey, list[NDArray[np.bool_]]]:
    """The frame with the lines on it, and the ink of each."""
    done, inks = frame.copy(), []
    for line in lines:
        layer = Image.new("L", frame.shape[::-1])
        ImageDraw.Draw(layer).text((line.left, line.top), line.text, 255, ImageFont.truetype(FONT, line.size))
        cover = np.asarray(layer, np.float32) / 255
        done = done * (1 - cover) + line.ink * cover
        inks.append(cover > 0.5)
    return done, inks


def save_set(folder: Path, objects: Sequence[Drawn]) -> None:
    """Write each object, and `truth.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, one in enumerate(objects):
        name = f"{number:03d}_{one.name}.dcm"
        inks = save(folder / name, one)
        items = [truth(line, ink) for line, ink in zip(one.lines, inks, strict=True)]
        files[name] = {"profile": one.name, "modality": one.modality, "frames": len(one.frames), "items": items}
    (folder / "truth.json").write_text(json.dumps({"files": files}), encoding="utf-8")


def save(path: Path, one: Drawn) -> list[NDArray[np.bool_]]:
    """Write an object; the ink of its lines."""
    pairs = [written(one.lines, frame) for frame in one.frames]
    top, kind = (1 << one.bits) - 1, np.uint8 if one.bits == 8 else np.uint16
    stored = np.stack([(picture * top).astype(kind) for picture, _ in pairs])
    stored = np.stack([stored] * 3, axis=-1) if one.colour else stored
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = _CINE if len(one.frames) > 1 else _CLASSES[one.modality]
    meta.MediaStorageSOPInstanceUID = str(generate_uid(entropy_srcs=[path.name]))
    ds = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality = one.modality
    ds.StudyInstanceUID, ds.SeriesInstanceUID = (str(generate_uid(entropy_srcs=[path.name, part])) for part in "ab")
    for keyword, value in (_PATIENT | one.header).items():
        setattr(ds, keyword, value)
    ds.Rows, ds.Columns = stored.shape[1:3]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if one.colour else (1, "MONOCHROME2")
    if one.colour:
        ds.PlanarConfiguration = 0
    if len(one.frames) > 1:
        ds.NumberOfFrames = len(one.frames)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (8 if one.bits == 8 else 16), one.bits, one.bits - 1
    ds.PixelRepresentation = 0
    ds.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    ds.save_as(path)
    return pairs[0][1]


def truth(line: Line, ink: NDArray[np.bool_]) -> dict[str, Any]:
    """Where a line is, as the team's set says it."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    mask = base64.b64encode(zlib.compress(np.packbits(ink[top:bottom, left:right]).tobytes())).decode()
    box = [left, top, right, bottom]
    return {"text": line.text, "phi": line.phi, "px": line.size, "bbox": box, "frames": "all", "mask": mask}
