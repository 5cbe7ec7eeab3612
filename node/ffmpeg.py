"""Runs ffmpeg on one film, in bounds: it reads one file, writes one file or a pipe, opens no other and no connection,
learns nothing of its surroundings, and is ended when it stands still. What it prints is dropped.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from .burned.film import Family, Film
from .burned.planes import frame_bytes
from .deid.errors import CannotClean
from .filmcodecs import DEMUXERS, encoder, uncut, unwrapped, wrapped

_MEMORY = 6 << 30
"""Of addresses; an encoder reserves more than it uses."""
_SOUND = "aac,ac3,mp2,mp2float,mp3,mp3float,pcm_bluray,pcm_dvd,pcm_s16be,pcm_s16le"
"""The decoders of what a film may also hold (PS3.5 8.2.5 to 8.2.8), which ffprobe opens to say what it is."""
_MOST_TOLD, _ROOM = 1 << 20, 1 << 20
_STOOD_STILL = "video: ffmpeg stood still for too long, and was ended"
_UNDECODED, _UNENCODED = "a frame of its film could not be decoded", "its frames could not be encoded"
_PIXELS = ("yuv420p", "yuvj420p", "yuv420p10le")
_FIELDS = {"tt": "tff", "bt": "tff", "bb": "bff", "tb": "bff"}
_SQUARE = ("1:1", "0:1", "N/A", "")
_CODED_MORE = 16
"""Rows or columns that are coded and not shown, up to a whole block; of fields, rows of two."""
_COLOURS = {"color_range": "range", "color_space": "space", "color_transfer": "trc", "color_primaries": "primaries"}
_COLOURS_SAID = {"range": "-color_range", "space": "-colorspace", "trc": "-color_trc", "primaries": "-color_primaries"}


def is_installed() -> bool:
    """Whether both programs are there."""
    return all(shutil.which(program) for program in ("ffmpeg", "ffprobe"))


@dataclass(frozen=True)
class Ffmpeg:
    """The installed one; `spool` gives the folder in which to work, `seconds` is how long it may stand still."""

    spool: Callable[[], Path]
    seconds: int = 300

    @cached_property
    def edition(self) -> str:
        """Program and version."""
        with self.workshop() as folder:
            told = _told(["ffmpeg", "-version"], folder, self.seconds)
        return " ".join(word for word in told.decode("ascii", "replace").split()[:3] if word != "version")

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A folder that is gone afterwards. Raises OSError, and no CannotClean, where there is no room for what is made
        in it: of the film that says nothing."""
        with TemporaryDirectory(dir=self.spool(), prefix="film-") as folder:
            try:
                yield Path(folder)
            except CannotClean:
                if shutil.disk_usage(folder).free < _ROOM:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
                raise

    def probed(self, path: Path, container: str, family: Family) -> Film:
        """What is in a file. Raises CannotClean for what is no film of that family, or not one that can be encoded."""
        try:
            told = self._streams(path, container, family.codec)
            film = _film(told, path, container, family)
            return replace(film, beside=True) if family.codec == "h264" and self._cuts(film) else film
        except (ValueError, KeyError, TypeError, ZeroDivisionError, AttributeError):
            raise CannotClean("video: ffprobe can make nothing of its film") from None

    def _streams(self, path: Path, container: str, codec: str) -> dict[str, Any]:
        asked = ["-count_packets", "-show_streams", "-show_format", "-print_format", "json"]
        command = ["ffprobe", "-v", "quiet", *_input(container, codec, path), *asked]
        told: dict[str, Any] = json.loads(_told(command, path.parent, self.seconds))
        return told

    def _cuts(self, film: Film) -> bool:
        """Whether H.264 holds more of its frames than is shown, or may. ffprobe says the coded size of HEVC alone; of
        H.264 it says what is left of that."""
        whole, rows = film.path.with_name("uncut"), _CODED_MORE * (2 if film.first_field else 1)
        try:
            self._copied(_input(film.container, film.codec, film.path), uncut(), whole)
        except CannotClean:
            return True
        one = self._streams(whole, "mp4", film.codec)["streams"][0]
        whole.unlink()
        return int(one["width"]) - film.columns >= _CODED_MORE or int(one["height"]) - film.rows >= rows

    def frames(self, film: Film, pixels: str) -> Iterator[bytes]:
        """Its frames, one after the other. Raises CannotClean where one cannot be decoded exactly."""
        yield from self._decoded(film, pixels, [])

    def frame(self, film: Film, number: int) -> bytes:
        """The frame of that number, counted from 0, as RGB. Raises CannotClean."""
        for data in self._decoded(film, "rgb24", ["-vf", f"select=eq(n\\,{number})", "-frames:v", "1"]):
            return data
        raise CannotClean(f"video: {_UNDECODED}")

    def _decoded(self, film: Film, pixels: str, chosen: Sequence[str]) -> Iterator[bytes]:
        size = film.rows * film.columns * 3 if pixels == "rgb24" else frame_bytes(film)
        strict = ["-err_detect", "explode", "-xerror"]
        command = [*_FFMPEG, *strict, *_input(film.container, film.codec, film.path, "-noautorotate", "-threads", "2")]
        command += ["-map", "0:v:0", *chosen, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", pixels]
        command += ["-autoscale", "0", "pipe:1"]  # made smaller, a frame of another size hides its words
        with _running(command, film.path.parent, self.seconds, stdout=subprocess.PIPE) as run:
            while data := run.read(size):
                if len(data) < size:
                    raise run.failure(_UNDECODED)
                yield data
            run.end(_UNDECODED)

    def encoded(self, film: Film, frames: Iterable[bytes], target: Path, syntax: str) -> str:
        """Make a film like that one of other frames. Raises CannotClean."""
        shape = ["-video_size", f"{film.columns}x{film.rows}", "-framerate", film.rate]
        source = ["-f", "rawvideo", "-pix_fmt", film.pixels, *shape, "-i", "pipe:0"]
        made = encoder(film, syntax)
        command = [*_FFMPEG, "-protocol_whitelist", "file,pipe", *source, *made, *wrapped(film), f"file:{target}"]
        with _running(command, target.parent, self.seconds, stdin=subprocess.PIPE) as run:
            for data in frames:
                try:
                    run.write(data)
                except BrokenPipeError:
                    raise run.failure(_UNENCODED) from None
            run.end(_UNENCODED)
        return made[1]

    def copied(self, film: Film, target: Path) -> str:
        """Make a film of the same code. Raises CannotClean."""
        if film.container == "mp4":
            between = target.with_name("between")
            self._copied(_input("mp4", film.codec, film.path), unwrapped(film), between)
            self._copied(_input("mpegts", film.codec, between), wrapped(film), target)
        else:
            self._copied(_input(film.container, film.codec, film.path), wrapped(film), target)
        return "none: the same code, wrapped anew"

    def _copied(self, source: Sequence[str], form: Sequence[str], target: Path) -> None:
        command = [*_FFMPEG, *source, "-map", "0:v:0", "-c:v", "copy", *form, f"file:{target}"]
        with _running(command, target.parent, self.seconds) as run:
            run.end("its film could not be wrapped anew")


_FFMPEG = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "quiet", "-y"]


def _input(container: str, codec: str, path: Path, *more: str) -> list[str]:
    """A file that is read as what it is said to be, whatever else it claims, and that may name no other."""
    inside = ["-ignore_editlist", "1"] if container == "mp4" else []
    allowed = ["-protocol_whitelist", "file", "-codec_whitelist", f"{codec},{_SOUND}"]
    return [*allowed, "-f", DEMUXERS[container], *inside, *more, "-i", f"file:{path}"]


def _film(told: dict[str, Any], path: Path, container: str, family: Family) -> Film:
    streams = told["streams"]
    pictures = [one for one in streams if one.get("codec_type") == "video"]
    if len(pictures) != 1 or pictures[0].get("codec_name") != family.codec:
        raise CannotClean("video: its pixel data are not one film, coded as its transfer syntax (0002,0010) says")
    (one,) = pictures
    if one["pix_fmt"] not in _PIXELS:
        raise CannotClean("video: its samples are none that DICOM's films have")
    rate, aspect = _rate(one), one.get("sample_aspect_ratio", "")
    colours = [
        (_COLOURS_SAID[name], one[key]) for key, name in _COLOURS.items() if one.get(key, "unknown") != "unknown"
    ]
    cut = [int(one.get(f"coded_{side}", 0)) - int(one[side]) >= _CODED_MORE for side in ("width", "height")]
    return Film(
        path=path,
        container=container,
        codec=family.codec,
        rows=int(one["height"]),
        columns=int(one["width"]),
        rate=f"{rate.numerator}/{rate.denominator}",
        pixels=one["pix_fmt"],
        packets=int(one["nb_read_packets"]),
        beside=len(streams) > 1
        or any(cut)
        or any(map(_is_telling, one.get("side_data_list", [])))
        or bool(told.get("chapters")),
        colours=tuple(word for pair in colours for word in pair),
        first_field=_FIELDS.get(one.get("field_order", ""), ""),
        aspect="" if aspect in _SQUARE else aspect.replace(":", "/"),
    )


def _is_telling(side: dict[str, Any]) -> bool:
    """Whether what lies beside a film is more than the size of a buffer."""
    return side.get("side_data_type") != "CPB properties"


def _rate(stream: dict[str, Any]) -> Fraction:
    """Frames a second. Raises CannotClean where they do not come evenly."""
    usual, base = Fraction(stream["r_frame_rate"]), stream.get("avg_frame_rate", "0/0")
    mean = usual if base.startswith("0/") or base.endswith("/0") else Fraction(base)
    if not any(abs(mean / one - 1) < Fraction(1, 50) for one in (usual, usual / 2)):
        raise CannotClean("video: the frames of its film do not come evenly")
    return (usual if abs(mean / usual - 1) < Fraction(1, 50) else usual / 2).limit_denominator(100_000)


@dataclass
class _Run:
    """A process, of which nothing is waited for longer than so many seconds."""

    process: subprocess.Popen[bytes]
    seconds: int

    def read(self, size: int) -> bytes:
        """So many bytes of what it says; fewer where it has ended."""
        assert self.process.stdout is not None
        pipe, data = self.process.stdout.fileno(), bytearray()
        while len(data) < size:
            if not self._is_ready(pipe, select.POLLIN):
                raise CannotClean(_STOOD_STILL)
            piece = os.read(pipe, size - len(data))
            if not piece:
                break
            data += piece
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Say all of it. Raises BrokenPipeError where it has ended."""
        assert self.process.stdin is not None
        pipe, left = self.process.stdin.fileno(), memoryview(data)
        os.set_blocking(pipe, False)  # or a write would wait for ever
        while left:
            if not self._is_ready(pipe, select.POLLOUT):
                raise CannotClean(_STOOD_STILL)
            with suppress(BlockingIOError):
                left = left[os.write(pipe, left) :]

    def _is_ready(self, pipe: int, event: int) -> bool:
        poll = select.poll()  # select() knows no descriptors above 1023
        poll.register(pipe, event)
        return bool(poll.poll(self.seconds * 1000))

    def end(self, what: str) -> None:
        """Wait until it has ended well. Raises CannotClean, ChildProcessError."""
        _close(self.process.stdin)
        if self._ended():
            raise self.failure(what)

    def failure(self, what: str) -> Exception:
        """What is to be raised where it does not do what it should: of the film it says nothing if somebody killed it,
        such as a system without memory."""
        if self._ended() == -signal.SIGKILL:
            return ChildProcessError(errno.ECHILD, "ffmpeg was killed")
        return CannotClean(f"video: {what}")

    def _ended(self) -> int:
        try:
            return self.process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            raise CannotClean(_STOOD_STILL) from None


@contextmanager
def _running(
    command: Sequence[str], folder: Path, seconds: int, *, stdin: int | None = None, stdout: int | None = None
) -> Iterator[_Run]:
    nowhere = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LANG": "C.UTF-8"},
            stdin=nowhere if stdin is None else stdin,
            stdout=nowhere if stdout is None else stdout,
            stderr=nowhere,
            start_new_session=True,
        )
    except OSError as error:
        raise CannotClean(f"video: {command[0]} could not be started ({error.strerror})") from None
    with suppress(OSError):  # it may have ended already
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))  # it would hold frames
    try:
        yield _Run(process, seconds)
    finally:
        _kill(process)
        _close(process.stdin)
        _close(process.stdout)


def _told(command: Sequence[str], folder: Path, seconds: int) -> bytes:
    """What a program says. Raises CannotClean."""
    with _running(command, folder, seconds, stdout=subprocess.PIPE) as run:
        told = run.read(_MOST_TOLD)
        run.end(f"{command[0]} can make nothing of its film")
    return told


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process with all it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe:
        with suppress(OSError):
            pipe.close()
