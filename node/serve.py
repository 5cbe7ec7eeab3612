"""Runs all parts as processes of their own, restarts one that dies, and drains them on SIGTERM."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

from .choices import ProfileName
from .config import Config
from .logs import start_logging
from .parts import LIFELINE_VARIABLE, open_archive, stop_signals
from .projects import projects_of

log = logging.getLogger("lethe.serve")

_PATIENCE = 45.0
_LONGEST_PAUSE = 30.0
_STEADY = 10.0
_NO_ROOM = 5.0
_SET_BACK = 60.0
_LOOK_EVERY = 5.0
_LONGEST_DELAY = 660.0
"""Longer than a job is put off; of what else is put off it is no harm to try it again."""
_PORT_PATIENCE = 45.0
"""Longer than the parts of a node that was killed take to end (`parts.py`): one can start again right after it."""


@dataclass
class Part:
    """One supervised process."""

    command: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0
    failures: int = field(default=0)


class Supervisor:
    """Keeps the parts of one configuration running."""

    def __init__(
        self, config: Config, config_file: Path, archive: Archive, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config_file = config_file
        self._archive = archive
        self._clock = clock
        self._ahead = self._ahead_of_uptime()
        self._look_at = 0.0
        self._read_end, self._write_end = os.pipe()
        commands = [*["receive"] * config.node.receivers, *["worker"] * config.node.workers, "deliver", "web"]
        commands += ["events"] if config.http.events_port else []
        self.parts = [Part(command) for command in commands]

    def watch(self) -> None:
        """Start what should run and does not; note what died. To be called again and again."""
        now = time.monotonic()
        self._mind_the_clock()
        self._mind_the_dead(now)
        for part in self.parts:
            if part.process is not None and part.process.poll() is not None:
                self._bury(part, now)
            if part.process is None and now >= part.start_at:
                self._start(part, now)

    def stop(self) -> None:
        """Tell all parts to end, wait for them, then end those that did not."""
        running = [part for part in self.parts if part.process is not None]
        for part in running:
            self._process(part).send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        for part in running:
            try:
                self._process(part).wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("%s does not end and is killed", part.command)
                self._process(part).kill()
                self._process(part).wait()
        os.close(self._write_end)
        os.close(self._read_end)

    def _start(self, part: Part, now: float) -> None:
        environment = os.environ | {LIFELINE_VARIABLE: str(self._read_end)}
        command = [sys.executable, "-m", "lethe.node", part.command, "--config", str(self._config_file)]
        try:
            part.process = subprocess.Popen(
                command, env=environment, pass_fds=(self._read_end,), stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:  # no memory, or no process or descriptor left: the others go on
            part.start_at = now + _NO_ROOM
            log.error("%s cannot be started now (%s); trying again in %.0f s", part.command, error.strerror, _NO_ROOM)
        part.started = now

    def _bury(self, part: Part, now: float) -> None:
        """Plan the restart of a dead part: soon, later if it dies again and again."""
        process = self._process(part)
        part.failures = part.failures + 1 if now - part.started < _STEADY else 1
        pause = 0.0 if part.failures < 3 else min(_LONGEST_PAUSE, 2.0 ** (part.failures - 3))
        log.warning("%s ended (%s); starting again in %.0f s", part.command, _how(process.returncode), pause)
        part.process, part.start_at = None, now + pause
        self._look_at = now

    def _mind_the_dead(self, now: float) -> None:
        """Let go what parts had leased that are gone: ours, and now and then those of a run before, which may take a
        while to end."""
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        try:
            self._archive.free_abandoned()
        except Unavailable:
            log.warning("what dead parts had leased cannot be let go now; trying again in %.0f s", _LOOK_EVERY)

    def _mind_the_clock(self) -> None:
        """When the clock is set back, what was put off by the wrong one would wait until it is that late again."""
        ahead = self._ahead_of_uptime()
        if self._ahead - ahead > _SET_BACK:
            log.warning(
                "the clock was set back by %.0f s; what waits for longer than usual is tried now", self._ahead - ahead
            )
            try:
                self._archive.forget_the_future(ahead=_LONGEST_DELAY)
            except Unavailable:
                return  # once more, in a moment
        self._ahead = ahead

    def _ahead_of_uptime(self) -> float:
        return self._clock() - time.monotonic()

    def _process(self, part: Part) -> subprocess.Popen[bytes]:
        assert part.process is not None
        return part.process


def serve(config: Config, config_file: Path) -> int:
    """Run everything until SIGTERM or Ctrl-C."""
    start_logging("serve", config.node.log_level)
    stopping = stop_signals()
    archive = open_archive(config)
    projects_of(config, archive.files, archive.crosswalk)  # makes the keys of those that are new
    for project in config.projects:
        if project.profile == ProfileName.NONE:
            log.warning("project %s passes objects through unchanged", project.name)
    for host, port, key in (
        (config.node.host, config.node.port, "[node] port"),
        (config.node.host, config.node.tls_port, "[node] tls_port"),
        (config.http.host, config.http.port, "[http] port"),
    ):
        if port:
            _await_port(host, port, key, stopping)
    supervisor = Supervisor(config, config_file, archive)
    while not stopping.is_set():
        supervisor.watch()
        stopping.wait(0.2)
    log.info("stopping")
    supervisor.stop()
    return 0


def _await_port(host: str, port: int, key: str, stopping: threading.Event) -> None:
    """Wait a little, unless told to stop, for a port that the parts of an earlier run may still hold. Raises
    Unavailable."""
    deadline, said = time.monotonic() + _PORT_PATIENCE, False
    while True:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise Unavailable(f"cannot listen at {host}:{port} ({key}): {error.strerror}") from None
        if not said:
            log.warning("%s:%d (%s) is in use; waiting up to %d s for it", host, port, key, _PORT_PATIENCE)
        said = True
        if stopping.wait(0.5):
            return


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
