"""Takes the film out of an object, covers boxes in its frames and puts a new film in its place, in the same transfer
syntax: one made of nothing but frames that were looked at. Without boxes the same code is wrapped anew, without sound,
words and whatever else is no picture; where that is not certain it is encoded again.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from struct import pack
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from lethe.node.deid.elements import said
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import PixelSpan

from ..choices import Fill
from .box import Box
from .film import Family, Film, FilmTool, container_of, family_of, is_fragmentable
from .form import MOST_FRAME_BYTES, number_of
from .places import whole_stream
from .planes import covered, planes_of, same_picture

_TAG, _ITEM, _END = b"\xe0\x7f\x10\x00", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_PIECE, _LONGEST_FRAGMENT = 1 << 20, 1 << 30
_MOST_UNBROKEN = 0xFFFFFFFE
_MOST_FRAMES = 1 << 20
_NO_SIZE = "video: its Rows, Columns or Number of Frames (0028,0008) are missing, zero or too large"
_ANOTHER = "video: the film that was made, read again, is not what it should be"
LOSSY = ("113040", "Lossy Compression")
"""The code (CID 7203) of what is derived by lossy compression."""


@dataclass(frozen=True)
class Opened:
    """The film of an object, in a folder to work in. `digests` stand for its frames."""

    source: Part10
    family: Family
    film: Film
    folder: Path
    tool: FilmTool
    digests: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.digests)

    def made(self, boxes: Mapping[int, Sequence[Box]], fill: Fill) -> Made:
        """The film with boxes covered in its frames, counted from 0, read again and compared. Raises CannotClean."""
        kept = not boxes and self._can_be_copied()
        film, how = self._copied() if kept else self._encoded(boxes, fill)
        return Made(self, film, how, changed=len(self) if not kept else 0, kept=kept)

    def _can_be_copied(self) -> bool:
        """Not MPEG-2: its groups of pictures have a clock's time each. Not where something is coded that no frame
        shows."""
        film = self.film
        return film.codec != "mpeg2video" and not film.beside and film.packets == len(self)

    def _copied(self) -> tuple[Film, str]:
        target = self.folder / "copied"
        how = self.tool.copied(self.film, target)
        film = self._again(target)
        if film.packets != self.film.packets or tuple(_digests(self.tool, film)) != self.digests:
            raise CannotClean(_ANOTHER)
        return film, how

    def _encoded(self, boxes: Mapping[int, Sequence[Box]], fill: Fill) -> tuple[Film, str]:
        target = self.folder / "encoded"
        target.unlink(missing_ok=True)
        how = self.tool.encoded(self.film, self._covered(boxes, fill), target, str(self.source.transfer_syntax))
        film = self._again(target)
        found = self.tool.frames(film, film.pixels)
        for number, (expected, data) in enumerate(zip_longest(self._covered(boxes, fill), found)):
            same = expected is not None and data is not None
            if not same or not same_picture(planes_of(data, film), planes_of(expected, film), boxes.get(number, ())):
                raise CannotClean(_ANOTHER)
        return film, how

    def _covered(self, boxes: Mapping[int, Sequence[Box]], fill: Fill) -> Iterator[bytes]:
        for number, data in enumerate(self.tool.frames(self.film, self.film.pixels)):
            some = boxes.get(number)
            yield covered(data, self.film, some, fill) if some else data

    def _again(self, target: Path) -> Film:
        if not target.is_file():
            raise CannotClean(_ANOTHER)
        with target.open("rb") as file:
            container = container_of(file.read(_PIECE), self.family)
        film, form = self.tool.probed(target, container, self.family), self.film
        if (film.rows, film.columns, film.pixels) != (form.rows, form.columns, form.pixels) or film.beside:
            raise CannotClean(_ANOTHER)
        return film


@dataclass(frozen=True)
class Made:
    """A film that was made of another one; `kept` where its code is what it was."""

    opened: Opened
    film: Film
    how: str
    changed: int
    kept: bool

    def __len__(self) -> int:
        return len(self.opened)

    @property
    def tool(self) -> FilmTool:
        """What made it."""
        return self.opened.tool

    def source(self, spool: Callable[[], BinaryIO] = TemporaryFile) -> Part10:
        """The object with this film, in a file that needs no name."""
        before, file, length = self.opened.source, spool(), self.film.path.stat().st_size
        _write_element(file, self.film.path, length, str(before.transfer_syntax))
        span = PixelSpan(0x7FE00010, "OB", 0, file.tell(), "little", encapsulated=True)
        header = before.header if self.kept else self._derived(before.header, length)
        return replace(before, header=header, pixels=span, data=file, trailing=0)

    def notes(self) -> dict[str, Any]:
        """What was done, for the receipt."""
        syntax = str(self.opened.source.transfer_syntax)
        return {
            "frames": len(self.opened),
            "changed": self.changed,
            "encoder": self.how,
            "video": self.opened.tool.edition,
            "transfer_syntax_before": syntax,
            "transfer_syntax_after": syntax,
        }

    def _derived(self, before: Dataset, length: int) -> Dataset:
        """The header of what was compressed once more (PS3.3 C.7.6.1.1.5)."""
        header, film = copy.deepcopy(before), self.film
        plain = film.rows * film.columns * 3 * (2 if film.deep else 1) * len(self.opened)
        ratios, methods = said(before, "LossyImageCompressionRatio"), said(before, "LossyImageCompressionMethod")
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in header:  # it would keep how it was encoded
                del header[keyword]
        header.LossyImageCompression = "01"
        header.LossyImageCompressionRatio = [*ratios, f"{plain / max(length, 1):.2f}"]
        header.LossyImageCompressionMethod = [*methods, self.opened.family.method]
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = LOSSY[0], "DCM", LOSSY[1]
        known = list(header.get("DerivationCodeSequence") or [])
        if all(said(one, "CodeValue") != [LOSSY[0]] for one in known):
            header.DerivationCodeSequence = Items([*known, item])
        return header


@contextmanager
def opened_film(source: Part10, tool: FilmTool) -> Iterator[Opened]:
    """The film of an object, for as long as it is worked on. Raises CannotClean for what contradicts its header."""
    count = number_of(source.header, "NumberOfFrames", 0)
    if not 0 < count <= _MOST_FRAMES:
        raise CannotClean(_NO_SIZE)
    with tool.workshop() as folder:
        family, film = film_in(source, folder, tool)
        digests = tuple(_digests(tool, film, most=count))
        if len(digests) != count:
            raise CannotClean("video: its film has more or fewer frames than Number of Frames (0028,0008)")
        yield Opened(source, family, film, folder, tool, digests)


def film_in(source: Part10, folder: Path, tool: FilmTool) -> tuple[Family, Film]:
    """The film of an object, in a file in that folder. Raises CannotClean for what contradicts its header."""
    family, path = family_of(str(source.transfer_syntax)), folder / "film"
    rows, columns = (number_of(source.header, name, 0) for name in ("Rows", "Columns"))
    if rows * columns * 3 * 2 > MOST_FRAME_BYTES:
        raise CannotClean(_NO_SIZE)
    with path.open("wb") as file:
        for piece in whole_stream(source):
            file.write(piece)
    with path.open("rb") as file:
        container = container_of(file.read(_PIECE), family)
    film = tool.probed(path, container, family)
    if (film.rows, film.columns) != (rows, columns):
        raise CannotClean("video: its film has another size than Rows (0028,0010) and Columns (0028,0011)")
    return family, film


def _digests(tool: FilmTool, film: Film, most: int = _MOST_FRAMES) -> Iterator[bytes]:
    for number, data in enumerate(tool.frames(film, film.pixels)):
        if number > most:
            break
        yield hashlib.blake2b(data, digest_size=16).digest()


def _write_element(file: BinaryIO, film: Path, length: int, syntax: str) -> None:
    """Pixel data with an empty Basic Offset Table and the film as one fragment, or as several where it may (PS3.5
    A.4)."""
    piece = _LONGEST_FRAGMENT if is_fragmentable(syntax) else _MOST_UNBROKEN
    if length > piece and not is_fragmentable(syntax):
        raise CannotClean("video: the film that was made is too long for one fragment")
    file.write(_TAG + pack("<2sHL", b"OB", 0, 0xFFFFFFFF) + _ITEM + pack("<L", 0))
    with film.open("rb") as data:
        for at in range(0, length, piece):
            size = min(piece, length - at)
            file.write(_ITEM + pack("<L", size + size % 2))
            for start in range(0, size, _PIECE):
                file.write(data.read(min(_PIECE, size - start)))
            file.write(bytes(size % 2))
    file.write(_END)
