"""Writes a file that only its owner can read, complete or not at all: what is exported re-identifies."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """The file, for writing; it is there under its name once the block has ended well."""
    beside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        descriptor = _opened(beside, path)
        with open(descriptor, "w", newline="", encoding="utf-8", errors="surrogatepass") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _opened(beside: Path, path: Path) -> int:
    """A descriptor. An error names the file that was asked for."""
    try:
        return os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
