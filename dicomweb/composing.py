"""Makes Part 10 files of metadata and bulk data that were sent apart (PS3.18 8.7.3, 10.5.1): DICOM JSON or XML, and a
part for each value that a BulkDataURI names.

Metadata are held in memory and therefore bounded; bulk data go from file to file. Pixel data that come as JPEG and the
like become encapsulated frames, one part each; a JPEG also says what its pixels are where the metadata do not.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian

from lethe.storage.entries import DicomJson, first_text, is_uid
from lethe.storage.errors import Refused

from . import accept, consumer, readxml
from .accept import MediaRange
from .codestream import codestream_in, described, syntax_of
from .dicomjson import PIXEL_TAGS
from .elements import IN_BULK, value_of, write_frames, write_value
from .identify import Identity
from .pixels import is_encapsulated
from .settled import dataset_of

_JSON = ("application/dicom+json", "application/json")
_XML = ("application/dicom+xml",)
METADATA_TYPES = (*_JSON, *_XML)
_MOST_METADATA = 16 << 20
"""Bytes of all metadata of a body; as Python objects they take many times as much."""
_MOST_WITHIN = 64 << 20
"""Bytes of bulk data within sequences, which are held in memory."""
_BOXED = ("image/jp2", "image/jpx", "image/jphc")
_PIECE = 1 << 20
_IMPLEMENTATION = "2.25.277498219311137463117265930671935286573"


@dataclass(frozen=True)
class _Bulk:
    """One part of bulk data."""

    kind: MediaRange
    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size


class Composer:
    """Takes the parts of one body, then makes its objects."""

    def __init__(self, folder: Path, root: str) -> None:
        self._folder = folder
        self._root = root
        self._metadata: list[DicomJson] = []
        self._left = _Allowance(_MOST_METADATA)
        self._bulk: dict[str, list[_Bulk]] = {}

    def take(self, headers: Mapping[str, str], path: Path) -> None:
        """One part. Raises Refused where it is neither metadata nor says where it belongs."""
        location = headers.get("content-location", "")
        kind = next(iter(accept.parse(headers.get("content-type", "" if location else self._root))), MediaRange(""))
        if kind.media_type in METADATA_TYPES and (not location or kind.media_type == self._root):
            self._left.take(path.stat().st_size)
            self._metadata += _metadata(kind.media_type, path)
        elif location:
            self._bulk.setdefault(location, []).append(_Bulk(kind, path))
        else:
            raise Refused("a part of bulk data has no Content-Location")

    def objects(self) -> Iterator[Path | Identity]:
        """A file for each object; where it could not be made, what it says it is. Raises Refused where there are
        none."""
        if not self._metadata:
            raise Refused("the body holds no metadata")
        for number, attributes in enumerate(self._metadata):
            path = self._folder / f"object-{number}"
            try:
                with path.open("wb") as file:
                    self._compose(attributes, file)
            except Exception as error:  # whatever pydicom finds wrong with attributes that anybody may have sent
                if failure := _of_the_disk(error):
                    raise failure from error
                path.unlink()
                yield _identity(attributes)
                continue
            yield path

    def _compose(self, attributes: DicomJson, file: BinaryIO) -> None:
        plain, large = _divided(attributes)
        _check_inline(plain)
        parts = {tag: self._parts(element["BulkDataURI"]) for tag, element in large.items()}
        syntax = str(ExplicitVRLittleEndian)
        for tag in (tag for tag in PIXEL_TAGS if tag in parts):
            parts[tag], told = self._pixels(parts[tag])
            syntax = syntax_of(parts[tag][0].kind, parts[tag][0].path)
            plain = (described(parts[tag][0].path) if is_encapsulated(syntax) else {}) | plain | told
            large[tag] = {"vr": "OW"} if told else large[tag]
        allowance = _Allowance(_MOST_WITHIN)
        ds = dataset_of(plain, lambda _tag, vr, uri: self._within(vr, uri, allowance))
        out = DicomFileLike(file)
        out.is_implicit_VR, out.is_little_endian = False, True
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(out, _file_meta(plain, syntax), enforce_standard=True)
        _write_in_order(out, ds, {int(tag, 16): (large[tag]["vr"], parts[tag]) for tag in parts}, syntax)

    def _pixels(self, parts: list[_Bulk]) -> tuple[list[_Bulk], DicomJson]:
        """The parts of pixel data as they can stand in a file, and what of its attributes follows from that."""
        kind = parts[0].kind.media_type
        if kind in consumer.TYPES:
            path = parts[0].path.with_suffix(".native")
            told = consumer.native(kind, [part.path for part in parts], path)
            return [_Bulk(MediaRange("application/octet-stream"), path)], told
        return [_Bulk(part.kind, _unboxed(part.path)) for part in parts] if kind in _BOXED else parts, {}

    def _parts(self, uri: str) -> list[_Bulk]:
        """The parts of one value: those at its location, or frame by frame below it."""
        found = self._bulk.get(uri) or [
            self._bulk[name][0]
            for name in sorted(
                (
                    name
                    for name in self._bulk
                    if name.startswith(f"{uri}/frames/") and name.rpartition("/")[2].isdigit()
                ),
                key=lambda name: int(name.rpartition("/")[2]),
            )
        ]
        if not found:
            raise Refused("there is no part for a BulkDataURI")
        return found

    def _within(self, vr: str, uri: str, allowance: _Allowance) -> Any:
        parts = self._parts(uri)
        allowance.take(sum(part.size for part in parts))
        return value_of(vr, b"".join(part.path.read_bytes() for part in parts))


class _Allowance:
    """How many bytes may still be held in memory."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Refused("there are more metadata, or bulk data within sequences, than can be taken at once")


def _unboxed(path: Path) -> Path:
    """The codestream of a JP2 file, in a file of its own."""
    start, length = codestream_in(path)
    if start == 0:
        return path
    with path.open("rb") as boxed, path.with_suffix(".codestream").open("wb") as bare:
        boxed.seek(start)
        while length and (piece := boxed.read(min(length, _PIECE))):
            length -= bare.write(piece)
    return path.with_suffix(".codestream")


def _of_the_disk(error: BaseException | None) -> OSError | None:
    """The failure of the operating system behind an exception, if there is one; pydicom makes such exceptions too."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__
    return None


def _metadata(media_type: str, path: Path) -> list[DicomJson]:
    text = path.read_bytes()
    if media_type in _XML:
        return [readxml.read(text)]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("the metadata are not JSON") from None
    objects = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) and all(isinstance(element, dict) for element in one.values()) for one in objects):
        raise Refused("the metadata are not in the DICOM JSON model")
    return objects


def _divided(attributes: DicomJson) -> tuple[DicomJson, DicomJson]:
    """The attributes that are held in memory, and those whose value is a part; what belongs to a file is left out."""
    kept = {tag.upper(): element for tag, element in attributes.items() if not tag.startswith("0002")}
    large = {tag: one for tag, one in kept.items() if "BulkDataURI" in one and one.get("vr") in IN_BULK}
    return {tag: element for tag, element in kept.items() if tag not in large}, large


def _check_inline(attributes: DicomJson) -> None:
    """Raise ValueError for binary values that are no base64, at every depth; pydicom takes what it can of them."""
    for element in attributes.values():
        if isinstance(text := element.get("InlineBinary", ""), str):
            b64decode("".join(text.split()), validate=True)
        for item in element.get("Value") or () if element.get("vr") == "SQ" else ():
            _check_inline(item or {})


def _identity(attributes: DicomJson) -> Identity:
    """What the attributes of an object say it is, as far as they can be read."""
    known = {tag.upper(): element.get("Value") for tag, element in attributes.items()}
    values = (known.get(tag) for tag in ("00080016", "00080018", "0020000D"))
    texts = (str(value[0]).strip(" \0") if isinstance(value, list) and value else "" for value in values)
    return Identity(*(text if is_uid(text) else "" for text in texts))


def _file_meta(plain: DicomJson, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(first_text(plain, "00080016"))
    meta.MediaStorageSOPInstanceUID = UID(first_text(plain, "00080018"))
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    return meta


def _write_in_order(
    out: DicomFileLike, ds: Dataset, large: Mapping[int, tuple[str, Sequence[_Bulk]]], syntax: str
) -> None:
    """The data set with its bulk data where their tags belong."""
    lower = 0
    for tag in sorted(large):
        write_dataset(out, ds[lower:tag])
        vr, parts = large[tag]
        files = [part.path for part in parts]
        if f"{tag:08X}" in PIXEL_TAGS and is_encapsulated(syntax):
            write_frames(out, tag, files)
        else:
            write_value(out, tag, vr, files)
        lower = tag + 1
    write_dataset(out, ds[lower:])
