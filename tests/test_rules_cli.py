"""`lethe rules`: learned device rules go from node to node as files, and running workers see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lethe.node.cli import main
from lethe.node.config import Config
from lethe.node.projects import projects_of
from lethe.storage.archive import Archive

RULE = {"name": "US ours", "when": {"Modality": "US", "Rows": 600}, "blank": [[0, 0, 800, 60]]}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, *rules: object, name: str = "rules.json") -> str:
    path = folder / name
    path.write_text(json.dumps({"format": 1, "rules": rules}))
    return str(path)


def test_what_is_imported_is_listed_exported_and_audited(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = {**RULE, "name": "US theirs", "blank": [[0, 0, 9, 9]]}
    assert main(["rules", "import", write(site, RULE, more)]) == 0
    assert "2 added, 0 replaced" in capsys.readouterr().out
    assert main(["rules", "list"]) == 0
    out = capsys.readouterr().out
    assert "US ours: [0, 0, 800, 60]" in out and "2 learned; 99 come with the program" in out
    assert main(["rules", "export", "--output", str(site / "out.json")]) == 0
    assert json.loads((site / "out.json").read_text())["rules"] == [RULE, more]
    capsys.readouterr()
    assert main(["rules", "export"]) == 0
    assert capsys.readouterr().out == (site / "out.json").read_text()
    assert main(["rules", "import", str(site / "out.json")]) == 0
    assert "0 added, 2 replaced" in capsys.readouterr().out
    assert main(["rules", "remove", "US ours"]) == 0
    archive = Archive(site / "data")
    assert [rule["name"] for rule in archive.rulebook.documents()] == ["US theirs"]
    assert [entry.action for entry in archive.audit.entries()] == ["rules-learned", "rules-learned", "rule-removed"]
    archive.close()


@pytest.mark.parametrize(
    ("rules", "said"),
    [([{**RULE, "blank": []}], "US ours: 1 to 200 boxes"), ([RULE, {"name": "x"}], "nothing was imported")],
)
def test_a_file_is_taken_over_as_a_whole_or_not_at_all(
    site: Path, capsys: pytest.CaptureFixture[str], rules: list[object], said: str
) -> None:
    assert main(["rules", "import", write(site, *rules)]) != 0
    assert said in capsys.readouterr().err
    archive = Archive(site / "data")
    assert archive.rulebook.documents() == []
    archive.close()


def test_a_file_that_is_not_there_and_a_rule_that_is_not_there(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "import", str(site / "none.json")]) != 0
    assert main(["rules", "remove", "none"]) != 0
    assert "there is no learned rule" in capsys.readouterr().err


def test_a_running_worker_sees_a_new_rule_with_its_next_object(site: Path) -> None:
    archive = Archive(site / "data")
    projects = projects_of(Config(folder=site), archive.files, archive.crosswalk, archive.rulebook)
    before = projects["default"]
    assert projects["default"] is before
    assert main(["rules", "import", write(site, RULE)]) == 0
    after = projects["default"]
    assert [rule.name for rule in after.device_rules.rules if rule not in before.device_rules.rules] == ["US ours"]
    assert after.digest != before.digest, "another rule may make another result"
    assert main(["rules", "remove", "US ours"]) == 0
    assert projects["default"].device_rules == before.device_rules
    assert projects["default"].digest == before.digest
    archive.close()
