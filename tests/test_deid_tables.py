"""The tables that ship are what `tools/make_tables.py` makes of the standard as data."""

from __future__ import annotations

import importlib.util
import json
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from programs import SHARED

from lethe.node.deid.profile import Option, Profile

ROOT = Path(__file__).resolve().parents[1]


def make_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "tools" / "make_tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.shared
def test_the_shipped_table_is_the_one_of_the_standard(tmp_path: Path) -> None:
    tool = make_tables()
    tool.write(tmp_path / "e1_1.json", tool.actions(SHARED / "standard"))
    shipped = (files("lethe.node.deid") / "table" / "e1_1.json").read_text(encoding="utf-8")
    assert (tmp_path / "e1_1.json").read_text(encoding="utf-8") == shipped


@pytest.mark.shared
@pytest.mark.parametrize("name", ["safe_private", "content"])
def test_the_shipped_tables_beside_it_are_the_standard_s(tmp_path: Path, name: str) -> None:
    tool = make_tables()
    tool.write(tmp_path / "table.json", getattr(tool, name)(SHARED / "standard"))
    shipped = (files("lethe.node.deid") / "table" / f"{name}.json").read_text(encoding="utf-8")
    assert (tmp_path / "table.json").read_text(encoding="utf-8") == shipped


@pytest.mark.shared
def test_every_row_has_its_rule() -> None:
    rows = json.loads((SHARED / "standard" / "ps3.15_e1-1_2026d.json").read_text(encoding="utf-8"))["rows"]
    profile = Profile()
    for row in rows:
        tag = row["tag"].strip("()").replace(",", "").lower()
        if "gggg" in tag:
            continue
        places = [tag.replace("x", "0"), tag.replace("xx", "1e", 1).replace("x", "0")] if "x" in tag else [tag]
        for place in places:
            rule = profile.rule(int(place, 16))
            assert rule and rule.action == row["basic_profile"], row


@pytest.mark.shared
@pytest.mark.parametrize("option", list(Option))
def test_every_option_we_carry_out_does_what_its_column_says(option: Option) -> None:
    rows = json.loads((SHARED / "standard" / "ps3.15_e1-1_2026d.json").read_text(encoding="utf-8"))["rows"]
    profile = Profile([option])
    column = option.replace("-", "_")
    for row in rows:
        if "x" in row["tag"].lower() or "gggg" in row["tag"]:
            continue
        expected = row["options"].get(column, row["basic_profile"]) if profile.applied else row["basic_profile"]
        rule = profile.rule(int(row["tag"].strip("()").replace(",", ""), 16))
        assert rule and rule.action == expected, row


def test_profiles_with_equal_digests_are_equal() -> None:
    a = Profile([Option.RETAIN_UIDS, Option.RETAIN_INSTITUTION_IDENTITY])
    b = Profile([Option.RETAIN_INSTITUTION_IDENTITY, Option.RETAIN_UIDS])
    assert a.digest == b.digest != Profile().digest
