"""Tells what kind of picture an object is: one that is looked at, and one that was made of a screen."""

from __future__ import annotations

from pydicom.dataset import Dataset

from ..choices import PixelPolicy
from ..deid.elements import joined, said
from ..deid.pixels import screen_kind

_CLASSES = "1.2.840.10008.5.1.4.1.1."
# Their pixels are numbers that a program computed and no screen's: segments, doses, maps of a parameter.
_NO_PICTURES = frozenset(f"{_CLASSES}{one}" for one in ("66.4", "66.7", "481.2", "30", "66.8"))


def is_picture(header: Dataset) -> bool:
    """Whether text could be in the object's frames."""
    return joined(said(header, "SOPClassUID")) not in _NO_PICTURES


def policy_for(header: Dataset, policy: PixelPolicy) -> PixelPolicy:
    """What a project's policy means for an object: `auto` is `all` for ultrasound and captures of screens, and `phi`
    for the others."""
    if policy != PixelPolicy.AUTO:
        return policy
    return PixelPolicy.ALL if screen_kind(header) else PixelPolicy.PHI
