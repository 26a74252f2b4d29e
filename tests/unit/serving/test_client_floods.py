"""Servers that send without end: given up in bounded memory, each for what it did."""

from __future__ import annotations

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from pytest_thor.serving import client
from pytest_thor.serving.message import MalformedMessage, read_message
from pytest_thor.serving.run import LoadResult, run_load
from tests.fakes.scripted_server import HEAD, event, plain, stream
from tests.unit.serving.conftest import Answer, make_load, make_target, make_workload, never_died

_LIMIT_BYTES = 4 << 20


@contextlib.contextmanager
def endless(first: bytes, more: bytes) -> Iterator[int]:
    """Answer one request with ``more`` for as long as somebody listens, and yield the port."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(65536)
                connection.sendall(first)
                while True:
                    connection.sendall(more)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def flooded(first: bytes, more: bytes) -> LoadResult:
    with endless(first, more) as port:
        return run_load(
            make_load(),
            make_workload(),
            make_target(port),
            on_progress=lambda *_: None,
            server_died=never_died,
            request_timeout_s=60,
            timeout_s=60,
        )


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("first", "more", "cause"),
    [
        (HEAD + b"ffffffff\r\n", b"x" * 65536, "too-large"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, "too-large"),
        (b"HTTP/1.1 200 OK\r\n\r\ndata: ", b"x" * 65536, "too-large"),
        (HEAD, b"10000\r\n" + b"x" * 65536 + b"\r\n", "too-large"),
        (HEAD, b"-1\r\n\r\n" * 10_000, "malformed-http"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: more\r\n" * 5000, "malformed-http"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, "malformed-http"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536, "malformed-http"),
    ],
    ids=["chunk", "body", "event", "chunks", "sizes", "headers", "interim", "header"],
)
def test_a_response_without_end_is_given_up(
    first: bytes, more: bytes, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RESPONSE_LIMIT_BYTES", _LIMIT_BYTES)
    tracemalloc.start()
    try:
        result = flooded(first, more)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert set(result.evidence["failures"]) == {cause}
    assert peak < 1 << 30  # it is looked at ten times a second, and much more may come meanwhile


def test_a_response_in_countless_pieces_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESPONSE_LIMIT_ARRIVALS", 50)

    result = flooded(HEAD + b"ffffffff\r\n", b"x")

    assert result.evidence["failures"]["too-large"]["example"] == "the response came in more than 50 pieces"


def test_an_event_of_endless_length_is_not_read() -> None:
    with pytest.raises(MalformedMessage, match=r"^an event of 16777217 bytes"):
        read_message(b"[" * (1 + (16 << 20)))


def test_a_long_error_is_cut(answer: Answer) -> None:
    result, _ = answer(plain("500 Oh", b'{"error": "' + b"a" * 100_000 + b'"}'))
    assert result.evidence["failures"]["http-500"]["example"] == "a" * 300

    result, _ = answer(stream([(0, event({"error": "a" * 100_000}))]))
    assert len(result.evidence["failures"]["stream-error"]["example"]) < 400
