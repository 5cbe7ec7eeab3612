"""Reads a search out of its parameters (PS3.18 8.3.4): matching keys by keyword or tag, those of sequences by their
path, private ones beside their Private Creator (PS3.5 7.8.1); what of the results is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask import request
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_dict

from lethe.storage.entries import is_uid
from lethe.storage.errors import Refused
from lethe.storage.matching import keyword_of, significant
from lethe.storage.query import EMPTY, Match, Resembles, Within

_CONTROLS = {
    *("limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching", "multiplevaluematching"),
    *("accept", "filter", "deletionlock"),
}
_SEVERAL = {"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"}
"""The VRs for which Multiple Value Matching is defined (PS3.4 C.2.2.2.8)."""
_CHARACTER_SET = ("00080005",)
_MOST_ALTERNATIVES = 32
Several = Callable[[str, tuple[str, ...]], tuple[tuple[str, ...], ...]]
"""Of the tag and the values of a key: groups of values; of each group at least one has to match."""
_BIGGEST = 2**62
_KEYWORDS = {keyword.lower(): tag for keyword, tag in keyword_dict.items() if keyword and tag >> 16}
"""By their keywords in lower case, without those of commands."""


def matches() -> tuple[Match | Within, ...]:
    """The matching keys of the request (PS3.18 8.3.4.1); those that name attributes of the same sequence have to match
    within one item. Raises Refused."""
    found: dict[tuple[str, ...], str] = {}
    for name, values in request.args.lists():
        if not is_key(name):
            continue
        path = path_of(name)
        if path in found or len(values) > 1:
            raise Refused(f"the attribute {'.'.join(path)} is given more than once")
        # PS3.4 C.2.2.2: the character set tells how the other keys are encoded, and is never matched itself.
        found[path] = "" if path == _CHARACTER_SET else values[0]
    names = Resembles if _is_true("fuzzymatching") else Match
    return terms_of(found, names, together if _is_true("multiplevaluematching") else alternatives)


def alternatives(_tag: str, values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Any of the values of a key will do: what several mean where nothing else was agreed."""
    return (values,)


def together(tag: str, values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """An attribute that can have several values has to have all of those of the key (PS3.4 C.2.2.2.8, PS3.18 8.3.4.6).
    Raises Refused."""
    if len(values) < 2 or is_private(tag) or dictionary_VM(tag) == "1" or _vr_of(tag) not in _SEVERAL:
        return (values,)
    if any(set(value) & set("*?") for value in values):
        raise Refused(f"with multiplevaluematching the values of {keyword_of(tag)} have no wildcards")
    return tuple((value,) for value in values)


def terms_of(
    found: Mapping[tuple[str, ...], str], for_names: type[Match] = Match, several: Several = alternatives
) -> tuple[Match | Within, ...]:
    """Keys by their path as terms, those of person names of that kind; `several` says which values of a key have to
    match each on its own. Raises Refused."""
    terms: list[Match | Within] = []
    tags = list(dict.fromkeys(path[0] for path in found))
    for tag in tags:
        below = {path[1:]: value for path, value in found.items() if path[0] == tag and len(path) > 1}
        creator = _creator(tag, found)
        vr = "SQ" if creator and below else _vr_of(tag)
        if (tag,) in found and not (vr == "SQ" and not found[tag,]) and not _is_creator_of_one(tag, tags):
            values = _alternatives(tag, found[tag,])
            kind = for_names if vr == "PN" and EMPTY not in values else Match
            terms += [kind(tag, each, creator) for each in several(tag, values)]
        if below and vr != "SQ":
            raise Refused(f"the attribute {tag} is no sequence")
        if below:
            terms.append(Within(tag, terms_of(below, for_names, several), creator))
    return tuple(terms)


def _creator(tag: str, found: Mapping[tuple[str, ...], str]) -> str:
    """Whose a private key is, as a key beside it says; empty for others. Raises Refused where none does."""
    if not is_private(tag) or tag[4:6] == "00":
        return ""
    creator = significant("LO", found.get((creator_of(tag),), ""))
    if not creator or set(creator) & set("*?\\"):
        raise Refused(
            f"a private attribute is searched for with its Private Creator as a key beside it, {creator_of(tag)}"
        )
    return creator


def _is_creator_of_one(tag: str, tags: Sequence[str]) -> bool:
    """Whether a key only says whose others are: in an object it may have another number."""
    return is_private(tag) and tag[4:6] == "00" and any(other != tag and creator_of(other) == tag for other in tags)


def is_private(tag: str) -> bool:
    """Whether the number is one of a private attribute, or of a creator of some."""
    return int(tag[:4], 16) % 2 == 1


def creator_of(tag: str) -> str:
    """The element that says whose a private one is."""
    return f"{tag[:4]}00{tag[4:6]}"


def _vr_of(tag: str) -> str:
    """The VR of an attribute, of a private one what its value is taken for. Raises Refused."""
    if is_private(tag):
        return "LO"
    try:
        return dictionary_VR(tag)
    except KeyError:
        raise Refused(f"this service cannot search for the attribute {tag}") from None


def is_key(name: str) -> bool:
    """Whether a parameter means an attribute: DICOM keywords, however they are spelt, for who misses one would be given
    everything; what begins with a capital, as they do; tags, which begin with a digit. Anything else, such as `_`,
    `access_token` or `X-Signature`, is a parameter we do not know and pass over."""
    if name.lower() in _CONTROLS:
        return False
    named = name.lower().partition(".")[0] in _KEYWORDS
    return named or bool(re.match(r"[A-Z][0-9A-Za-z.]*$|[0-9(]|[a-f][0-9A-Fa-f]{7}$", name))


def _alternatives(tag: str, value: str) -> tuple[str, ...]:
    vr = _vr_of(tag)
    if vr != "UI":
        parts = tuple(part for one in value.split("\\") if (part := significant(vr, one)))
        if value and not parts:
            raise Refused(f"{keyword_of(tag)} is searched for by a value; there are only backslashes or blanks")
        if len(parts) > _MOST_ALTERNATIVES:
            raise Refused(f"a key has at most {_MOST_ALTERNATIVES} alternative values")
        return parts or ("",)
    uids = tuple(uid.strip() for uid in re.split(r"[,\\]", value) if uid.strip())
    if value and not (uids and all(is_uid(uid) for uid in uids)):
        raise Refused(f"{keyword_of(tag)} is searched for by UIDs")
    return uids or ("",)


def fields_asked() -> tuple[set[str], bool]:
    """The attributes that `includefield` names, and whether it asks for all; without a name it asks for nothing. An
    attribute of a sequence comes with the whole sequence. Raises Refused."""
    names = [name.strip() for value in control("includefield") for name in value.split(",")]
    paths = [path_of(name) for name in names if name and name.lower() != "all"]
    for tag in (tag for path in paths for tag in path[:-1] if not is_private(tag) and _vr_of(tag) != "SQ"):
        raise Refused(f"the attribute {tag} is no sequence")
    return {path[0] for path in paths}, "all" in map(str.lower, names)


@dataclass(frozen=True)
class Page:
    """The part of the results that is asked for. `is_ours`: its end is the most that one answer has, not the client's
    limit."""

    limit: int
    offset: int
    is_ours: bool

    def warnings(self, found: int, remaining: Callable[[], int]) -> tuple[str, ...]:
        """That there are more results than so many that were found (PS3.18 8.3.4.4); `remaining` counts them."""
        left = remaining() if self.is_ours and found == self.limit else 0
        return (f"There are {left} additional results that can be requested",) if left > 0 else ()


def page_asked(most: int) -> Page:
    """What `limit` and `offset` ask for, of at most so many results an answer. Raises Refused."""
    asked, offset = _count("limit"), _count("offset") or 0
    return Page(most if asked is None else min(asked, most), offset, asked is None or asked > most)


def _count(name: str) -> int | None:
    values = [value for value in control(name) if value]
    if not values:
        return None
    if len(set(values)) > 1 or not re.fullmatch(r"[0-9]{1,40}", values[0]):
        raise Refused(f"{name} is one whole number, 0 or more")
    return min(int(values[0]), _BIGGEST)


def control(name: str) -> list[str]:
    """The values of a parameter that is no attribute; its name is taken in any case."""
    return [value for key, values in request.args.lists() if key.lower() == name for value in values]


def _is_true(name: str) -> bool:
    return (control(name) or [""])[-1].lower() == "true"


def path_of(name: str) -> tuple[str, ...]:
    """The tags of an attribute and, before it, of the sequences it is in. Raises Refused."""
    return tuple(tag_of(part) for part in name.split("."))


def tag_of(name: str) -> str:
    """The eight-digit tag of an attribute that is named by keyword, in any case, or tag. Raises Refused."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return name.upper()
    tag = _KEYWORDS.get(name.lower())
    if tag is None:
        raise Refused(
            "an attribute is named by its keyword or the eight digits of its tag; one of the names is neither"
        )
    return f"{tag:08X}"
