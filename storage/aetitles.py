"""Says what an AE title is (PS3.5 6.2): 1 to 16 characters of the default repertoire without backslash, not only
spaces; those around it mean nothing."""

from __future__ import annotations

import re

_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")
_OTHERS = re.compile(r"[^\x20-\x5b\x5d-\x7e]")


def ae_title(text: str) -> str:
    """The title, without the spaces around it; empty where the text is none."""
    return text.strip() if _TITLE.fullmatch(text) else ""


def title_for(name: str) -> str:
    """Something like a title for a name that may be none."""
    return _OTHERS.sub("?", name)[:16]
