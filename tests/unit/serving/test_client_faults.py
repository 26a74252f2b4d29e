"""Every way in which a server can misbehave is one counted cause, and never an exception."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from pytest_thor.serving.run import run_load
from tests.fakes.scripted_server import (
    HEAD,
    LAST_CHUNK,
    Reply,
    chunk,
    completion,
    event,
    finish,
    plain,
    stream,
    token,
    usage,
)
from tests.unit.serving.conftest import make_load, make_target, make_workload, never_died

if TYPE_CHECKING:
    from tests.unit.serving.conftest import Answer

SOUND = completion(4)
ERROR = {"error": {"message": "out of slots", "type": "server_error"}}


def cause_and_example(evidence: dict[str, Any]) -> tuple[str, str]:
    ((cause, found),) = evidence["failures"].items()
    assert found["count"] == 1
    return cause, found["example"]


@pytest.mark.parametrize(
    ("reply", "cause", "said"),
    [
        (plain("400 Bad Request", b'{"error":{"message":"too long","code":400}}'), "http-400", "too long"),
        (plain("404 Not Found", b"no such path", content_type="text/plain"), "http-404", "no such path"),
        (plain("429 Too Many Requests", b'{"object":"error","message":"slow down"}'), "http-429", "slow down"),
        (plain("500 Internal Server Error"), "http-500", "Internal Server Error"),
        (plain("503 Service Unavailable", b'{"error":"Loading model"}'), "http-503", "Loading model"),
        (plain("200 OK", b'{"error":{"message":"no such model"}}'), "stream-error", "no such model"),
        (plain("200 OK", b"<html>welcome</html>", content_type="text/html"), "malformed-sse", "<html>welcome"),
        (stream([(0, ERROR)]), "stream-error", "out of slots"),
        (stream([(0, token()), (0, ERROR), (0, "[DONE]")]), "stream-error", "out of slots (after 1 messages"),
        (stream([(0, b'error: {"code":500,"message":"old style"}\n\n')]), "stream-error", "old style"),
        (stream([(0, b"event: error\ndata: plain words\n\n")]), "stream-error", "plain words"),
        (stream([(0, token()), (0, finish("abort")), (0, "[DONE]")]), "stream-error", "'abort'"),
        (stream([(0, token()), (0, "{nonsense"), (0, "[DONE]")]), "malformed-json", "{nonsense"),
        (stream([(0, "[1, 2]"), (0, "[DONE]")]), "malformed-json", "not a JSON object"),
        (stream([(0, token()), (0, token())]), "cut-off", "after 2 messages"),
        (stream([(0, token()), (0, b'data: {"choices": [{"te')]), "cut-off", "within a message"),
        (stream([(0, token())], end="close"), "closed", "(after 1 messages with tokens)"),
        (stream([(0, token())], end="reset"), "reset", "(after 1 messages with tokens)"),
        (stream([(0, finish("stop")), (0, usage(8, 0)), (0, "[DONE]")]), "no-tokens", "no token in 2 messages"),
        (Reply(moments=((0, b"SSH-2.0-OpenSSH_9.6\r\n"),)), "malformed-http", "SSH-2.0"),
        (Reply(moments=((0, HEAD + b"zz\r\nwhat\r\n\r\n"), (0, "close"))), "malformed-http", "zz"),
        (Reply(moments=((0, "close"),)), "closed", "after 0 bytes"),
    ],
)
def test_each_fault_is_counted_by_its_cause(answer: Answer, reply: Reply, cause: str, said: str) -> None:
    result, _ = answer(reply, SOUND, load=make_load(2))

    found, example = cause_and_example(result.evidence)
    assert (found, said in example) == (cause, True), example
    assert result.evidence["requests"] | {"failed": 1, "complete": 1, "sent": 2} == result.evidence["requests"]
    assert len(result.samples["ttft_ms"]) == 1, "a failed request gives no samples"
    assert result.failure is None
    (doubt,) = result.doubts
    assert doubt.startswith(f"1 of 2 requests failed (1 × {cause}: ")


def test_failures_within_the_tolerated_share_are_counted_but_raise_no_doubt(answer: Answer) -> None:
    result, _ = answer(plain("503 Service Unavailable"), SOUND, load=make_load(4), max_failed=0.25)
    assert (result.doubts, result.evidence["requests"]["failed"]) == ((), 1)


def test_a_load_whose_every_request_fails_is_a_failure_that_names_the_causes(answer: Answer) -> None:
    result, _ = answer(plain("503 Service Unavailable", b"busy"), plain("400 Bad Request"), load=make_load(3))
    assert result.failure == "all 3 requests failed: 2 × http-400: Bad Request; 1 × http-503: busy"
    assert result.samples == {}


def test_a_response_that_never_ends_is_given_up_at_its_deadline_and_its_connection_is_not_used_again(
    answer: Answer,
) -> None:
    endless = Reply(moments=((0.0, HEAD), (0.0, chunk(event(token())))))
    result, server = answer(endless, SOUND, load=make_load(2), request_timeout_s=0.3)
    cause, example = cause_and_example(result.evidence)
    assert cause == "timeout"
    assert example.startswith("no end after 0.3 s and ")
    assert server.connections == 2


def test_a_load_that_takes_too_long_is_cut_and_fails(answer: Answer) -> None:
    silent = Reply(moments=())
    result, _ = answer(SOUND, silent, load=make_load(9), timeout_s=0.3)
    assert result.failure == ("run-timeout: the whole load took longer than it may; 1 of 9 requests had been answered")
    assert result.evidence["requests"]["failed"] == 1


def test_a_server_that_dies_in_mid_load_ends_the_load_with_what_it_said(answer: Answer) -> None:
    dying = Reply(moments=(*SOUND.moments[:3], (0.0, "die")))
    result, _ = answer(SOUND, dying, load=make_load(50), died=lambda: "llama-server ended with exit status 9")
    assert result.failure is not None
    assert result.failure.startswith("server-died: llama-server ended with exit status 9; 1 of 50 requests")
    assert set(result.evidence["failures"]) <= {"reset", "closed", "connection-refused", "server-died"}
    assert result.evidence["requests"]["sent"] < 10, "a dead server is not asked for all the rest"


def test_a_server_that_dies_in_warm_up_is_said_so(answer: Answer) -> None:
    load = make_load(1, warmup=make_load(1).requests)
    result, _ = answer(Reply(moments=((0.0, "die"),)), load=load, died=lambda: "killed by signal 9")
    assert result.failure is not None
    assert "killed by signal 9" in result.failure


def test_nobody_listening_is_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = run_load(
        make_load(1), make_workload(), make_target(port), on_progress=lambda *_: None, server_died=never_died
    )
    assert result.failure == "all 1 requests failed: 1 × connection-refused: Connection refused"


def test_a_kept_connection_that_the_server_had_closed_is_no_failure_of_the_request(answer: Answer) -> None:
    gone_after = Reply(moments=(*SOUND.moments, (0.05, "close")))
    slow = make_load(2, arrivals_s=(0.0, 0.2))
    result, server = answer(gone_after, SOUND, load=slow)
    assert (result.doubts, result.failure, server.connections > 1) == ((), None, True)


def test_a_kept_connection_that_closes_under_the_request_is_tried_once_more_on_a_new_one(answer: Answer) -> None:
    dropped = Reply(moments=((0.0, "reset"),))
    result, server = answer(SOUND, dropped, SOUND, load=make_load(2))
    assert result.doubts == ()
    assert [one["retried"] for one in result.evidence["per_request"]] == [False, True]
    assert len(server.requests) == 3


def test_connections_that_close_while_others_are_opened_are_not_used(answer: Answer) -> None:
    """The warm-up's connection is closed at once, just when the connections for the load are opened."""
    warm = Reply(moments=(*SOUND.moments, (0.0, "close")))
    load = make_load(6, warmup=make_load(1).requests, max_concurrency=3)
    result, server = answer(warm, SOUND, load=load)
    assert (result.failure, result.doubts, len(server.requests) - result.evidence["client"]["retried"]) == (None, (), 7)


def test_a_request_is_tried_again_only_once(answer: Answer) -> None:
    dropped = Reply(moments=((0.0, "reset"),))
    result, server = answer(SOUND, dropped, dropped, load=make_load(2))
    assert cause_and_example(result.evidence)[0] == "reset"
    assert len(server.requests) == 3


def test_a_key_that_the_server_repeats_is_not_told(answer: Answer) -> None:
    echo = plain("401 Unauthorized", b'{"error":{"message":"Incorrect key sk-verysecret for Bearer sk-verysecret"}}')
    result, server = answer(echo, headers={"Authorization": "Bearer sk-verysecret"})
    assert b"Authorization: Bearer sk-verysecret\r\n" in server.requests[0]
    assert "sk-verysecret" not in f"{result} {make_target(1, headers={'Authorization': 'Bearer sk-verysecret'})}"
    assert result.failure is not None
    assert "Incorrect key *** for ***" in result.failure


def test_proxies_of_the_environment_are_not_asked(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    result, _ = answer(SOUND)
    assert (result.failure, result.doubts) == (None, ())


def test_a_response_in_one_piece_after_its_head_is_read_like_any_other(answer: Answer) -> None:
    head, *events, last = (what for _, what in SOUND.moments if isinstance(what, bytes))
    assert last == LAST_CHUNK
    result, _ = answer(Reply(moments=((0.0, head), (0.0, b"".join(events) + last))))
    assert result.evidence["requests"]["complete"] == 1
