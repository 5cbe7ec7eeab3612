"""Gives out what tells of originals; that somebody asked is in the audit trail before he has the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .audit import Actor
from .crosswalk import CrosswalkEntry
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound
from .query import Level
from .receipts import StoredReceipt
from .sealed import OriginalHeader


class Disclosure(DataFolder):
    """Crosswalk, original headers, receipts: each look is audited, without the values."""

    def look_up(self, values: Sequence[str], project: str, actor: Actor) -> list[CrosswalkEntry]:
        """What originals became, or pseudonyms were, in one project or, with "", in all; audited without the values."""
        found = list(dict.fromkeys(entry for value in values for entry in self.crosswalk.find(value, project)))
        with transaction(self.database):
            self.audit.record(actor, "crosswalk-looked-up", project, {"asked": len(values), "found": len(found)})
        return found

    def export_crosswalk(self, project: str, actor: Actor) -> Iterator[CrosswalkEntry]:
        """All entries of one project or, with "", of all; audited before the first is given out."""
        with transaction(self.database):
            self.audit.record(actor, "crosswalk-exported", project, {"entries": self.crosswalk.count(project)})
        return self.crosswalk.entries(project)

    def view_original(self, sop_uid: str, actor: Actor) -> OriginalHeader:
        """The header an instance had before it was cleaned; audited before it is opened. Raises NotFound where none was
        kept, Refused where it was altered."""
        if not self.headers.holds(sop_uid):
            raise NotFound("the original header of this instance was not kept")
        with transaction(self.database):
            self.audit.record(actor, "originals-viewed", sop_uid)
        return self.headers.open(sop_uid)

    def export_receipts(self, study_uids: Sequence[str], actor: Actor) -> Iterator[StoredReceipt]:
        """The receipts of these studies or, with none named, of all; audited before the first is given out."""
        return self._exported("receipts-exported", study_uids, actor)

    def export_originals(self, study_uids: Sequence[str], actor: Actor) -> Iterator[StoredReceipt]:
        """The same for an export that goes on to open `headers`: audited as what it is."""
        return self._exported("originals-exported", study_uids, actor)

    def _exported(self, action: str, study_uids: Sequence[str], actor: Actor) -> Iterator[StoredReceipt]:
        for uid in study_uids:
            self.index.one(Level.STUDY, uid)
        detail = {"studies": list(study_uids) or "all", "receipts": self.receipts.count(study_uids)}
        with transaction(self.database):
            self.audit.record(actor, action, detail=detail)
        return self.receipts.of_studies(study_uids)
