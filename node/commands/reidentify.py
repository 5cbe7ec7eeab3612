"""Puts the originals back into files."""

from __future__ import annotations

import argparse

from ..parts import open_archive
from ..returned_files import reidentify_files
from .context import ACTOR, config_of, demand_project
from .exits import OK, SOME_REFUSED
from .told import files_told, folder_told


def run(args: argparse.Namespace) -> int:
    config = config_of(args)
    demand_project(config, args.project)
    target = folder_told(args.target)
    paths = files_told(args.source, apart_from=target)
    outcomes = list(reidentify_files(paths, target, open_archive(config), args.project, ACTOR))
    refused = [outcome for outcome in outcomes if outcome.reason]
    for outcome in refused:
        print(f"refused: {outcome.source}: {outcome.reason}")
    print(f"{len(outcomes) - len(refused)} re-identified, {len(refused)} refused")
    return SOME_REFUSED if refused else OK
