"""Shows the node."""

from __future__ import annotations

import argparse

from ..demo import demo


def run(args: argparse.Namespace) -> int:
    return demo(stay=not args.once)
