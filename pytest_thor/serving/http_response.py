"""HTTP/1.1 responses, as far as a stream of completions needs them: the head, and where the body ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

HEAD_LIMIT_BYTES = 64 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: ([^\r\n]*))?")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_LONGEST_SIZE_LINE = 4096
_LENGTH_DIGITS = 18


class MalformedResponse(ValueError):  # noqa: N818 - reads as the state it reports
    """What arrived is not HTTP/1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A response's first lines: ``size`` bytes of them.

    ``length`` is the body's where stated; the body is otherwise ``chunked``, or ends with the connection.
    """

    size: int
    status: int
    reason: str
    chunked: bool
    length: int | None
    keep_alive: bool


def parse_head(data: bytes) -> Head | None:
    """Return the response's head, or None while it is not there whole; interim responses (1xx) are passed over.

    Raises:
        MalformedResponse: it is no HTTP response.
    """
    start = 0
    while True:
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            if len(data) > HEAD_LIMIT_BYTES or not data.startswith(b"HTTP/1."[: len(data) - start], start):
                raise MalformedResponse(f"the answer is not HTTP: it starts with {data[start : start + 40]!r}")
            return None
        head = _read_head(data[start:end], size=end + 4)
        if head.status >= 200:
            return head
        start = end + 4


def _read_head(data: bytes, *, size: int) -> Head:
    first, *lines = data.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if match is None:
        raise MalformedResponse(f"the answer is not HTTP: it starts with {first[:40]!r}")
    fields = (line.lower().partition(b":") for line in lines)
    headers = {name.strip(): value.strip() for name, _, value in fields}
    length = headers.get(b"content-length")
    if length is not None and not (length.isdigit() and len(length) <= _LENGTH_DIGITS):
        raise MalformedResponse(f"Content-Length is {length[:40]!r}, not a number")
    connection = headers.get(b"connection", b"")
    status = int(match[2])
    chunked = headers.get(b"transfer-encoding", b"").endswith(b"chunked")
    body_length = 0 if status in {204, 304} else int(length) if length is not None and not chunked else None
    framed = chunked or body_length is not None
    return Head(
        size=size,
        status=status,
        reason=(match[3] or b"").decode("latin-1"),
        chunked=chunked,
        length=body_length,
        keep_alive=framed and connection != b"close" and (match[1] == b"1" or connection == b"keep-alive"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """How far a chunked body was read: where its payload lies, what comes next, and whether that was all."""

    payload: tuple[tuple[int, int], ...]
    position: int
    complete: bool


def read_chunks(body: bytes) -> Chunks:
    """Walk over the chunks of a body, as many as are there whole; ``position`` is where the next one starts.

    Raises:
        MalformedResponse: a chunk's size or end is missing.
    """
    payload: list[tuple[int, int]] = []
    position = 0
    while position < len(body):
        match = _CHUNK_SIZE.match(body, position)
        if match is None:
            if b"\n" in body[position : position + _LONGEST_SIZE_LINE] or len(body) - position > _LONGEST_SIZE_LINE:
                raise MalformedResponse(f"a chunk starts with {body[position : position + 20]!r}, not with its size")
            break
        size, start = int(match[1], 16), match.end()
        if size == 0:
            return _read_trailer(body, position, start, tuple(payload))
        end = start + size
        if len(body) < end + 2:
            break
        if body[end : end + 2] != b"\r\n":
            raise MalformedResponse(f"a chunk of {size} bytes ends with {body[end : end + 2]!r}")
        payload.append((start, end))
        position = end + 2
    return Chunks(payload=tuple(payload), position=position, complete=False)


def _read_trailer(body: bytes, last_chunk: int, start: int, payload: tuple[tuple[int, int], ...]) -> Chunks:
    end = start + 2 if body[start : start + 2] == b"\r\n" else body.find(b"\r\n\r\n", start) + 4
    complete = end >= start + 2
    return Chunks(payload=payload, position=end if complete else last_chunk, complete=complete)


class BodyEnd:
    """Tells when a response's body is over.

    A chunked body ends with an empty line, and so does its last arrival. One that does not, and is longer than such an
    end, need not be fed: this is how a stream costs next to nothing.
    """

    __slots__ = ("_chunked", "_fed", "_left", "_skip", "_unread")

    def __init__(self, head: Head) -> None:
        self._chunked = head.chunked
        self._left = head.length
        self._skip = head.size
        self._fed = 0
        self._unread = b""

    def feed(self, pieces: Sequence[bytes]) -> bool:
        """Return whether the body is over, given all that arrived so far, head included.

        Raises:
            MalformedResponse: the chunks contradict themselves.
        """
        if self._chunked and b"".join(pieces[-4:])[-4:] != b"\r\n\r\n":
            return False
        data = b"".join(pieces[self._fed :])[self._skip :]
        self._fed, self._skip = len(pieces), 0
        if self._chunked:
            body = self._unread + data
            chunks = read_chunks(body)
            self._unread = body[chunks.position :]
            return chunks.complete
        if self._left is None:
            return False
        self._left -= len(data)
        return self._left <= 0
