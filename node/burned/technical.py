"""Proves that a line of burned-in text is technical: units, labelled settings, sides, views, sequences, device words.

The grammar is closed. What is not in it proves nothing: a bare number, a date, a time, an age, a sex, a weight and any
word that somebody or some place may be called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from importlib.resources import files


class Proof(IntEnum):
    """How well a line is proven."""

    NONE = 0
    WEAK = 1
    """One letter or a short word, which elsewhere may be an initial: good where nothing unproven stands beside it."""
    WORDS = 2
    """Technical words only."""
    STRONG = 3
    """A number with its unit or label."""


@dataclass(frozen=True)
class Piece:
    """Part of a line, from and up to, and what proves it."""

    start: int
    end: int
    proof: Proof


@dataclass(frozen=True)
class Line:
    """A line taken apart: its pieces, which leave out blanks and marks."""

    pieces: tuple[Piece, ...]

    @property
    def proof(self) -> Proof:
        """Of the whole line: nothing where a piece is unproven, else that of its best piece."""
        proofs = [piece.proof for piece in self.pieces]
        return max(proofs) if proofs and all(proofs) else Proof.NONE


def _table(name: str) -> frozenset[str]:
    """The words of a table beside this module; a blank in one is written _."""
    text = (files(__package__) / "table" / f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


_DEVICE_WORDS = frozenset(one.casefold() for one in _table("device_words"))
_WORDS = _DEVICE_WORDS | frozenset(one.casefold() for one in _table("technical_words"))
_NUMBER = r"[+\-~<>=±]{0,2}(?!0\d)\d{1,4}(?:[.,]\d{1,3})?"
_SMALL = r"\d{1,4}(?:[.,]\d{1,3})?"
_END = r"(?![^\W_]|[.,/\-]?\d)"

# Units that are written behind a number; kg, lb, y, m, ft and in are measures of people.
_UNITS = (
    r"mm/mV|kPa|[cm]?m/s(?:ec)?|s/mm[²2]|mm[²2³3]?|cm[²2³3]|[µμu]m|nm|msec|ms|sec|s|min|[kM]?Hz|fps|fr/s|kVp?|keV|MeV|MV|mAs?|[µμu]As"
    r"|[mcdµμu]?Gy[ .·*x\-]?cm[²2]?|[µμumc]?Gy|mSv|[MkG]Bq|[mµμu]Ci|Bq/ml|HU|dB|%|°|deg|px|pix(?:el)?s?"
    r"|mmHg|bpm|cc|cc/s|ml|mL|ml/s|mW|W/kg|W/cm[²2]|mW/cm[²2]|m?g/ml|mgI/ml|ppm|bits?|mT/m|T/m/s"
    r"|lp/mm|daN|dpi|rpm|frames?|images?|slices?|phases?|averages?|[fp]/s|k?cts|mV"
)
_END_OF_UNIT = r"(?![^\W\d_]|[.,/\-]\d)"
"""A reader leaves out blanks, so that the next number may follow at once."""
_WITH_UNIT = rf"(?:{_NUMBER}(?: ?[x×/\-] ?{_NUMBER}){{0,2}} ?(?:{_UNITS})|[+\-]?\d{{1,2}}(?:[.,]\d{{1,2}})? ?cm)"
_FEW = (
    # 1.5x and x2; 1.5T and 3 T; 2D.
    r"\d{3,4} ?[x×] ?\d{3,4}|"
    r"\d{1,2}(?:[.,]\d{1,2})? ?[xX×]|[xX×] ?\d{1,2}[.,]\d{1,2}|\d[.,]\d{1,2} ?T|[1-7] ?T|[2-4] ?D"
)
# Labels of settings: a number of up to three digits behind one is technical, of four where settings are as large or a
# unit follows: "SL 4711" is somebody's number. None begins like a postcode.
_LABELS = "|".join(re.escape(one).replace("_", " ") for one in sorted(_table("setting_labels"), key=len, reverse=True))
_LARGE = (
    r"TR|TI|mAs|WW|WL|WC|window(?: (?:center|width))?|width|level|exposure(?: time| index)?|EXI|REX|dose|DLP|DAP|PRF|BW"
    r"|bandwidth|frame|im|img|image|slice|series|ser|vol(?:ume)?|area"
)
_TIMES = rf"(?: ?[x×] ?{_SMALL}){{0,2}}"
_LABELLED_AT_ALL = rf"(?:{_LABELS}|(?-i:mA))\.? ?[:=#]? ?{_NUMBER}{_TIMES}"
_LABELLED = (
    rf"(?:(?:{_LARGE})\.? ?[:=#]? ?{_NUMBER}|(?:{_LABELS}|(?-i:mA))\.? ?[:=#]? ?(?!\D{{0,2}}\d{{4}}){_NUMBER}){_TIMES}"
)
_LABELLED_WITH_UNIT = rf"{_LABELLED_AT_ALL} ?(?:{_UNITS}|cm|T|[x×])"
# What is measured, in which order: "1 Dist 23.4 mm", "D1 2.34 cm". In other words than these, a name before a number.
_MEASURES = (
    r"Dist|Diam|Length|Area|Vol|Depth|[DLAWH]|LVID[ds]|IVS[ds]|LVPW[ds]|LVOT|AoR|LA|RA|BPD|HC|AC|FL|CRL|TAPSE|AVA|PSV|EDV"
    r"|(?:AV|MV|TR|PV|MR|AR) (?:V|PG ?)(?:max|mean)"
)
_MEASURED = rf"(?:[1-9+x] )?(?:{_MEASURES})\d? ?[:=]? ?\d{{1,3}}(?:[.,]\d{{1,2}})? ?(?:[cm]?m/s|[cm]m[²2³3]?|ml|mmHg)"
_ODD_LABELS = (
    # In other words days of the week, or names of people and states, unless the number is as theirs.
    r"MI ?[:=]? ?\d[.,]\d{1,2}|DI ?[:=]? ?[+\-]?\d[.,]\d{1,2}|FR ?[:=]? ?(?:\d{1,3}|\d{1,2}[.,]\d)(?: ?(?:Hz|fps))?"
    r"|EI ?[:=]? ?\d{2,4}|b ?= ?\d{1,4}(?: ?s/mm[²2])?|(?-i:b) ?(?:50|\d{1,2}00)"
    r"|(?:max|min|ED|ES|peak) ?[:=]? ?-?\d{1,4}(?:[.,]\d{1,3})? ?(?:cm/s|m/s|mm|cm|HU|mmHg|ml|%)"
    r"|[RL]AO ?[:=]? ?\d{1,3}(?:[.,]\d)? ?(?:°|deg|(?=/? ?C(?:RA|AU)))|(?:TR/TE|WW/WL|W/L|mtx|matrix) ?[:=]? ?"
    rf"{_SMALL} ?[/x×] ?{_SMALL}"
    r"|AO ?[:=] ?\d{1,3} ?%|(?:kernel|filter|conv|algo)\.? ?[:=]? ?[A-Z]{1,2}\d{2}[a-z]?"
    r"|map ?[:=]? ?[A-Z](?:/(?:ST)?\d){1,3}|S/A ?\d/\d|aV[RLF]"
    r"|(?:compressed|compression|ratio|jpeg|j2k|lossy) ?[:=]? ?\d{1,3}(?:[.,]\d)? ?: ?1"
    r"|(?:force|compression) ?[:=]? ?\d{1,3}(?:[.,]\d)? ?N"
    r"|(?:PR|QRS|QTc?|QT/QTc|RR)(?: ?(?:interval|duration))? ?[:=]? ?\d{2,4}(?:/\d{2,4})? ?ms"
    r"|vent\.? ?rate ?\d{2,3} ?bpm|\d{1,2}(?:[.,]\d{1,3})? ?thk ?/ ?\d{1,2}(?:[.,]\d{1,3})? ?sp"
    # Elastography; Olympus's colours and enhancement; ranges of SUV and of positions.
    r"|(?:E|Vs|E ?(?:mean|max|min)) ?[:=]? ?\d{1,3}[.,]\d{1,2} ?(?:kPa|m/s)|SCV ?: ?\d{1,2}|CVP ?: ?[A-Z]?\d{1,2}"
    r"|Gr ?: ?[A-Z]|Eh ?: ?[A-Z]\d|SUV ?[:=]? ?\d{1,2}(?:[.,]\d)? ?- ?\d{1,2}(?:[.,]\d)?"
    r"|[ISRLAPHF]\d{1,4}[.,]\d{2,3} ?- ?[ISRLAPHF]\d{1,4}[.,]\d{2,3}"
    # Volumes of an ultrasound; how good a signal is; phantoms; spines and lungs, of which several numbers are given.
    r"|B ?\d{1,3}° ?/ ?V ?\d{1,3}°|Mix ?\d{1,3}/\d{1,3}|Th ?\d{1,3} ?/ ?Qual (?:low|mid|norm|high|max)\d?"
    r"|SRI II \d|page \d{1,3} of \d{1,3}|signal strength ?:? ?\d{1,2}/10|(?:body|head) (?:16|32)(?: ?cm)?"
    r"|L[1-5](?: ?- ?L[1-5])?(?: +[+\-]?\d{1,2}[.,]\d{1,3}){2,5}|L[1-5] ?- ?L[1-5]"
    rf"|(?:FVC|FEV1|FEV1/FVC|FEF ?25-75|PEF)(?: ?\([L%/s]+\))?(?: +{_SMALL}){{1,6}}"
    r"|(?:frq|freq|persist(?:ence)?|map|smooth|edge|reject|filter|WF) (?:low|med|mid|high|gen|pen|res|off|on)"
)
# W and L alone are also a sex and a side: W with a long number, or both.
_WINDOW = (
    rf"[WC] ?[:=]? ?-?\d{{2,5}}(?:[.,]\d)?[ ,/]*[LCW] ?[:=]? ?[+\-]?{_SMALL}|W ?[:=]? ?\d{{3}}|W(?: |[:=] ?)\d{{4}}"
    rf"|WW ?[:=]? ?\d{{2,5}}[ ,/]*WL ?[:=]? ?-?{_SMALL}|[LC] ?[:=] ?-?{_SMALL}"
    rf"|L ?[:=]? ?-?{_SMALL}[ ,/]*W ?[:=]? ?\d{{2,5}}"
)
_COUNTER = (
    r"(?:fr|frame|im|img|image|slice|sl|se|ser|series|acq|phase)\.?[ :#]{0,2}"
    r"(?P<now>\d{1,4}) ?(?:/|of) ?(?P<all>\d{1,4})"
)
_POSITION = r"(?:(?:SP|SL|[Ll]oc|[Pp]os)[:.]? ?[HF]|[RLAPSI][ :]?)\d{1,3}[.,]\d{1,2}(?: ?mm)?"
_VIEWS = r"AP|PA"
_SIDES = "RL"
# Letters that are somebody's initials where they stand alone.
_IN_COMPANY = "ICA|ECA|CCA|CFA|SFA|LMO|SE|PD|FS|VR|IR|GE|EP|BW|PW|CW|CF|LM|LV|RV|AO|Ao"
_WEAK = (
    # Transducers, and how strong a picture is filtered.
    r"M?[CLSPXV]\d{1,2}-\d{1,2}(?:-D)?|\d{1,2}[CLSPXV](?:\d[A-Zs]?|-D)|P ?(?:Low|Med|High)"
    # Gain, depth, frequency and compression; the ends of a colour scale, and what it is in; kernels; eyes.
    r"|[GCD] ?\d{1,2}(?:[.,]\d)?|[GP] ?: ?\d{1,3}|(?:F ?[HPR]?|H)\d[.,]\d{1,2}(?: ?MHz)?|[+\-]\d{1,3}[.,]\d"
    r"|[cm]?m/s|[cm]m|(?:W|Mo|Rh)/(?:Rh|Ag|Al|Mo|Ti|Cu)|V[1-6]|[RL]ICA"
    r"|[kM]Hz|dB|mmHg|[BHIJU]\d{2}[a-z]|FC\d{2}|POST|OD|OS|OU"
    rf"|{_IN_COMPANY}|[APHSIB]|CC|ML|US|CT|MR|MI|TI|T1|T2|TR|TE|kV|mAs?|LVOT|RVOT|IVC|SVC|LAD|RCA"
)
_PHRASES = (
    r"(?:kidney|liver|spleen|uterus|ovary|aorta|testis|thyroid|gallbladder|bladder|pancreas) long|whole body|"
    r"PET(?:[/ ](?:CT|MR|MIP))?|total exam|dose report|bone density|"
    r"\d{1,2}(?::[03]0)? ?(?:o'?clock|radial|antiradial)|"
    r"(?:head|feet)[ -]first|M[ -]mode|(?:long|short)[ -]axis|non[ -]con(?:trast)?|not for diagnos(?:is|tic use)|"
    r"no (?:acute |focal |significant )?(?:lesions?|findings?|fractures?|abnormalit(?:y|ies))(?: seen)?|"
    r"normal (?:study|exam)|T[12] ?(?:T?SE|FSE|GRE|FLAIR|FFE)|"
    r"(?:Tc-?99m|F-?18|I-?12[35]|I-?131|Ga-?68|In-?111|Tl-?201)"
    r"(?: (?:FDG|MDP|HDP|DPD|MIBI|DTPA|PSMA|MAA|DMSA|MAG3))?(?: ?\d{1,4}(?:[.,]\d)? ?(?:MBq|mCi))?"
)
FIELDS = frozenset(one.casefold() for one in _table("field_labels"))
FIRST_WORDS = _WORDS | {label.casefold().partition("_")[0] for label in _table("setting_labels")}
"""Of technical lines, but for those that the patterns here spell out."""
_BEHIND_LABEL = " :=#.*-_"


_PROOFS = tuple(
    (proof, re.compile(pattern if pattern.endswith(_END_OF_UNIT) else rf"(?:{pattern}){_END}", flags))
    for proof, pattern, flags in (
        (Proof.STRONG, _COUNTER, re.I),
        (Proof.STRONG, _LABELLED, re.I),
        (Proof.STRONG, _LABELLED_WITH_UNIT, re.I),
        (Proof.STRONG, _ODD_LABELS, re.I),
        (Proof.STRONG, _MEASURED, re.I),
        (Proof.WORDS, _PHRASES, re.I),
        (Proof.STRONG, _WINDOW, 0),
        (Proof.STRONG, rf"(?:{_WITH_UNIT}){_END_OF_UNIT}", re.I),
        (Proof.STRONG, _FEW, 0),
        (Proof.WEAK, _POSITION, 0),
        (Proof.WORDS, f"{_VIEWS}|[{_SIDES}]", 0),
        (Proof.WEAK, _WEAK, 0),
    )
)
_WORD = re.compile(r"[^\W_]+(?:[-/][^\W_]+)*")
_TOKEN = re.compile(r"[^\s,;|]+")
_MARKS = re.compile(r"(?:[\s,;|:=/()\[\]*.·•]|[+\-](?!\d))+")
_LONGEST = 80


def taken_apart(text: str) -> Line:
    """The line in pieces, with what proves each, also where a reader took letters for others that look the same."""
    text = normal(text)
    line = _apart(text)
    if line.proof or (meant := _as_meant(text)) == text:
        return line
    other = _apart(meant)
    return other if other.proof is Proof.STRONG else line


_MISREAD = (
    # TISO.8, A0% 100, lm 4, Tls 0.4, Ml 0.9, R1 0.75: in labels and numbers, never in a word.
    (re.compile(r"(?<=[A-Za-z\d])O(?=[.,]\d)|(?<=\d[.,])O"), "0"),
    (re.compile(r"(?<=\bA)0(?=%)"), "O"),
    (re.compile(r"\bl(?=m ?[:.]? ?\d)"), "I"),
    (re.compile(r"(?<=\b[TMRP])[l1](?=[SsBbCc]? ?[:=]? ?\d[.,]\d)"), "I"),
)


def _as_meant(text: str) -> str:
    """As long as the text, with the digits and letters that mean something there."""
    for pattern, letter in _MISREAD:
        text = pattern.sub(letter, text)
    return text


def _apart(text: str) -> Line:
    if len(text) > _LONGEST:
        return Line((Piece(0, len(text), Proof.NONE),))
    pieces = tuple(_without_initials(text, pieces_of(text)))
    if any(not piece.proof for piece in pieces) and _is_technical("".join(text.split())):
        # A recogniser puts blanks into words that are spaced widely.
        return Line((Piece(0, len(text), Proof.WORDS),))
    return Line(pieces)


def _without_initials(text: str, pieces: Sequence[Piece]) -> Iterator[Piece]:
    """A single letter proves nothing where it may be an initial: before a dot or comma or behind one, beside words
    of the device and, unless it is a side, beside anything: "H. Frame", "Hand, L", "R Scale", "A P Hill". Two may be
    initials alone."""
    device = any(text[one.start : one.end].casefold() in _DEVICE_WORDS for one in pieces)
    for piece in pieces:
        letter = text[piece.start : piece.end]
        alone = len(pieces) == 1 or (letter in _SIDES and not device)
        initial = len(letter) == 1 and (
            not alone or text[piece.end :][:1] in (".", ",") or text[: piece.start].rstrip().endswith(",")
        )
        initial |= len(pieces) == 1 and letter in _IN_COMPANY.split("|")
        yield replace(piece, proof=Proof.NONE) if initial else piece


def normal(text: str) -> str:
    """Compatibility forms as the plain ones, so that a full-width colon is a colon; as long as the text."""
    folded = [unicodedata.normalize("NFKC", one) for one in text]
    return "".join(one if len(one) == 1 else old for one, old in zip(folded, text, strict=True))


def names_a_field(text: str) -> bool:
    """Whether the line is the label of something about a person, so that what stands beside or below it is that."""
    return re.sub(r"\s+", "_", normal(text).strip().rstrip(_BEHIND_LABEL).rstrip()).casefold() in FIELDS


def is_bare_label(text: str) -> bool:
    """Whether the line is such a label with its colon; without one it may be the end of a name, as "Hospital" is."""
    return normal(text).rstrip().endswith(":") and names_a_field(text)


def begins_with_a_field(text: str) -> bool:
    """Whether the line begins with such a label and a colon."""
    head, colon, _ = normal(text).partition(":")
    return bool(colon) and names_a_field(head)


def pieces_of(text: str) -> list[Piece]:
    """The way to take the line apart that leaves the fewest letters unproven: "kVp 120 mA 300" is not "120 mA"."""
    best: dict[int, tuple[int, list[Piece]]] = {len(text): (0, [])}
    for at in range(len(text) - 1, -1, -1):
        if marks := _MARKS.match(text, at):
            best[at] = best[marks.end()]
            continue
        ways = []
        for piece in (*_proven(text, at), _unproven(text, at)):
            left, behind = best[piece.end]
            ways.append((left + (0 if piece.proof else piece.end - at), [piece, *behind]))
        best[at] = min(ways, key=lambda way: (way[0], len(way[1])))
    return best[0][1]


def _proven(text: str, at: int) -> Iterator[Piece]:
    """The pieces that begin here and are proven."""
    if at and text[at - 1].isalnum() and text[at].isalnum() and not (text[at - 1].isalpha() and text[at].isdecimal()):
        return
    for proof, pattern in _PROOFS:
        match = pattern.match(text, at)
        if match and match.end() > at and _counts_up(match):
            yield Piece(at, match.end(), proof)
    word = _WORD.match(text, at)
    if word and _is_technical(word[0]):
        yield Piece(at, word.end(), Proof.WORDS)


def _counts_up(match: re.Match[str]) -> bool:
    """Whether a counter is not past its end, as a date often is; true of what is no counter."""
    found = match.groupdict()
    return "now" not in found or int(found["now"]) <= int(found["all"])


def _is_technical(word: str) -> bool:
    return word.casefold() in _WORDS or all(part.casefold() in _WORDS for part in re.split("[-/]", word))


def _unproven(text: str, at: int) -> Piece:
    token = _TOKEN.match(text, at)
    return Piece(at, token.end() if token else at + 1, Proof.NONE)
