"""Shows and controls what waits to be sent."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from ..outbox import Outbox, Queue, sent_again
from .context import ACTOR, config_of
from .exits import OK
from .opening import archive_of

_COLUMNS = (
    "destination",
    "waiting",
    "sending",
    "gathering",
    "failed",
    "oldest",
    "state",
    "hours",
    "next attempt",
    "why",
)

_WHOLE = 250
"""So many columns that no name or reason is cut off where no terminal has fewer."""


def show(args: argparse.Namespace) -> int:
    queues = _outbox(args).queues()
    if getattr(args, "json", False):
        print(json.dumps([asdict(queue) | {"standing": queue.standing} for queue in queues]))
        return OK
    table = Table(*_COLUMNS, box=None)
    for queue in queues:
        table.add_row(*_row(queue))
    Console(width=None if sys.stdout.isatty() else _WHOLE).print(table)
    return OK


def pause(args: argparse.Namespace) -> int:
    changed = _outbox(args).pause(args.peer, ACTOR)
    print(f"{args.peer} is paused" if changed else f"{args.peer} was paused already")
    return OK


def resume(args: argparse.Namespace) -> int:
    changed = _outbox(args).resume(args.peer, ACTOR)
    print(f"{args.peer} goes on" if changed else f"{args.peer} was not paused, and nothing waits to be tried")
    return OK


def first(args: argparse.Namespace) -> int:
    jobs = _outbox(args).put_first(args.study, ACTOR, args.to)
    print(f"{jobs} {'instance goes' if jobs == 1 else 'instances go'} first")
    return OK


def resend(args: argparse.Namespace) -> int:
    jobs = _outbox(args).resend(args.uid, ACTOR, args.to)
    print(sent_again(jobs))
    return OK


def _outbox(args: argparse.Namespace) -> Outbox:
    config = config_of(args)
    return Outbox(archive_of(config), config)


def _row(queue: Queue) -> tuple[str, ...]:
    numbers = (str(number) for number in (queue.waiting, queue.sending, queue.gathering, queue.failed))
    return (
        queue.name,
        *numbers,
        _moment(queue.oldest),
        queue.standing,
        queue.window or "always",
        _moment(queue.next_attempt),
        queue.reason,
    )


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")
