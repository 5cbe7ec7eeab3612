"""Opens what one data folder holds: files, jobs, index, audit trail, crosswalk, users, commitments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from peewee import Table

from .arriving import Arriving
from .audit import AuditTrail
from .batches import Batches
from .cleanings import Cleanings
from .commitments import Commitments
from .crosswalk import Crosswalk
from .database import open_database, transaction
from .deliveries import Deliveries
from .digests import digests_of
from .files import FileStore
from .gatherings import Gatherings
from .holdings import Holdings
from .identities import Identities
from .index import Index
from .jobs import JobQueue
from .notices import Notices
from .originals import Originals
from .performed import PerformedSteps
from .promises import Promises
from .pulls import Pulls
from .queues import Queues
from .receipts import Receipts
from .reviews import Reviews
from .rulebook import Rulebook
from .sealed import SealedHeaders
from .sealing import Sealing
from .stepevents import StepEvents
from .subscriptions import Subscriptions
from .users import Users
from .workitems import Workitems

_RECEIVED = ("name", "uid_digest", "source", "address", "size", "at", "sop_class", "called", "study")
_BECAME = ("name", "project", "result")


class DataFolder:
    """One data folder and its database. `folder` is made where it is absent; `url` defaults to SQLite within it."""

    def __init__(self, folder: Path, url: str = "", *, clock: Callable[[], float] = time.time) -> None:
        folder = folder.resolve()
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.folder = folder
        self.database = open_database(url or f"sqlite:///{folder / 'lethe.db'}")
        self.digests = digests_of(self.database)
        self.files = FileStore(folder)
        self.jobs = JobQueue(self.database, clock)
        self.deliveries = Deliveries(self.database, self.jobs, clock)
        self.queues = Queues(self.database, clock)
        self.gatherings = Gatherings(self.database, clock)
        self.index = Index(self.database, clock)
        self.holdings = Holdings(self.database)
        self.audit = AuditTrail(self.database)
        self.crosswalk = Crosswalk(self.database, partial(self.files.secret, "crosswalk.key"), clock)
        self.identities = Identities(self.database, self.crosswalk, clock)
        self.receipts = Receipts(self.database)
        self.headers = SealedHeaders(self.database, self.crosswalk.key_for)
        self.reviews = Reviews(self.database)
        self.rulebook = Rulebook(self.database)
        self.batches = Batches(self.database, clock)
        self.users = Users(self.database)
        self.commitments = Commitments(self.database, self.crosswalk, clock)
        self.promises = Promises(self.database, clock)
        self.notices = Notices(self.database, clock)
        self.performed = PerformedSteps(self.database, clock)
        self.pulls = Pulls(self.database, clock)
        sealing = Sealing(self.crosswalk.sealer, "worklist")
        self.workitems = Workitems(self.database, sealing, clock)
        self.subscriptions = Subscriptions(self.database, sealing)
        self.cleanings = Cleanings(self.database)
        self.step_events = StepEvents(self.database, sealing, clock)
        self._clock = clock
        self._arriving = Arriving(self.database, self.files, self.digests, self.audit)
        self._originals = Originals(self.database, self.files, self.jobs)
        self._received = Table("received", _RECEIVED, _database=self.database)
        self._became = Table("became", _BECAME, _database=self.database)

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction for several changes, which share its sync. Raises Unavailable."""
        with transaction(self.database):
            yield

    def close(self) -> None:
        """Close this thread's connection."""
        if not self.database.is_closed():
            self.database.close()
