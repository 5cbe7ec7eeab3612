#!/usr/bin/env python3
"""Make the tables of `node/deid/table/` from the DICOM standard as data.

usage: make_tables.py STANDARD MODULES OUT
STANDARD is a folder with the tables of PS3.15 (`ps3.15_e1-1_2026d.json` and its like); MODULES one with
`iod_module_map.json`, `module_attribute_map.json` and `sop_class_iod_map.json` (PS3.3 as tables: which module
an IOD has, which attributes a module has and of what type).

`e1_1.json` holds every row of PS3.15 Table E.1-1 by tag. `types.json` holds, for each storage SOP class, the modules of
its IOD, and for each module the attributes that Table E.1-1, or we beyond it, may remove or empty although their type
asks for more.
`safe_private.json` holds Table E.3.10-1 by private creator, `content.json` Table E.3.4-1 by concept. `words.json` holds
the words of the standard's names and code meanings as pydicom has them; the other word lists and
`common_names.txt` beside it are kept by hand.
"""

import argparse
import json
import re
import textwrap
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword
from pydicom.sr._concepts_dict import concepts

from lethe.node.deid.profile import _BEYOND_THE_TABLE, _DEVICES_BEYOND_THE_TABLE

BEYOND_THE_TABLE = _BEYOND_THE_TABLE | _DEVICES_BEYOND_THE_TABLE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("standard", "modules", "out"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    table = actions(args.standard)
    write(args.out / "e1_1.json", table)
    write(args.out / "types.json", types(args.modules, table["rules"]))
    write(args.out / "safe_private.json", safe_private(args.standard))
    write(args.out / "content.json", content(args.standard))
    write(args.out / "words.json", words())


def actions(standard: Path) -> dict:
    """Table E.1-1 by tag."""
    table = json.loads((standard / "ps3.15_e1-1_2026d.json").read_text())
    rules = {
        tag_of(row): {"name": row["name"], "basic": row["basic_profile"], "options": row["options"]}
        for row in table["rows"]
    }
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
            if None in path or row["type"][0] not in "12" or not may_go(path[-1], row["type"], rules.get(leaf)):
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


def may_go(tag: int, kind: str, rule: dict | None) -> bool:
    """Whether the type decides what becomes of an attribute that is removed or emptied, by the table or beyond it."""
    return tag in BEYOND_THE_TABLE and kind in "12" if rule is None else rule["basic"] not in ("D", "U")


def safe_private(standard: Path) -> dict:
    """Table E.3.10-1: by private creator and `ggggee` (element without its block) the VR. Rows without a VR say nothing
    about what is in the element, so it is not kept."""
    table = json.loads((standard / "ps3.15_e3.10-1_2026d.json").read_text())
    creators: dict[str, dict[str, str]] = {}
    for row in table["rows"]:
        group, element = re.fullmatch(r"\(([0-9A-Fa-f]{4}),xx([0-9A-Fa-f]{2})\)", row["tag"]).groups()
        if row["vr"]:
            creators.setdefault(row["private_creator"], {})[f"{group}{element}".upper()] = row["vr"].split("/")[0]
    return {
        "table": table["table"],
        "edition": table["edition"],
        "acknowledgement": table["acknowledgement"],
        "creators": {name: dict(sorted(rows.items())) for name, rows in sorted(creators.items())},
    }


def content(standard: Path) -> dict:
    """Table E.3.4-1: by coding scheme, code and value type the action and those of the options."""
    table = json.loads((standard / "ps3.15_e3.4-1_2026c.json").read_text())
    rules = {}
    for row in table["rows"]:
        key = f"{row['Coding Scheme Designator'].split(' ')[0]}|{row['Code Value']}|{row['Value Type']}"
        options = {option: row[column] for column, option in _CONTENT_OPTIONS.items() if row.get(column)}
        rules[key] = {"basic": row["Basic Prof."], "options": options}
    return {
        "table": table["table"],
        "edition": table["edition"],
        "acknowledgement": table["acknowledgement"],
        "rules": dict(sorted(rules.items())),
    }


_CONTENT_OPTIONS = {
    "Rtn. UIDs Opt.": "retain_uids",
    "Rtn. Dev. Id. Opt.": "retain_device_identity",
    "Rtn. Inst. Id. Opt.": "retain_institution_identity",
    "Rtn. Pat. Chars. Opt.": "retain_patient_characteristics",
    "Rtn. Long. Full Dates Opt.": "retain_longitudinal_full_dates",
    "Rtn. Long. Modif. Dates Opt.": "retain_longitudinal_modified_dates",
    "Clean Desc. Opt.": "clean_descriptors",
}


def words() -> dict:
    """Words of imaging by the standard's own texts."""
    texts = [meaning[0] for codes in concepts.values() for kind in codes.values() for meaning in kind.values()]
    texts += [row[2] for row in DicomDictionary.values()] + [row[0] for row in UID_dictionary.values()]
    imaging = {word.lower() for text in texts for word in re.findall(r"[^\W\d_]+", text) if len(word) > 1}
    return {
        "imaging_source": "names and code meanings of DICOM as in pydicom (MIT)",
        "imaging": textwrap.wrap(" ".join(sorted(imaging)), 110),
    }


def write(path: Path, content: dict) -> None:
    lines = ["{"]
    for place, (key, value) in enumerate(content.items()):
        end = "," if place < len(content) - 1 else ""
        if isinstance(value, dict):
            rows = [f"  {json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in value.items()]
            lines.append(f" {json.dumps(key)}: {{\n" + ",\n".join(rows) + f"\n }}{end}")
        elif isinstance(value, list):
            rows = [f"  {json.dumps(row, ensure_ascii=False)}" for row in value]
            lines.append(f" {json.dumps(key)}: [\n" + ",\n".join(rows) + f"\n ]{end}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{end}")
    path.write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
