"""Finds what else of a study is held back, for whoever decides about all of it at once."""

from __future__ import annotations

from lethe.storage.archive import Archive
from lethe.storage.jobs import ENDED, Job, Stage

from .studyuid import study_uid_of


def of_its_study(archive: Archive, job: Job) -> list[Job]:
    """The job, and all of its stage, destination and project that hold back objects of the same study, the oldest
    first. Nobody keeps to which study these belong, so their headers are read."""
    found, study = [job], _study_of(archive, job)
    if study:
        ended = archive.jobs.find(states=ENDED, stage=job.stage, destination=job.destination)
        alike = (one for one in ended if one.project == job.project and one.id != job.id)
        found += [one for one in alike if _study_of(archive, one) == study]
    return sorted(found, key=lambda one: one.id)


def _study_of(archive: Archive, job: Job) -> str:
    return study_uid_of(archive.files.path("returns" if job.stage == Stage.RETURN else "inbox", job.subject))
