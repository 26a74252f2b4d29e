from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.serving.sse import read_events


def data(body: bytes) -> list[bytes]:
    return [event.data for event in read_events(body)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_are_read_with_any_line_end(end: bytes) -> None:
    body = b"data: one\n\ndata:two\n\n: keep-alive\n\ndata: three\ndata: lines\nid: 7\nretry: 9\n\n".replace(b"\n", end)
    assert data(body) == [b"one", b"two", b"three\nlines"]


def test_an_event_ends_with_its_empty_line() -> None:
    body = b"data: one\n\n: comment\n\ndata: two\n\n"
    assert [event.end for event in read_events(body)] == [11, len(body)]


def test_comments_and_empty_lines_are_no_events() -> None:
    assert data(b": ping\n\n\n\n:\n\nevent: ping\n\n") == []


def test_data_that_the_body_breaks_off_behind_is_an_event_still() -> None:
    assert data(b"data: one\n\ndata: [DONE]") == [b"one", b"[DONE]"]
    assert data(b"data: one\n\ndata: [DONE]\n") == [b"one", b"[DONE]"]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert data(b"\xef\xbb\xbfdata: one\n\n") == [b"one"]


@pytest.mark.parametrize("body", [b"error: {}\n\n", b"event: error\ndata: {}\n\n"])
def test_errors_are_marked_in_both_spellings(body: bytes) -> None:
    ((event,),) = [list(read_events(body))]
    assert (event.data, event.is_error) == (b"{}", True)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1), max_size=8))
def test_what_was_written_is_read(texts: list[str]) -> None:
    body = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert data(body) == [text.encode() for text in texts]


@given(st.binary(max_size=300))
def test_no_bytes_are_an_error(body: bytes) -> None:
    assert all(0 < event.end <= len(body) for event in read_events(body))
