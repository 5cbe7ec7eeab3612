"""Looks at a data folder as a whole: how much there is, and whether its parts agree."""

from __future__ import annotations

from collections.abc import Iterator

from peewee import fn

from .commitments import Progress
from .datafolder import DataFolder
from .digests import BLAKE3
from .errors import NotFound
from .jobs import INTAKE, OUTGOING, Stage, State
from .promises import Promised

_DISCARDED = "SELECT COUNT(*) FROM audit WHERE action = 'discarded'"


class Inspection(DataFolder):
    """Reads everything and changes nothing."""

    def counts(self) -> dict[str, int]:
        """Counts by state, as `lethe status` and the portal show them."""
        jobs = self.jobs.counts()
        work = {state: sum(jobs.get((stage, state), 0) for stage in INTAKE) for state in State}
        send = {state: sum(jobs.get((stage, state), 0) for stage in OUTGOING) for state in State}
        studies, series, instances = self.index.totals()
        promises = self.promises.counts()
        return {
            "received": int(next(iter(self._received.select(fn.COUNT(self._received.name)).tuples()))[0]),
            "waiting": work[State.READY],
            "running": work[State.RUNNING],
            "held": work[State.HELD],
            "quarantined": work[State.QUARANTINED],
            "published": jobs.get((Stage.CLEAN, State.DONE), 0),
            "reidentified": jobs.get((Stage.REIDENTIFY, State.DONE), 0),
            "sending": send[State.READY] + send[State.RUNNING] + send[State.GATHERING],
            "delivered": send[State.DONE],
            "undeliverable": send[State.QUARANTINED],
            "failed": work[State.FAILED] + send[State.FAILED],
            "discarded": int(self.database.execute_sql(_DISCARDED).fetchone()[0]),
            "studies": studies,
            "series": series,
            "instances": instances,
            "vouching": self.commitments.counts().get(Progress.OPEN, 0),
            "unpromised": sum(count for state, count in promises.items() if state != Promised.GIVEN),
            "promised": promises.get(Promised.GIVEN, 0),
            "announcing": self.notices.waiting(),
        }

    def verify(self) -> Iterator[str]:
        """Every way in which files, jobs, index and audit trail contradict one another, one sentence each."""
        damage = self.database.execute_sql("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            yield "the database is damaged; nothing else was looked at"
            return
        # Rows before files: work goes on meanwhile, and a file is there before its row.
        for name in self._originals.needed() - set(self.files.names("inbox")):
            if self._originals.is_needed(name):
                yield f"the original {name[:12]} has a job but no file"
        yield from self._changed_originals()
        for name in self.jobs.unfinished(Stage.RETURN) - set(self.files.names("returns")):
            if self.jobs.is_unfinished(Stage.RETURN, name):
                yield f"the re-identified object {name[:12]} has a job but no file"
        yield from self._lost_or_torn()
        for number in self._homeless_sends():
            yield f"job {number} sends an instance that is not in the index"
        yield from self.index.miscounts()
        yield from self.crosswalk.problems()
        yield from self.identities.problems()
        yield from self.headers.problems()
        yield from self.receipts.problems()
        verdict = self.audit.verify()
        if verdict.broken_at is not None:
            yield f"the audit trail is broken: {verdict.why}"

    def _changed_originals(self) -> Iterator[str]:
        for name in self._originals.needed():
            try:
                changed = self.digests.of(self.files.path("inbox", name)) != name
            except FileNotFoundError:  # told already, or just done with
                continue
            if changed:
                yield f"the original {name[:12]} is not what came in"

    def _lost_or_torn(self) -> Iterator[str]:
        for uid, (name, size, digest) in self.index.files().items():
            try:
                if self.files.size("clean", name) != size:
                    yield f"the file of the instance {uid} is not as long as it was written"
                elif digest and self._digest_of("clean", name) != digest and self.index.mentions(name):
                    yield f"the file of the instance {uid} is not what was written"
            except NotFound:
                if self.index.mentions(name):
                    yield f"the instance {uid} has no file"

    def _digest_of(self, room: str, name: str) -> str:
        with self.files.open(room, name) as file:
            return BLAKE3.of_content(file)

    def _homeless_sends(self) -> list[int]:
        sql = "SELECT id FROM job WHERE stage = ? AND subject NOT IN (SELECT uid FROM instance)"
        return [number for (number,) in self.database.execute_sql(sql, (Stage.SEND,))]
