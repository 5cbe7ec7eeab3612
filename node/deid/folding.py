"""Makes texts comparable: without case, accents, and the differences between letters that say the same."""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not take apart, and how who has not got them writes them.
_LETTERS = {
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t", "ŋ": "n", "ĸ": "k", "þ": "th", "æ": "ae",
    "œ": "oe", "ſ": "s", "ә": "a", "ƒ": "f", "ɓ": "b", "ɗ": "d", "ƙ": "k", "ə": "e", "ɛ": "e", "ɔ": "o",
}  # fmt: skip
_KATAKANA, _HIRAGANA = range(0x30A1, 0x30F7), 0x60
HIDDEN = re.compile(
    "[\0-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)
"""Characters that are not seen, and may stand within a word."""


def plain(text: str) -> str:
    """Text for comparison: no case, no accents, no compatibility forms, digits of any script as ASCII's, katakana as
    hiragana. German umlauts count as their base letters; the other spelling is a term of its own."""
    if text.isascii():
        return text.lower()
    folded = text.casefold() if "ß" not in text else text.lower().replace("ß", "ss").casefold()
    # Character by character: normalising a whole text takes quadratic time where many marks stand in a row.
    return folded.translate({ord(one): _base(one) for one in set(folded) if not one.isascii()})


def is_mark(character: str) -> bool:
    """Whether a character belongs to the one before it, as accents and the vowels of many scripts do."""
    return unicodedata.category(character)[0] == "M"


def _base(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    decomposed = unicodedata.normalize("NFKD", character)
    # Composed again, because Korean syllables come apart as well.
    whole = unicodedata.normalize("NFC", "".join(one for one in decomposed if not is_mark(one))).lower()
    return "".join(_letter(one) for one in whole)


def _letter(character: str) -> str:
    if ord(character) in _KATAKANA:
        return chr(ord(character) - _HIRAGANA)
    return _LETTERS.get(character, character)
