"""Shows what became what, or takes over a site's own list."""

from __future__ import annotations

import argparse
import sys

from lethe.storage.archive import Archive

from ..config import Config
from ..crosswalk import asked, export_to, read_patients, release_held, write_entries
from ..parts import open_archive
from .context import ACTOR, config_of, demand_project
from .exits import FAILED, OK


def export(args: argparse.Namespace) -> int:
    config = config_of(args)
    archive = open_archive(config)
    _demand_known(config, archive, args.project)
    entries = archive.export_crosswalk(args.project, ACTOR)
    if args.output:
        print(f"{export_to(args.output, entries)} entries written")
    else:
        write_entries(entries, sys.stdout)
    return OK


def import_list(args: argparse.Namespace) -> int:
    config = config_of(args)
    demand_project(config, args.project)
    archive, patients = open_archive(config), read_patients(args.file)
    use = archive.try_patients if args.dry_run or patients.mistakes else archive.import_patients
    comparison = use(args.project, patients.pairs, ACTOR)
    conflicts = [f"line {patients.lines[number]}: {why}" for number, why in comparison.conflicts]
    for problem in patients.mistakes + conflicts:
        print(problem)
    counts = f"{comparison.unchanged} unchanged, {len(conflicts)} conflicts, {len(patients.mistakes)} invalid"
    if patients.mistakes or conflicts:
        print(f"{len(comparison.added)} could be added, {counts}; nothing was imported")
        return FAILED
    if args.dry_run:
        print(f"{len(comparison.added)} would be added, {counts}; nothing was imported")
        return OK
    released = release_held(archive, args.project, ACTOR)
    print(f"{len(comparison.added)} added, {counts}; {released} held objects are tried again")
    return OK


def look_up(args: argparse.Namespace) -> int:
    config = config_of(args)
    archive = open_archive(config)
    _demand_known(config, archive, args.project)
    found = archive.look_up(asked(args.value), args.project, ACTOR)
    if not found:
        print("lethe: not in the crosswalk", file=sys.stderr)
        return FAILED
    write_entries(found, sys.stdout)
    return OK


def _demand_known(config: Config, archive: Archive, project: str) -> None:
    """Raises UserError for a project that is not configured, and of which nothing is left from when it was."""
    if project and project not in archive.crosswalk.projects():
        demand_project(config, project)
