"""Finds what the pseudonyms in an object were, and refuses an object that is not about one patient of the project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from lethe.storage.archive import Archive
from lethe.storage.crosswalk import Kind
from lethe.storage.identities import Identity as Record

from .deid.asked import Asked
from .deid.errors import CannotClean
from .deid.identity import BY_NAME, Identity
from .deid.reidentify import Originals


class ProjectOriginals:
    """What became what in one project of a data folder."""

    def __init__(self, archive: Archive, project: str) -> None:
        self._archive = archive
        self._project = project

    def originals(self, asked: Asked) -> Originals:
        """What the values were. Raises CannotClean where study, patient and references do not belong together."""
        identities = self._archive.identities
        record = identities.find(self._project, asked.study, asked.patient)
        if record is None:
            if identities.of_studies(self._project, {asked.study}):
                raise CannotClean("its patient (0010,0020) is not the one of its study")
            raise CannotClean(f"its study is not one whose originals project {self._project} has")
        self._refuse_another_patient(asked, record)
        found: dict[Kind, dict[str, str]] = defaultdict(dict)
        for entry in self._archive.crosswalk.originals(self._project, asked.uids | asked.words | {asked.patient}):
            found[entry.kind][entry.pseudonym] = entry.original
        # A patient without an ID is called by a pseudonym of the name, which the crosswalk does not have.
        called = asked.patient.removeprefix(BY_NAME)
        patients = found[Kind.PATIENT] or ({called: ""} if called else {})
        identity = Identity(record.attributes, record.dates, record.days)
        return Originals(identity, found[Kind.UID], patients, found[Kind.ACCESSION])

    def pseudonyms(self, uids: Collection[str]) -> Collection[str]:
        """Those of the UIDs that are pseudonyms of the project."""
        entries = self._archive.crosswalk.originals(self._project, uids)
        return {entry.pseudonym for entry in entries if entry.kind == Kind.UID}

    def _refuse_another_patient(self, asked: Asked, record: Record) -> None:
        """Every study it refers to, itself or by a series or an instance of it, must be of the same patient."""
        studies = asked.uids | self._archive.index.studies_of(asked.uids)
        patients = defaultdict(set)
        for other in self._archive.identities.of_studies(self._project, studies):
            patients[other.study].add(_patient(other))
        if any(_patient(record) not in known for known in patients.values()):
            raise CannotClean("it refers to a study of another patient")


def _patient(record: Record) -> str:
    """Who the patient was: the same in every study of his, whatever pseudonyms he had."""
    for tag in ("00100020", "00100010"):
        values = record.attributes.get(tag, {}).get("Value")
        if values:
            return f"{tag} {values}"
    return record.study
