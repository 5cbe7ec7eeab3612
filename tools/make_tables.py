#!/usr/bin/env python3
"""Make the tables of `node/deid/table/` from the DICOM standard as data.

usage: make_tables.py STANDARD MODULES OUT
STANDARD is a folder with `ps3.15_e1-1_2026d.json`; MODULES one with `iod_module_map.json`, `module_attribute_map.json`
and `sop_class_iod_map.json` (PS3.3 as tables: which module an IOD has, which attributes a module has and of what type).

`e1_1.json` holds every row of PS3.15 Table E.1-1 by tag. `types.json` holds, for each storage SOP class, the modules of
its IOD, and for each module the attributes that Table E.1-1 may remove or empty although their type asks for more.
"""

import argparse
import json
from pathlib import Path

from pydicom.datadict import tag_for_keyword


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("standard", "modules", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    table = actions(args.standard)
    write(args.out / "e1_1.json", table)
    write(args.out / "types.json", types(args.modules, table["rules"]))


def actions(standard: Path) -> dict:
    """Table E.1-1 by tag."""
    table = json.loads((standard / "ps3.15_e1-1_2026d.json").read_text())
    rules = {tag_of(row): {"basic": row["basic_profile"], "options": row["options"]} for row in table["rows"]}
    rules.pop("PRIVATE")
    return {
        "table": table["table"],
        "edition": table["edition"],
        "acknowledgement": table["acknowledgement"],
        "rules": dict(sorted(rules.items())),
    }


def tag_of(row: dict) -> str:
    """Eight hex digits; `xx` stays in the rows of repeating groups; the row of private attributes is PRIVATE."""
    tag = row["tag"]
    return (
        tag.strip("()").replace(",", "").upper().replace("X", "x")
        if tag.startswith("(") and "g" not in tag
        else "PRIVATE"
    )


def types(folder: Path, rules: dict) -> dict:
    attributes = json.loads((folder / "module_attribute_map.json").read_text())
    modules = {}
    for module, rows in attributes.items():
        demanded = {}
        for row in rows:
            path = [tag_for_keyword(keyword) for keyword in (*row["path"], row["keyword"])]
            leaf = f"{path[-1]:08X}" if path[-1] is not None else ""
            if None in path or leaf not in rules or rules[leaf]["basic"] in ("D", "U") or row["type"][0] not in "12":
                continue
            key = "/".join(f"{tag:08X}" for tag in path)
            demanded[key] = min(row["type"], demanded.get(key, "9"))
        if demanded:
            modules[module] = dict(sorted(demanded.items()))
    iods = json.loads((folder / "iod_module_map.json").read_text())
    classes = json.loads((folder / "sop_class_iod_map.json").read_text())
    return {
        "edition": "PS3.3 as of highdicom's tables (MIT)",
        "sop_classes": {
            uid: [entry["key"] for entry in iods[iod] if entry["key"] in modules]
            for uid, iod in sorted(classes.items())
        },
        "modules": dict(sorted(modules.items())),
    }


def write(path: Path, content: dict) -> None:
    lines = ["{"]
    for place, (key, value) in enumerate(content.items()):
        end = "," if place < len(content) - 1 else ""
        if isinstance(value, dict):
            rows = [f"  {json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in value.items()]
            lines.append(f" {json.dumps(key)}: {{\n" + ",\n".join(rows) + f"\n }}{end}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{end}")
    path.write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
