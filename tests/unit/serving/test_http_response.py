from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.serving.http_response import BodyEnd, Head, MalformedResponse, parse_head, read_chunks
from tests.fakes.scripted_server import HEAD, LAST_CHUNK, chunk

PAYLOADS = st.lists(st.binary(min_size=1, max_size=12), max_size=6)


def head(data: bytes) -> Head:
    found = parse_head(data)
    assert found is not None
    return found


def end_of(response: bytes, cuts: list[int]) -> int | None:
    """Feed a response in pieces, as a connection does; return with how many bytes its end was seen."""
    found = head(response)
    body_end = BodyEnd(found)
    ends = sorted({found.size, *(found.size + cut for cut in cuts if found.size + cut < len(response)), len(response)})
    pieces: list[bytes] = []
    for start, end in zip([0, *ends], ends, strict=False):
        pieces.append(response[start:end])
        goes_on = len(pieces[-1]) > 3 and not pieces[-1].endswith(b"\r\n\r\n") and found.chunked
        if not goes_on and body_end.feed(pieces):
            return end
    return None


@given(payloads=PAYLOADS, cuts=st.lists(st.integers(1, 200), max_size=20))
def test_the_end_of_a_chunked_body_is_seen_with_its_last_byte_however_it_is_cut(
    payloads: list[bytes], cuts: list[int]
) -> None:
    response = HEAD + b"".join(map(chunk, payloads)) + LAST_CHUNK
    assert end_of(response, cuts) == len(response)


@given(payloads=PAYLOADS)
def test_chunks_hold_the_payload_and_no_more(payloads: list[bytes]) -> None:
    body = b"".join(map(chunk, payloads)) + LAST_CHUNK
    chunks = read_chunks(body)
    assert [body[start:end] for start, end in chunks.payload] == payloads
    assert (chunks.complete, chunks.position) == (True, len(body))


@given(payloads=PAYLOADS, size=st.integers(0, 200))
def test_a_body_that_breaks_off_gives_its_whole_chunks(payloads: list[bytes], size: int) -> None:
    body = (b"".join(map(chunk, payloads)) + LAST_CHUNK)[:-1][:size]
    chunks = read_chunks(body)
    whole = [body[start:end] for start, end in chunks.payload]
    assert not chunks.complete
    assert whole == payloads[: len(whole)]


@pytest.mark.parametrize(
    "body",
    [
        b"0\r\nX-Took: 1\r\n\r\n",
        b"4;name=value\r\n{} \n\r\n0\r\n\r\n",
        b"00004\r\n\r\n\r\n\r\n0\r\n\r\n",
        b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
    ],
    ids=["trailer", "extension", "payload of line ends", "payload that looks like the end"],
)
def test_unusual_chunks_end_where_they_should(body: bytes) -> None:
    response = HEAD + body
    assert [end_of(response, list(range(1, len(body)))), end_of(response, [])] == [len(response)] * 2
    assert end_of(response[:-1], []) is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"zz\r\n", b"2\r\nabc\r\n", b"-1\r\n\r\n", b"\r\n", b"x" * 5000, b" " * 5000, b";" * 5000),
        *(b"+1\r\nx\r\n", b"0x10\r\n", b"1_0\r\n", b"1.0\r\n", b"f" * 9 + b"\r\n", b"9" * 5000, b"\xd9\xa3\r\nabc\r\n"),
    ],
)
def test_what_is_no_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedResponse):
        read_chunks(body)


def test_a_stated_length_ends_the_body() -> None:
    response = b"HTTP/1.1 500 Oh No\r\ncontent-length: 5\r\n\r\nhello"
    assert (head(response).reason, end_of(response, [1, 3])) == ("Oh No", len(response))
    assert end_of(response[:-1], [1]) is None


def test_without_length_or_chunks_only_the_connection_ends_the_body() -> None:
    found = head(b"HTTP/1.0 200 OK\r\n\r\n")
    assert (found.keep_alive, BodyEnd(found).feed([b"HTTP/1.0 200 OK\r\n\r\n", b"data"])) == (False, False)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive", True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 200", False),
    ],
)
def test_a_connection_is_kept_where_the_response_allows_it(lines: bytes, kept: bool) -> None:
    assert head(lines + b"\r\n\r\n").keep_alive is kept


def test_interim_responses_are_passed_over() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD
    assert (head(data).status, head(data).size) == (200, len(data))
    assert parse_head(data[:30]) is None


@pytest.mark.parametrize("data", [b"SSH-2.0", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"\x16\x03\x01"])
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedResponse, match="not HTTP"):
        parse_head(data)


def test_a_head_without_end_is_refused() -> None:
    with pytest.raises(MalformedResponse):
        parse_head(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000)


def test_interim_responses_without_end_are_refused() -> None:
    with pytest.raises(MalformedResponse):
        parse_head(b"HTTP/1.1 100 Continue\r\n\r\n" * 3000)


@pytest.mark.parametrize("length", [b"some", b"-1", b"+1", b"0x10", b"1e3", b"1.0", b"1_0", b"1, 1", b"9" * 19, b""])
def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    with pytest.raises(MalformedResponse, match="Content-Length"):
        parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n")


def test_a_chunk_size_is_hexadecimal() -> None:
    found = read_chunks(b"1e3\r\n" + b"x" * 0x1E3 + b"\r\n0\r\n\r\n")
    assert (found.payload, found.complete) == (((5, 5 + 0x1E3),), True)
