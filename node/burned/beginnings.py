"""Reads long lines by their beginnings first: what cannot be technical there need not be read to its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .box import Box
from .reader import Orientation, Picture, Reader, Reading
from .technical import FIELDS, FIRST_WORDS, Piece, Proof, begins_with_a_field, normal, pieces_of

_LONG, _HEAD = 6.0, 4.0
"""In heights of a line: how long one is that is read by its beginning, and how long that is."""
_CUT, _EACH = 2, 0.45
"""So many letters at the end of a beginning may be read wrong; how sure the engine must be of each of the others for
the line to prove anything."""
_LETTERS = re.compile(r"[^\W\d_]+")
_NEVER_FIRST = re.compile(r"#|\d{1,2}[./\-]\d{1,2}[./\-]|\d{5}|0\d")
_TELLING = 3
"""So many letters tell of what word they may be the beginning."""
_KNOWN = (
    FIRST_WORDS
    | set("frame image slice series acq phase max min peak kernel filter conv algo matrix mtx map".split())
    | set("w c l d a h compressed compression ratio jpeg lossy lvot rvot rao lao averages phases deg px pixels".split())
    | set("lvidd lvids ivsd ivss lvpwd lvpws aor bpd crl tapse ava psv pr qrs qt qtc rr no non not head feet".split())
    | set("thk tc mask cts kcts mv e vs emean emax emin scv cvp gr eh suv page mix th sri signal total dose".split())
    | set("ml tl tls strength whole body pet fvc fev fef pef s av v ica eca cca cfa sfa rica lica rh mo vent b".split())
    | set("fdg mdp hdp dpd mibi dtpa psma maa dmsa mag".split())
    | set("msec khz mhz fps kvp kev mev mas mgy cgy mbq gbq mci mmhg bpm ppm bits dan dpi rpm".split())
)
"""Words that something technical may begin with, or go on with behind a number."""


def as_far_as_needed(reader: Reader, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
    """One reading for each box, of which policy `phi` makes what it would if all were read whole, or keeps less."""
    heads = {at: _head(box) for at, box in enumerate(boxes) if box.width > _LONG * box.height}
    begun = dict(zip(heads, reader.read(picture, list(heads.values())), strict=True))
    known = {at: replace(reading, cut=True) for at, reading in begun.items() if _is_enough(reading)}
    rest = [at for at in range(len(boxes)) if at not in known]
    known |= zip(rest, reader.read(picture, [boxes[at] for at in rest]), strict=True)
    return [known[at] for at in range(len(boxes))]


def _head(box: Box) -> Box:
    return Box(box.left, box.top, box.left + round(_HEAD * box.height), box.bottom)


def _is_enough(begun: Reading) -> bool:
    if begun.orientation is not Orientation.UPRIGHT or not begun.text.strip():
        return False
    return rules_out(begun.text) or min((one.sure for one in begun.letters[:-_CUT]), default=1.0) < _EACH


def rules_out(beginning: str) -> bool:
    """Whether a line that begins so, its last letter perhaps cut, is neither technical nor the label of a field. It is
    also said of a few that would be technical in the end."""
    text = normal(beginning).strip()
    if begins_with_a_field(text):
        return bool(text.partition(":")[2].strip())
    if _may_become_a_field(text):
        return False
    whole, _, cut = text.rpartition(" ")
    pieces = pieces_of(whole)
    if any(piece.proof is Proof.STRONG for piece in pieces):
        return False
    return any(_is_no_label(whole, piece) for piece in pieces if not piece.proof) or _is_no_first_word(cut[:-1])


def _may_become_a_field(text: str) -> bool:
    begun = re.sub(r"\s+", "_", text[:-1]).casefold()
    return any(len(field) >= len(begun) and field.startswith(begun) for field in FIELDS)


def _is_no_label(text: str, piece: Piece) -> bool:
    """Whether no number, and no unit, behind a piece that is not proven would prove it."""
    unproven = text[piece.start : piece.end]
    letters = _LETTERS.match(unproven)
    if letters is None and (piece.start or len(unproven) > 1):  # one digit may be the number of a measurement
        return piece.end < len(text) or _is_no_first_word(unproven)
    if letters is None:
        return False
    return letters[0].casefold() not in _KNOWN


def _is_no_first_word(text: str) -> bool:
    """Whether nothing technical begins so."""
    letters = _LETTERS.match(text)
    if letters is None:
        return bool(_NEVER_FIRST.match(text))
    word = letters[0].casefold()
    return len(word) >= _TELLING and not any(known.startswith(word) for known in _KNOWN)
