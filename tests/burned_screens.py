"""Makes objects with text drawn into their frames, as screens and devices do, and says whether it is still there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from builders import PHI
from burned_objects import EXPLICIT, Kind, arrays, compressed, encoded, native
from burned_pictures import Text, drawn
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from lethe.node.burned.box import Box

Pixels = NDArray[Any]
WORDS: Sequence[Text] = (("FEATHERSTONE ANTONIA", 30, 20), ("MRN-7741-AZF", 30, 60), ("1958-03-17", 400, 20))
"""What a screen shows of the patient of `builders.PHI`."""
SCREEN, ULTRASOUND = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.6.1"
CINE, CT = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.2"
_MODALITIES = {SCREEN: "OT", ULTRASOUND: "US", CINE: "US", CT: "CT"}


def words(texts: Iterable[Text] = WORDS, **more: int) -> tuple[Pixels, list[Box]]:
    """A frame, grey from 0 to 255, with those texts, and where their ink is."""
    picture, boxes = drawn(texts, **more)
    return picture.astype(np.int64), [box.grown(-3, -3) for box in boxes]


def page(seed: int, *, ground: int, ink: int) -> tuple[Pixels, list[Box]]:
    """A page of ten lines, which say who somebody is."""
    random = np.random.default_rng(seed)
    names = ("VANDERQUIST", "OKONKWO", "FEATHERSTONE", "LINDQVIST", "ABERNATHY", "SZYMANSKI", "MONTEFIORE")
    lines = [f"{random.choice(names)} {random.integers(10**6, 10**7)}" for _ in range(10)]
    return words([(line, 20, 12 + 38 * at) for at, line in enumerate(lines)], size=18, ground=ground, ink=ink)


def screen(frames: Pixels, kind: Kind | None = None, syntax: str = EXPLICIT, **attributes: object) -> bytes:
    """A file of those frames (rows and columns last, or samples), with the patient of `PHI` in its header."""
    kind = kind or Kind()
    values = np.asarray(frames).astype(kind.dtype)
    values = values[None] if values.ndim == (2 if kind.samples == 1 else 3) else values
    if syntax in (EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"):
        raw = native(kind, values, syntax)
    else:
        subsampling = "422" if kind.photometric == "YBR_FULL_422" else "444"
        coded = [encoded(kind, one, syntax, subsampling) for one in values]
        raw = compressed(kind, coded, values.shape[1:3], syntax)
    return patient(raw, **attributes)


def patient(raw: bytes, **attributes: object) -> bytes:
    """The object with UIDs of its own, the patient and attributes."""
    ds = pydicom.dcmread(BytesIO(raw))
    given: dict[str, object] = {"SOPClassUID": SCREEN, **PHI, **attributes}
    given = {"Modality": _MODALITIES.get(str(given["SOPClassUID"]), "OT"), **given}
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        given.setdefault(keyword, generate_uid())
    for keyword, value in given.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    buffer = BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def in_colour(grey: Pixels) -> Pixels:
    """The same in three samples, as RGB."""
    return np.stack([grey] * 3, axis=-1)


def as_ybr(grey: Pixels) -> Pixels:
    """The same as YBR, without colour."""
    return np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=-1)


def is_gone(clean: Pixels, box: Box, *, most: int = 8) -> bool:
    """Whether nothing can be seen where a text stood: what is there is even."""
    part = clean[box.rows, box.columns].astype(np.int64)
    return bool(np.ptp(part.reshape(-1, *part.shape[2:]), axis=0).max() <= most)


def frames_of(raw: bytes) -> list[Pixels]:
    """The stored values of all frames."""
    return arrays(raw)
