"""Opens the data folder that a command asks about, and says so where it is a new one."""

from __future__ import annotations

import sys

from lethe.storage.archive import Archive

from ..config import Config
from ..parts import open_archive


def archive_of(config: Config) -> Archive:
    """The data folder. That nothing waits and all agree in a new one is no answer about the node that was meant."""
    is_new = not config.data.is_dir() or not (config.database or (config.data / "lethe.db").is_file())
    archive = open_archive(config)
    if is_new:
        print(
            f"lethe: {config.data.resolve()} is new, no node has run there; name the node's configuration by --config",
            file=sys.stderr,
        )
    return archive
