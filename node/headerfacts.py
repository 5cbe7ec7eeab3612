"""Reads from a file that came in what routes ask about: single values of its header, never its pixel data.

Nothing of it is believed or kept, only compared. Whatever cannot be read is not there, so that a route which asks about
it does not match; whether the object is sound is found out when it is cleaned.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from .deid.private import creator_tag

AttributePath = tuple[int, ...]
"""Tags from the outermost sequence to the attribute itself."""
SOP_CLASS, STUDY, MODALITY, STATION = 0x00080016, 0x0020000D, 0x00080060, 0x00081010
_MOST_INFLATED = 4 << 20
_LONGEST = 64 << 10
_UNDEFINED = 0xFFFFFFFF
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


def path_from(text: str) -> AttributePath:
    """A keyword or a tag, "InstitutionName" or "0008,0080"; within sequences with a dot between them. Raises
    ValueError."""
    return tuple(_tag_from(part) for part in text.split("."))


class HeaderFacts:
    """The header of one file, up to the last attribute of those that are asked about."""

    def __init__(self, path: Path, asked: Collection[AttributePath]) -> None:
        self._path = path
        self._tags = {path[0] for path in asked}
        self._header: Dataset | None = None

    def values(self, path: AttributePath) -> list[str]:
        """The values of an attribute, of all items where it is in sequences, each as text."""
        if self._header is None:
            self._header = self._read()
        return [value for value in _values(self._header, path) if value]

    def study_digest(self) -> str:
        """SHA-256 of the Study Instance UID, if that is asked about; "" where there is none."""
        uids = self.values((STUDY,))
        return hashlib.sha256(uids[0].encode()).hexdigest() if uids else ""

    def _read(self) -> Dataset:
        last = max(self._tags, default=0)
        tags = [BaseTag(tag) for tag in {*self._tags, 0x00080005}]
        creators = [creator_tag(tag) for tag in tags if tag.is_private]  # by which dictionaries know the VR
        try:
            with self._path.open("rb") as file:
                syntax = _transfer_syntax(file)
                data = _beginning_inflated(file) if syntax == DeflatedExplicitVRLittleEndian else file
                return read_dataset(
                    data,
                    syntax == ImplicitVRLittleEndian,
                    syntax != ExplicitVRBigEndian,
                    stop_when=lambda tag, _vr, length: tag > last or (tag in self._tags and _is_endless(length)),
                    specific_tags=[*tags, *creators],
                )
        except Exception:  # whatever a parser makes of what strangers send
            return Dataset()


def _is_endless(length: int) -> bool:
    """Whether a value is longer than anything that is compared, and would only fill memory."""
    return _LONGEST < length < _UNDEFINED


def _transfer_syntax(file: BinaryIO) -> str:
    read_preamble(file, False)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
    return str(meta.get("TransferSyntaxUID", ""))


def _beginning_inflated(file: BinaryIO) -> BytesIO:
    """The beginning of a deflated data set (PS3.5 A.5), whatever it would swell to."""
    packed = file.read(_MOST_INFLATED)
    return BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, _MOST_INFLATED))


def _values(header: Dataset, path: Sequence[int]) -> list[str]:
    try:
        raw = header.get_item(path[0])
        if raw is None or len(getattr(raw, "value", None) or b"") > _LONGEST:
            return []
        value = _as_text(header, raw, header[path[0]]).value
    except Exception:  # a value that is not what its VR says
        return []
    if isinstance(value, Items):
        return [text for item in value for text in _values(item, path[1:])] if path[1:] else []
    if value is None or path[1:] or isinstance(value, bytes):
        return []
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [str(one).strip() for one in several]


def _as_text(header: Dataset, raw: DataElement | RawDataElement, element: DataElement) -> DataElement:
    """The element; as text where nobody knows its VR, as of private attributes in implicit VR."""
    if element.VR != "UN" or not isinstance(raw, RawDataElement):
        return element
    return convert_raw_data_element(raw._replace(VR="LO"), encoding=header.original_character_set, ds=header)


def _tag_from(text: str) -> int:
    tag = tag_for_keyword(text)
    if tag is not None:
        return int(tag)
    found = _TAG.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no keyword of DICOM and no tag")
    return int(found[1] + found[2], 16)
