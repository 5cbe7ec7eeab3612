"""The engine on the team's benchmark in the form of MIDI-B: every required action, and nothing left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from programs import SHARED

from lethe.node.cli import main

MIDI = SHARED / "midi"
LIKE_MIDI = (
    '"retain-longitudinal-modified-dates", "clean-pixel-data", "clean-descriptors", "clean-structured-content", '
    '"clean-graphics", "retain-patient-characteristics", "retain-safe-private"'
)


@pytest.mark.shared
@pytest.mark.parametrize(("ours", "theirs"), [(LIKE_MIDI, "default"), ("", "basic")])
def test_every_required_action(ours: str, theirs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out, maps = tmp_path / "config.toml", tmp_path / "out", tmp_path / "maps"
    config.write_text(
        f'[node]\ndata = "{tmp_path / "data"}"\n[projects.default]\noptions = [{ours}]\npixel_policy = "none"\n'
    )
    files = MIDI / "dev" / "files"
    assert main(["deidentify", str(files), str(out), "--config", str(config), "--maps", str(maps)]) == 0
    assert ", 0 refused" in capsys.readouterr().out
    command = [sys.executable, str(MIDI / "score.py"), "--no-ocr", "--options", theirs]
    command += ["--originals", str(files), "--answers", str(MIDI / "dev" / "answer.json"), "--deidentified", str(out)]
    command += ["--uid-map", str(maps / "uids.csv"), "--patient-map", str(maps / "patients.csv")]
    score = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert score["overall_missing_counts_as_fail_percent"] >= 99.95
    assert score["overall_with_extensions_percent"] >= 99.95
    demanded = ("text_removed", "date_shifted", "uid_changed", "patid_consistent", "uid_consistent")
    assert {name: row["percent"] for name, row in score["actions"].items() if name in demanded} == dict.fromkeys(
        [name for name in demanded if name in score["actions"]], 100.0
    )
    assert score["canary"]["files_with_strict_leaks"] == 0
    assert (score["files"]["missing"], score["extras"]["references_broken"]) == (0, 0)
