"""Has a PACS send us studies."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, TaskID

from lethe.storage.archive import Archive

from ..config import Config, Peer
from ..dimse.credentials import credentials_of
from ..dimse.fetching import ByGet
from ..dimse.limits import limits_of
from ..dimse.pulling import ByMove, Pacs, UnknownHere
from ..errors import UserError
from ..pace import Pace
from ..parts import open_archive
from ..pull import Pull, Study
from ..routing import Router
from ..wishlist import Wish, listed, query_wished, studies_wished
from .context import ACTOR, config_of, demand_project
from .exits import OK, SOME_REFUSED
from .peers import peer_told


def run(args: argparse.Namespace) -> int:
    config, wishes = config_of(args), _wishes(args)
    peer, title = peer_told(config, args.peer), config.node.ae_title
    if args.project:
        demand_project(config, args.project)
        title = Router(config).title_into(args.project, peer.ae_title)
    archive, request = open_archive(config), _request(args, title)
    if args.again:
        archive.pulls.forget(peer.name, request)
    pace = Pace((args.rate or 0) / 60, 0)
    with (_by_get if args.get else _by_move)(config, archive, peer, title) as pacs:
        pull = Pull(archive, pacs, request=request, pace=pace)
        if args.dry_run:
            return _show(pull, wishes)
        if not args.get:
            _demand_node(config)
        how = {"by": _kind(args), "to": title, "project": args.project, "service": "C-GET" if args.get else "C-MOVE"}
        with _audited(archive, pull, peer.name, how):
            _pull(pull, wishes, config, title)
    return SOME_REFUSED if pull.tally.failures else OK


def _by_move(config: Config, _archive: Archive, peer: Peer, title: str) -> Pacs:
    node = config.node
    return ByMove(peer, node.ae_title, to=title, answer_seconds=node.answer_seconds, credentials=credentials_of(config))


def _by_get(config: Config, archive: Archive, peer: Peer, title: str) -> Pacs:
    return ByGet(
        peer,
        config.node.ae_title,
        to=title,
        archive=archive,
        plan_for=Router(config).plan,
        limits=limits_of(config.node),
        credentials=credentials_of(config),
    )


def _pull(pull: Pull, wishes: list[Wish], config: Config, title: str) -> None:
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        finding = progress.add_task("finding", total=len(wishes))
        studies: list[Study] = []
        for found in pull.find(wishes):
            studies += found
            progress.advance(finding)
        moving = progress.add_task("moving", total=len(studies))
        try:
            for study in studies:
                pull.move(study, lambda instances: _tell(progress, moving, instances))
                progress.update(moving, advance=1, description="moving")
        except UnknownHere as error:
            raise UnknownHere(
                f"{error}: on the PACS, add the destination {title} with the address of this machine and port"
                f" {config.node.port}"
            ) from error


def _show(pull: Pull, wishes: list[Wish]) -> int:
    """What would be moved, on the output alone, so that it can be made a list."""
    for found in pull.find(wishes):
        for study in found:
            print(study.uid)
    _summarize(pull, "would not be moved", sys.stderr)
    return SOME_REFUSED if pull.tally.failures else OK


def _summarize(pull: Pull, not_moved: str, file: TextIO) -> None:
    for failure in pull.tally.failures:
        print(f"{not_moved}: {failure}", file=file)
    counts = pull.tally.counts()
    before = f" ({counts['pulled_before']} of them pulled before)" if counts["pulled_before"] else ""
    moved = f"{counts['moved']} moved, {counts['instances']} instances"
    print(f"{counts['found']} found{before}, {moved}, {counts['failed']} failed", file=file)


def _tell(progress: Progress, moving: TaskID, instances: int) -> None:
    progress.update(moving, description=f"moving ({instances} instances of this study)")


@contextmanager
def _audited(archive: Archive, pull: Pull, peer: str, how: Mapping[str, str]) -> Iterator[None]:
    """Who pulls is in the audit trail before the first study is asked for, what came of it however it ends."""
    archive.record_pull(ACTOR, "pull-began", peer, how)
    try:
        yield
    finally:
        archive.record_pull(ACTOR, "pulled", peer, {**how, **pull.tally.counts()})
        _summarize(pull, "not moved", sys.stdout)


def _wishes(args: argparse.Namespace) -> list[Wish]:
    if args.study:
        return studies_wished(args.study)
    return query_wished(args.query) if args.query else listed(args.list)


def _request(args: argparse.Namespace, title: str) -> str:
    """What makes two runs the same request: a list is known by its place, so that it may grow."""
    what = str(args.list.resolve()) if args.list else sorted(args.study or args.query)
    return json.dumps([title, _kind(args), what])


def _kind(args: argparse.Namespace) -> str:
    return "study" if args.study else "query" if args.query else "list"


def _demand_node(config: Config) -> None:
    """Raises UserError where this node does not listen, for what the peer sends would come to nobody."""
    try:
        socket.create_connection((config.node.host, config.node.port), timeout=10).close()
    except OSError:
        raise UserError(
            f"nothing listens at {config.node.host}:{config.node.port}: start this node first (lethe serve)"
        ) from None
