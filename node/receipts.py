"""Tells an instance's receipt as JSON: what was done, which audit entry vouches for it and, for those who may see
originals, every element before and after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from io import BytesIO
from typing import Any, TextIO

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from lethe.storage.archive import Archive
from lethe.storage.errors import NotFound, Refused
from lethe.storage.receipts import StoredReceipt
from lethe.storage.sealed import OriginalHeader

from .comparison import Comparison, Row
from .deid.part10 import read_encoded, read_part10


def document(stored: StoredReceipt) -> dict[str, Any]:
    """The receipt without any value of the object."""
    entry = stored.entry
    return {
        "instance": stored.sop_uid,
        "study": stored.study_uid,
        "project": stored.project,
        "receipt": stored.content,
        "sha256": stored.digest,
        "audit": {"seq": entry.seq, "at": entry.at, "digest": entry.digest} if entry else None,
        "vouched_for": stored.is_vouched_for,
    }


def with_values(archive: Archive, receipts: Iterable[StoredReceipt]) -> Iterator[dict[str, Any]]:
    """Receipts with every element before and after, for an export that is audited already."""
    for stored in receipts:
        original = archive.headers.open(stored.sop_uid) if archive.headers.holds(stored.sop_uid) else None
        yield document(stored) | values(original, compared(archive, stored, original).rows())


def values(original: OriginalHeader | None, rows: Iterable[Row]) -> dict[str, Any]:
    """What the document says beside, for those who may know: each element before and after."""
    return {"original_header": original is not None, "elements": [asdict(row) for row in rows]}


def write_documents(documents: Iterable[dict[str, Any]], file: TextIO) -> int:
    """Write documents as one JSON array. Returns how many there were."""
    count = 0

    def texts() -> Iterator[str]:
        nonlocal count
        for count, one in enumerate(documents, 1):  # noqa: B007 - counted for the answer
            yield json.dumps(one)

    file.writelines(in_array(texts()))
    return count


def in_array(documents: Iterable[str]) -> Iterator[str]:
    """Documents as one JSON array, one to a line."""
    before = "["
    for one in documents:
        yield f"{before}\n{one}"
        before = ","
    yield "\n]\n" if before == "," else "[]\n"


def compared(archive: Archive, stored: StoredReceipt, original: OriginalHeader | None) -> Comparison:
    """The header of the instance beside its original, where that is given. Raises NotFound, Refused."""
    receipt, clean = stored.content, _clean_header(archive, stored)
    if receipt.get("profile") == "none":
        return Comparison(receipt, clean, clean)
    return Comparison(receipt, clean, _read(original) if original else None)


def _clean_header(archive: Archive, stored: StoredReceipt) -> Dataset:
    """The header of the clean file. Nothing but a missing file keeps the receipt from being shown."""
    with archive.files.open("clean", archive.index.instance(stored.sop_uid).file) as file:
        try:
            return read_part10(file).header
        except Exception:
            raise NotFound("the instance's file cannot be read") from None


def _read(original: OriginalHeader) -> Dataset:
    implicit = original.transfer_syntax == ImplicitVRLittleEndian
    little = original.transfer_syntax != ExplicitVRBigEndian
    try:
        return read_encoded(BytesIO(original.encoded), implicit=implicit, little=little)
    except Exception:
        raise Refused("the original header cannot be read for certain") from None
