"""Lets a person decide about what was held back for its pictures, and learn from it; each look and decision is
audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from .audit import Actor
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound, Refused
from .jobs import Job, Stage, State


class Reviewing(DataFolder):
    """The review desk."""

    def reviewable(self, number: int) -> Job:
        """The quarantined job of that number. Raises NotFound, Refused where there is nothing to decide."""
        job = self.jobs.get(number)
        if job.stage != Stage.CLEAN or job.state != State.QUARANTINED:
            raise Refused(f"job {number} is not an object in quarantine")
        return job

    def view_frame(self, number: int, frame: int, actor: Actor) -> BinaryIO:
        """The original of a quarantined job, to show that frame (from 1) of it; audited before it is opened. Raises
        NotFound, Refused."""
        job = self.reviewable(number)
        if not self.files.holds("inbox", job.subject):
            raise NotFound(f"the object of job {number} is not here any more")
        with transaction(self.database):
            self.audit.record(actor, "quarantined-viewed", job.subject, {"job": number, "frame": frame})
        return self.files.open("inbox", job.subject)

    def review(
        self,
        number: int,
        decision: Mapping[str, Any],
        actor: Actor,
        told: Mapping[str, Any],
        learned: Sequence[Mapping[str, Any]] = (),
    ) -> Job:
        """Attach a decision to a quarantined job and make it ready again; `told` is what the audit trail says of it,
        `learned` are rules that are learned by the way. Raises NotFound, Refused."""
        with transaction(self.database):
            job = self.reviewable(number)
            if not self.jobs.revive(job):
                raise Refused(f"job {number} is not an object in quarantine")
            self.reviews.decide(number, decision)
            self.audit.record(actor, "reviewed", job.subject, {"job": number, "reason": job.reason, **told})
            if learned:
                self._learn(learned, actor)
            return self.jobs.get(number)

    def learn_rules(self, rules: Sequence[Mapping[str, Any]], actor: Actor) -> tuple[int, int]:
        """Take over device rules, each in the place of one of its name: how many are new, how many replaced."""
        with transaction(self.database):
            return self._learn(rules, actor)

    def forget_rule(self, name: str, actor: Actor) -> None:
        """Remove a learned device rule. Raises NotFound."""
        with transaction(self.database):
            if not self.rulebook.remove(name):
                raise NotFound("there is no learned rule of that name")
            self.audit.record(actor, "rule-removed", detail={"rule": name})

    def _learn(self, rules: Sequence[Mapping[str, Any]], actor: Actor) -> tuple[int, int]:
        added, replaced = self.rulebook.put(rules, self._clock())
        names = [rule["name"] for rule in rules]
        self.audit.record(actor, "rules-learned", detail={"added": added, "replaced": replaced, "rules": names})
        return added, replaced
