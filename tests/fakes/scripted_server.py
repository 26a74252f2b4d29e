"""An HTTP server on loopback that answers exactly as scripted: which bytes, when, and how it breaks off.

Every request is answered by the next :class:`Reply` of the script; the last one is repeated. A reply is a list of
moments: bytes (or a fault) at so many seconds after the request was read. :data:`NOW_NS` in the bytes is replaced by
``time.perf_counter_ns()``, taken right before they are handed to the kernel; that clock is the same for every process
of the machine, so that a client can tell its own lag. One thread, one selector: a thousand streams cost little.

    python tests/fakes/scripted_server.py --tokens 64 --interval-ms 10     # prints its port, answers until killed
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import heapq
import json
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

NOW_NS = b"@now_in_nanosec@"
"""Where the moment of sending goes; replaced by 16 digits, as many as this has bytes."""

Fault: TypeAlias = Literal["close", "reset", "die"]
"""End the connection in order, end it with a reset, or end the whole server."""
Moment: TypeAlias = "tuple[float, bytes | Fault]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one request gets: ``moments`` in order, each so many seconds after the request was read whole."""

    moments: tuple[Moment, ...]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    """Return bytes as one chunk of the chunked transfer encoding."""
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def event(content: object) -> bytes:
    """Return a server-sent event with JSON, or with plain text where a string is given."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


def token(text: str = " word", **more: Any) -> dict[str, Any]:
    """Return a completion chunk as the engines send it."""
    return {"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": None}], **more}


def finish(reason: str = "length") -> dict[str, Any]:
    """Return the chunk that says why the generation ended."""
    return {"object": "text_completion", "choices": [{"index": 0, "text": "", "finish_reason": reason}]}


def usage(prompt: int, completion: int, cached: int | None = 0) -> dict[str, Any]:
    """Return the chunk that counts the tokens."""
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if cached is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached}
    return {"object": "text_completion", "choices": [], "usage": counts}


def stream(events: Iterable[tuple[float, object]], *, end: Fault | None = None) -> Reply:
    """Return a reply that sends its head, then each event as a chunk of its own at its time, then the last chunk.

    An event is JSON content, text (``[DONE]``), or bytes that are sent as they are within a chunk. With ``end`` the
    stream breaks off instead of ending.
    """
    moments: list[Moment] = [(0.0, HEAD)]
    at_s = 0.0
    for at_s, content in events:
        moments.append((at_s, chunk(content if isinstance(content, bytes) else event(content))))
    moments.append((at_s, end or LAST_CHUNK))
    return Reply(moments=tuple(moments))


def completion(tokens: int, *, prompt: int = 8, first_s: float = 0.0, interval_s: float = 0.0) -> Reply:
    """Return a sound streamed completion: so many tokens in steps of ``interval_s``, its usage and ``[DONE]``.

    Each token's text is the moment of its sending.
    """
    stamped = event(token("@")).replace(b"@", NOW_NS)
    events: list[tuple[float, object]] = [(first_s + interval_s * number, stamped) for number in range(tokens)]
    end_s = events[-1][0] if events else first_s
    events += [(end_s, finish()), (end_s, usage(prompt, tokens)), (end_s, "[DONE]")]
    return stream(events)


def plain(status: str, body: bytes = b"", *, content_type: str = "application/json") -> Reply:
    """Return a response that is no stream, as errors are: ``plain("503 Service Unavailable")``."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return Reply(moments=((0.0, head + body),))


@dataclass(eq=False, slots=True)
class _Peer:
    """One connection of a client, and what it has said so far."""

    connection: socket.socket
    received: bytes = b""


@dataclass(eq=False)
class ScriptedServer:
    """The server; it listens from the start, and answers while :meth:`serve` runs."""

    script: Sequence[Reply]
    requests: list[bytes] = field(default_factory=list)
    """Every request that was read whole, head and body."""
    connections: int = 0
    """How many connections were ever accepted."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._due: list[tuple[float, int, _Peer, bytes | Fault]] = []
        self._order = 0
        self._answered = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let :meth:`serve` return soon, with every connection closed."""
        self._stopping.set()

    def serve(self) -> None:
        """Answer until it is stopped, or a reply lets it die."""
        try:
            while not self._stopping.is_set():
                wait_s = self._due[0][0] - time.perf_counter() if self._due else 0.02
                for key, _ in self._selector.select(max(min(wait_s, 0.02), 0.0)):
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._read(key.data)
                self._send_due()
        finally:
            for key in list(self._selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
            self._selector.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(connection, selectors.EVENT_READ, _Peer(connection))
                self.connections += 1

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.connection.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(peer)
            return
        peer.received += data
        while (size := _request_size(peer.received)) is not None:
            self.requests.append(peer.received[:size])
            peer.received = peer.received[size:]
            self._plan(peer)

    def _plan(self, peer: _Peer) -> None:
        reply = self.script[min(self._answered, len(self.script) - 1)]
        self._answered += 1
        now_s = time.perf_counter()
        for at_s, what in reply.moments:
            self._order += 1
            heapq.heappush(self._due, (now_s + at_s, self._order, peer, what))

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.perf_counter():
            _, _, peer, what = heapq.heappop(self._due)
            if what == "die":
                self._stopping.set()
            elif what == "reset":
                peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._end(peer)
            elif what == "close":
                self._end(peer)
            elif peer.connection.fileno() >= 0:
                self._send(peer, what)

    def _send(self, peer: _Peer, data: bytes) -> None:
        if NOW_NS in data:
            data = data.replace(NOW_NS, b"%016d" % time.perf_counter_ns())
        try:
            peer.connection.sendall(data)
        except OSError:  # the client has gone; what it does about that is its test's matter
            self._end(peer)

    def _end(self, peer: _Peer) -> None:
        if peer.connection.fileno() >= 0:
            self._selector.unregister(peer.connection)
            peer.connection.close()


def _request_size(data: bytes) -> int | None:
    """Return how long the request at the start of ``data`` is, or None while it is not there whole."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return None
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    size = len(head) + 4 + length
    return size if len(data) >= size else None


@contextlib.contextmanager
def serving(*script: Reply) -> Iterator[ScriptedServer]:
    """Answer in a thread of its own, to the end of the context."""
    server = ScriptedServer(script=script)
    thread = threading.Thread(target=server.serve, name="scripted-server", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def main() -> None:
    """Answer every request with the same completion, alone in this process, until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--interval-ms", type=float, default=10.0)
    parser.add_argument("--first-ms", type=float, default=50.0)
    parser.add_argument("--core", type=int, help="the core to stay on")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    reply = completion(options.tokens, first_s=options.first_ms / 1000, interval_s=options.interval_ms / 1000)
    server = ScriptedServer(script=[reply])
    print(server.port, flush=True)
    gc.freeze()
    gc.disable()
    server.serve()


if __name__ == "__main__":
    main()
