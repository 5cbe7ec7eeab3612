"""Gives what came back its originals again and hands it to the destinations that its route names, and to nobody else.

The result holds PHI. It never comes into the index, so that DICOMweb, FHIR and the portal cannot name it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from lethe.storage.archive import Archive
from lethe.storage.errors import Refused
from lethe.storage.intake import Arrival
from lethe.storage.jobs import Job
from lethe.storage.names import clean_name

from .deid.reidentify import reidentify
from .originals import ProjectOriginals

Destinations = Callable[[Arrival, str], Sequence[str]]
"""Where what came in about a project is to go, re-identified."""


def nowhere(_arrival: Arrival, _project: str) -> Sequence[str]:
    """The destinations where no route re-identifies."""
    return ()


class Returns:
    """Does REIDENTIFY jobs for the projects that are configured."""

    def __init__(self, archive: Archive, projects: Collection[str], destinations: Destinations) -> None:
        self._archive = archive
        self._projects = projects
        self._destinations = destinations

    def reidentify(self, job: Job) -> None:
        """Put the job's originals back and plan its delivery. Raises CannotClean, Refused, NotFound, Unavailable."""
        destinations = self._destinations(self._archive.arrival(job), job.project)
        if job.project not in self._projects or not destinations:
            raise Refused(f"no route re-identifies what comes from its source for project {job.project!r} any more")
        name = clean_name(job.subject, job.project, "reidentified")
        with self._archive.whole_original(job) as file:
            result = reidentify(file, ProjectOriginals(self._archive, job.project))
            self._archive.put_back(job, result.chunks(), name, destinations, result.counts)
