"""Checks the configuration, and what it names: certificates, sources, hosts."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..arguments import DEFAULT_CONFIG
from ..config import Config
from ..config_file import load_config
from .exits import OK


def check(args: argparse.Namespace) -> int:
    config = load_config(Path(args.config or DEFAULT_CONFIG))
    if config.node.tls_certificate:
        _check_certificates(config)
    for warning in (*_absent(config), *_mistakable(config)):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{args.config or DEFAULT_CONFIG}: good; {len(config.peers)} peers, {len(config.projects)} projects")
    return OK


def _absent(config: Config) -> Iterator[str]:
    """What is not there now, and may be later: a share that is not mounted, a name server that is away."""
    folder, table = (config.folder / name if name else None for name in (config.worklist.folder, config.worklist.table))
    if folder and not folder.is_dir():
        yield f"[worklist]: folder {folder} is not there; worklist queries fail (0xC000) until it is"
    if table and not table.is_file():
        yield f"[worklist]: table {table} is not there; worklist queries fail (0xC000) until it is"
    for peer in config.peers:
        try:
            socket.getaddrinfo(peer.host, peer.port)
        except OSError:
            yield f"[[peers]] {peer.name}: host {peer.host} has no network address now; it cannot come in or be sent to"


def _mistakable(config: Config) -> Iterator[str]:
    """AE titles by which a C-MOVE cannot say which of several peers it means."""
    for title in dict.fromkeys(peer.ae_title for peer in config.peers):
        names = [peer.name for peer in config.peers if peer.ae_title == title]
        if names[1:]:
            yield (
                f"[[peers]]: {', '.join(names)} have one AE title, {title}; a C-MOVE to it goes to the one that asks, "
                f"and to {names[0]} where another peer does"
            )


def _check_certificates(config: Config) -> None:
    """Print what soon will not work. Raises CertificateError."""
    from ..dimse.credentials import credentials_of

    credentials = credentials_of(config)
    if credentials is not None:
        credentials.check()
        for warning in credentials.warnings(datetime.now(UTC)):
            print(f"warning: {warning}", file=sys.stderr)
