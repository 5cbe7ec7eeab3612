"""Says what the Image Pixel module tells of an object's frames (PS3.3 C.7.6.3), from DICOM JSON or from a header."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from lethe.storage.entries import DicomJson, first_text
from lethe.storage.errors import NotFound

from .dicomjson import PIXEL_TAGS, describe

# Chroma samples are shared by this many pixels in uncompressed data (PS3.3 C.7.6.3.1.2).
_BITS_PER_SAMPLED_PIXEL = {"YBR_FULL_422": 2.0, "YBR_PARTIAL_422": 2.0, "YBR_PARTIAL_420": 1.5}
_ATTRIBUTES = (
    "SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns BitsAllocated "
    "BitsStored HighBit PixelRepresentation"
).split()


@dataclass(frozen=True)
class Shape:
    """What the frames of one object are like. `tag` is the element that holds them."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    frames: int
    photometric: str
    tag: int
    bits_stored: int = 0
    high_bit: int = 0
    signed: bool = False
    planar: int = 0

    @property
    def native_bits(self) -> int:
        """How many bits a frame takes in uncompressed pixel data; frames of single bits are not padded."""
        per_pixel = _BITS_PER_SAMPLED_PIXEL.get(self.photometric, self.samples) if self.samples == 3 else self.samples
        return int(self.rows * self.columns * per_pixel * self.bits_allocated)

    @property
    def decoded_bits(self) -> int:
        """How many bits a frame takes once decoded."""
        return self.rows * self.columns * self.samples * self.bits_allocated

    @property
    def decoded_bytes(self) -> int:
        """How many bytes a frame takes once decoded."""
        return (self.decoded_bits + 7) // 8

    @property
    def array(self) -> tuple[int, ...]:
        """The shape of a decoded frame as an array."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)


def shape_of(metadata: DicomJson) -> Shape:
    """The shape of an instance's frames. Raises NotFound where it has none."""
    tag = next((tag for tag in PIXEL_TAGS if "BulkDataURI" in metadata.get(tag, {})), None)
    rows, columns = _number(metadata, "00280010"), _number(metadata, "00280011")
    if tag is None or not rows or not columns:
        raise NotFound("the instance has no image")
    allocated = _number(metadata, "00280100") or {"7FE00008": 32, "7FE00009": 64}.get(tag, 8)
    stored = _number(metadata, "00280101") or allocated
    return Shape(
        rows=rows,
        columns=columns,
        samples=_number(metadata, "00280002") or 1,
        bits_allocated=allocated,
        frames=_number(metadata, "00280008") or 1,
        photometric=first_text(metadata, "00280004"),
        tag=int(tag, 16),
        bits_stored=stored,
        high_bit=_number(metadata, "00280102") or stored - 1,
        signed=_number(metadata, "00280103") == 1 and tag == PIXEL_TAGS[0],
        planar=_number(metadata, "00280006"),
    )


def shape_in(header: Dataset, tag: int) -> Shape:
    """The same from a header whose pixel data is the element `tag`. Raises NotFound."""
    few = Dataset()
    for keyword in _ATTRIBUTES:
        if keyword in header:
            few[keyword] = header[keyword]
    vr = {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(tag, "OW")
    return shape_of(describe(few, pixel_data_vr=vr))


def _number(metadata: DicomJson, tag: str) -> int:
    text = first_text(metadata, tag)
    return int(text) if text.isdigit() else 0
