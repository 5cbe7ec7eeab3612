"""Takes a multipart body apart as it comes in (RFC 2046 5.1, RFC 2387), in bounded memory however large a part is.

What clients get wrong without any doubt about what they mean is tolerated: text before the first boundary, lines that
end in LF alone, a part without headers. A body that ends before its closing boundary is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from lethe.storage.errors import Refused

_PIECE = 1 << 18
_LONGEST_HEAD = 16 << 10
_LINE_END = re.compile(rb"(--)?[ \t]*(\r?\n)")
_PERHAPS = re.compile(rb"(-|--)?[ \t]*\r?\Z")
_CLOSE = re.compile(rb"(--)[ \t]*()\Z")
_LONGEST_PADDING = 256

Headers = Mapping[str, str]


class Unpacker:
    """One body. `read` gives at most so many bytes of it, none at its end."""

    def __init__(self, read: Callable[[int], bytes], boundary: str) -> None:
        self._read = read
        self._mark = b"--" + boundary.encode("latin-1", "replace")
        self._delimiter = b"\n" + self._mark
        self._buffer = bytearray(b"\r\n")
        self._ended = False
        self._is_last = False
        self._has_returns = True

    def parts(self) -> Iterator[tuple[Headers, Iterator[bytes]]]:
        """The headers of each part, names in lower case, and its content in pieces. Raises Refused."""
        for _ in self._content():
            pass
        while not self._is_last:
            headers = self._headers()
            content = self._content()
            yield headers, content
            for _ in content:
                pass

    def _headers(self) -> Headers:
        headers: dict[str, str] = {}
        size, name = 0, ""
        while line := self._line():
            size += len(line)
            if size > _LONGEST_HEAD:
                raise Refused("the head of a part is too long")
            if line[:1] in " \t" and name:
                headers[name] = f"{headers[name]} {line.strip()}".strip()
                continue
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            if not colon:
                raise Refused("the head of a part cannot be read")
            headers[name] = value.strip()
        self._fill(len(self._mark))
        if self._buffer.startswith(self._mark):  # an empty part, whose blank line is all there is before the boundary
            self._buffer[:0] = b"\r\n" if self._has_returns else b"\n"
        return headers

    def _line(self) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise Refused("the head of a part is too long")
            if not self._more():
                raise Refused("the body ends within the head of a part")
        line = self._buffer[:end].decode("latin-1").rstrip("\r")
        del self._buffer[: end + 1]
        return line

    def _content(self) -> Iterator[bytes]:
        """What stands before the next boundary, which is taken off."""
        start = 0
        while True:
            at = self._buffer.find(self._delimiter, start)
            if at >= 0:
                after = at + len(self._delimiter)
                found = _LINE_END.match(self._buffer, after) or (self._ended and _CLOSE.match(self._buffer, after))
                if not found:
                    undecided = len(self._buffer) - after <= _LONGEST_PADDING and _PERHAPS.match(self._buffer, after)
                    start = at if undecided and self._has_more() else at + 1
                    continue
                content = bytes(self._buffer[: at - self._line_break(at)])
                self._is_last, self._has_returns = bool(found[1]), found[2] != b"\n"
                del self._buffer[: found.end()]
                if content:
                    yield content
                return
            start = 0
            safe = len(self._buffer) - len(self._delimiter)
            if safe > 0:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            if not self._more():
                raise Refused("the body ends before its closing boundary")

    def _line_break(self, at: int) -> int:
        return int(self._has_returns and at > 0 and self._buffer[at - 1] == 0x0D)

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size and self._more():
            pass

    def _has_more(self) -> bool:
        """Whether it makes sense to look again: more came, or it is now known that nothing does."""
        return not self._ended and (self._more() or self._ended)

    def _more(self) -> bool:
        piece = b"" if self._ended else self._read(_PIECE)
        self._ended = not piece
        self._buffer += piece
        return bool(piece)
