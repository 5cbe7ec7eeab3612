"""Checks the configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..arguments import DEFAULT_CONFIG
from ..config_file import load_config
from .exits import OK


def check(args: argparse.Namespace) -> int:
    config = load_config(Path(args.config or DEFAULT_CONFIG))
    print(f"{args.config or DEFAULT_CONFIG}: good; {len(config.peers)} peers, {len(config.projects)} projects")
    return OK
