"""Makes images in every form that frames can be stored in, with encoders of their own, and reads them with pydicom."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from struct import pack
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, fragment_frame, generate_frames
from pydicom.pixels import pixel_array
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from lethe.node.burned.box import Box
from lethe.node.burned.fill import Fill
from lethe.node.burned.frames import open_frames
from lethe.node.burned.redaction import Redacted, redacted
from lethe.node.deid.part10 import encoded_header, read_part10, write_part10

Pixels = NDArray[Any]
PREFIX = "1.2.840.10008.1.2"
IMPLICIT, EXPLICIT, BIG, DEFLATED = PREFIX, f"{PREFIX}.1", f"{PREFIX}.2", f"{PREFIX}.1.99"
NATIVE = (IMPLICIT, EXPLICIT, BIG, DEFLATED)
RLE, DEFLATED_FRAMES = f"{PREFIX}.5", f"{PREFIX}.8.1"
BASELINE, EXTENDED = f"{PREFIX}.4.50", f"{PREFIX}.4.51"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def jpeg(number: int) -> str:
    """The transfer syntax 1.2.840.10008.1.2.4.n."""
    return f"{PREFIX}.4.{number}"


@dataclass(frozen=True)
class Kind:
    """A way to store pixels."""

    photometric: str = "MONOCHROME2"
    allocated: int = 8
    stored: int = 8
    signed: bool = False
    planar: int = 0
    high: int | None = None

    @property
    def samples(self) -> int:
        return 1 if self.photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") else 3

    def some(self, frames: int, rows: int, columns: int, seed: int = 0) -> Pixels:
        """Stored values, as many frames as asked."""
        random = np.random.default_rng(seed)
        low, high = (
            (-(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1) if self.signed else (0, 2**self.stored - 1)
        )
        shape = (frames, rows, columns) if self.samples == 1 else (frames, rows, columns, 3)
        return random.integers(low, high, shape, endpoint=True).astype(f"i{8}").astype(self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"{'i' if self.signed else 'u'}{max(self.allocated // 8, 1)}")


def header(kind: Kind, frames: int, rows: int, columns: int, syntax: str) -> FileDataset:
    """An object without pixel data."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(SECONDARY_CAPTURE), UID("1.2.3.4")
    ds = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = SECONDARY_CAPTURE, "1.2.3.4", "OT"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, columns, kind.samples
    ds.PhotometricInterpretation, ds.PixelRepresentation = kind.photometric, int(kind.signed)
    ds.BitsAllocated, ds.BitsStored = kind.allocated, kind.stored
    ds.HighBit = kind.stored - 1 if kind.high is None else kind.high
    if kind.samples == 3:
        ds.PlanarConfiguration = kind.planar
    if frames != 1:
        ds.NumberOfFrames = frames
    if kind.photometric == "PALETTE COLOR":
        random = np.random.default_rng(5)
        for name in ("Red", "Green", "Blue"):
            setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
            data = random.integers(0, 65535, 256).astype("<u2")
            data = data.byteswap() if syntax == BIG else data
            setattr(ds, f"{name}PaletteColorLookupTableData", data.tobytes())
    return ds


def native(kind: Kind, values: Pixels, syntax: str) -> bytes:
    """An uncompressed object."""
    frames, rows, columns = values.shape[:3]
    ds = header(kind, frames, rows, columns, syntax)
    words = values.astype(f"u{kind.dtype.itemsize}")
    if kind.high is not None:
        words = words << (kind.high + 1 - kind.stored)
    if kind.allocated == 1:
        data = np.packbits(words.reshape(-1), bitorder="little").tobytes()
    elif kind.photometric == "YBR_FULL_422":
        pairs = np.stack([words[:, :, 0::2, 0], words[:, :, 1::2, 0], words[:, :, 0::2, 1], words[:, :, 0::2, 2]], -1)
        data = pairs.tobytes()
    else:
        ordered = np.moveaxis(words, 3, 1) if kind.planar else words
        data = ordered.astype(words.dtype.newbyteorder(">" if syntax == BIG else "<")).tobytes()
    data += bytes(len(data) % 2)
    wide = kind.allocated > 8 or syntax in (IMPLICIT, BIG)
    if syntax == BIG and kind.allocated <= 8:
        data = np.frombuffer(data, "u2").byteswap().tobytes()
    ds.add_new(0x7FE00010, "OW" if wide else "OB", data)
    return file_of(ds, syntax)


def encoded(kind: Kind, frame: Pixels, syntax: str, subsampling: str = "444") -> bytes:
    """One frame, compressed by an encoder."""
    unsigned = np.ascontiguousarray(frame.astype(f"u{kind.dtype.itemsize}"))
    if syntax == RLE:
        ds = header(kind, 1, *frame.shape[:2], syntax)
        options = {element.keyword: element.value for element in ds if element.tag.group == 0x0028}
        names = {
            "Rows": "rows",
            "Columns": "columns",
            "SamplesPerPixel": "samples_per_pixel",
            "PhotometricInterpretation": "photometric_interpretation",
            "BitsAllocated": "bits_allocated",
            "BitsStored": "bits_stored",
            "PixelRepresentation": "pixel_representation",
        }
        given = {names[name]: value for name, value in options.items() if name in names}
        return RLELosslessEncoder.encode(
            unsigned.tobytes(), encoding_plugin="pydicom", planar_configuration=0, number_of_frames=1, **given
        )
    if syntax == DEFLATED_FRAMES:
        if kind.allocated == 1:
            flat = np.packbits(unsigned.reshape(-1), bitorder="little").tobytes()
        else:
            flat = (np.moveaxis(unsigned, 2, 0) if kind.planar else unsigned).tobytes()
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(flat) + deflate.flush()
    space = {"colorspace": "YCBCR", "outcolorspace": "YCBCR"} if kind.photometric.startswith("YBR_FULL") else {}
    if kind.photometric == "RGB":
        space = {"colorspace": "RGB", "outcolorspace": "RGB"}
    if syntax in (BASELINE, EXTENDED):
        options = {"subsampling": subsampling} if kind.samples == 3 else {}
        return bytes(imagecodecs.jpeg8_encode(unsigned, 90, **space, **options))
    if syntax in (jpeg(57), jpeg(70)):
        predictor = 1 if syntax == jpeg(70) else 6
        made = imagecodecs.jpeg8_encode(
            unsigned, lossless=True, predictor=predictor, bitspersample=kind.stored, **space
        )
        return bytes(made)
    if syntax in (jpeg(80), jpeg(81)):
        near = 2 if syntax == jpeg(81) else 0
        return bytes(imagecodecs.jpegls_encode(unsigned, near, out=4 * unsigned.nbytes + 9999))
    colour = kind.photometric in ("YBR_RCT", "YBR_ICT")
    if syntax in (jpeg(90), jpeg(91)):
        exact = kind.photometric != "YBR_ICT" and syntax == jpeg(90)
        level = None if exact else 38
        made = imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(frame),
            level,
            codecformat="J2K",
            reversible=exact,
            mct=colour,
            bitspersample=kind.stored,
            resolutions=max(1, min(5, int(min(frame.shape[:2])).bit_length() - 1)),
        )
        return bytes(made)
    return bytes(imagecodecs.htj2k_encode(np.ascontiguousarray(frame), reversible=True, rgb=colour, planar=False))


def compressed(
    kind: Kind,
    frames: Sequence[bytes],
    shape: tuple[int, int],
    syntax: str,
    *,
    table: str = "basic",
    fragments: int = 1,
) -> bytes:
    """An object with those frames: with a Basic or an Extended Offset Table, or with none."""
    ds = header(kind, len(frames), *shape, syntax)
    if table == "extended":
        data, offsets, lengths = encapsulate_extended(list(frames))
        ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = offsets, lengths
    elif fragments == 1:
        data = encapsulate(list(frames), has_bot=table == "basic")
    else:
        data = encapsulate_fragments(frames, fragments, has_table=table == "basic")
    ds.add_new(0x7FE00010, "OB", data)
    ds["PixelData"].is_undefined_length = True
    return file_of(ds, syntax)


def encapsulate_fragments(frames: Sequence[bytes], fragments: int, *, has_table: bool) -> bytes:
    """Frames of several fragments each."""
    body, offsets = b"", []
    for frame in frames:
        offsets.append(len(body))
        for part in fragment_frame(frame + bytes(len(frame) % 2), fragments):
            body += b"\xfe\xff\x00\xe0" + pack("<L", len(part)) + part
    first = pack(f"<{len(offsets)}L", *offsets) if has_table else b""
    return b"\xfe\xff\x00\xe0" + pack("<L", len(first)) + first + body


def file_of(ds: FileDataset, syntax: str) -> bytes:
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(
            buffer,
            ds,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            force_encoding=True,
        )
    return buffer.getvalue()


def arrays(raw: bytes) -> list[Pixels]:
    """The stored values of all frames, read by pydicom; deflated ones by zlib, which pydicom has no decoder for."""
    ds = pydicom.dcmread(BytesIO(raw))
    count = int(ds.get("NumberOfFrames", 1))
    if ds.file_meta.TransferSyntaxUID == DEFLATED_FRAMES:
        return [inflated(ds, frame) for frame in generate_frames(ds.PixelData, number_of_frames=count)]
    if ds.file_meta.TransferSyntaxUID == DEFLATED:  # which pydicom cannot read frames of without loading it all
        ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
        return arrays(file_of(ds, EXPLICIT))
    if ds.BitsAllocated == 1:  # pydicom reads single frames of single bits only where they begin with a byte
        data = np.frombuffer(ds.PixelData, np.uint8)
        data = data.view("u2").byteswap().view("u1") if ds.file_meta.TransferSyntaxUID == BIG else data
        bits = np.unpackbits(data, bitorder="little")[: count * ds.Rows * ds.Columns]
        return list(bits.reshape(count, ds.Rows, ds.Columns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [pixel_array(BytesIO(raw), index=number, raw=True) for number in range(count)]


def inflated(ds: FileDataset, frame: bytes) -> Pixels:
    flat = zlib.decompress(frame, -15)
    if ds.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(flat, np.uint8), bitorder="little")
        return bits[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns)
    words = np.frombuffer(flat, f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}")
    if ds.SamplesPerPixel == 1:
        return words.reshape(ds.Rows, ds.Columns)
    if ds.PlanarConfiguration:
        return np.moveaxis(words.reshape(3, ds.Rows, ds.Columns), 0, 2)
    return words.reshape(ds.Rows, ds.Columns, 3)


def items(raw: bytes) -> list[bytes]:
    """The encoded bytes of each frame, without padding."""
    ds = pydicom.dcmread(BytesIO(raw))
    count, extended = int(ds.get("NumberOfFrames", 1)), None
    if "ExtendedOffsetTable" in ds:
        extended = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths)
    return list(generate_frames(ds.PixelData, number_of_frames=count, extended_offsets=extended))


def redact(
    raw: bytes, boxes: Mapping[int, Sequence[Box]], fill: Fill = Fill.BACKGROUND, **more: Any
) -> tuple[bytes, Redacted]:
    """The object with boxes covered, as a file, and what was done."""
    source = read_part10(BytesIO(raw))
    done = redacted(open_frames(source), source, boxes, fill, **more)
    body = encoded_header(done.source.header, done.source.transfer_syntax)
    return b"".join(write_part10(body, done.source, SECONDARY_CAPTURE, "1.2.3.4")), done
