"""Asks Microsoft Presidio's Analyzer what names somebody in a text, as one more voter beside our own rules.

It works with what is installed: with a spaCy model it knows people and places, without one only patterns (telephone
and account numbers, national identifiers). Nothing is fetched: the recognizer of mail addresses, which would ask the
network for a list of domains, is left out; our own patterns find them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from importlib import metadata
from typing import Any

from .names import Span
from .words import is_clinical, is_known


class Voter(StrEnum):
    """Who besides our own rules may say what is cut from texts that people write."""

    NONE = "none"
    PRESIDIO = "presidio"


_THRESHOLD = 0.5
_MODELS = ("en_core_web_trf", "en_core_web_lg", "en_core_web_md", "en_core_web_sm")
# Dates are moved by our own rules; what else is here names nobody.
_NO_VOTE = frozenset({"DATE_TIME", "NRP", "AGE", "EMAIL_ADDRESS"})
_OF_WORDS = frozenset({"PERSON", "LOCATION", "ORGANIZATION"})
_WORD = re.compile(r"[^\W\d_]+")


def votes_of(voter: Voter, text: str) -> list[Span]:
    """Where the voter says that somebody is named, words of the vocabulary excepted."""
    return list(_spans(text)) if voter is Voter.PRESIDIO else []


def version_of(voter: Voter) -> str:
    """What tells the voter's answers apart from those of another version or model; empty for nobody."""
    if voter is Voter.NONE:
        return ""
    model = _model()
    parts = [metadata.version("presidio-analyzer"), f"{model} {metadata.version(model)}" if model else "no model"]
    return " ".join(["presidio", *parts])


def _spans(text: str) -> Iterator[Span]:
    for result in _analyzer().analyze(text, language="en", score_threshold=_THRESHOLD):
        if result.entity_type in _NO_VOTE:
            continue
        words = list(_WORD.finditer(text, result.start, result.end))
        if result.entity_type in _OF_WORDS:
            yield from (word.span() for word in words if len(word[0]) > 1 and not _names_nobody(word[0]))
        elif not words or not all(_names_nobody(word[0]) for word in words) or _is_long_number(text, result):
            yield result.start, result.end


def _names_nobody(word: str) -> bool:
    return is_clinical(word) or is_known(word)


def _is_long_number(text: str, result: Any) -> bool:
    return sum(one.isdigit() for one in text[result.start : result.end]) >= 7


@cache
def _analyzer() -> Any:
    """The analyzer of this process. It takes seconds to load, so only who asks for it pays."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpEngine, NoOpNlpEngine, SpacyNlpEngine

    engine: NlpEngine
    if model := _model():
        engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": model}])
    else:
        engine = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": ""}])
    engine.load()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    registry.remove_recognizer("EmailRecognizer")
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


@cache
def _model() -> str | None:
    """The best English model of spaCy that is installed."""
    installed = {one.metadata["Name"].replace("-", "_").lower() for one in metadata.distributions()}
    return next((model for model in _MODELS if model in installed), None)
