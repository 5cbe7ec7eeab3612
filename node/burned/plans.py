"""Decides in which form a compressed object leaves when some of its frames change: its own where an encoder can hold
it, else one of the same family, else none (PS3.5 8.2, Table 8.2.1-1 and following)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from pydicom.uid import UID, ExplicitVRLittleEndian

from .decoding import DCT, HTJ2K, J2K, JPEG_LOSSLESS_SV1, by_pixel, decode
from .encoding import encode
from .form import Form, Pixels
from .frames import Frames


@dataclass(frozen=True)
class Plan:
    """One way: in that transfer syntax and Photometric Interpretation; `every` frame is coded again, or only those with
    boxes; `blocks` of a JPEG are edited, and nothing is coded again."""

    name: str
    transfer_syntax: UID
    photometric: str
    every: bool = False
    blocks: bool = False

    def encoded(self, frames: Frames, frame: int, words: Pixels) -> bytes:
        """The frame, whose words have been changed, as the plan wants it. Raises CannotEncode."""
        form = replace(frames.form, transfer_syntax=self.transfer_syntax)
        if self.transfer_syntax == ExplicitVRLittleEndian:
            return words.astype(form.word.newbyteorder("<"), copy=False).tobytes()
        stream = frames.stream(frame)
        if stream and self.photometric == "YBR_RCT":
            stream = replace(stream, transformed=True)
        return encode(words, form, stream, frames.encoded(frame))

    def decoded(self, frames: Frames, data: bytes) -> Pixels:
        """The words of a frame that was encoded so. Raises CannotClean."""
        form = replace(frames.form, transfer_syntax=self.transfer_syntax)
        if self.transfer_syntax == ExplicitVRLittleEndian:
            return by_pixel(np.frombuffer(data, form.word.newbyteorder("<")), form, planar=False)
        return decode(data, form)[0]


def plans_for(frames: Frames, changed: Collection[int]) -> list[Plan]:
    """The ways to write an object, the best first; the last one never fails for want of an encoder."""
    form = frames.form
    syntax = form.transfer_syntax
    first = next(iter(changed), 0)
    native = Plan("native, all frames", ExplicitVRLittleEndian, _native_photometric(frames, first), every=True)
    if syntax in DCT:
        components = _native_photometric(frames, first)
        blocks = Plan("jpeg blocks", syntax, form.photometric, blocks=True)
        lossless = Plan("jpeg lossless, all frames", UID(JPEG_LOSSLESS_SV1), components, every=True)
        # Decoders take three components of a lossless JPEG for RGB, whatever the header says: T.81 has no word for it.
        return [blocks, native] if components == "YBR_FULL" else [blocks, lossless, native]
    if syntax in J2K | HTJ2K and form.photometric == "YBR_ICT":
        # What was transformed with loss is kept as it was decoded, and transformed without (PS3.5 8.2.4).
        return [Plan("reversible, all frames", syntax, "YBR_RCT", every=True), native]
    return [Plan("same codec", syntax, form.photometric), native]


def _native_photometric(frames: Frames, frame: int) -> str:
    """What the components are once they are decoded."""
    form = frames.form
    if form.samples == 1 or form.photometric == "HSV":
        return form.photometric
    return "YBR_FULL" if frames.colours(frame) == "YBR" else "RGB"


def is_native(plan: Plan) -> bool:
    """Whether the frames are without compression in it."""
    return plan.transfer_syntax == ExplicitVRLittleEndian


def keeps_form(plan: Plan, form: Form) -> bool:
    """Whether the header says the same of the frames afterwards."""
    return plan.transfer_syntax == form.transfer_syntax and plan.photometric == form.photometric
