"""Scores what an engine did to burned-in text whose place is known.

A string is gone where at least 90 % of its edges are: pairs of a pixel of ink and one beside the ink, two pixels apart,
that keep less than 30 % of their contrast, in every frame. So whatever covers it counts alike. Of a box whose ink is
not known, that 90 % of its pixels changed or are flat is enough. Technical text is kept where less than 10 % of its
edges are gone.
"""

from __future__ import annotations

import base64
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_color_lut, pixel_array

GONE, KEPT, COVERED = 0.9, 0.1, 0.9
_LEFT, _FAINT = 0.3, 0.25
_LOSSY_NOISE = 0.06
"""What share of the values' range a JPEG may differ by without being called changed."""
_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 81, 91, 203))
_AWAY = ((0, 2), (0, -2), (2, 0), (-2, 0))

Frames = NDArray[np.float32]
"""(frames, rows, columns, samples)."""


@dataclass(frozen=True)
class String:
    """One string: what share of its edges is `gone`, and of its box `covered`, in the frame with the least."""

    item: Mapping[str, Any]
    gone: float
    covered: float


@dataclass(frozen=True)
class Score:
    """One file that was released: its strings, what share of its pixels changed although no text is near, and whether
    any did."""

    strings: tuple[String, ...]
    over: float
    touched: bool


def score(original: Path, redacted: Path, items: Sequence[Mapping[str, Any]]) -> Score:
    """Compare a file with what became of it."""
    (before, syntax), (after, other) = loaded(original), loaded(redacted)
    if before.shape != after.shape:
        return Score(tuple(String(item, 0.0, 0.0) for item in items if seen(item)), 1.0, True)
    noise = (before.max() - before.min()) * _LOSSY_NOISE if {syntax, other} & _LOSSY else 0.0
    changed = (np.abs(before - after) > noise).any(axis=-1)
    near, strings = np.zeros_like(changed), []
    for item in items:
        left, top, right, bottom = item["bbox"]
        margin = max(4, item.get("px", bottom - top) // 2)
        numbers = range(len(before)) if item.get("frames", "all") == "all" else item["frames"]
        rows, columns = slice(max(top - margin, 0), bottom + margin), slice(max(left - margin, 0), right + margin)
        near[list(numbers), rows, columns] = True
        if seen(item):
            strings.append(_string(item, numbers, before, after, changed))
    return Score(tuple(strings), float((changed & ~near).mean()), bool(changed.any()))


def seen(item: Mapping[str, Any]) -> bool:
    """Whether somebody could read it."""
    return float(item.get("visible", 1)) >= 0.5


def loaded(path: Path) -> tuple[Frames, str]:
    """All frames, colours as RGB, and the transfer syntax."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        values = pixel_array(ds)
        if ds.PhotometricInterpretation == "PALETTE COLOR":
            values = apply_color_lut(values, ds) / 257
    samples = 3 if ds.PhotometricInterpretation == "PALETTE COLOR" else int(ds.SamplesPerPixel)
    shape = (-1, int(ds.Rows), int(ds.Columns), samples)
    return np.asarray(values, np.float32).reshape(shape), str(ds.file_meta.TransferSyntaxUID)


def _string(
    item: Mapping[str, Any], numbers: Sequence[int], before: Frames, after: Frames, changed: NDArray[np.bool_]
) -> String:
    left, top, right, bottom = item["bbox"]
    gone, covered = [], []
    for number in numbers:
        was, now = before[number, top:bottom, left:right], after[number, top:bottom, left:right]
        gone.append(_gone(was, now, ink_of(item, was.mean(axis=-1))))
        there = changed[number, top:bottom, left:right]
        covered.append(float((there | _flat(now)).mean()) if there.any() else 0.0)
    return String(item, min(gone), min(covered))


def ink_of(item: Mapping[str, Any], part: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pixels of a box are ink: as whoever drew it says, or else the rarer ones of the bright and the dark."""
    if item.get("mask"):
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(item["mask"])), np.uint8))
        return bits[: part.size].reshape(part.shape).astype(bool)
    ink: NDArray[np.bool_] = part > (part.min() + part.max()) / 2
    return ink if ink.mean() <= 0.5 else ~ink


def _gone(was: Frames, now: Frames, ink: NDArray[np.bool_]) -> float:
    faint = _FAINT * max(float(np.percentile(was.max(axis=-1), 98) - np.percentile(was.min(axis=-1), 2)), 1e-6)
    edges = lost = 0
    for down, across in _AWAY:
        here, there = _pairs(ink, down, across)
        contrast, left = (_difference(part, down, across) for part in (was, now))
        strength = (contrast * contrast).sum(axis=-1)
        counts = here & ~there & (strength >= faint * faint)
        kept = (contrast * left).sum(axis=-1)[counts] / strength[counts]
        edges += kept.size
        lost += int((np.abs(kept) < _LEFT).sum())
    return lost / edges if edges else 1.0


def _pairs(values: NDArray[Any], down: int, across: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Each pixel, and the one that is so far from it; those that have none inside are left out."""
    rows, columns = values.shape[:2]
    here = values[max(down, 0) : rows + min(down, 0), max(across, 0) : columns + min(across, 0)]
    there = values[max(-down, 0) : rows + min(-down, 0), max(-across, 0) : columns + min(-across, 0)]
    return here, there


def _difference(values: Frames, down: int, across: int) -> Frames:
    here, there = _pairs(values, down, across)
    return here - there


def _flat(part: Frames) -> NDArray[np.bool_]:
    """Pixels that are as all their neighbours are."""
    wide = np.pad(part.sum(axis=-1), 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(wide, (3, 3))
    return np.asarray(around.max(axis=(2, 3)) == around.min(axis=(2, 3)))
