"""Proves the audit trail, or exports it."""

from __future__ import annotations

import argparse
import json

from .context import config_of
from .exits import FAILED, OK
from .opening import archive_of


def verify(args: argparse.Namespace) -> int:
    archive = archive_of(config_of(args))
    verdict = archive.audit.verify(args.anchor)
    if verdict.broken_at is not None:
        print(f"broken: {verdict.why}")
        return FAILED
    problems = 0
    for problem in archive.receipts.problems():
        problems += 1
        print(problem)
    if problems:
        print(f"{verdict.entries} entries, unbroken; {problems} receipts are not those that were published")
        return FAILED
    print(f"{verdict.entries} entries, unbroken; last digest {verdict.head}")
    return OK


def export(args: argparse.Namespace) -> int:
    for entry in archive_of(config_of(args)).audit.entries(after=args.after):
        print(json.dumps(entry.as_dict()))
    return OK
