"""Looks after the data folder."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from lethe.storage.jobs import State

from .context import ACTOR, config_of
from .exits import FAILED, OK
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
    wanted = args.job or [job.id for job in archive.jobs.find(states=[State.QUARANTINED, State.FAILED])]
    for number in wanted:
        archive.release(number, ACTOR)
    print(f"{len(wanted)} {'job is' if len(wanted) == 1 else 'jobs are'} tried again")
    return OK


def verify(args: argparse.Namespace) -> int:
    problems = list(archive_of(config_of(args)).verify())
    for problem in problems:
        print(problem)
    print(f"{len(problems)} contradictions" if problems else "files, jobs, index and audit trail agree")
    return FAILED if problems else OK
