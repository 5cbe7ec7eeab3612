"""The documents say what the program does: commands, settings, links and pictures are compared."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest

from lethe.node.arguments import parser as command_line
from lethe.node.config import SECTIONS, keys
from lethe.node.config_file import load_config
from lethe.node.deid.profile import APPLIED, Option
from lethe.storage.archive import Archive

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONFORMANCE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LABELS = {"peers": "[[peers]]", "projects": "[projects.NAME]", "steps": "[[steps]]", "routes": "[[routes]]"}


def commands() -> dict[str, str]:
    """Every command with the help text the program gives it."""
    found = {}
    (top,) = (action for action in command_line()._actions if action.dest == "command")
    for name, parser in top.choices.items():  # type: ignore[union-attr]
        below = [action for action in parser._actions if action.nargs == "A..."]
        if not below or parser.get_default("run"):
            found[name] = parser.description
        for action in below:
            found |= {f"{name} {second}": one.description for second, one in action.choices.items()}
    return found


def written(value: object) -> str:
    if value is MISSING:
        return "required"
    if isinstance(value, tuple):
        return f"`{json.dumps([str(one) for one in value])}`"
    return f"`{json.dumps(value)}`"


def shown(key: Any) -> str:
    return f"`{key.metadata['shown']}`" if key.metadata["shown"] else written(key.default)


def test_the_readme_lists_every_command_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `lethe ([a-z ]+)` \| (.*) \|$", README, re.MULTILINE))
    assert rows == commands()


def test_the_readme_lists_every_setting_with_its_default() -> None:
    expected = [
        f"| `{LABELS.get(name, f'[{name}]')}` `{key}` | {shown(one)} | {one.metadata['help']} |"
        for name, section in SECTIONS.items()
        for key, one in keys(section)
    ]
    assert [line for line in README.splitlines() if re.match(r"\| `\[", line)] == expected


def test_the_readme_names_every_option_and_says_which_are_applied() -> None:
    for option in Option:
        assert f"`{option}`" in README
    (row,) = (line for line in README.splitlines() if line.startswith("| PS3.15 options"))
    assert set(re.findall(r"`([a-z-]+)`", row.split("|")[2])) == set(APPLIED)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_picture_is_there(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert target.startswith("http") or (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_configuration_shown_is_accepted(document: Path, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        load_config(path)


def test_the_containers_configuration_is_accepted() -> None:
    assert load_config(ROOT / "docs" / "container.toml").node.host == "0.0.0.0"


def test_the_container_holds_every_package_and_the_locked_libraries() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for package in ("storage", "dicomweb", "fhir", "node"):
        assert f"COPY {package} {package}" in dockerfile
    final = dockerfile.split("FROM ")[2]
    for word in ("tesseract-ocr", "USER lethe", "HEALTHCHECK"):
        assert word in final
    for word in ("gcc", "build-essential", "-dev"):
        assert word not in final


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_is_pinned_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z][^ ]* \\$", text, re.MULTILINE)
    assert pins
    assert all("==" in pin for pin in pins)
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    assert not re.search(r"^opencv-python==", text, re.MULTILINE)
    assert re.search(r"^opencv-python-headless==", text, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_is_named_is_there(document: Path) -> None:
    there = {
        path.name
        for folder in ("storage", "dicomweb", "fhir", "node", "tests", "tools", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    }
    named = set(re.findall(r"`(?:[\w.]+/)*(\w+\.py)`", document.read_text(encoding="utf-8")))
    assert named <= there, named - there


def test_what_an_archive_is_made_of_is_told() -> None:
    text = (ROOT / "docs" / "developer.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"Each of its bases \((.*?)\)", text, re.DOTALL)
    modules = {f"{base.__module__.rpartition('.')[2]}.py" for base in Archive.__bases__}
    assert set(re.findall(r"\w+\.py", told)) == modules
