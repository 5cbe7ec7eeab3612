"""Presidio as one more voter: what it adds, what it must leave, and that it asks nobody outside this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.node.config_file import load_config
from lethe.node.deid.presidio import Voter, version_of, votes_of
from lethe.node.deid.profile import Option, Profile
from lethe.node.deid.terms import TermBank
from lethe.node.deid.text import Dates, TextCleaner

IBAN = "GB82 WEST 1234 5698 7654 32"


def cleaned(text: str, voter: Voter) -> str:
    return TextCleaner(TermBank(), Dates.SHIFT, -400, voter).clean(text)


def test_it_finds_what_only_a_checksum_tells() -> None:
    assert [f"paid from {IBAN} today"[a:b] for a, b in votes_of(Voter.PRESIDIO, f"paid from {IBAN} today")] == [IBAN]
    assert votes_of(Voter.NONE, IBAN) == []


def test_what_it_finds_is_cut_from_what_people_write_and_from_nothing_else() -> None:
    cleaner = TextCleaner(TermBank(), Dates.SHIFT, -400, Voter.PRESIDIO)
    assert cleaner.clean(f"nodule stable, {IBAN} paid") == "nodule stable, paid"
    assert cleaner.check("WEST 1234") == "WEST 1234"


@pytest.mark.parametrize(
    "text",
    [
        "CT CHEST W/O CONTRAST, LLL nodule 4 mm",
        "t2_tse_tra_384 512x512 B30f",
        "kVp 120 mAs 200 CTDIvol 12.3 mGy DLP 540",
        "Keine intrakranielle Blutung, Halswirbelsäule frei",
    ],
)
def test_clinical_words_stay(text: str) -> None:
    assert cleaned(text, Voter.PRESIDIO) == text


def test_dates_are_moved_not_cut() -> None:
    assert cleaned("exam of 2015-04-03: stable", Voter.PRESIDIO) == "exam of 2014-02-27: stable"


def test_it_asks_nobody_outside_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **_: asked.append(where))
    cleaned("mail a.quillon@clinic.example, call 212-555-0147, see https://clinic.example/1", Voter.PRESIDIO)
    assert asked == []


def test_who_does_not_ask_for_it_does_not_load_it() -> None:
    program = (
        "import sys; from lethe.node.deid.profile import Profile; Profile();"
        "import lethe.node.deid.text; print('presidio_analyzer' in sys.modules, 'spacy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_the_digest_says_who_voted() -> None:
    option = [Option.CLEAN_DESCRIPTORS]
    assert Profile(option).digest == Profile(option, Voter.NONE).digest != Profile(option, Voter.PRESIDIO).digest
    assert version_of(Voter.PRESIDIO).startswith("presidio ")


def test_a_project_chooses_its_voter(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[projects.default]\ntext_voter = "presidio"\n')
    (project,) = load_config(path).projects
    assert project.text_voter is Voter.PRESIDIO
