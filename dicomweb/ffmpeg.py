"""Runs ffmpeg, where it is installed: it is given pixels or a stream and nothing else, learns nothing of its
surroundings, and is ended when it takes too long."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from lethe.storage.errors import Unavailable

from .accept import NotAcceptable

_SECONDS = 300.0
_PATIENCE = 30.0
_AT_A_TIME = threading.BoundedSemaphore(2)
_QUIET = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "quiet", "-y", "-protocol_whitelist", "file,pipe,subfile"]
_NAMELESS = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]


class Failed(NotAcceptable):
    """It can make nothing of what it was given."""


def is_possible() -> bool:
    """Whether ffmpeg is installed."""
    return shutil.which("ffmpeg") is not None


def made(
    source: Sequence[str], wanted: Sequence[str], folder: Path, *, fed: Iterable[bytes] = (), lent: Sequence[int] = ()
) -> BinaryIO:
    """The file that ffmpeg makes of `source`, what it reads, as `wanted` says; it is gone once it is closed. `fed` is
    what comes by pipe:0, `lent` are descriptors that it reads. Raises Failed, and Unavailable where others are
    being made."""
    if not _AT_A_TIME.acquire(timeout=_PATIENCE):
        raise Unavailable("other films are being made")
    try:
        return _made(source, wanted, folder, fed, lent)
    finally:
        _AT_A_TIME.release()


def _made(
    source: Sequence[str], wanted: Sequence[str], folder: Path, fed: Iterable[bytes], lent: Sequence[int]
) -> BinaryIO:
    descriptor, name = mkstemp(dir=folder, suffix=".ffmpeg")
    result: BinaryIO = os.fdopen(descriptor, "rb")
    try:
        _run([*_QUIET, *source, *_NAMELESS, *wanted, f"file:{name}"], folder, fed, lent)
    except BaseException:
        result.close()
        raise
    finally:
        Path(name).unlink()
    return result


def _run(command: Sequence[str], folder: Path, fed: Iterable[bytes], lent: Sequence[int]) -> None:
    nothing = subprocess.DEVNULL
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=nothing,
        stderr=nothing,
        env=environment,
        pass_fds=lent,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        limit = threading.Timer(_SECONDS, process.kill)
        limit.start()
        try:
            with suppress(BrokenPipeError):  # its status tells
                for piece in fed:
                    process.stdin.write(piece)
            with suppress(BrokenPipeError):
                process.stdin.close()
            status = process.wait()
        finally:
            process.kill()
            limit.cancel()
            with suppress(OSError):
                process.stdin.close()
    if status:
        raise Failed("ffmpeg can make nothing of it here")
