"""Asks a server a question, off the hot path: one GET, its status and its body.

``http.client`` knows no proxies, so the variables of the environment that name one have no effect. Its own timeout is
for each read alone, so that a server which sends a byte now and then could hold it for ever: here the whole answer has
one.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pytest_thor import foreign_json

BODY_LIMIT = 8 << 20
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server answers; ``prefix`` stands before every path, and ``headers`` (unshown: a key) are sent along."""

    host: str
    port: int
    prefix: str = ""
    tls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; ``status`` is None where nothing did, and ``body`` says why."""

    status: int | None
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == http.client.OK

    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """Return the body's value, or None where it is no JSON."""
        try:
            return foreign_json.parse(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        said = " ".join(self.body.split())[:300]
        return f"HTTP {self.status}: {said}" if self.status else said


def get(place: Place, path: str, *, timeout_s: float = 5.0) -> Answer:
    """GET a path (8 MiB of its body at most); never raises for what the network or the server does.

    ``timeout_s`` is for connecting, and then for all of the answer.
    """
    if place.tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            place.host, place.port, timeout=timeout_s, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(place.host, place.port, timeout=timeout_s)
    try:
        connection.connect()
        with _closing_after(connection.sock, timeout_s):
            connection.request("GET", place.prefix + path, headers={**place.headers, "Connection": "close"})
            response = connection.getresponse()
            body = _body(response).decode("utf-8", errors="replace")
        return Answer(status=response.status, body=body, headers=dict(response.getheaders()))
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a name that cannot be one of a host
        return Answer(status=None, body=f"{type(error).__name__}: {error}")
    finally:
        connection.close()


def _body(response: http.client.HTTPResponse) -> bytes:
    """Read a body piece by piece: asked for all, ``http.client`` takes a chunk of -1 bytes for one without end."""
    body = bytearray()
    while len(body) < BODY_LIMIT and (piece := response.read1(min(_READ_BYTES, BODY_LIMIT - len(body)))):
        body += piece
    return bytes(body)


@contextmanager
def _closing_after(connected: socket.socket, timeout_s: float) -> Iterator[None]:
    """Shut a connection down after so many seconds.

    Raises:
        TimeoutError: it came to that.
    """
    late = threading.Event()

    def shut() -> None:
        late.set()
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise TimeoutError(f"the answer did not end within {timeout_s:g} s")
