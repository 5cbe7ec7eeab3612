"""Says how an object's frames are stored, as its header has it, and refuses what contradicts itself (PS3.3 C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from lethe.node.deid.elements import said
from lethe.node.deid.errors import CannotClean

Pixels = NDArray[Any]
MOST_FRAME_BYTES = 192 << 20
"""A frame that is larger than this once decoded is not worked on."""
_MOST_FRAMES = 1 << 20
_FLOATS = {0x7FE00008: 32, 0x7FE00009: 64}
_COLOURS = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_RCT": 3,
    "YBR_ICT": 3,
    "HSV": 3,
}
"""The photometric interpretations that can be worked on, and how many samples a pixel has in them."""


@dataclass(frozen=True)
class Form:
    """The Image Pixel module of one object (PS3.3 C.7.6.3). `tag` is the element that holds the pixels; `lossy` says
    whether the header owns to lossy compression (0028,2110)."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    transfer_syntax: UID
    tag: int
    lossy: bool

    @property
    def floating(self) -> bool:
        """Whether its values are floating point numbers."""
        return self.tag in _FLOATS

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame, colour by pixel."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def word(self) -> np.dtype[Any]:
        """What a sample is allocated, without sign; a byte for single bits."""
        return np.dtype(f"f{self.bits_allocated // 8}" if self.floating else f"u{max(self.bits_allocated // 8, 1)}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """What a stored value is."""
        return np.dtype(f"i{self.word.itemsize}") if self.signed and not self.floating else self.word

    @property
    def lowest(self) -> int:
        """The smallest value that the bits stored can hold."""
        return -(1 << (self.bits_stored - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest value that the bits stored can hold."""
        return (1 << (self.bits_stored - self.signed)) - 1

    @property
    def shift(self) -> int:
        """How many bits lie below those stored."""
        return self.high_bit + 1 - self.bits_stored


def form_of(header: Dataset, transfer_syntax: UID, tag: int) -> Form:
    """What the header says of the frames in that element. Raises CannotClean for what is missing or impossible."""
    photometric = text_of(header, "PhotometricInterpretation").strip().upper()
    if photometric not in _COLOURS:
        raise CannotClean("its Photometric Interpretation (0028,0004) is missing or not one that can be worked on")
    samples = number_of(header, "SamplesPerPixel", 1)
    if samples != _COLOURS[photometric]:
        raise CannotClean("Samples per Pixel (0028,0002) does not fit its Photometric Interpretation (0028,0004)")
    allocated = _FLOATS.get(tag) or number_of(header, "BitsAllocated", 0)
    if allocated not in (1, 8, 16, 32, 64):
        raise CannotClean("Bits Allocated (0028,0100) is missing or none of 1, 8, 16, 32, 64")
    stored = allocated if tag in _FLOATS else number_of(header, "BitsStored", allocated)
    high = allocated - 1 if tag in _FLOATS else number_of(header, "HighBit", stored - 1)
    if not 1 <= stored <= high + 1 <= allocated:
        raise CannotClean("Bits Stored (0028,0101) and High Bit (0028,0102) do not fit Bits Allocated (0028,0100)")
    representation, planar = number_of(header, "PixelRepresentation", 0), number_of(header, "PlanarConfiguration", 0)
    if representation not in (0, 1) or planar not in (0, 1):
        raise CannotClean("Pixel Representation (0028,0103) or Planar Configuration (0028,0006) is neither 0 nor 1")
    if samples == 3 and (allocated not in (8, 16, 32) or tag in _FLOATS):
        raise CannotClean("colour with samples of this size is not possible")
    form = Form(
        rows=number_of(header, "Rows", 0),
        columns=number_of(header, "Columns", 0),
        frames=number_of(header, "NumberOfFrames", 1),
        samples=samples,
        photometric=photometric,
        planar=planar if samples == 3 else 0,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=bool(representation) and tag not in _FLOATS,
        transfer_syntax=transfer_syntax,
        tag=tag,
        lossy=text_of(header, "LossyImageCompression").strip() == "01",
    )
    _refuse_size(form)
    return form


def _refuse_size(form: Form) -> None:
    if not (0 < form.rows <= 0xFFFF and 0 < form.columns <= 0xFFFF):
        raise CannotClean("Rows (0028,0010) or Columns (0028,0011) is missing, zero or too large")
    if not 0 < form.frames <= _MOST_FRAMES:
        raise CannotClean("Number of Frames (0028,0008) is zero or too large")
    if form.rows * form.columns * form.samples * form.word.itemsize > MOST_FRAME_BYTES:
        raise CannotClean(f"a frame is larger than {MOST_FRAME_BYTES >> 20} MiB")


def text_of(header: Dataset, name: str | int) -> str:
    """The one value of an element, named by keyword or tag; empty where it has none. Raises CannotClean."""
    tag = Tag(name)
    found = said(header, tag)
    if len(found) > 1:
        raise CannotClean(f"{_called(name)} has several values")
    return found[0] if found else ""


def number_of(header: Dataset, name: str | int, default: int) -> int:
    """The number that an element holds. Raises CannotClean for anything else."""
    text = text_of(header, name).strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise CannotClean(f"{_called(name)} is no number")
    return int(text)


def _called(name: str | int) -> str:
    tag = Tag(name)
    return name if isinstance(name, str) else f"({tag.group:04X},{tag.element:04X})"
