"""Knows the words that name nobody: those of the standard's own code meanings, of imaging, and of plain English."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from .terms import plain

_INFLECTED = ("s", "es", "ed", "d", "ing", "ly")
# Word formation of medicine (PS3.16 has no list of it): enough before such an ending, or after such a beginning, is a
# clinical word.
_ENDINGS = re.compile(
    r".{4,}(ectomy|otomy|ostomy|plasty|pexy|scopy|scopic|graphy|graphic|gram|grams|metry|pathy|pathic|itis|iasis|"
    r"aemia|emia|uria|oedema|edema|algia|plegia|paresis|trophy|trophic|plasia|plastic|megaly|stenosis|stenotic|"
    r"sclerosis|sclerotic|ectasis|ectasia|malacia|lysis|lytic|genesis|genic|penia|rrhage|rrhagic|rrhea|blastoma|carcinoma|"
    r"sarcoma|adenoma|angioma|lipoma|fibroma|glioma|lithiasis|embolism|thrombosis|intensity|intensities|density|"
    r"osis|otic|iform|attenuation|echoic|dense|intense|lucency|opacity|opacities|dynia|cele|ology|ological|therapy|vascular|muscular|"
    r"cranial|spinal|abdominal|thoracic|pelvic|hepatic|renal|cardiac|pulmonary|arterial|venous)"
)
_BEGINNINGS = """
    anti arterio bi brachio broncho cardio cervico colo contra costo cranio cysto endo entero epi extra femoro
    gastro hemi hepato hyper hypo ileo infra inter intra juxta kinesio laryngo lumbo lympho macro maxillo mega
    micro mid mini mono multi myelo myo naso neo nephro neuro non omni ortho osteo para patello peri pleuro
    pneumo poly post pre pseudo pyelo radio re recto retro sacro semi spleno sterno sub super supra thoraco
    tibio tracheo trans tri ultra un under uretero uro utero vaso veno ventriculo vertebro vesico
""".split()
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


@lru_cache(maxsize=1 << 16)
def is_known(word: str) -> bool:
    """Whether a word, in any case, is one of the vocabulary, an inflection of one, or formed like a clinical one."""
    low = plain(word)
    if _is_word(low) or _ENDINGS.fullmatch(low):
        return True
    parts = _PART.findall(word)
    if len(parts) < 2 or "".join(parts) != word:
        return False
    return all(_is_word(one.lower()) if len(one) > 2 else len(one) == 1 and one.islower() for one in parts)


@lru_cache(maxsize=1 << 14)
def is_clinical(word: str) -> bool:
    """Whether the word is one of imaging, so that it is no name even behind a title: "DR CHEST"."""
    low = plain(word)
    return low in _vocabulary()[0] or low.removesuffix("s") in _vocabulary()[0] or bool(_ENDINGS.fullmatch(low))


def _is_word(low: str) -> bool:
    imaging, english = _vocabulary()
    if low in imaging or low in english:
        return True
    for ending in _INFLECTED:
        stem = low.removesuffix(ending)
        if len(stem) >= 4 and stem != low and (stem in imaging or stem in english or stem + "e" in english):
            return True
    return any(
        low.startswith(one) and len(low) - len(one) >= 4 and (low[len(one) :] in imaging or low[len(one) :] in english)
        for one in _BEGINNINGS
    )


@cache
def _vocabulary() -> tuple[frozenset[str], frozenset[str]]:
    folder = files(__package__) / "table"
    table: dict[str, Any] = json.loads((folder / "words.json").read_text(encoding="utf-8"))
    imaging = frozenset(plain(word) for line in table["imaging"] for word in line.split())
    return imaging | _listed(folder / "imaging_words.txt"), _listed(folder / "plain_words.txt")


def _listed(path: Traversable) -> frozenset[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in re.split(r"[\s/-]+", line) if word)
