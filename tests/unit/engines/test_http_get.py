"""Asking a server that answers in every wrong way: there is always an answer, soon, and it is never endless."""

from __future__ import annotations

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from itertools import repeat

import pytest

from pytest_thor.engines.http_get import BODY_LIMIT, Answer, Place, get

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MORE = b"x" * 65536


@contextlib.contextmanager
def saying(pieces: Iterator[bytes], *, pause_s: float = 0.0) -> Iterator[int]:
    """Answer one request with these pieces for as long as somebody listens, and yield the port."""
    over = threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                    if over.wait(pause_s):
                        return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()


def answer_to(*pieces: bytes, timeout_s: float = 5.0) -> Answer:
    with saying(iter(pieces)) as port:
        return get(Place(host="127.0.0.1", port=port), "/health", timeout_s=timeout_s)


def test_a_sound_answer_is_read() -> None:
    answer = answer_to(CHUNKED, b"3\r\n{}\n\r\n0\r\n\r\n")
    assert (answer.status, answer.json()) == (200, {})


@pytest.mark.timeout(30)
@pytest.mark.parametrize("size", [b"-1", b"0x10", b"1e3", b"1_0", b"", b"zz", b"f" * 16, b"f" * 60_000, b"9" * 70_000])
def test_a_chunk_of_an_odd_size_ends_the_answer(size: bytes) -> None:
    answer = answer_to(CHUNKED, size + b"\r\n{}\n\r\n0\r\n\r\n")
    assert answer.status is None or len(answer.body) < 100


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 " + b"a" * 100_000,
        HEAD + b"X: " + b"a" * 100_000,
        HEAD + b"X: a\r\n" * 1000,
        b"HTTP/1.1 " + b"9" * 5000 + b" OK\r\n\r\n",
        b"\0" * 100_000,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
)
def test_a_head_without_end_is_no_answer(head: bytes) -> None:
    answer = answer_to(head)
    assert answer.status is None
    assert len(str(answer)) < 400


@pytest.mark.timeout(30)
def test_an_endless_body_is_cut() -> None:
    tracemalloc.start()
    try:
        with saying(repeat(MORE)) as port:
            connection = Place(host="127.0.0.1", port=port)
            answer = get(connection, "/", timeout_s=20)
        assert answer.status is None  # it is no HTTP
        with saying(_then(HEAD + b"\r\n", MORE)) as port:
            answer = get(Place(host="127.0.0.1", port=port), "/", timeout_s=20)
        assert (answer.status, len(answer.body)) == (200, BODY_LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 6 * BODY_LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"", b"H"),
        (HEAD, b"X"),
        (HEAD + b"\r\n", b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_server_that_drips_is_not_listened_to_for_longer_than_it_may_take(first: bytes, more: bytes) -> None:
    with saying(_then(first, more), pause_s=0.05) as port:
        answer = get(Place(host="127.0.0.1", port=port), "/health", timeout_s=0.3)

    assert answer.status is None
    assert "0.3 s" in answer.body


def _then(first: bytes, more: bytes) -> Iterator[bytes]:
    yield first
    yield from repeat(more)
