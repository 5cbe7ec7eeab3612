"""Serves the web side with granian: its Rust side reads requests, writes answers and waits for slow clients without a
thread of Python's; a thread is given only to a request whose head has arrived whole.

The processes that answer are started anew when they die, and end with the one that started them.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial

from flask import Flask
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from .config import Config
from .logs import start_logging
from .parts import open_archive
from .site import build_app

_THREADS = 48
"""Requests that one process answers at a time: an upload or a download that takes long holds one each."""
_BACKLOG = 1024
_LONGEST_HEAD = 30_000
"""Milliseconds that a client may take to send the head of a request."""
_DRAIN = 30
_WATCH = 0.2
_PR_SET_PDEATHSIG = 1


def serve_web(config: Config, ready: Callable[[], object]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called when the port is ours. Raises OSError where it is not."""
    server = Granian(
        "lethe",
        address=config.http.host,
        port=config.http.port,
        interface=Interfaces.WSGI,
        workers=config.http.workers,
        blocking_threads=_THREADS,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_LONGEST_HEAD),
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=_DRAIN,
    )
    server.on_startup(ready)
    server.serve(target_loader=partial(_application, config, os.getpid()), wrap_loader=False)


def _application(config: Config, parent: int) -> Flask:
    """The app, in a process of its own."""
    start_logging("web", config.node.log_level)
    _die_with_parent()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    archive = open_archive(config)
    tempfile.tempdir = str(archive.files.incoming())  # what is sent waits there, and is swept if we die
    app = build_app(config, archive)
    gc.collect()
    gc.freeze()  # what is loaded stays: to look through it for garbage now and then takes 70 ms from some request
    return app


def _die_with_parent() -> None:
    """Have the kernel kill us with the process that started us, where it can: a left-over answers nobody then."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except AttributeError:  # not Linux: `_end_with` comes a little later
        return


def _end_with(parent: int) -> None:
    """End with the process that started us, however it went, and before its successor takes up its work and port."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    os._exit(1)
