"""Puts the originals back into files, for the one who runs it: what the node does with results that come back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.database import transaction
from lethe.storage.errors import Refused

from .deid.errors import CannotClean
from .deid.reidentify import reidentify
from .folder import Outcome, write_object
from .originals import ProjectOriginals


def reidentify_files(
    paths: Sequence[Path], target: Path, archive: Archive, project: str, actor: Actor
) -> Iterator[Outcome]:
    """Re-identify each file into `target`, which only its owner can read; each is audited before it is written."""
    os.umask(0o077)
    lookup = ProjectOriginals(archive, project)
    for path in paths:
        try:
            with path.open("rb") as file:
                result = reidentify(file, lookup)
                with transaction(archive.database):
                    detail = {"project": project, "to": "files", **result.counts}
                    archive.audit.record(actor, "reidentified", "", detail)
                write_object(result.instance, result.chunks(), target)
        except (CannotClean, Refused) as refusal:
            yield Outcome(path, str(refusal))
        except OSError as error:
            yield Outcome(path, f"cannot be read or written ({error.strerror})")
        else:
            yield Outcome(path)
