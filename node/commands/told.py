"""Finds the files a command was told of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..folder import files_below


def files_told(sources: Sequence[Path], *, apart_from: Path | None = None) -> list[Path]:
    """All files of the sources, folders searched; those below `apart_from` left out. Raises UserError."""
    for source in sources:
        if not source.exists():
            raise UserError(f"{source}: there is no such file or folder")
    paths = files_below(sources, apart_from)
    if not paths and apart_from is not None and files_below(sources, None):
        raise UserError(f"{apart_from}: all files are in the folder for the results, which has to be another one")
    if not paths:
        raise UserError(f"{', '.join(map(str, sources))}: there are no files in it")
    return paths


def folder_told(target: Path) -> Path:
    """The folder for results, which need not exist yet. Raises UserError."""
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: the results go into a folder, and this is a file")
    return target
