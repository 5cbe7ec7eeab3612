#!/usr/bin/env python3
"""Write the tables of `docs/deidentification.md` from the tables of the engine.

usage: make_docs.py
"""

import json
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

from lethe.node.deid.profile import APPLIED, Option

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "deidentification.md"


def main() -> None:
    DOCUMENT.write_text(current(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def current(text: str) -> str:
    """The document with its tables as the engine has them."""
    return re.sub(
        r"(<!-- options:[^>]*-->\n).*?(<!-- end -->)", lambda match: match[1] + options() + match[2], text, flags=re.S
    )


def options() -> str:
    rules = json.loads((files("lethe.node.deid") / "table" / "e1_1.json").read_text(encoding="utf-8"))["rules"]
    lines = ["| option | code | attributes of Table E.1-1 it keeps | cleans |", "|---|---|---|---|"]
    for option in Option:
        column = option.replace("-", "_")
        counts = Counter(row["options"][column] for row in rules.values() if column in row["options"])
        code = APPLIED[option][0] if option in APPLIED else "not applied yet"
        lines.append(f"| `{option}` | {code} | {counts['K'] or ''} | {counts['C'] or ''} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
