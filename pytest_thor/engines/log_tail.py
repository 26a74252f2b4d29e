"""The end of what an engine printed: in bounded memory, printable, and without what the environment keeps secret."""

from __future__ import annotations

from collections import deque

from pytest_thor.plain_text import one_line, printable
from pytest_thor.redaction import redacted


def last_words(printed: str) -> str:
    """Return the last line that says something of what a program printed, cut to 300 characters."""
    words = next((line.strip() for line in reversed(printed.splitlines()) if line.strip()), "it printed nothing")
    return one_line(redacted(words))[:300]


class LogTail:
    """Keeps the last lines that fit into ``limit`` characters."""

    def __init__(self, limit: int = 8192) -> None:
        self._limit = limit
        self._lines: deque[str] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        """Append a line; the oldest ones make room, and a longer one loses its beginning."""
        if len(line) > self._limit:
            line = redacted(line)[-self._limit :]
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > self._limit + 1:
            self._size -= len(self._lines.popleft()) + 1

    @property
    def last(self) -> str | None:
        """The last line that says something, or None."""
        return next((one_line(redacted(line)) for line in reversed(self._lines) if line.strip()), None)

    def __str__(self) -> str:
        return printable(redacted("\n".join(self._lines)))
