"""What policy `phi` makes of the team's own frames, given boxes such as a detector finds: see ../shared/pixels."""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pydicom
import pytest
from burned_pictures import Picture
from programs import SHARED
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from lethe.node.burned.box import Box
from lethe.node.burned.policy import BareNumbers, Decision, PhiPolicy
from lethe.node.burned.readers import reader_for
from lethe.node.deid.collect import collect_terms
from lethe.node.deid.profile import Profile
from lethe.node.deid.terms import TermBank

pytestmark = pytest.mark.shared
GROWN = 3


def _picture(header: Dataset) -> Picture:
    """The first frame, stretched to eight bits."""
    stored = pixel_array(header)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
    frame = (stored[0] if int(header.get("NumberOfFrames", 1) or 1) > 1 else stored).astype(np.float32)
    low, high = np.percentile(frame, (0.5, 99.7)) if frame.ndim == 2 else (0, 255 if frame.max() < 256 else 65535)
    return ((frame - low) / max(high - low, 1) * 255).clip(0, 255).astype(np.uint8)


def _decided(header: Dataset, truth: Sequence[Box], terms: TermBank) -> list[Decision]:
    picture = _picture(header)
    boxes = [box.grown(GROWN, GROWN).within(picture.shape[1], picture.shape[0]) for box in truth]
    readings = reader_for(["rapidocr"]).read(picture, boxes)
    return PhiPolicy(terms, numbers=BareNumbers.KEPT_ON_SCALES).decide(boxes, readings)


def _covered(box: Box, decision: Decision) -> bool:
    return sum(part.shared(box).area for part in decision.redacted) >= 0.9 * box.area


def _drawn_set() -> Iterator[tuple[bool, str, bool]]:
    """Of each string in a first frame whether it is PHI, where it stands, and whether it was covered."""
    folder, profile = SHARED / "pixels" / "set_dev", Profile()
    files = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["files"]
    for name, file in files.items():
        items = [
            one for one in file["items"] if one["visible"] >= 0.5 and (one["frames"] == "all" or 0 in one["frames"])
        ]
        header = pydicom.dcmread(folder / name)
        truth = [Box(*one["bbox"]) for one in items]
        decisions = _decided(header, truth, collect_terms(header, profile))
        for item, box, decision in zip(items, truth, decisions, strict=True):
            yield item["phi"], f"{name} {item['id']}", _covered(box, decision)


def test_a_drawn_set_loses_what_identifies_and_keeps_what_is_technical() -> None:
    seen = list(_drawn_set())
    leaks = [where for phi, where, covered in seen if phi and not covered]
    technical = [not covered for phi, _, covered in seen if not phi]
    assert len(seen) > 500
    assert not leaks
    assert np.mean(technical) >= 0.8


def test_genuine_screens_lose_all_that_identifies() -> None:
    """Without the header's help, since most of these headers were emptied before the files were published."""
    truth = json.loads((SHARED / "data" / "ground_truth" / "burned_in.json").read_text(encoding="utf-8"))["files"]
    seen, leaks = 0, []
    for name, file in truth.items():
        items = [one for one in file["boxes"] if one["phi"]]
        boxes = [Box(one["left"], one["top"], one["left"] + one["width"], one["top"] + one["height"]) for one in items]
        decisions = _decided(pydicom.dcmread(SHARED / "data" / name), boxes, TermBank())
        seen += len(items)
        leaks += [(name, box) for box, one in zip(boxes, decisions, strict=True) if not _covered(box, one)]
    assert seen == 131
    assert not leaks
