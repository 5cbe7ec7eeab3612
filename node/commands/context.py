"""Tells a command what it works on: configuration, project, who is acting."""

from __future__ import annotations

import argparse
from pathlib import Path

from lethe.storage.audit import Actor

from ..arguments import DEFAULT_CONFIG
from ..config import Config
from ..config_file import load_config
from ..errors import UserError

ACTOR = Actor("command line")


def config_of(args: argparse.Namespace) -> Config:
    """The configuration; its file may be absent where none was named, and then the defaults hold."""
    return load_config(Path(args.config or DEFAULT_CONFIG), must_exist=args.config is not None)


def demand_project(config: Config, name: str) -> None:
    """Raises UserError where there is no such project."""
    if config.project(name) is None:
        names = ", ".join(project.name for project in config.projects)
        raise UserError(f"there is no project {name!r}; there are: {names}")
