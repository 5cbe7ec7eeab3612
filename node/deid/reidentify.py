"""Puts the originals back into an object that was made elsewhere about a pseudonymous study (PS3.15 E.1.2): UIDs and
patient at every depth, dates that were moved, the attributes of patient and study. What is new in it stays.

The reverse of cleaning fails closed as well: what cannot be told apart is refused, and nothing of the project's
pseudonyms may be left. Pixel data leave byte for byte as they came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Protocol

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from .asked import ACCESSION, ID, NAME, OTHER_IDS, UID, UID_IN_BYTES, Asked, asked_of, components, printed
from .characters import make_writable
from .cleaned import InstanceUids
from .deidentify import admit, instance_of
from .elements import BULK_VRS, TEXT_VRS, Path, decoded, joined, pad_odd_values, texts
from .errors import CannotClean
from .identity import Identity
from .part10 import Layout, encoded_header, read_again, read_part10, write_part10
from .pseudonyms import shifted
from .report import place
from .traverse import datasets_of, elements_of

_IDENTITY_REMOVED = Tag(0x00120062)
# De-identification Method and its Code Sequence, Longitudinal Temporal Information Modified: no longer true. Digital
# Signatures and MAC Parameters: what they signed has changed.
_OUTDATED = tuple(map(Tag, (0x00120063, 0x00120064, 0x00280303, 0x4FFE0001, 0xFFFAFFFA)))
_TELLING = 6
"""A pseudonym of that many characters is looked for in text; a shorter one may stand in any."""


@dataclass(frozen=True)
class Originals:
    """What pseudonyms were: the study's patient, and UIDs, Patient IDs and Accession Numbers by pseudonym."""

    identity: Identity
    uids: Mapping[str, str] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)
    accessions: Mapping[str, str] = field(default_factory=dict)


class Lookup(Protocol):
    """The one who knows what became what in a project."""

    def originals(self, asked: Asked) -> Originals:
        """What the pseudonyms among the values were. Raises CannotClean where the object is not about one study and
        patient of the project."""

    def pseudonyms(self, uids: Collection[str]) -> Collection[str]:
        """Those of the UIDs that are pseudonyms."""


@dataclass(frozen=True)
class Reidentified:
    """The object with its originals: header, how it is encoded, its bytes (to be had while the source's file is open),
    and how many UIDs, values and dates were put back."""

    header: Dataset
    instance: InstanceUids
    source: Layout
    chunks: Callable[[], Iterator[bytes]]
    counts: dict[str, int]


def reidentify(file: BinaryIO, lookup: Lookup) -> Reidentified:
    """Put the originals back into the object in an open Part 10 file. Raises CannotClean with the reason where that is
    not possible for certain."""
    source = read_part10(file)
    header = source.header
    admit(header)
    originals = lookup.originals(asked_of(header))
    restorer = _Restorer(originals)
    restorer.restore(header)
    body, instance = encoded_header(header, source.transfer_syntax), instance_of(header)
    implicit, little = header.original_encoding
    _refuse_leftovers(read_again(body, implicit=bool(implicit), little=bool(little)), restorer, lookup)
    return Reidentified(
        header,
        instance,
        source,
        lambda: write_part10(body, source, instance.sop_class, instance.sop_uid),
        restorer.counts,
    )


class _Restorer:
    """Puts the originals of one object back."""

    def __init__(self, originals: Originals) -> None:
        identity = originals.identity
        self.uids = {new: old for new, old in originals.uids.items() if new != old}
        self._identity = identity
        self._accessions = originals.accessions
        patient_id, name = value_of(identity, ID), value_of(identity, NAME)
        if any(original != patient_id for original in originals.patients.values()):
            raise CannotClean("it names another patient of the project than its study does")
        self._ids = dict.fromkeys(originals.patients, patient_id or name)
        self._names = dict.fromkeys(originals.patients, name or patient_id)
        self.words = {**originals.accessions, **self._ids}
        self._words_put_back = set(self.words.values())
        telling = sorted((word for word in self.words if len(word) >= _TELLING), key=len, reverse=True)
        pattern = "|".join(map(re.escape, telling)) or r"(?!)"
        self._word = re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])")
        self.counts = {"uids": 0, "values": 0, "dates": 0}

    def restore(self, header: Dataset) -> None:
        """Change the data set in place."""
        made = [*self.words.values(), *self._names.values(), *_texts_of(self._identity)]
        make_writable(header, made)
        for ds, tag, vr, path in elements_of(header):
            if tag.element == 0:  # group lengths: retired, and wrong after any change (PS3.5 7.2)
                del ds[tag]
            elif vr in BULK_VRS or vr == "UN":
                self._restore_bytes(ds, tag, path)
            elif vr in ("DA", "DT"):
                self._restore_values(ds, tag, vr, path, partial(self._day, vr=vr), "dates")
            elif vr == "UI":
                self._restore_values(ds, tag, vr, path, lambda text: self.uids.get(text, text), "uids")
            elif vr in TEXT_VRS:
                self._restore_values(ds, tag, vr, path, self._reader(tag, vr), "values")
        self._restore_identity(header)
        for ds in datasets_of(header):
            _unmark(ds)
            pad_odd_values(ds)
        header[_IDENTITY_REMOVED] = DataElement(_IDENTITY_REMOVED, "CS", "NO")

    def is_left(self, tag: BaseTag, text: str) -> bool:
        """Whether a pseudonym of patient or order stands in a value of the result."""
        whole = {text, *components(text)} if tag in (ID, ACCESSION, OTHER_IDS, NAME) else set()
        found = [*(whole & self.words.keys()), *self._word.findall(text)]
        return any(word not in self._words_put_back for word in found)

    def _reader(self, tag: BaseTag, vr: str) -> Callable[[str], str]:
        if vr == "PN":
            return self._name
        if tag == ACCESSION:
            return lambda text: self._accessions.get(text) or self._text(text)
        if tag in (ID, OTHER_IDS):
            return lambda text: self._ids.get(text) or self._text(text)
        return self._text

    def _name(self, text: str) -> str:
        """A name that holds the patient's pseudonym is the patient's name."""
        return next((self._names[part] for part in components(text) if part in self._names), text)

    def _text(self, text: str) -> str:
        text = UID.sub(lambda match: self.uids.get(match[0], match[0]), text)
        return self._word.sub(lambda match: self.words[match[0]], text)

    def _day(self, text: str, vr: str) -> str:
        """A date that is a day of the study, moved, is moved back; any other was made elsewhere and stays."""
        back = shifted(text, vr, -self._identity.days) if self._identity.days else None
        return back if back is not None and back[:8] in self._identity.dates else text

    def _restore_values(
        self, ds: Dataset, tag: BaseTag, vr: str, path: Path, original: Callable[[str], str], kind: str
    ) -> None:
        before = _values(decoded(ds, tag, path))
        after = [original(text) for text in before]
        if after != before:
            ds[tag] = DataElement(tag, vr, after[0] if len(after) == 1 else after, already_converted=False)
            self.counts[kind] += sum(old != new for old, new in zip(before, after, strict=True))

    def _restore_bytes(self, ds: Dataset, tag: BaseTag, path: Path) -> None:
        """A value whose VR is not known: changed where it is plain text, refused where it is not and holds a UID."""
        element = decoded(ds, tag, path)
        value = element.value if isinstance(element.value, bytes) else b""
        before = printed(value)
        if not before and any(match[0].decode() in self.uids for match in UID_IN_BYTES.finditer(value)):
            raise CannotClean(f"{place(path, tag)}: a pseudonym stands in a value of unknown form")
        after = self._text(before)
        if after != before:
            encoded = after.encode("utf-8")
            ds[tag] = DataElement(tag, element.VR, encoded + bytes(len(encoded) % 2))
            self.counts["values"] += 1

    def _restore_identity(self, header: Dataset) -> None:
        for tag, json in self._identity.attributes.items():
            place_, vr = Tag(tag), json["vr"]
            empty = DataElement(place_, vr, [] if vr == "SQ" else None)
            header[place_] = Dataset.from_json({tag: json})[place_] if json.get("Value") else empty
            self.counts["values"] += 1


def value_of(identity: Identity, tag: int) -> str:
    """An original attribute of patient or study, as it stands in a file."""
    values = identity.attributes.get(f"{tag:08X}", {}).get("Value") or []
    return joined(["=".join(one.values()) if isinstance(one, dict) else str(one) for one in values])


def _texts_of(identity: Identity) -> Iterator[str]:
    for tag, json in identity.attributes.items():
        if json["vr"] != "SQ":
            yield value_of(identity, int(tag, 16))
        for item in json.get("Value") or () if json["vr"] == "SQ" else ():
            yield from (text for _, _, _, text in _item_texts(Dataset.from_json(item)))


def _item_texts(item: Dataset) -> Iterator[tuple[Dataset, BaseTag, str, str]]:
    for ds, tag, vr, path in elements_of(item):
        yield from ((ds, tag, vr, text) for text in texts(decoded(ds, tag, path)))


def _unmark(ds: Dataset) -> None:
    """Take away what says that the object is de-identified, or that it was signed (PS3.3 C.7.1.1, C.12.1)."""
    for tag in _OUTDATED:
        if tag in ds:
            del ds[tag]
    if _IDENTITY_REMOVED in ds:
        ds[_IDENTITY_REMOVED] = DataElement(_IDENTITY_REMOVED, "CS", "NO")


def _values(element: DataElement) -> list[str]:
    """The values of an element, empty ones between others included, so that each keeps its place."""
    if isinstance(element.value, MultiValue):
        return [str(one).strip("\0 ") for one in element.value]
    return texts(element)


def _refuse_leftovers(result: Dataset, restorer: _Restorer, lookup: Lookup) -> None:
    """Read the finished header anew; a pseudonym of the project that is left is a refusal."""
    left = set(lookup.pseudonyms(asked_of(result).uids))
    for ds, tag, vr, path in elements_of(result):
        if vr in BULK_VRS or vr == "UN":
            value = decoded(ds, tag, path).value
            found = isinstance(value, bytes) and any(one[0].decode() in left for one in UID_IN_BYTES.finditer(value))
        elif vr == "UI" or vr in TEXT_VRS:
            values = texts(decoded(ds, tag, path))
            found = any(left.intersection(UID.findall(text)) or restorer.is_left(tag, text) for text in values)
        else:
            found = False
        if found:
            raise CannotClean(f"{place(path, tag)}: a pseudonym of the project is left in it")
