"""Reads and writes one element of a data set by itself, as it would be read and written within it."""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from struct import pack

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from .elements import pad_odd_values
from .errors import CannotClean
from .part10 import encoded_header, read_encoded
from .raw import NotUsual


class Surroundings:
    """What the bytes of an element mean in one kind of data set: its encoding, and its Specific Character Set
    (0008,0005) as the bytes of that element, empty where it has none."""

    def __init__(self, *, implicit: bool, character_set: bytes) -> None:
        self.implicit = implicit
        self.character_set = character_set

    def read(self, elements: bytes) -> Dataset:
        """The elements as a data set, the character set with them. Raises CannotClean."""
        try:
            return read_encoded(BytesIO(self.character_set + elements), implicit=self.implicit, little=True)
        except CannotClean:
            raise
        except Exception as error:
            raise CannotClean(f"not readable as DICOM ({type(error).__name__})") from None

    def write(self, header: Dataset) -> bytes:
        """Encode a data set, the character set with it. Raises CannotClean."""
        return encoded_header(header, ImplicitVRLittleEndian if self.implicit else ExplicitVRLittleEndian)

    def without_character_set(self, encoded: bytes) -> bytes:
        """What `write` gave, but for the character set."""
        if not encoded.startswith(self._written_character_set):
            raise NotUsual
        return encoded[len(self._written_character_set) :]

    def element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """An element with a short length field."""
        if self.implicit:
            return pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value
        return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    @cached_property
    def _written_character_set(self) -> bytes:
        header = self.read(b"")
        pad_odd_values(header)
        return self.write(header)
