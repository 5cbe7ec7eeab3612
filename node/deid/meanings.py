"""Knows what the standard's own codes mean (PS3.16), so that a patient called Head does not make a region of the body
disappear: the meaning that belongs to a code names nobody, whoever else is called so."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping
from pydicom.tag import Tag

from .elements import said

CODE_MEANING = 0x00080104
_VALUE, _SCHEME, _MEANING = Tag(0x00080100), Tag(0x00080102), Tag(CODE_MEANING)
_OLD_SCHEMES = frozenset({"SRT", "SNM3", "99SDM"})


def is_meaning_of_its_code(item: Dataset) -> bool:
    """Whether Code Meaning (0008,0104) of an item is the one that the standard gives its code. Raises CannotClean."""
    value, scheme, meaning = (said(item, tag) for tag in (_VALUE, _SCHEME, _MEANING))
    if not (len(value) == len(scheme) == len(meaning) == 1):
        return False
    code = (scheme[0], value[0])
    if code[0] in _OLD_SCHEMES:
        code = ("SCT", mapping["SRT"].get(value[0], value[0]))
    return meaning[0].casefold() in _meanings().get(code, ())


@cache
def _meanings() -> dict[tuple[str, str], frozenset[str]]:
    """Read when somebody is called like one: it takes long, and hardly anybody is."""
    from pydicom.sr import _concepts_dict

    concepts: dict[str, dict[str, dict[str, tuple[str, list[int]]]]] = cast(Any, _concepts_dict.concepts)
    meanings: dict[tuple[str, str], frozenset[str]] = {}
    for scheme, keywords in concepts.items():
        for codes in keywords.values():
            for value, (meaning, _contexts) in codes.items():
                meanings[scheme, value] = meanings.get((scheme, value), frozenset()) | {meaning.casefold()}
    return meanings
