"""Looks for what is left of the patient in the result; anything found is a refusal.

It reads the finished header anew from its bytes and knows nothing of how it was cleaned, only the terms of the original
and which words are pseudonyms.
"""

from __future__ import annotations

from collections.abc import Callable, Set

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from .breaks import is_broken_over_lines
from .elements import BINARY_VRS, TEXT_VRS, Path, contradicts, decoded, items, raw_bytes, texts, vr_of
from .errors import CannotClean
from .meanings import CODE_MEANING, is_meaning_of_its_code
from .part10 import read_again
from .private import safe_vr
from .report import place
from .terms import TermBank
from .vocabulary import is_code

_ENCAPSULATED_DOCUMENT = 0x00420011


class Verifier:
    """Checks one result against the terms of its original. `made` are values that were put in: pseudonyms, which may
    hold a short name by chance. `document_words` reads an encapsulated document, if there is one."""

    def __init__(
        self,
        terms: TermBank,
        made: Set[str] = frozenset(),
        *,
        keeps_safe_private: bool = False,
        document_words: Callable[[bytes], str] | None = None,
    ) -> None:
        self._terms = terms
        self._keeps_safe_private = keeps_safe_private
        self._made = made
        self._document_words = document_words

    def check(self, encoded: bytes, *, implicit: bool, little: bool) -> None:
        """Read an encoded data set and look at every value in it. Raises CannotClean with the first place found."""
        try:
            self._walk(read_again(encoded, implicit=implicit, little=little), ())
        except CannotClean:
            raise
        except Exception as error:
            raise CannotClean(f"the result cannot be read again ({type(error).__name__})") from None

    def _walk(self, header: Dataset, path: Path) -> None:
        for tag in sorted(header.keys()):
            vr = self._vr(header, path, tag)
            if contradicts(header, tag):
                raise CannotClean(f"{place(path, tag)}: its VR is not that of the standard")
            if vr == "SQ":
                for below, item in items(decoded(header, tag, path), path, int(tag)):
                    self._walk(item, below)
            elif self._gives_away(header, path, tag, vr) and not (
                tag == CODE_MEANING and is_meaning_of_its_code(header)
            ):
                raise CannotClean(f"{place(path, tag)}: something of the original patient is left in it")

    def _vr(self, header: Dataset, path: Path, tag: BaseTag) -> str:
        if not tag.is_private:
            return vr_of(header, tag)
        if self._keeps_safe_private and tag.is_private_creator:
            return "LO"
        vr = safe_vr(header, tag) if self._keeps_safe_private else None
        if vr is None:
            raise CannotClean(f"{place(path, tag)}: a private attribute is left")
        return vr

    def _gives_away(self, header: Dataset, path: Path, tag: BaseTag, vr: str) -> bool:
        if tag == _ENCAPSULATED_DOCUMENT and not path and self._document_words:
            words = self._document_words(decoded(header, tag, path).value)
            return self._terms.finds(words) or is_broken_over_lines(words, self._terms)
        if vr in BINARY_VRS or vr == "UN":
            return self._terms.in_bytes(raw_bytes(header, tag, path))
        if vr == "UI":
            return any(self._terms.has_uid(uid) for uid in texts(decoded(header, tag, path)))
        if vr in TEXT_VRS:
            values = [text for text in texts(decoded(header, tag, path)) if text not in self._made]
            values = [text for text in values if not (vr == "CS" and is_code(text))]
            if self._terms.finds(" ".join(values)):
                return True
            return bool(values) and self._terms.finds_in_any_reading(raw_bytes(header, tag, path))
        return False
