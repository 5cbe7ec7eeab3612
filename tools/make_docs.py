#!/usr/bin/env python3
"""Write the tables of `docs/deidentification.md` and `CONFORMANCE.md` from the tables and rules of the program.

usage: make_docs.py
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.uid import UID

from lethe.node.config import Project
from lethe.node.deid.content import _table as content_rules
from lethe.node.deid.decisions import Decisions
from lethe.node.deid.dummies import _VALUES
from lethe.node.deid.pixels import beside_frames
from lethe.node.deid.profile import (
    _BEYOND_THE_TABLE,
    _DEVICES_BEYOND_THE_TABLE,
    APPLIED,
    BASIC_CODE,
    Action,
    Option,
    Profile,
    Rule,
)
from lethe.node.deid.receipt import LOOKED
from lethe.node.deid.registry import class_name
from lethe.node.dimse.contexts import storage_classes, transfer_syntaxes
from lethe.storage.entries import SEARCHABLE

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "docs" / "deidentification.md", ROOT / "CONFORMANCE.md")
TABLE = files("lethe.node.deid") / "table"
DEFAULTS = Profile(Project(name="default").options)
EXPLICIT = "1.2.840.10008.1.2.1"
# Table E.1-1's own order of columns, and their heads as short as they can be.
COLUMNS = {
    Option.RETAIN_SAFE_PRIVATE: "Priv",
    Option.RETAIN_UIDS: "UIDs",
    Option.RETAIN_DEVICE_IDENTITY: "Dev",
    Option.RETAIN_INSTITUTION_IDENTITY: "Inst",
    Option.RETAIN_PATIENT_CHARACTERISTICS: "Pat",
    Option.RETAIN_LONGITUDINAL_FULL_DATES: "Full",
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES: "Mod",
    Option.CLEAN_DESCRIPTORS: "Desc",
    Option.CLEAN_STRUCTURED_CONTENT: "Struct",
    Option.CLEAN_GRAPHICS: "Graph",
}
PSEUDONYMS = {"00100010", "00100020", "00080050"}


def main() -> None:
    for document in DOCUMENTS:
        document.write_text(current(document.read_text(encoding="utf-8")), encoding="utf-8")


def current(text: str) -> str:
    """A document with its tables as the program has them: each stands between a comment that names it and an end."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- ([\w-]+): python tools/make_docs.py -->\n).*?(<!-- end -->)", table, text, flags=re.S)


def rows_of(*rows: Iterable[object]) -> str:
    """A table in Markdown, its head first."""
    head, *body = [[str(cell) for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in (head, *body)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


def loaded(name: str) -> dict:
    return json.loads((TABLE / name).read_text(encoding="utf-8"))


def rules() -> dict[str, dict]:
    return loaded("e1_1.json")["rules"]


def options() -> str:
    head = ["option", "code", "attributes of Table E.1-1 it keeps", "cleans"]
    rows = []
    for option in Option:
        counts = Counter(row["options"].get(option.replace("-", "_")) for row in rules().values())
        code = APPLIED[option][0] if option in APPLIED else "113101, by `pixel_policy`"
        rows.append([f"`{option}`", code, counts["K"] or "", counts["C"] or ""])
    return rows_of(head, *rows)


def profiles() -> str:
    """PS3.2 Table N.8-7."""
    rows = [["Basic Profile", f"{BASIC_CODE[0]} {BASIC_CODE[1]}", "Y", "N", "always"]]
    for option in Option:
        code, meaning = APPLIED.get(option, LOOKED)
        default = "by project; on by default" if option in DEFAULTS.applied else "by project"
        how = default if option in APPLIED else "by `pixel_policy` of the project; on by default"
        rows.append([f"`{option}`", f"{code} {meaning}", "Y", "N", how])
    return rows_of(["Profile or option", "Code (CID 7050)", "De-identifier", "Re-identifier", "Configurable"], *rows)


def attributes() -> str:
    """PS3.2 Table N.11-6: every row of PS3.15 Table E.1-1."""
    rows = []
    for tag, row in rules().items():
        cells = [row["options"].get(option.replace("-", "_"), "") for option in COLUMNS]
        rule = DEFAULTS.rule(int(f"{tag[:2]}00{'3000' if tag.endswith('x') else tag[4:]}" if "x" in tag else tag, 16))
        comment = "pseudonym" if tag in PSEUDONYMS else ""
        rows.append([f"({tag[:4]},{tag[4:]})", row["name"], row["basic"], *cells, rule.action, "N", comment])
    head = ["Tag", "Attribute", "Basic", *COLUMNS.values(), "By default", "Encrypted", "Comment"]
    private = ["(gggg,eeee), gggg odd", "Private Attributes", "X", "C", *[""] * (len(COLUMNS) - 1), "X", "N", ""]
    return rows_of(head, *rows, private)


def composite() -> str:
    """What becomes of each action, by the attribute's type in the object's IOD."""
    kinds = {"1": "Type 1", "1C": "Type 1C", "2": "Type 2", "2C": "Type 2C", "3": "Type 3 or not in the IOD"}
    actions = [action for action in Action if action not in (Action.KEEP, Action.CLEAN)]
    rows = [[f"`{action}`", *(done(action, kind) for kind in kinds), done(action, "?")] for action in actions]
    return rows_of(["Action", *kinds.values(), "IOD not known"], *rows)


def done(action: Action, kind: str) -> str:
    types = SimpleNamespace(known=kind != "?", of=lambda _path: kind)
    result = Decisions(Profile(), types).resolved(Rule(action, ""), (0,))  # type: ignore[arg-type]
    return "items kept, UIDs replaced" if result == Action.KEEP else str(result)


def dummies() -> str:
    by_value: dict[str, list[str]] = {}
    for vr, value in _VALUES.items():
        by_value.setdefault(str(value), []).append(vr)
    rows = [[", ".join(vrs), f"`{value}`"] for value, vrs in by_value.items()]
    return rows_of(["VR", "Dummy"], *rows, ["OB, OW and the like", "8 zero bytes"], ["UI", "the UID that replaces it"])


def beyond() -> str:
    tags = sorted(_BEYOND_THE_TABLE | _DEVICES_BEYOND_THE_TABLE)
    rows = [(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", dictionary_description(tag)) for tag in tags]
    return rows_of(["Tag", "Attribute"], *rows)


def safe_private() -> str:
    creators = loaded("safe_private.json")["creators"]
    rows = [[f"`{creator}`", len(kept)] for creator, kept in creators.items()]
    return rows_of(["Private creator", "Attributes"], *rows, ["all", sum(len(kept) for kept in creators.values())])


def content() -> str:
    counts = Counter(row["basic"] for row in content_rules().values())
    rows = [[f"`{code}`", count] for code, count in sorted(counts.items())]
    return rows_of(["Action of Table E.3.4-1", "Concepts"], *rows)


def classes() -> str:
    """Every storage SOP Class, and whether its objects are cleaned with the default options."""
    rows = []
    for uid in storage_classes():
        why = beside_frames(image(uid), EXPLICIT, DEFAULTS.applied)
        helps = remedy(uid) if why else ""
        rows.append([class_name(uid), f"`{uid}`", why or "", helps])
    return rows_of(["SOP Class", "UID", "Refused by default", "Unless"], *rows)


def remedy(uid: str) -> str:
    for option in APPLIED:
        if beside_frames(image(uid), EXPLICIT, (*DEFAULTS.applied, option)) is None:
            return f"`{option}`"
    return '`pixel_policy = "none"`'


def image(uid: str) -> Dataset:
    header = Dataset()
    header.SOPClassUID = uid
    return header


def syntaxes() -> str:
    return rows_of(["Transfer Syntax", "UID"], *([UID(uid).name, f"`{uid}`"] for uid in transfer_syntaxes()))


def search() -> str:
    by_level: dict[str, list[str]] = {}
    for level, attribute in SEARCHABLE.values():
        by_level.setdefault(level.name.title(), []).append(attribute.keyword)
    return rows_of(["Level", "Matching keys"], *([level, ", ".join(keys)] for level, keys in by_level.items()))


TABLES = {
    "options": options,
    "profiles": profiles,
    "attributes": attributes,
    "composite": composite,
    "dummies": dummies,
    "beyond": beyond,
    "safe-private": safe_private,
    "content": content,
    "classes": classes,
    "syntaxes": syntaxes,
    "search": search,
}


if __name__ == "__main__":
    main()
