"""Reads the pages of a PDF in a process of its own, bounded in memory and time: whatever the file does to its reader,
who asked goes on, and the object is refused.

Run as a module it is that process: a PDF on its standard input, its pages as JSON on its standard output.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict

from .deid.errors import CannotClean
from .deid.pages import Page, read_pages

_MEMORY = 1 << 30
_SECONDS = 60
_WAIT = 3 * _SECONDS
"""By the clock, on a machine that is busy with other things."""
_REFUSED = 3


def read_in_bounds(data: bytes, *, memory: int = _MEMORY, seconds: int = _SECONDS) -> list[Page]:
    """The pages of a PDF. Raises CannotClean with the reason where they cannot be had."""
    command = [sys.executable, "-I", "-W", "ignore", "-m", __name__, str(memory), str(seconds)]
    try:
        ended = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(_WAIT, seconds),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotClean("the PDF takes too long to read") from None
    if ended.returncode == _REFUSED:
        raise CannotClean(ended.stdout.decode())
    if ended.returncode:
        raise CannotClean("the PDF takes too much memory or time to read")
    return [Page(**page) for page in json.loads(ended.stdout)]


def main() -> int:
    """Bound this process, read, answer."""
    memory, seconds = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold the document
    try:
        pages = read_pages(sys.stdin.buffer.read())
    except CannotClean as refusal:
        sys.stdout.write(str(refusal))
        return _REFUSED
    json.dump([asdict(page) for page in pages], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
