"""Knows the words that name nobody: those of the standard's own code meanings, of medicine and imaging, of plain
English and of reports in other languages."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from .folding import plain
from .morphemes import is_medical

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")
_SHORTEST_STEM = 4
# English and medical endings that leave a word when taken off, and what then may have been there instead.
_INFLECTED = {
    "s": ("",), "es": ("",), "ed": ("", "e"), "d": ("",), "ing": ("", "e"), "ly": ("", "le"), "ies": ("y",),
    "ied": ("y",), "able": ("", "e"), "ible": ("", "e"), "ment": ("",), "ments": ("",), "ness": ("",),
    "iness": ("y",), "less": ("",), "like": ("",), "wise": ("",), "ability": ("able",), "isation": ("ise",),
    "ization": ("ize", "al", ""), "ation": ("", "e", "ate"), "ations": ("", "e", "ate"), "ating": ("ate",),
    "ated": ("ate",), "ally": ("al", "ic"), "ily": ("y",), "iest": ("y",), "ier": ("y",), "est": ("", "e"),
    "ion": ("", "e"), "ions": ("", "e"), "ful": ("",), "ity": ("", "e", "al"), "ive": ("", "e", "ion"),
    "ors": ("", "e"), "izing": ("ize", ""), "ized": ("ize", ""), "ises": ("ise",), "izes": ("ize",),
}  # fmt: skip
# Endings so much of a language that they tell a word from a name by themselves, if enough stands before.
_ENDINGS = re.compile(
    r".{3,}(?:ation|ations|ational|ization|isation|icity|ability|ibility|ivity|osity|iously|eously|uously|ically|fully|"
    r"lessly|ively|iveness|fulness|ifying|ified|ifies|izing|ectomized|intensity|intensities|density|densities|"
    r"weighted|echoic|dense|intense|lucency|lucencies|opacity|opacities|dynia|vascular|muscular|"
    r"cranial|spinal|abdominal|thoracic|pelvic|hepatic|renal|cardiac|pulmonary|arterial|venous)"
    r"|.{4,}(?:ierung|ierungen|igkeit|lichkeit|barkeit|ierte|ierter|iertes|ierten|isch|ische|ischer|isches|ischen|"
    r"aciones|azione|azioni|amiento|amientos|amente|imente|issement|issements|ement|ements|euse|euses|ique|iques|"
    r"acoes|idade|idades|mente|zione|zioni|tioning|tional|tionally|ctive|sive|atively|gram|grams|graphie|skopie|"
    r"scopie|scopia|grafia|grafie|tomie|ektomie|ectomia|ectomie|patia|pathie|patie|ologie|ologia|itide|"
    r"itis|osis|otic|iform|plasia|plasie|trophie|trofia|algie|algia|iasis|uria|urie|emie|emia|aemie)"
)
_BEGINNINGS = """
    anti arterio bi brachio broncho cardio cervico co colo contra costo counter cranio cysto de dis endo entero epi
    extra femoro gastro hemi hepato hyper hypo ileo infra inter intra juxta kinesio laryngo lumbo lympho macro
    maxillo mega micro mid mini mis mono multi myelo myo naso neo nephro neuro non omni ortho osteo para patello
    peri photo pleuro pneumo poly post pre pseudo pyelo radio re recto retro sacro self semi spleno sterno sub super
    supra tele thoraco tibio tracheo trans tri ultra un uretero uro utero vaso veno ventriculo vertebro vesico
""".split()
# What ends such words as "runoff" and "washout", and no surnames.
_BEHIND = ("up", "out", "off", "down", "through", "around", "shaped", "sized", "based", "guided", "related", "free")
# Before a longer word only: Underwood and Overton are names.
_BEFORE_LONGER = "half off out over self under well".split()
# What joins the two words of a German compound, and how it can begin or end.
_JOINTS = ("", "s", "n", "en", "er", "es")


class _Vocabulary(NamedTuple):
    imaging: frozenset[str]
    """Words of the standard, of imaging and of medicine."""
    usual: frozenset[str]
    """Words that are at home here, even if somebody is called so."""
    english: frozenset[str]
    less_common: frozenset[str]
    foreign: frozenset[str]
    joinable: frozenset[str]
    """Those of German, which writes two words as one."""
    eponyms: frozenset[str]
    common_eponyms: frozenset[str]
    beside_eponyms: frozenset[str]


@lru_cache(maxsize=1 << 16)
def is_known(word: str) -> bool:
    """Whether a word, in any case, is one of the vocabulary, an inflection of one, or formed like a clinical one."""
    low = plain(word)
    if _is_word(low) or is_medical(low) or _ENDINGS.fullmatch(low):
        return True
    if low in _vocabulary().foreign or _is_compound(low):
        return True
    parts = _PART.findall(word)
    if len(parts) < 2 or "".join(parts) != word:
        return False
    return all(_is_word(one.lower()) if len(one) > 2 else len(one) == 1 and one.islower() for one in parts)


@lru_cache(maxsize=1 << 14)
def is_clinical(word: str) -> bool:
    """Whether the word is one of imaging, so that it is no name even behind a title: "DR CHEST"."""
    low = plain(word)
    if is_eponym(word):
        return False
    imaging = _vocabulary().imaging
    return low in imaging or low.removesuffix("s") in imaging or is_medical(low) or bool(_ENDINGS.fullmatch(low))


@lru_cache(maxsize=1 << 14)
def is_weakly_known(word: str) -> bool:
    """Whether the word is known only as a less common one of English, as one of another language, or because the
    standard's code meanings hold it, which name peoples, breeds and authors as well."""
    low, vocabulary = plain(word), _vocabulary()
    if low in vocabulary.usual or low in vocabulary.eponyms or is_medical(low):
        return False
    return low in vocabulary.less_common or low in vocabulary.foreign or low in vocabulary.imaging


def is_eponym(word: str) -> bool:
    """Whether the word is somebody's name that medicine uses, so that it is a name where names stand."""
    return plain(word).removesuffix("'s") in _vocabulary().eponyms


def is_common_eponym(word: str) -> bool:
    """Whether the word is a common name that medicine uses as well."""
    return plain(word) in _vocabulary().common_eponyms


def makes_eponym(word: str, beside: str) -> bool:
    """Whether a common name is a word of medicine because of the word beside it: "Bennett fracture"."""
    vocabulary = _vocabulary()
    return plain(word) in vocabulary.common_eponyms and plain(beside) in vocabulary.beside_eponyms


def is_beside_eponym(word: str) -> bool:
    """Whether the word is one that stands beside eponyms, as "fracture" and "sarcoma" do."""
    return plain(word) in _vocabulary().beside_eponyms


def is_listed(word: str) -> bool:
    """Whether a list has the word, or one of which it is an inflection: not one that is only formed like a word."""
    return _is_word(plain(word))


def _is_word(low: str) -> bool:
    vocabulary = _vocabulary()
    if _is_listed(low, vocabulary) or low in vocabulary.eponyms:
        return True
    for size in range(1, 8):
        stem, instead = low[:-size], _INFLECTED.get(low[-size:], ())
        if len(stem) < _SHORTEST_STEM - 1 or not instead:
            continue
        if any(len(stem + one) >= _SHORTEST_STEM and _is_listed(stem + one, vocabulary) for one in instead):
            return True
        # "stranding" of "strand" is above; here "clipping" of "clip".
        if low[-size:] in ("ed", "ing") and stem[-1] == stem[-2] and _is_listed(stem[:-1], vocabulary):
            return True
    if any(
        low.endswith(one) and len(low) - len(one) >= 3 and _is_listed(low[: -len(one)], vocabulary) for one in _BEHIND
    ):
        return True
    return any(
        low.startswith(one) and len(low) - len(one) >= shortest and _is_listed(low[len(one) :], vocabulary)
        for beginnings, shortest in ((_BEGINNINGS, 4), (_BEFORE_LONGER, 5))
        for one in beginnings
    )


def _is_listed(low: str, vocabulary: _Vocabulary) -> bool:
    return low in vocabulary.imaging or low in vocabulary.english


def _is_compound(low: str) -> bool:
    """Whether the word is two of German, or one of medicine and one of German, written as one."""
    vocabulary = _vocabulary()
    for at in range(4, len(low) - 3):
        last = low[at:]
        if last not in vocabulary.joinable and last not in vocabulary.imaging:
            continue
        for joint in _JOINTS:
            first = low[: at - len(joint)] if low[:at].endswith(joint) else ""
            if len(first) >= 4 and (
                first in vocabulary.joinable or (first in vocabulary.imaging and last in vocabulary.joinable)
            ):
                return True
    return False


@cache
def _vocabulary() -> _Vocabulary:
    folder = files(__package__) / "table"
    table: dict[str, Any] = json.loads((folder / "words.json").read_text(encoding="utf-8"))
    imaging = frozenset(plain(word) for line in table["imaging"] for word in line.split())
    by_hand = _listed(folder / "imaging_words.txt") | _listed(folder / "medical_words.txt")
    german = (
        (folder / "other_languages.txt").read_text(encoding="utf-8").partition("# german\n")[2].partition("# others")[0]
    )
    _, rare, common, beside = re.split(
        r"# (?:rare|common|beside)\n", (folder / "eponyms.txt").read_text(encoding="utf-8")
    )
    english, less_common = _listed(folder / "plain_words.txt"), _listed(folder / "more_words.txt")
    return _Vocabulary(
        imaging=imaging | by_hand,
        usual=by_hand | english,
        english=english | less_common,
        less_common=less_common,
        foreign=_listed(folder / "other_languages.txt"),
        joinable=frozenset(german.split()),
        eponyms=frozenset(rare.split()),
        common_eponyms=frozenset(common.split()),
        beside_eponyms=frozenset(beside.split()),
    )


def _listed(path: Traversable) -> frozenset[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in re.split(r"[\s/-]+", line) if word)
