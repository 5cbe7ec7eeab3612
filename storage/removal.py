"""Deletes clean objects: rows first, then the files that no row mentions any more.

A crash in between leaves files, which `sweep` removes. What is deleted can be published again: the job that made it is
forgotten, so an original that is sent once more is cleaned once more. The audit trail and the crosswalk keep what they
have, since what was delivered elsewhere bears the same pseudonyms.
"""

from __future__ import annotations

import json

from .audit import Actor
from .database import transaction
from .datafolder import DataFolder
from .entries import Entry
from .errors import NotFound
from .jobs import Stage
from .query import Equals, Level, Query

_PORTION = 100
_UID_TAGS = ("0020000D", "0020000E", "00080018")
_PUBLISHED = "SELECT detail FROM audit WHERE subject = ? AND action = 'published' ORDER BY seq DESC LIMIT 1"


class Removal(DataFolder):
    """What ends a clean object."""

    def delete(self, *uids: str, actor: Actor) -> int:
        """Delete the study, series or instance with these UIDs, from the study downwards, and with the last instance
        its series and study. Returns how many instances went. Raises NotFound.

        In portions, so that nobody waits long for the database; where it breaks off, asking again goes on.
        """
        self.index.one(Level(len(uids)), *uids)
        below = tuple(Equals(tag, (uid,)) for tag, uid in zip(_UID_TAGS, uids, strict=False))
        deleted = 0
        while portion := self.index.find(Query(Level.INSTANCE, below, limit=_PORTION)):
            deleted += self._delete(portion, actor)
        return deleted

    def _delete(self, entries: list[Entry], actor: Actor) -> int:
        with transaction(self.database):
            files = [file for entry in entries for file in self._delete_one(entry.sop_uid, actor)]
        with transaction(self.database):  # so that none is published meanwhile under the name of a file that goes
            for file in files:
                if not self.index.mentions(file):
                    self.files.remove("clean", file)
        return len(files)

    def _delete_one(self, sop_uid: str, actor: Actor) -> list[str]:
        """The file that is not needed any more; none where somebody else was first."""
        try:
            known = self.index.instance(sop_uid)
        except NotFound:
            return []
        original = self._original_of(sop_uid)
        self.index.remove(known.sop_uid)
        sends = self.jobs.forget(Stage.SEND, known.sop_uid)
        if original:
            self.jobs.forget(Stage.CLEAN, original, known.project)
        told = {"study": known.study_uid, "series": known.series_uid, "project": known.project, "sends": sends}
        self.audit.record(actor, "deleted", known.sop_uid, {**told, "original": original})
        return [known.file]

    def _original_of(self, sop_uid: str) -> str:
        row = self.database.execute_sql(_PUBLISHED, (sop_uid,)).fetchone()
        return str(json.loads(row[0]).get("original", "")) if row else ""
