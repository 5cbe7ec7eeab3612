"""Talks to a peer."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from lethe.storage.aetitles import ae_title
from lethe.storage.errors import StorageError, Unavailable

from ..config import Config, Peer
from ..dimse.credentials import credentials_of
from ..dimse.fitting import Context
from ..dimse.scu import Destination, context_of, destination_of, is_stored
from ..errors import UserError
from .context import config_of
from .exits import FAILED, OK
from .told import files_told

_LAST_PORT = 65_535


def send(args: argparse.Namespace) -> int:
    config = config_of(args)
    paths, failed = files_told(args.path), 0
    with destination_of(config, peer_told(config, args.to), credentials_of(config)) as destination:
        contexts = {path: context for path in paths if (context := context_of(path)) is not None}
        for path in paths:
            problem = _problem(destination, path, contexts.get(path), contexts.values())
            if problem:
                failed += 1
                print(f"not sent: {path}: {problem}")
    print(f"{len(paths) - failed} sent, {failed} not sent")
    return FAILED if failed else OK


def _problem(destination: Destination, path: Path, context: Context | None, likely: Collection[Context]) -> str:
    """Why the peer does not have this file now; "" where it does. Raises Unavailable where it can get no other."""
    if context is None:
        return "names no SOP Class and transfer syntax"
    destination.open([context], likely=likely)
    try:
        status = destination.send(path, context)
    except Unavailable:
        raise
    except StorageError as error:
        return str(error)
    return "" if is_stored(status) else f"0x{status:04X}"


def echo(args: argparse.Namespace) -> int:
    config = config_of(args)
    status = destination_of(config, peer_told(config, args.peer), credentials_of(config)).echo()
    print(f"{args.peer} answers 0x{status:04X}")
    return OK if status == 0 else FAILED


def peer_told(config: Config, name: str) -> Peer:
    """A configured peer by name, or one spelt out as AETITLE@host:port. Raises UserError."""
    peer = config.peer(name)
    if peer is None and "@" in name:
        return _spelt_out(name)
    if peer is None:
        known = ", ".join(peer.name for peer in config.peers) or "none"
        raise UserError(f"there is no peer {name!r}; configured: {known}; or spell it out: AETITLE@host:port")
    return peer


def _spelt_out(name: str) -> Peer:
    title, _, address = name.rpartition("@")
    host, _, port = address.rpartition(":")
    known, host = ae_title(title), host.removeprefix("[").removesuffix("]")
    if not known:
        raise UserError(f"{title!r} is no AE title: 1 to 16 characters without backslash")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= _LAST_PORT:
        raise UserError(f"{address!r} is no address: host:port, with a port from 1 to {_LAST_PORT}")
    return Peer(name=known, ae_title=known, host=host, port=int(port))
