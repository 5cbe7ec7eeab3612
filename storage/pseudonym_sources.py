"""Changes what pseudonyms come from: a project's own list of patients, its key."""

from __future__ import annotations

from collections.abc import Sequence

from .audit import Actor
from .crosswalk import Comparison
from .database import transaction
from .datafolder import DataFolder


class PseudonymSources(DataFolder):
    """Lists and keys; each change is audited, without the values."""

    def try_patients(self, project: str, pairs: Sequence[tuple[str, str]], actor: Actor) -> Comparison:
        """What `import_patients` would do; nothing is changed."""
        comparison = self.crosswalk.compare(project, pairs)
        with transaction(self.database):
            self.audit.record(actor, "patients-import-tried", project, _counted(comparison))
        return comparison

    def import_patients(self, project: str, pairs: Sequence[tuple[str, str]], actor: Actor) -> Comparison:
        """Add pairs of Patient ID and trial ID to a project's own list: all of them, or none where one conflicts."""
        with transaction(self.database):
            comparison = self.crosswalk.compare(project, pairs)
            if comparison.conflicts:
                self.audit.record(actor, "patients-import-refused", project, _counted(comparison))
            else:
                self.crosswalk.enlist(project, comparison.added)
                self.audit.record(actor, "patients-imported", project, _counted(comparison))
        return comparison

    def rotate_key(self, name: str, key: bytes, actor: Actor, project: str) -> str:
        """Put another key in the place of the project's, which is kept. Returns the name of the file it is kept in."""
        with transaction(self.database):
            kept = self.files.replace_secret(name, key)
            self.audit.record(actor, "key-rotated", project, {"kept": kept})
        return kept


def _counted(comparison: Comparison) -> dict[str, int]:
    return {
        "added": 0 if comparison.conflicts else len(comparison.added),
        "unchanged": comparison.unchanged,
        "conflicts": len(comparison.conflicts),
    }
