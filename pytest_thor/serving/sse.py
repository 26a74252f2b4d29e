"""Server-sent events: bytes of a body to the events in it, and where each one ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")  # the ends alone: a line without one would be looked through from each byte
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its data, whether it calls itself an error, and the offset in the body behind its last byte."""

    data: bytes
    is_error: bool
    end: int


def read_events(body: bytes) -> Iterator[Event]:
    """Yield the events of a body as the standard's dispatch does (WHATWG HTML, 9.2.6), with three liberties.

    Data that the body breaks off behind still makes an event, a field called ``error`` counts as data of an error
    (older llama-servers send one), and ``id`` and ``retry`` are passed over. Lines end with LF, CRLF or CR; a comment
    (``: keep-alive``) is no event.
    """
    data: list[bytes] = []
    is_error = False
    position = start = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
    for match in _LINE_END.finditer(body, start):
        line, position = body[position : match.start()], match.end()
        if not line:
            if data:
                yield Event(data=b"\n".join(data), is_error=is_error, end=position)
            data, is_error = [], False
            continue
        is_error |= _take(line, data)
    rest = body[position:]
    is_error |= bool(rest) and _take(rest, data)
    if data:
        yield Event(data=b"\n".join(data), is_error=is_error, end=len(body))


def _take(line: bytes, data: list[bytes]) -> bool:
    """Add what a line holds to an event's data; return whether it makes the event an error."""
    name, _, value = line.partition(b":")
    value = value[1:] if value.startswith(b" ") else value
    if name in {b"data", b"error"}:
        data.append(value)
    return name == b"error" or (name == b"event" and value == b"error")
