"""Writes onto a picture whose it is and how it was made, for those who ask for that (PS3.18 8.3.5.1.1): what the clean
object says of it, the patient at the top, the technique at the bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from lethe.storage.entries import DicomJson, first_text

PATIENT, TECHNIQUE = "patient", "technique"
_LINES_IN_PICTURE, _LEAST, _MOST = 30, 9, 64
_EDGE = 4
# What stands in one line, and what is written before and behind each value.
_LINES = {
    PATIENT: (
        (("00100010", "", ""),),
        (("00100020", "ID ", ""),),
        (("00100030", "born ", ""), ("00100040", "", "")),
    ),
    TECHNIQUE: (
        (("00080060", "", ""), ("00180015", "", ""), ("00080020", "", "")),
        (("0008103E", "", ""),),
        (("00200011", "Series ", ""), ("00200013", "Image ", "")),
        (("00180060", "", " kV"), ("00181152", "", " mAs"), ("00180050", "", " mm")),
        (("00180080", "TR ", " ms"), ("00180081", "TE ", " ms")),
    ),
}


@dataclass(frozen=True)
class Caption:
    """The lines at the top and at the bottom."""

    top: tuple[str, ...] = ()
    bottom: tuple[str, ...] = ()


def caption_of(attributes: DicomJson, kinds: frozenset[str]) -> Caption:
    """What an object says of the kinds that are asked for, as far as it says something."""
    return Caption(
        tuple(_lines(attributes, PATIENT)) if PATIENT in kinds else (),
        tuple(_lines(attributes, TECHNIQUE)) if TECHNIQUE in kinds else (),
    )


def captioned(image: Image.Image, caption: Caption) -> Image.Image:
    """The picture with its lines, so small that they fit."""
    if not caption.top and not caption.bottom:
        return image
    image = image.copy()
    canvas, size = ImageDraw.Draw(image), _size(image, (*caption.top, *caption.bottom))
    font, step = ImageFont.load_default(size), round(size * 1.2)
    white, black = (255, 0) if image.mode == "L" else ((255, 255, 255), (0, 0, 0))
    bottom = image.height - _EDGE - step * len(caption.bottom)
    for start, lines in ((_EDGE, caption.top), (bottom, caption.bottom)):
        for number, line in enumerate(lines):
            place = (_EDGE, start + number * step)
            canvas.text(place, line, fill=white, font=font, stroke_width=1, stroke_fill=black)
    return image


def _lines(attributes: DicomJson, kind: str) -> Iterator[str]:
    for line in _LINES[kind]:
        known = [(before, first_text(attributes, tag), behind) for tag, before, behind in line]
        said = "  ".join(f"{before}{_drawable(value)}{behind}" for before, value, behind in known if value)
        if said:
            yield said


def _drawable(text: str) -> str:
    """The font has the characters of Western Europe."""
    return "".join(character if character.isprintable() and ord(character) < 0x100 else "?" for character in text)


def _size(image: Image.Image, lines: Sequence[str]) -> int:
    size = max(_LEAST, min(image.height // _LINES_IN_PICTURE, _MOST))
    widest = max(ImageFont.load_default(size).getlength(line) for line in lines)
    room = min((image.width - 2 * _EDGE) / max(widest, 1), (image.height - 2 * _EDGE) / (1.2 * size * len(lines)))
    return max(1, int(size * min(1.0, room)))
