"""Makes, changes and ends workitems and subscriptions (PS3.4 Annex CC): each request is one transaction with all that
it changes, the reports to those who follow, and its audit entry."""

from __future__ import annotations

from dataclasses import replace

from .aetitles import ae_title, title_for
from .audit import Actor
from .database import transaction
from .datafolder import DataFolder
from .entries import DicomJson
from .errors import NotFound, Refused
from .stepevents import WORKLIST_UID, Event, cancel_requested, going_down, happened, restarted, state_report
from .steprules import (
    FINAL,
    PROGRESS,
    REASON,
    REASON_CODES,
    STATE,
    Judged,
    StepRefused,
    StepState,
    Why,
    created,
    element,
    ended,
    first_item,
    has_value,
    moment,
    updated,
)
from .subscriptions import Standing, Terms
from .workitems import Workitem, lock_of

FILTERED_UID = f"{WORKLIST_UID}.1"
_DAY = 86_400.0
_EVENT_DAYS, _ENDED_DAYS = 7.0, 30.0


class Worklisting(DataFolder):
    """What clients, and Lethe itself, do with workitems."""

    def create_workitem(self, uid: str, attributes: DicomJson, *, actor: Actor) -> bool:
        """Make a client's workitem; whether something had to be added to it. Raises StepRefused."""
        whole, modified = created(attributes, uid, self._step_moment())
        with transaction(self.database):
            self._add_step(uid, whole, ours=False)
            self.audit.record(actor, "workitem-created", uid)
        return modified

    def set_workitem(self, uid: str, changes: DicomJson, transaction_uid: str, *, actor: Actor) -> None:
        """Set attributes of a client's workitem. Raises NotFound, StepRefused."""
        with transaction(self.database):
            item = self.workitems.get(uid)
            if item.state in FINAL:
                raise StepRefused(Why.NO_LONGER, "the workitem has ended and may no longer be updated")
            if item.ours or item.state == StepState.IN_PROGRESS:
                _require_lock(item, transaction_uid)
            elif transaction_uid:
                raise StepRefused(Why.NOT_IN_PROGRESS, "nobody has claimed the workitem, so it has no Transaction UID")
            self._replace_step(item, replace(item, attributes=updated(item.attributes, changes, self._step_moment())))
            self.audit.record(actor, "workitem-updated", uid)

    def change_step_state(self, uid: str, wanted: str, transaction_uid: str, *, actor: Actor) -> Judged:
        """Claim, complete or cancel a client's workitem by its Transaction UID (PS3.4 Table CC.1.1-2). Raises NotFound,
        StepRefused."""
        with transaction(self.database):
            item = self.workitems.get(uid)
            if wanted not in (StepState.IN_PROGRESS, *FINAL):
                raise StepRefused(Why.NOT_BY_ACTION, "the state can become IN PROGRESS, COMPLETED or CANCELED")
            if not transaction_uid:
                raise StepRefused(Why.NO_LOCK, "the Transaction UID is missing")
            judged = self._move_step(item, StepState(wanted), transaction_uid)
            if judged == Judged.DONE:
                self.audit.record(actor, "workitem-state", uid, {"state": wanted})
        return judged

    def request_cancel(self, uid: str, request: DicomJson, *, actor: Actor) -> None:
        """Cancel a workitem that nobody has claimed; ask whoever has claimed it to do so. Raises NotFound,
        StepRefused."""
        with transaction(self.database):
            item = self.workitems.get(uid)
            if item.state == StepState.COMPLETED:
                raise StepRefused(Why.COMPLETED, "the workitem is already completed")
            if item.state == StepState.CANCELED:
                raise StepRefused(Why.CANCELED, "the workitem is already canceled")
            if item.ours:
                raise StepRefused(Why.KEPT, "Lethe performs this workitem and does not cancel it: nothing is dropped")
            if item.state == StepState.SCHEDULED:
                item = self._replace_step(item, _in_state(item, StepState.IN_PROGRESS))
                given = {tag: request[tag] for tag in (REASON, REASON_CODES) if has_value(request, tag)}
                progress = first_item(item.attributes, PROGRESS) | given
                told = item.attributes | {PROGRESS: element("SQ", progress)}
                self._end_step(replace(item, attributes=told), StepState.CANCELED)
            else:
                told = cancel_requested(request, title_for(actor.name) or "UNKNOWN")
                self.step_events.tell(self.subscriptions.followers(item.number), Event.CANCEL_REQUESTED, uid, told)
            self.audit.record(actor, "workitem-cancel-requested", uid)

    def subscribe(self, uid: str, title: str, terms: Terms = (), *, locked: bool, actor: Actor) -> None:
        """Tell an AE title of a workitem, or of all, or of those that match the terms. Raises NotFound, Refused."""
        title = _checked(title)
        with transaction(self.database):
            if uid in (WORKLIST_UID, FILTERED_UID):
                self._stand_by(Standing(title, terms, locked))
            else:
                item = self.workitems.get(uid)
                self.subscriptions.follow(item.number, title, locked=locked)
                self._report_step(item, title)
            self.audit.record(actor, "workitem-subscribed", uid, {"title": title, "locked": locked})

    def unsubscribe(self, uid: str, title: str, *, actor: Actor) -> None:
        """Tell an AE title of it no more. Raises NotFound where it was not told."""
        title = _checked(title)
        with transaction(self.database):
            if uid in (WORKLIST_UID, FILTERED_UID):
                was_told = self.subscriptions.leave_all(title)
            else:
                was_told = self.subscriptions.leave(self.workitems.get(uid).number, title)
            if not was_told:
                raise NotFound("there is no such subscription")
            self.audit.record(actor, "workitem-unsubscribed", uid, {"title": title})

    def suspend(self, uid: str, title: str, *, actor: Actor) -> None:
        """Subscribe an AE title to nothing new any more; what it is told of already, it is still. Raises NotFound,
        StepRefused."""
        title = _checked(title)
        if uid not in (WORKLIST_UID, FILTERED_UID):
            raise StepRefused(Why.UNSUITABLE, "only a subscription to the worklist can be suspended")
        with transaction(self.database):
            if not self.subscriptions.suspend(title, filtered=(uid == FILTERED_UID,)):
                raise NotFound("there is no such subscription")
            self.audit.record(actor, "worklist-suspended", uid, {"title": title})

    def begin_workitem(self, uid: str, attributes: DicomJson) -> None:
        """Make a workitem of Lethe's own, inside the caller's transaction."""
        self._add_step(uid, created(attributes, uid, self._step_moment())[0], ours=True)

    def advance_workitem(self, uid: str, state: StepState, changes: DicomJson) -> None:
        """Move a workitem of Lethe's own, inside the caller's transaction. Raises NotFound, StepRefused."""
        item = self.workitems.get(uid)
        if item.state == StepState.SCHEDULED and state != StepState.SCHEDULED:
            item = self._replace_step(item, _in_state(item, StepState.IN_PROGRESS))
        if changes:
            item = self._replace_step(item, replace(item, attributes=item.attributes | changes))
        if state in FINAL:
            self._end_step(item, state)

    def tell_restart(self) -> None:
        """Tell everyone who follows anything that the service was started again (PS3.4 CC.2.4.3)."""
        self._tell_everyone(restarted())

    def tell_end(self) -> None:
        """Tell everyone who follows anything that the service stops (PS3.4 CC.2.4.3)."""
        self._tell_everyone(going_down())

    def tidy_worklist(self) -> None:
        """Remove workitems that ended long ago and are not locked, and reports that nobody fetched."""
        now = self._clock()
        with transaction(self.database):
            self.step_events.forget(now - _EVENT_DAYS * _DAY)
            self.workitems.forget_ended(now - _ENDED_DAYS * _DAY)

    def _tell_everyone(self, told: DicomJson) -> None:
        with transaction(self.database):
            self.step_events.tell(self.subscriptions.titles(), Event.STATUS_CHANGE, WORKLIST_UID, told)

    def _add_step(self, uid: str, whole: DicomJson, *, ours: bool) -> None:
        item = None if uid in (WORKLIST_UID, FILTERED_UID) else self.workitems.add(uid, whole, ours=ours)
        if item is None:
            raise StepRefused(Why.EXISTS, "there is, or was, a workitem of this UID")
        for standing in self.subscriptions.standing():
            if self.workitems.matches(item, standing.terms):
                self.subscriptions.begin(item.number, standing.title, locked=standing.locked)
        self._tell_of_step(None, item)

    def _stand_by(self, standing: Standing) -> None:
        self.subscriptions.stand(standing)
        for item in list(self.workitems.find(standing.terms)):
            if self.subscriptions.begin(item.number, standing.title, locked=standing.locked) and standing.locked:
                self._report_step(item, standing.title)

    def _move_step(self, item: Workitem, wanted: StepState, transaction_uid: str) -> Judged:
        if item.state == StepState.SCHEDULED:
            if wanted != StepState.IN_PROGRESS:
                raise StepRefused(
                    Why.NOT_IN_PROGRESS, "nobody has claimed the workitem: it has to be IN PROGRESS first"
                )
            if item.ours:
                raise StepRefused(Why.IN_PROGRESS, "Lethe performs this workitem itself")
            self._replace_step(item, replace(_in_state(item, wanted), lock=lock_of(transaction_uid)))
            return Judged.DONE
        if item.ours or item.lock:  # one that was canceled before anybody claimed it has none
            _require_lock(item, transaction_uid)
        if item.state == StepState.IN_PROGRESS:
            if wanted == StepState.IN_PROGRESS:
                raise StepRefused(Why.IN_PROGRESS, "the workitem is already IN PROGRESS")
            self._end_step(item, wanted)
            return Judged.DONE
        if item.state != wanted:
            raise StepRefused(Why.NO_LONGER, "the workitem has ended and may no longer be updated")
        return Judged.ALREADY_CANCELED if wanted == StepState.CANCELED else Judged.ALREADY_COMPLETED

    def _end_step(self, item: Workitem, state: StepState) -> None:
        self._replace_step(
            item, replace(item, state=state, attributes=ended(item.attributes, state, self._step_moment()))
        )

    def _replace_step(self, before: Workitem, after: Workitem) -> Workitem:
        self.workitems.keep(after)
        self._tell_of_step(before, after)
        return after

    def _tell_of_step(self, before: Workitem | None, after: Workitem) -> None:
        titles = self.subscriptions.followers(after.number)
        if titles:
            for event, told in happened(before.attributes if before else None, after.attributes):
                self.step_events.tell(titles, event, after.uid, told)

    def _report_step(self, item: Workitem, title: str) -> None:
        self.step_events.tell([title], Event.STATE_REPORT, item.uid, state_report(item.attributes))

    def _step_moment(self) -> str:
        return moment(self._clock())


def _in_state(item: Workitem, state: StepState) -> Workitem:
    return replace(item, state=state, attributes=item.attributes | {STATE: element("CS", state)})


def _require_lock(item: Workitem, transaction_uid: str) -> None:
    if not transaction_uid:
        raise StepRefused(Why.NO_LOCK, "the Transaction UID is missing")
    if item.lock != lock_of(transaction_uid):
        raise StepRefused(Why.WRONG_LOCK, "the Transaction UID is incorrect")


def _checked(title: str) -> str:
    """An AE title without the spaces around it. Raises Refused."""
    checked = ae_title(title)
    if not checked:
        raise Refused("an AE title has 1 to 16 characters of ASCII and no backslash")
    return checked
