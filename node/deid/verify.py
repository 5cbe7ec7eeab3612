"""Looks for what is left of the patient in the result; anything found is a refusal.

It reads the finished header anew from its bytes and knows nothing of how it was cleaned, only the terms of the
original.
"""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from .elements import TEXT_VRS, Path, decoded, items, texts, vr_of
from .errors import CannotClean
from .header import STRUCTURAL
from .report import place
from .terms import TermBank

_LONGEST_BINARY = 1 << 20


class Verifier:
    """Checks one result against the terms of its original."""

    def __init__(self, terms: TermBank) -> None:
        self._terms = terms

    def check(self, encoded: bytes, *, implicit: bool, little: bool) -> None:
        """Read an encoded data set and look at every value in it. Raises CannotClean with the first place found."""
        header = read_dataset(BytesIO(encoded), is_implicit_VR=implicit, is_little_endian=little)
        self._walk(header, ())

    def _walk(self, header: Dataset, path: Path) -> None:
        for tag in sorted(header.keys()):
            if tag.is_private:
                raise CannotClean(f"{place(path, tag)}: a private attribute is left")
            vr = vr_of(header, tag)
            if vr in ("SQ", "UN"):
                for below, item in items(decoded(header, tag, path), path, int(tag)):
                    self._walk(item, below)
            if self._gives_away(header, path, tag, vr):
                raise CannotClean(f"{place(path, tag)}: something of the original patient is left in it")

    def _gives_away(self, header: Dataset, path: Path, tag: int, vr: str) -> bool:
        if vr == "UI":
            return any(self._terms.has_uid(uid) for uid in texts(decoded(header, tag, path)))  # type: ignore[arg-type]
        if vr in TEXT_VRS:
            return int(tag) not in STRUCTURAL and any(
                self._terms.finds(text)
                for text in texts(decoded(header, tag, path))  # type: ignore[arg-type]
            )
        if vr in ("OB", "UN"):
            value = decoded(header, tag, path).value  # type: ignore[arg-type]
            return isinstance(value, bytes) and self._terms.in_bytes(value[:_LONGEST_BINARY])
        return False
