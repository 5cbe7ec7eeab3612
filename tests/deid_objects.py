"""Makes objects for the tests of the engine, and cleans them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from lethe.node.deid.cleaned import Cleaned
from lethe.node.deid.deidentify import PixelRule, deidentify, pass_pixels
from lethe.node.deid.documents import RewriteDocuments
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.fast import FastLane
from lethe.node.deid.profile import Option, Profile
from lethe.node.deid.pseudonyms import Pseudonyms

KEY = Pseudonyms(bytes(range(32)))
OTHER_KEY = Pseudonyms(bytes(range(1, 33)))
BASIC = Profile()
MODIFIED_DATES = Profile([Option.RETAIN_LONGITUDINAL_MODIFIED_DATES])

EVERYTHING = Profile(
    [
        Option.RETAIN_LONGITUDINAL_MODIFIED_DATES,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_SAFE_PRIVATE,
        Option.CLEAN_DESCRIPTORS,
        Option.CLEAN_STRUCTURED_CONTENT,
        Option.CLEAN_GRAPHICS,
    ]
)


def sample(name: str, **attributes: object) -> FileDataset:
    """A file of pydicom's with some attributes set."""
    ds = pydicom.dcmread(get_testdata_file(name))
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def ct(**attributes: object) -> FileDataset:
    return sample("CT_small.dcm", **{"PatientName": "FEATHERSTONE^ANTONIA", "PatientID": "MRN7741", **attributes})


def sequence(**attributes: object) -> Sequence:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Sequence([item])


def raw_of(ds: FileDataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def spliced(ds: FileDataset, raw: bytes) -> bytes:
    """The object as a file with bytes put in before its pixel data."""
    data = raw_of(ds)
    at = data.rfind(b"\xe0\x7f\x10\x00OW")
    return data[:at] + raw + data[at:]


def cleaned(
    source: FileDataset | bytes | Path,
    profile: Profile = BASIC,
    *,
    key: Pseudonyms = KEY,
    rule: PixelRule = pass_pixels,
) -> Cleaned:
    """The result of the careful lane; the fast lane gives the same, or leaves it to the careful one."""
    data = source if isinstance(source, bytes) else source.read_bytes() if isinstance(source, Path) else raw_of(source)
    fast = FastLane(profile, key, rule)
    try:
        careful = deidentify(BytesIO(data), profile, key, rule, RewriteDocuments())
    except CannotClean:
        assert fast.clean(BytesIO(data)) is None
        raise
    for _again in range(2):
        result = fast.clean(BytesIO(data))
        assert result is None or content(result) == content(careful)
    return careful


def content(result: Cleaned) -> tuple[object, ...]:
    """All that a result holds, comparable."""
    record = json.dumps(result.receipt)
    maps = result.uids, result.patients, result.accessions, result.others
    return b"".join(result.chunks()), record, result.instance, result.identity, result.before(), *maps


def clean_bytes(source: FileDataset | bytes | Path, profile: Profile = BASIC, *, key: Pseudonyms = KEY) -> bytes:
    return b"".join(cleaned(source, profile, key=key).chunks())


def clean(source: FileDataset | bytes | Path, profile: Profile = BASIC, *, key: Pseudonyms = KEY) -> FileDataset:
    """The result, written and read again."""
    return pydicom.dcmread(BytesIO(clean_bytes(source, profile, key=key)))
