"""Names clean files: each by what it was made from and how."""

from __future__ import annotations

import hashlib


def clean_name(original: str, *made_by: str) -> str:
    """The name of the file that an original becomes under a project, a profile and a key: the same each time."""
    return hashlib.sha256("\0".join((original, *made_by)).encode()).hexdigest()
