"""Runs the node."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..arguments import DEFAULT_CONFIG
from ..serve import serve
from .context import config_of


def run(args: argparse.Namespace) -> int:
    return serve(config_of(args), Path(args.config or DEFAULT_CONFIG))
