"""Makes a film of pictures: an MP4 file that browsers play, by ffmpeg where it is installed, which is given pixels
alone and ended when it takes too long."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from PIL.Image import Image

from lethe.storage.errors import Unavailable

from .accept import NotAcceptable

MP4 = "video/mp4"
_SECONDS = 300.0
_PATIENCE = 30.0
_AT_A_TIME = threading.BoundedSemaphore(2)
_QUIET = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "quiet", "-y", "-protocol_whitelist", "file,pipe"]
_PLAYABLE = [
    *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast"),
    *("-crf", "18", "-threads", "2", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"),
    *("-movflags", "+faststart", "-f", "mp4"),
]


def is_possible() -> bool:
    """Whether ffmpeg is installed."""
    return shutil.which("ffmpeg") is not None


def filmed(images: Iterable[Image], size: tuple[int, int], milliseconds: int, folder: Path) -> BinaryIO:
    """The pictures, all of that size, as an MP4 file, which is gone once it is closed. Raises NotAcceptable, and
    Unavailable where others are being made."""
    if not _AT_A_TIME.acquire(timeout=_PATIENCE):
        raise Unavailable("other films are being made")
    try:
        return _made(images, size, milliseconds, folder)
    finally:
        _AT_A_TIME.release()


def _made(images: Iterable[Image], size: tuple[int, int], milliseconds: int, folder: Path) -> BinaryIO:
    descriptor, name = mkstemp(dir=folder, suffix=".mp4")
    film: BinaryIO = os.fdopen(descriptor, "rb")
    try:
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"1000/{milliseconds}"]
        _fed([*_QUIET, *source, "-i", "pipe:0", *_PLAYABLE, f"file:{name}"], images, folder)
    except BaseException:
        film.close()
        raise
    finally:
        Path(name).unlink()
    return film


def _fed(command: list[str], images: Iterable[Image], folder: Path) -> None:
    nothing = subprocess.DEVNULL
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, env=environment, start_new_session=True
    ) as process:
        assert process.stdin is not None
        limit = threading.Timer(_SECONDS, process.kill)
        limit.start()
        try:
            with suppress(BrokenPipeError):  # its status tells
                for image in images:
                    process.stdin.write(image.convert("RGB").tobytes())
            with suppress(BrokenPipeError):
                process.stdin.close()
            status = process.wait()
        finally:
            process.kill()
            limit.cancel()
            with suppress(OSError):
                process.stdin.close()
    if status:
        raise NotAcceptable("the frames cannot be made into a film here")
