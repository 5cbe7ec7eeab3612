"""Looks after accounts."""

from __future__ import annotations

import argparse

from lethe.storage.database import transaction

from ..parts import open_archive
from .context import ACTOR, config_of
from .exits import OK


def reset(args: argparse.Namespace) -> int:
    archive = open_archive(config_of(args))
    with transaction(archive.database):
        password = archive.users.reset_password(args.name)
        archive.audit.record(ACTOR, "password-reset", args.name)
    print(f"{args.name} logs in with the one-time password {password}")
    return OK
