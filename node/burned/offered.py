"""Says which finders of text are installed here, without loading any."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "lethe.text_finders"
"""The group of entry points by which packages offer finders."""
OURS = frozenset(("rapidocr", "tesseract"))


def finder_names() -> list[str]:
    """The names that the configuration may use here."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def offered(name: str) -> EntryPoint:
    """The finder of that name. Raises KeyError."""
    return entry_points(group=GROUP)[name]
