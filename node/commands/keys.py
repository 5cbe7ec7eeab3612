"""Makes keys."""

from __future__ import annotations

import argparse

from ..parts import open_archive
from ..projectkeys import key_name, new_key
from .context import ACTOR, config_of, demand_project
from .exits import OK


def new(_args: argparse.Namespace) -> int:
    print(new_key().decode())
    return OK


def rotate(args: argparse.Namespace) -> int:
    config = config_of(args)
    demand_project(config, args.project)
    kept = open_archive(config).rotate_key(key_name(args.project), new_key(), ACTOR, args.project)
    print(f"project {args.project} has a new key from now on; the old one is kept as keys/{kept}")
    return OK
