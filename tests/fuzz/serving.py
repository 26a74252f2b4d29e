"""The readers of what a server answers, and of what vLLM's client says of it."""

from __future__ import annotations

import json
from itertools import count as counting
from pathlib import Path
from typing import Any

from pytest_thor.engines.http_get import Answer
from pytest_thor.serving.asked import Asked
from pytest_thor.serving.exchange import Exchange, Fault
from pytest_thor.serving.http_response import BodyEnd, MalformedResponse, parse_head
from pytest_thor.serving.metrics import count, failures, latencies, throughputs
from pytest_thor.serving.target import Dialect
from pytest_thor.serving.trace import Trace, read_trace
from pytest_thor.serving.vllm_result import ServerCount, UnreadableResult, notes_of, read_result, traces_of
from tests.fakes.scripted_server import HEAD, LAST_CHUNK, chunk, event
from tests.fuzz.target import GOLDEN, Target
from tests.unit.serving.conftest import make_load, make_target

DIALECTS: tuple[Dialect, ...] = ("llama-server", "vllm", "openai")
ASKED_OUTPUT = 4
_PIECE = 97
_USAGE = {"usage": {"prompt_tokens": 8, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}}
_TIMINGS = {"timings": {"prompt_n": 8, "cache_n": 0, "predicted_n": 3}, "tokens_predicted": 3}


def _token(**more: Any) -> bytes:
    return event({"choices": [{"index": 0, "text": " a", "finish_reason": None}], **more})


_CHAT = (
    event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
    + event({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}]})
    + event({"choices": [{"index": 0, "delta": {"tool_calls": [{"id": "x"}]}, "finish_reason": "tool_calls"}]})
    + event({"choices": [], **_USAGE})
    + event("[DONE]")
)
_STREAM = [
    _token(),
    b": keep-alive\n\n",
    _token(),
    _token(**_TIMINGS),
    event({"choices": [], **_USAGE}),
    event("[DONE]"),
]
_RUNNING = [_token(usage={"prompt_tokens": 8, "completion_tokens": number}) for number in range(1, 5)]
_ERROR = b'{"error": {"message": "out of slots", "type": "server_error", "code": 500}}'
RESPONSES = (
    HEAD + b"".join(map(chunk, _STREAM)) + LAST_CHUNK,
    HEAD + b"".join(map(chunk, [*_RUNNING, event("[DONE]")])) + LAST_CHUNK,
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_CHAT) + _CHAT,
    b"HTTP/1.0 200 OK\r\n\r\n" + b"".join(_STREAM),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(_ERROR) + _ERROR,
    HEAD + chunk(_token() + b"error: " + _ERROR + b"\n\n") + LAST_CHUNK,
)


def exchanged(content: bytes) -> Exchange:
    """Return the exchange that a connection makes of these bytes, which come in pieces and then end."""
    exchange = Exchange(index=0, prompt_len=8, output_len=ASKED_OUTPUT, due_ns=1, sent_ns=2)
    pieces = [content[at : at + _PIECE] for at in range(0, len(content), _PIECE)]
    end: BodyEnd | None = None
    now_ns = counting(1000, 1000)
    try:
        for piece in pieces:
            exchange.stamps.append(next(now_ns))
            exchange.pieces.append(piece)
            if end is None:
                received = b"".join(exchange.pieces)
                head = parse_head(received)
                if head is None:
                    continue
                exchange.head, end = head, BodyEnd(head)
                exchange.pieces[:], exchange.stamps[:] = [received], exchange.stamps[-1:]
            if end.feed(exchange.pieces):
                break
        else:
            if exchange.head is None or exchange.head.chunked or exchange.head.length is not None:
                exchange.fault = Fault(cause="closed", detail="the server closed the connection")
    except MalformedResponse as error:
        exchange.fault = Fault(cause="malformed-http", detail=str(error))
    exchange.ended_ns = next(now_ns)
    return exchange


def read_response(content: bytes, folder: Path) -> None:
    exchange = exchanged(content)
    for dialect in DIALECTS:
        check(read_trace(exchange, dialect))


def check(trace: Trace) -> None:
    """What is said of a request is finite, bounded and can be written."""
    assert (trace.fault is not None) == (trace.outcome == "failed")
    gaps = trace.itl_ms or ()
    assert len(gaps) <= max(2 * trace.asked_output, len(trace.token_ns))
    asked = Asked(client="thor", slo_ttft_ms=1.0, slo_tpot_ms=1.0, slo_e2el_ms=1.0)
    counts = count([trace])
    told = [latencies([trace]), throughputs([trace], counts, duration_s=1.0, asked=asked), failures([trace])]
    json.dumps([*told, trace.output_tokens, trace.prompt_tokens, trace.cached_tokens], allow_nan=False)
    json.dumps(told, ensure_ascii=False).encode()


_RECORDED: dict[str, dict[str, Any]] = json.loads((GOLDEN / "vllm_client_0.32.0.json").read_text(encoding="utf-8"))


def read_client(content: bytes, folder: Path) -> None:
    requests = 3
    try:
        result = read_result(content, requests)
    except UnreadableResult as error:
        assert len(str(error)) < 2000  # noqa: PT017
        return
    planned = list(make_load(requests, output_len=6).requests)
    for dialect, rate in zip(DIALECTS, (None, 2.0, None), strict=True):
        for counted in (None, ServerCount(prompt=24, output=18)):
            asked = Asked(client="vllm", request_rate=rate)
            found = traces_of(result, planned, asked, make_target(1, dialect), counted)
            notes_of(result, found)
            for trace in found:
                json.dumps(latencies([trace]), allow_nan=False)
    json.dumps(result.as_it_counts())


def read_answer(content: bytes, folder: Path) -> None:
    answer = Answer(status=200, body=content.decode("utf-8", errors="replace"))
    json.dumps(answer.json(), ensure_ascii=False).encode()
    assert len(str(answer)) < 1000


TARGETS = (
    Target(name="response", read=read_response, seeds=RESPONSES),
    Target(name="vllm-client", read=read_client, seeds=tuple(json.dumps(each).encode() for each in _RECORDED.values())),
    Target(
        name="server-answer",
        read=read_answer,
        seeds=(b'{"version": "0.32.0"}', b'{"data": [{"id": "m", "max_model_len": 4096}]}', b'{"build_info": "b7"}'),
    ),
)
