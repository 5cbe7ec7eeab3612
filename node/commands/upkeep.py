"""Looks after the data folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from lethe.storage.archive import Archive
from lethe.storage.discarding import reason_from
from lethe.storage.errors import NotFound, Refused, StorageError
from lethe.storage.jobs import STOPPED

from .context import ACTOR, config_of
from .exits import FAILED, OK, SOME_REFUSED
from .opening import archive_of


def status(args: argparse.Namespace) -> int:
    counts = archive_of(config_of(args)).counts()
    if args.json:
        print(json.dumps(counts))
        return OK
    table = Table("state", "count", box=None)
    for state, count in counts.items():
        table.add_row(state, str(count))
    Console().print(table)
    return OK


def retry(args: argparse.Namespace) -> int:
    archive = archive_of(config_of(args))
    if args.job:
        refused = list(_refused(archive, args.job))
        released = len(args.job) - len(refused)
    else:
        refused = []
        released = archive.release_all([job.id for job in archive.jobs.find(states=STOPPED)], ACTOR)
    for why in refused:
        print(f"lethe: {why}", file=sys.stderr)
    if released or not refused:
        print(f"{released} {'job is' if released == 1 else 'jobs are'} tried again")
    return OK if not refused else SOME_REFUSED if released else FAILED


def _refused(archive: Archive, numbers: Sequence[int]) -> Iterator[StorageError]:
    """Try each of them again, and give the reasons of those that cannot be."""
    for number in numbers:
        try:
            archive.release(number, ACTOR)
        except (NotFound, Refused) as error:
            yield error


def discard(args: argparse.Namespace) -> int:
    archive = archive_of(config_of(args))
    reason_from(args.reason)
    wanted = [archive.discardable(number) for number in args.job]
    if args.study:
        from ..heldback import of_its_study

        wanted = [one for job in wanted for one in of_its_study(archive, job)]
    gone = archive.discard_all(dict.fromkeys(job.id for job in wanted), args.reason, ACTOR)
    print(f"{len(gone)} {'object is' if len(gone) == 1 else 'objects are'} discarded")
    return OK


def verify(args: argparse.Namespace) -> int:
    problems = list(archive_of(config_of(args)).verify())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} contradictions" if problems else "files, jobs, index and audit trail agree")
    return FAILED if problems else OK
