"""Runs a project's own command that removes faces on one object, and takes nothing of its result but pixel data.

The command sees a copy of the original in a folder of its own, which is gone afterwards, and learns nothing else: its
arguments are that folder's files, its environment is empty, what it prints is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from .deid.elements import joined, said
from .deid.errors import CannotClean
from .deid.faces import may_show_face
from .deid.part10 import Part10, read_part10

INPUT, OUTPUT = "{in}", "{out}"
_NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
)
# What says which instance it is and how its pixel data are to be read (PS3.3 C.7.6.3).
_SAME = (
    "SOPClassUID SOPInstanceUID Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation "
    "PlanarConfiguration BitsAllocated BitsStored HighBit PixelRepresentation"
).split()


@dataclass(frozen=True)
class Defacer:
    """The step called `name`: a command with the places {in} and {out}, and how many seconds it may take. `spool` gives
    the folder in which to work."""

    name: str
    command: tuple[str, ...]
    seconds: int
    spool: Callable[[], Path]

    @property
    def digest(self) -> str:
        """Stands for what the command is."""
        return hashlib.sha256(json.dumps([self.name, self.command]).encode()).hexdigest()[:16]

    def __call__(self, file: BinaryIO, source: Part10) -> Part10:
        """The object with the pixel data that the command made of it, if it may show a face. Raises CannotClean."""
        if may_show_face(source.header) is None:
            return source
        with TemporaryDirectory(dir=self.spool(), prefix="step-") as folder:
            before, after = Path(folder) / "in.dcm", Path(folder) / "out.dcm"
            with before.open("wb") as copy:
                file.seek(0)
                shutil.copyfileobj(file, copy)
            self._run(before, after)
            if after.is_symlink() or not after.is_file():
                raise self._failed("made no file")
            # Opened, it can be read after its name is gone, for as long as the result is needed.
            return self._taken(source, after.open("rb"))

    def _run(self, before: Path, after: Path) -> None:
        places = {INPUT: str(before), OUTPUT: str(after)}
        arguments = [places.get(one, one) for one in self.command]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(before.parent), "LANG": "C.UTF-8"}
        try:
            process = subprocess.Popen(
                arguments,
                cwd=before.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise self._failed(f"could not be started ({error.strerror})") from None
        try:
            status = process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            raise self._failed(f"took longer than {self.seconds} s") from None
        finally:
            _end(process)
        if status:
            raise self._failed(f"ended with status {status}")

    def _taken(self, source: Part10, file: BinaryIO) -> Part10:
        try:
            made = read_part10(file)
        except CannotClean:
            raise self._failed("made no DICOM object that can be read") from None
        if any(_said(source.header, keyword) != _said(made.header, keyword) for keyword in _SAME):
            raise self._failed("made another instance, or one with another form of pixel data")
        if made.pixels is None or source.pixels is None or made.pixels.tag != source.pixels.tag:
            raise self._failed("made an object without the pixel data it should have")
        if not _is_family(source.transfer_syntax, made.transfer_syntax):
            raise self._failed("made an object in a transfer syntax of another kind")
        if made.transfer_syntax in _NATIVE and made.pixels.end - made.pixels.start < _native_length(made.header):
            raise self._failed("made an object whose pixel data are too short")
        return replace(source, transfer_syntax=made.transfer_syntax, pixels=made.pixels, data=made.data, trailing=0)

    def _failed(self, what: str) -> CannotClean:
        return CannotClean(f"it may show a face, and the defacing step {self.name!r} {what}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what the command has left behind, itself included."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_family(before: str, after: str) -> bool:
    """Whether the header can stay as it is encoded: in the same syntax, or out of a compressed one into Explicit VR
    Little Endian, as which compressed ones are encoded (PS3.5 A.4)."""
    return before == after or (after == ExplicitVRLittleEndian and before not in _NATIVE)


def _said(header: Dataset, keyword: str) -> str:
    return joined(said(header, keyword)) or {"NumberOfFrames": "1", "PlanarConfiguration": "0"}.get(keyword, "")


def _native_length(header: Dataset) -> int:
    bits = 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames"):
        bits *= int(_said(header, keyword) or 1)
    return bits // 8
