"""Sets up logging that holds no PHI at any level.

Our own messages are written to be free of it. Those of libraries are not ours to judge (pynetdicom names UIDs, peewee
prints rows, pydicom quotes values), so of them only the place is logged, and of an exception its type and frames.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType

_OURS = "lethe"
_NEEDLESS = ("pydicom.pixels", "pynetdicom.transport", "pynetdicom.presentation")
"""They log what they hand on as well: we say ourselves that a frame cannot be decoded and a peer is away. The last has
a line for each transfer syntax it does not know: one request of 128 contexts with 100 each was a megabyte of log."""


class _Discreet(logging.Filter):
    """Lets our own records through; of others, warnings and worse, without their text."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] == _OURS:
            return True
        if record.levelno < logging.WARNING:
            return False
        record.msg, record.args = f"message from line {record.lineno} of {record.module} (its text is withheld)", ()
        return True


class _FramesOnly(logging.Formatter):
    """Formats a traceback without the messages of its exceptions, which may quote an element's value."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        kind, _, trace = ei
        frames = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(trace)]
        return "\n".join(["Traceback, most recent call last:", *frames, kind.__name__ if kind else "unknown"])


def start_logging(part: str, level: str = "INFO") -> None:
    """Log to standard error as `part`; warnings of libraries are dropped."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FramesOnly(f"%(asctime)s %(levelname)s {part}: %(message)s"))
    handler.addFilter(_Discreet())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level)
    logging.getLogger("pydicom").setLevel(logging.ERROR)  # it warns of every odd value, and those are our daily bread
    for name in _NEEDLESS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What nobody caught would be printed with its message, by Python itself."""
    if not issubclass(kind, SystemExit | KeyboardInterrupt):
        logging.getLogger(_OURS).error("uncaught", exc_info=(kind, error or kind(), trace))
