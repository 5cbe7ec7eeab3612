"""Says what a film is, as an object holds it (PS3.5 8.2.5 to 8.2.8), and what a program has to do that takes it apart
into frames and makes one of frames. Who has none refuses films."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lethe.node.deid.errors import CannotClean

NO_TOOL = "video: its frames can be cleaned where ffmpeg is installed (Debian: apt-get install ffmpeg), and it is not"
_SYNTAX = "1.2.840.10008.1.2.4."
_PACKET = 188


@dataclass(frozen=True)
class Family:
    """What films of one transfer syntax have in common: the codec, and how Lossy Image Compression Method (0028,2114)
    calls it (PS3.3 C.7.6.1.1.5.1)."""

    codec: str
    method: str


_MPEG2, _AVC, _HEVC = Family("mpeg2video", "ISO_13818_1"), Family("h264", "ISO_14496_10"), Family("hevc", "ISO_23008_2")
_FAMILIES = {
    **dict.fromkeys(("100", "101"), _MPEG2),
    **dict.fromkeys(("102", "103", "104"), _AVC),
    **dict.fromkeys(("107", "108"), _HEVC),
}


@dataclass(frozen=True)
class Film:
    """A film in a file. `rate` is frames a second as a fraction; `pixels` how a frame's samples lie, in the words of
    the program; `packets` how many pieces of code it has; `beside` whether it holds anything but one run of pictures as
    they are seen: sound, subtitles, what is cut off or turned. `colours` is how its values are meant, `first_field`
    "tff" or "bff" where it is interlaced, `aspect` that of a pixel which is no square."""

    path: Path
    container: str
    codec: str
    rows: int
    columns: int
    rate: str
    pixels: str
    packets: int
    beside: bool
    colours: tuple[str, ...] = ()
    first_field: str = ""
    aspect: str = ""

    @property
    def deep(self) -> bool:
        """Whether a sample has two bytes."""
        return self.pixels.endswith("10le")


class FilmTool(Protocol):
    """Takes films apart and makes them. All raise CannotClean where that does not work."""

    @property
    def edition(self) -> str:
        """Program and version, for the receipt."""

    def workshop(self) -> AbstractContextManager[Path]:
        """A folder that is gone afterwards."""

    def probed(self, path: Path, container: str, family: Family) -> Film:
        """What is in a file."""

    def frames(self, film: Film, pixels: str) -> Iterator[bytes]:
        """Its frames, one after the other, each as samples that lie so; none is kept."""

    def encoded(self, film: Film, frames: Iterable[bytes], target: Path, syntax: str) -> str:
        """Make a film like that one of other frames, whose samples lie as its own do. Says what the encoder is."""

    def copied(self, film: Film, target: Path) -> str:
        """Make a film of the same code, without all that is no picture. Says how."""


def family_of(syntax: str) -> Family:
    """The family of a transfer syntax, fragmentable or not. Raises CannotClean for what has two views or is no film."""
    number = syntax.removeprefix(_SYNTAX).removesuffix(".1")
    if number in ("105", "106"):
        raise CannotClean("video: 3D and stereo films hold what no frame shows, and cannot be cleaned")
    if number not in _FAMILIES:
        raise CannotClean("video: its frames cannot be cleaned")
    return _FAMILIES[number]


def is_fragmentable(syntax: str) -> bool:
    """Whether a film may be in several fragments."""
    return syntax.endswith(".1")


def container_of(start: bytes, family: Family) -> str:
    """What a film is wrapped in, by its first bytes. Raises CannotClean for what is none of those of PS3.5."""
    if start[4:8] == b"ftyp":
        return "mp4"
    if start[:1] == b"\x47" and start[_PACKET : _PACKET + 1] == b"\x47":
        return "mpegts"
    if start.startswith(b"\0\0\1\xba"):
        return "mpeg"
    if start.startswith(b"\0\0\1\xb3"):
        return "mpegvideo"
    if start.startswith((b"\0\0\1", b"\0\0\0\1")) and family is not _MPEG2:
        return family.codec
    raise CannotClean("video: its pixel data are no MP4, transport or program stream and no bare codestream")
