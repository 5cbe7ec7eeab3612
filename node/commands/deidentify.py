"""Cleans files and folders."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.progress import track

from ..folder import clean_files, write_maps
from .context import config_of, demand_project
from .exits import OK, SOME_REFUSED
from .told import files_told, folder_told


def run(args: argparse.Namespace) -> int:
    config, console = config_of(args), Console(stderr=True)
    demand_project(config, args.project)
    target = folder_told(args.target)
    paths = files_told(args.source, apart_from=target)
    processes = config.node.workers if args.jobs is None else args.jobs
    running = clean_files(paths, target, config, args.project, processes)
    outcomes = list(
        track(running, "de-identifying", total=len(paths), console=console, disable=not console.is_terminal)
    )
    refused = [outcome for outcome in outcomes if outcome.reason]
    for outcome in refused:
        print(f"refused: {outcome.source}: {outcome.reason}")
    if args.maps:
        write_maps(args.maps, outcomes)
    print(f"{len(outcomes) - len(refused)} clean, {len(refused)} refused")
    return SOME_REFUSED if refused else OK
