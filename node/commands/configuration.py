"""Checks the configuration, and the certificates it names."""

from __future__ import annotations

import argparse
import sys
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
    print(f"{args.config or DEFAULT_CONFIG}: good; {len(config.peers)} peers, {len(config.projects)} projects")
    return OK


def _check_certificates(config: Config) -> None:
    """Print what soon will not work. Raises CertificateError."""
    from ..dimse.credentials import credentials_of

    credentials = credentials_of(config)
    if credentials is not None:
        credentials.check()
        for warning in credentials.warnings(datetime.now(UTC)):
            print(f"warning: {warning}", file=sys.stderr)
