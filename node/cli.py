"""The command `lethe`: reads its arguments, runs one command, says in one line what went wrong."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module

from lethe.storage.errors import StorageError

from .arguments import parser
from .commands.exits import FAILED, PIPE, USAGE
from .errors import ConfigError, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    reader = parser()
    args = reader.parse_args(arguments)
    if args.command is None:
        reader.print_help()
        return USAGE
    warnings.simplefilter("ignore")
    logging.lastResort = None
    try:
        return int(command(args.run)(args))
    except (ConfigError, UserError, StorageError) as error:
        print(f"lethe: {error}", file=sys.stderr)
        return USAGE if isinstance(error, ConfigError | UserError) else FAILED
    except BrokenPipeError:  # who reads what we print has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except OSError as error:
        print(f"lethe: {error.filename or args.command}: {error.strerror}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


def command(name: str) -> Callable[..., int]:
    """The function that `arguments.py` names; its module, and what that needs, is loaded only now."""
    module, _, function = name.partition(".")
    run: Callable[..., int] = getattr(import_module(f".commands.{module}", __package__), function)
    return run
