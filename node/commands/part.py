"""Runs one part of the node alone."""

from __future__ import annotations

import argparse

from ..parts import PARTS
from .context import config_of


def run(args: argparse.Namespace) -> int:
    return PARTS[args.command](config_of(args))
