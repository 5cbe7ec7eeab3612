"""Writes onto a picture whose it is and how it was made, for those who ask for that (PS3.18 8.3.5.1.1): what the clean
object says of it, the patient at the top, the technique at the bottom."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from lethe.storage.entries import DicomJson, first_text

from .lettering import LEADING, has_character, widest, write

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


def caption_of(attributes: DicomJson, kinds: Collection[str]) -> Caption:
    """What an object says of the kinds that are asked for, as far as it says something."""
    return Caption(
        tuple(_lines(attributes, PATIENT)) if PATIENT in kinds else (),
        tuple(_lines(attributes, TECHNIQUE)) if TECHNIQUE in kinds else (),
    )


def captioned(image: Image.Image, caption: Caption) -> Image.Image:
    """The picture with its lines, so small that they fit."""
    if not caption.top and not caption.bottom:
        return image
    image, size = image.copy(), _size(image, (*caption.top, *caption.bottom))
    write(image, caption.top, (_EDGE, _EDGE), size)
    write(image, caption.bottom, (_EDGE, image.height - _EDGE - LEADING * size * len(caption.bottom)), size)
    return image


def _lines(attributes: DicomJson, kind: str) -> Iterator[str]:
    for line in _LINES[kind]:
        known = [(before, first_text(attributes, tag), behind) for tag, before, behind in line]
        said = "  ".join(f"{before}{_drawable(value)}{behind}" for before, value, behind in known if value)
        if said:
            yield said


def _drawable(text: str) -> str:
    return "".join(character if character.isprintable() and has_character(character) else "?" for character in text)


def _size(image: Image.Image, lines: Sequence[str]) -> int:
    size = max(_LEAST, min(image.height // _LINES_IN_PICTURE, _MOST))
    across = (image.width - 2 * _EDGE) / max(widest(lines, size), 1)
    room = min(across, (image.height - 2 * _EDGE) / (LEADING * size * len(lines)))
    return max(1, int(size * min(1.0, room)))
