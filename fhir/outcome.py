"""Names what goes wrong in FHIR terms, and says it as an OperationOutcome. No text here repeats what a client sent."""

from __future__ import annotations

from lethe.storage.errors import NotFound, Refused, StorageError, Unavailable

from .resources import Resource


class Problem(Exception):
    """A request that cannot be answered: the HTTP status, the issue type (FHIR value set issue-type) and why."""

    def __init__(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = headers or {}


def invalid(text: str) -> Problem:
    """A parameter whose value cannot be understood."""
    return Problem(400, "invalid", text)


def unsupported(text: str) -> Problem:
    """A request that FHIR knows and we do not."""
    return Problem(400, "not-supported", text)


def not_found() -> Problem:
    """A resource of a known type that is not here."""
    return Problem(404, "not-found", "there is no such resource")


def problem_of(error: StorageError) -> Problem:
    """The edge table: what each failure of storage is called in FHIR."""
    if isinstance(error, NotFound):
        return Problem(404, "not-found", str(error))
    if isinstance(error, Unavailable):
        return Problem(503, "transient", str(error), {"Retry-After": "5"})
    if isinstance(error, Refused):
        return invalid(str(error))
    return Problem(500, "exception", "the request could not be answered")


def operation_outcome(code: str, text: str) -> Resource:
    """An OperationOutcome with one error."""
    issue = {"severity": "error", "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
