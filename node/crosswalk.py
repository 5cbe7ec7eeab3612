"""Reads a site's own list of patients, writes what became what: the CSV files of the crosswalk.

Mistakes are told by line number, never by value: what is printed may end up in a log.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.crosswalk import CrosswalkEntry
from lethe.storage.errors import Refused
from lethe.storage.jobs import Stage, State

from .exports import private_file
from .projects import not_listed

LIST_HEADER = ("id_old", "id_new")
EXPORT_HEADER = ("project", "kind", *LIST_HEADER)
_LONGEST = 64
_TELLING = 5
"""A Patient ID of that many characters is looked for in its trial ID; a shorter one may stand in any."""


@dataclass
class PatientFile:
    """A site's own list as its file says it: pairs of Patient ID and trial ID, the line of each, and what is wrong."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def read_patients(path: Path) -> PatientFile:
    """Read `id_old,id_new`. Raises Refused where it is no such file."""
    result = PatientFile()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            if tuple(cell.strip() for cell in next(reader, [])) != LIST_HEADER:
                raise Refused(f"{path}: the first line must be {','.join(LIST_HEADER)}")
            for row in reader:
                if row:
                    _read_line(row, reader.line_num, result)
    except UnicodeDecodeError:
        raise Refused(f"{path}: it is not in UTF-8") from None
    except csv.Error as error:
        raise Refused(f"{path}: line {reader.line_num}: {error}") from None
    return result


def write_entries(entries: Iterable[CrosswalkEntry], file: TextIO) -> int:
    """Write `project,kind,id_old,id_new`. Returns how many entries there were."""
    writer, count = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(EXPORT_HEADER)
    for entry in entries:
        writer.writerow((entry.project, entry.kind, entry.original, entry.pseudonym))
        count += 1
    return count


def export_to(path: Path, entries: Iterable[CrosswalkEntry]) -> int:
    """Write them to a file that only its owner can read, complete or not at all."""
    with private_file(path) as file:
        return write_entries(entries, file)


def asked(values: Iterable[str]) -> list[str]:
    """The values to look up; "-" stands for the lines of standard input, which no list of processes shows."""
    lines = [line for value in values for line in (sys.stdin if value == "-" else [value])]
    return [line.strip() for line in lines if line.strip()]


def release_held(archive: Archive, project: str, actor: Actor) -> int:
    """Try again the objects that were held for want of a list. Returns how many."""
    held = archive.jobs.find(states=[State.QUARANTINED], stage=Stage.CLEAN, reason=not_listed(project))
    return archive.release_all([job.id for job in held], actor)


def _read_line(row: list[str], line: int, result: PatientFile) -> None:
    if len(row) != len(LIST_HEADER):
        result.mistakes.append(f"line {line}: {len(row)} columns instead of {len(LIST_HEADER)}")
        return
    original, trial_id = (cell.strip(" ") for cell in row)
    problem = _wrong_with(original, trial_id)
    if problem:
        result.mistakes.append(f"line {line}: {problem}")
    else:
        result.pairs.append((original, trial_id))
        result.lines.append(line)


def _wrong_with(original: str, trial_id: str) -> str:
    """Why a pair cannot be on a list: both must be values of VR LO (PS3.5 6.2), the trial ID in any character set, and
    as a name too."""
    for name, value in (("Patient ID", original), ("trial ID", trial_id)):
        if not value:
            return f"the {name} is empty"
        if len(value) > _LONGEST:
            return f"the {name} is longer than {_LONGEST} characters"
        if re.search(r"[\x00-\x1f\x7f\\]", value):
            return f"the {name} holds a backslash or a control character"
    if not re.fullmatch(r"[A-Za-z0-9 ._+/:#@()-]+", trial_id):
        return "the trial ID holds more than letters A to Z, digits, spaces and . _ + / : # @ ( ) -"
    if original == trial_id or (len(original) >= _TELLING and original.casefold() in trial_id.casefold()):
        return "the trial ID holds the Patient ID"
    return ""
