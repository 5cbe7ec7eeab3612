"""Whatever is done to a file, the engine ends with a result in which nothing is left, or with a refusal that tells
nothing: no crash, no hang, no memory without end.

What may be left is decided without the engine, from the spoilt file as pydicom reads it. A planted word is excused only
where it stands in an attribute that the profile keeps, and

- no attribute for names, identifiers, places, dates or UIDs has it as a word any more, so that nobody can know it for
  one: the spoiling has taken it apart, or moved it, or hidden it in a private sequence, or a false character set
  spells it otherwise; or
- it stands there run together with other letters ("aZanthoria"): the engine looks for words (`terms.py`), or
- a spoilt length or tag has made it part of the pixel data, which pass as they came.

Everywhere else it must be gone: in what the table removes, in private and unknown elements, in preamble, file meta, and
in all that the reader does not even see. Every example is the same on every run. `make fuzz` runs 10,000.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from types import FrameType
from typing import BinaryIO

import pydicom
import pytest
from deid_objects import BASIC, EVERYTHING, KEY
from dicom_tree import Tree
from fuzz_mutations import KINDS, Mutation, mutated
from fuzz_seeds import NAMES, PLANTED, seed, usual_seed
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from test_deid_leaks import outside_pixels, spellings

from lethe.dicomweb.dicomjson import describe
from lethe.node.deid.cleaned import Cleaned
from lethe.node.deid.deidentify import PixelRule, deidentify, pass_pixels
from lethe.node.deid.elements import BINARY_VRS, is_standard, raw_bytes
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.fast import FastLane
from lethe.node.deid.naming import _IDENTIFIERS, _PLACES
from lethe.node.deid.part10 import pixel_vr, read_part10
from lethe.node.deid.pixels import may_carry_text
from lethe.node.deid.private import safe_vr
from lethe.node.deid.profile import Action, Option, Profile
from lethe.node.deid.pseudonyms import Pseudonyms

CASES = int(os.environ.get("LETHE_FUZZ_CASES", "1500"))
SECONDS, MEGABYTES = 20, 600
AS_DELIVERED = Profile([Option.CLEAN_PIXEL_DATA, Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES])
KEEPING = Profile(
    [
        Option.RETAIN_UIDS,
        Option.RETAIN_LONGITUDINAL_FULL_DATES,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_INSTITUTION_IDENTITY,
        Option.RETAIN_SAFE_PRIVATE,
    ]
)
PROFILES = {"basic": BASIC, "as delivered": AS_DELIVERED, "everything": EVERYTHING, "keeping": KEEPING}
RULES: list[PixelRule] = [pass_pixels, may_carry_text]
PIXEL_TAGS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
FREE_TEXT = ("LO", "LT", "SH", "ST", "UC", "UT")

Lane = Callable[[BinaryIO, Profile, Pseudonyms, PixelRule], Cleaned]
cases = st.tuples(
    st.sampled_from([seed, usual_seed]),
    st.sampled_from(NAMES),
    st.lists(st.builds(Mutation, st.sampled_from(KINDS), st.integers(0, 65535), st.integers(0, 65535)), max_size=5),
    st.sampled_from(list(PROFILES)),
    st.sampled_from(RULES),
)
seen: Counter[str] = Counter()


def outcome(
    raw: bytes, profile: Profile = BASIC, *, rule: PixelRule = pass_pixels, lane: Lane = deidentify
) -> tuple[str, str, bytes, str]:
    """How cleaning a file ends, as far as the worker goes: ("clean", "", the result, all else that is told of it), or
    ("refused", the reason, b"", ""). Two lanes of the engine are alike if their outcomes are equal."""
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.seek(0)
        try:
            cleaned = lane(file, profile, KEY, rule)
            metadata = describe(cleaned.header, pixel_data_vr=pixel_vr(cleaned.source))
            told = [metadata, cleaned.receipt, cleaned.uids, cleaned.patients, cleaned.accessions]
            return "clean", "", b"".join(cleaned.chunks()), json.dumps(told)
        except CannotClean as refusal:
            return "refused", str(refusal), b"", ""


lanes: dict[tuple[Profile, PixelRule], FastLane] = {}


def both_lanes(file: BinaryIO, profile: Profile, key: Pseudonyms, rule: PixelRule) -> Cleaned:
    """The fast lane, which has all cases before to remember, and the careful one where that leaves it to it."""
    lane = lanes.setdefault((profile, rule), FastLane(profile, key, rule))
    result = lane.clean(file)
    seen["fast"] += result is not None
    file.seek(0)
    return result or deidentify(file, profile, key, rule)


class HangsError(BaseException):
    """The engine takes too long. No Exception, because the engine makes refusals of those."""


@contextmanager
def watchdog() -> Iterator[None]:
    def bark(_number: int, _frame: FrameType | None) -> None:
        raise HangsError(f"no outcome within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """pydicom says something of every spoilt value; nobody reads thousands of lines."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
def test_no_spoilt_file_crashes_the_engine_or_leaves_anything_behind() -> None:
    seen.clear()
    lanes.clear()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzz()
    print(f"\n{CASES} cases: {dict(seen)}", file=sys.stderr)
    assert seen["clean"] > CASES // 10 and seen["refused"] > CASES // 10
    assert seen["fast"] > CASES // 40
    assert seen["words looked for"] > 8 * seen["clean"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


@settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(cases)
def fuzz(case: tuple[Callable[[str], Tree], str, list[Mutation], str, PixelRule]) -> None:
    kind, name, mutations, profile, rule = case
    raw = mutated(kind(name), mutations)
    with watchdog():
        careful = outcome(raw, PROFILES[profile], rule=rule)
        assert outcome(raw, PROFILES[profile], rule=rule, lane=both_lanes) == careful
    end, reason, result, _ = careful
    seen[end] += 1
    note(reason)
    assert [word for word in PLANTED if word.casefold() in reason.casefold()] == []
    if end == "clean":
        assert_readable(result)
        assert left(raw, result, PROFILES[profile]) == []


def assert_readable(result: bytes) -> None:
    assert all(leaf is not None for leaf in leaves_of(pydicom.dcmread(BytesIO(result)), unreadable=pytest.fail))
    assert read_part10(BytesIO(result)).trailing == 0


def left(raw: bytes, result: bytes, profile: Profile) -> list[str]:
    """The planted words that are in the result and should not be."""
    searched, pixels = outside_pixels(result).lower(), inside_pixels(result).lower()
    leaves = all_leaves(raw)
    wrong = []
    for word in PLANTED:
        is_there = any(one in searched for one in spellings(word))
        if excused(word, leaves, profile):
            seen["words excused and there"] += is_there
        else:
            seen["words looked for"] += 1
            wrong += [word] * is_there
        if not any(word.casefold() in leaf.text for leaf in leaves if leaf.tag in PIXEL_TAGS):
            wrong += [f"{word} in pixels" for one in spellings(word) if one in pixels]
    return wrong


def inside_pixels(result: bytes) -> bytes:
    source = read_part10(BytesIO(result))
    if source.pixels is None:
        return b""
    source.data.seek(source.pixels.start)
    return source.data.read(source.pixels.end - source.pixels.start)


class Leaf:
    """One element with a value: where, and all its values as one text in lower case; `seen` is also as its bytes are,
    whatever the character set makes of them."""

    def __init__(self, header: Dataset, tag: BaseTag, value: object, raw: bytes, *, hidden: bool) -> None:
        self.tag, self.is_private, self.hidden = tag, tag.is_private, hidden
        self.safe = tag.is_private_creator or (tag.is_private and safe_vr(header, tag) is not None)
        values = list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else [value]
        values = [value] if hasattr(value, "components") else values
        texts = [one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in values]
        self.values = [text.strip(" \0").casefold() for text in texts]
        self.text = "\\".join(self.values)
        self.seen = f"{self.text}\0{raw.decode('latin-1').casefold()}"

    def names(self, word: str, profile: Profile) -> bool:
        """Whether the attribute is one by whose value somebody can be known, and the word is there as one."""
        rule = profile.rule(self.tag)
        if self.is_private or self.hidden or (rule and rule.action == Action.KEEP) or not is_standard(self.tag):
            return False
        vr = vr_of(self.tag)
        if vr == "UI":
            return "." in word and word in self.values
        if vr in ("DA", "DT"):
            return word.isdigit() and any(re.fullmatch(rf"{word}(\d\d)*", one) for one in self.values)
        if int(self.tag) in _IDENTIFIERS:
            words = [one for one in re.split(r"[\W_]+", self.text) if len(one) >= 6 and re.search(r"\d", one)]
            return word in self.values + words
        return (vr == "PN" or int(self.tag) in _PLACES) and word in re.split(r"[\W_]+", self.text)

    def keeps(self, profile: Profile) -> bool:
        """Whether an option keeps just such values, whoever else has them: a newborn's study is of its birthday."""
        rule = profile.rule(self.tag)
        return bool(rule and rule.action == Action.KEEP) and vr_of(self.tag) in ("DA", "DT", "UI")

    def may_stay(self, profile: Profile) -> bool:
        """Whether the profile keeps the attribute, so that only its text is checked."""
        if self.hidden or self.tag.group < 8:  # commands, file meta, directory records
            return False
        if self.is_private:
            return Option.RETAIN_SAFE_PRIVATE in profile.applied and self.safe
        rule = profile.rule(self.tag)
        if rule is None:
            return is_standard(self.tag)
        return rule.action == Action.KEEP or (rule.action == Action.CLEAN and vr_of(self.tag) not in FREE_TEXT)


def excused(word: str, leaves: list[Leaf], profile: Profile) -> bool:
    low = word.casefold()
    stays = [leaf for leaf in leaves if low in leaf.seen and leaf.may_stay(profile)]
    if not any(leaf.names(low, profile) for leaf in leaves):
        return bool(stays)
    if any(leaf.keeps(profile) for leaf in stays):
        return True
    return any(re.search(rf"[^\W_]{re.escape(low)}|{re.escape(low)}[^\W_]", leaf.seen) for leaf in stays)


def all_leaves(raw: bytes) -> list[Leaf]:
    """What pydicom, which forgives much, sees in the spoilt file up to its pixel data, and these; nothing where it
    cannot read it at all."""
    found: list[Leaf] = []
    try:
        found = list(leaves_of(pydicom.dcmread(BytesIO(raw), force=True, stop_before_pixels=True)))
        whole = pydicom.dcmread(BytesIO(raw), force=True)
        return found + [
            Leaf(whole, Tag(tag), whole.get_item(tag).value, b"", hidden=True) for tag in PIXEL_TAGS if tag in whole
        ]
    except Exception:
        return found


def leaves_of(ds: Dataset, unreadable: Callable[[str], object] = str, *, hidden: bool = False) -> Iterator[Leaf]:
    """Every element with a value; `hidden` are those within a private sequence, which nobody looks into."""
    for tag in list(ds.keys()):
        raw = b""
        try:
            raw = raw_bytes(ds, tag, ())
            element = ds[tag]
        except Exception as error:  # what cannot be decoded stands there as bytes
            element = ds.get_item(tag)
            if "ambiguous VR" not in str(error):  # which the source left so
                unreadable(f"{tag}: {type(error).__name__}")
        if element.VR == "SQ" and not isinstance(element.value, bytes):
            for item in element.value or ():
                yield from leaves_of(item, unreadable, hidden=hidden or tag.is_private)
        elif element.value is not None:
            yield Leaf(ds, tag, raw if element.VR in BINARY_VRS else element.value, raw, hidden=hidden)


def vr_of(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def test_the_search_finds_what_is_left() -> None:
    """The oracle itself: it sees what a file keeps that nothing was done to."""
    warnings.simplefilter("ignore")
    for name in NAMES:
        raw = seed(name).encoded()
        assert "Zanthoria" in left(raw, raw, BASIC), name
        assert "Vortiganze" in left(raw, raw, BASIC), name
        assert [word for word in PLANTED if excused(word, all_leaves(raw), BASIC)] == [], name
