"""One request's timeline: an exchange's raw bytes become what happened to it, and when."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal, TypeAlias

from pytest_thor.serving.exchange import Exchange, Fault
from pytest_thor.serving.http_response import MalformedResponse, read_chunks
from pytest_thor.serving.message import MalformedMessage, Message, error_text, read_message
from pytest_thor.serving.sse import Event, read_events
from pytest_thor.serving.target import Dialect
from pytest_thor.serving.token_arrivals import token_arrivals

Outcome: TypeAlias = Literal["complete", "short", "long", "uncounted", "failed"]
"""``short`` and ``long`` hold another number of tokens than asked; ``uncounted`` does not say how many."""

_DONE = b"[DONE]"
_FAILED_FINISHES = frozenset({"error", "abort"})
_SHOWN = 300
_LONGEST_ERROR_BYTES = 1 << 20
_MOST_BELIEVED = 2
"""An answer that claims more than so many times the tokens asked is not believed as to which message brought them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One request, read; times are ``perf_counter_ns``, None is "not known" or "never came".

    ``token_ns`` are the arrivals of the messages that brought tokens and ``token_counts`` how many each brought, where
    that is known. ``fault`` says why a failed one failed.
    """

    index: int
    outcome: Outcome
    fault: Fault | None
    status: int | None
    asked_prompt: int
    asked_output: int
    due_ns: int | None
    sent_ns: int | None
    ended_ns: int
    retried: bool = False
    token_ns: tuple[int, ...] = ()
    token_counts: tuple[int, ...] | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None

    @property
    def queue_ms(self) -> float | None:
        """How long the request could have been sent but had no slot."""
        return None if self.sent_ns is None or self.due_ns is None else (self.sent_ns - self.due_ns) / 1e6

    @property
    def ttft_ms(self) -> float | None:
        """From sending the request to its first token message; None where all tokens came with one, as at the end."""
        if len(self.token_ns) == 1 and self.output_tokens != 1:
            return None
        return self._since_sent_ms(0)

    @property
    def e2el_ms(self) -> float | None:
        """From sending the request to its last token message."""
        return self._since_sent_ms(-1)

    @property
    def tpot_ms(self) -> float | None:
        """Mean time per token after the first; None where all came at once, or nobody knows how many."""
        if self.output_tokens is None or self.output_tokens < 2 or not self.token_ns:
            return None
        if self.token_ns[0] == self.token_ns[-1]:
            return None
        return (self.token_ns[-1] - self.token_ns[0]) / 1e6 / (self.output_tokens - 1)

    @property
    def itl_ms(self) -> tuple[float, ...] | None:
        """The gap before each token after the first message; one before several tokens is shared among them.

        None where it is not known which message brought how many.
        """
        if self.token_counts is None:
            return None
        gaps = zip(self.token_ns, self.token_ns[1:], self.token_counts[1:], strict=False)
        return tuple((later - earlier) / 1e6 / count for earlier, later, count in gaps for _ in range(count))

    def _since_sent_ms(self, which: int) -> float | None:
        if not self.token_ns or self.sent_ns is None:
            return None
        return (self.token_ns[which] - self.sent_ns) / 1e6


def read_trace(exchange: Exchange, dialect: Dialect) -> Trace:
    """Return what an exchange that is over was: every way to fail becomes a cause, none an exception."""
    trace = Trace(
        index=exchange.index,
        outcome="failed",
        fault=exchange.fault,
        status=exchange.head.status if exchange.head else None,
        asked_prompt=exchange.prompt_len,
        asked_output=exchange.output_len,
        due_ns=exchange.due_ns,
        sent_ns=exchange.sent_ns,
        ended_ns=exchange.ended_ns or exchange.due_ns,
        retried=exchange.retried,
    )
    if exchange.head is None:
        return trace
    raw = b"".join(exchange.pieces)
    try:
        payload, spans = _payload(exchange, raw)
    except MalformedResponse as error:
        return replace(trace, fault=trace.fault or Fault(cause="malformed-http", detail=str(error)))
    if exchange.head.status != 200:
        return replace(trace, fault=_http_fault(exchange.head.status, exchange.head.reason, payload))
    return _read_stream(trace, payload, _Arrivals(spans, exchange), dialect)


def _payload(exchange: Exchange, raw: bytes) -> tuple[bytes, Sequence[tuple[int, int]]]:
    """Return a body without its transfer encoding, and where each part of it lies in the raw bytes."""
    head = exchange.head
    assert head is not None
    if not head.chunked:
        end = len(raw) if head.length is None else min(len(raw), head.size + head.length)
        return raw[head.size : end], ((head.size, end),)
    body = memoryview(raw)[head.size :]
    chunks = read_chunks(bytes(body))
    payload = b"".join(body[start:end] for start, end in chunks.payload)
    return payload, tuple((head.size + start, head.size + end) for start, end in chunks.payload)


class _Arrivals:
    """Tells when the byte before an offset of the payload arrived."""

    def __init__(self, spans: Sequence[tuple[int, int]], exchange: Exchange) -> None:
        self._raw_ends = [end for _, end in spans]
        self._payload_ends = list(accumulate(end - start for start, end in spans))
        self._piece_ends = list(accumulate(len(piece) for piece in exchange.pieces))
        self._stamps = exchange.stamps

    def at(self, offset: int) -> int:
        span = bisect_left(self._payload_ends, offset)
        raw = self._raw_ends[span] - (self._payload_ends[span] - offset)
        return self._stamps[bisect_left(self._piece_ends, raw)]


def _http_fault(status: int, reason: str, body: bytes) -> Fault:
    text = body.decode("utf-8", "replace").strip()
    content = _object(body)
    said = error_text(content, is_error=True) if content else text
    return Fault(cause=f"http-{status}", detail=(said or reason or "without a word")[:_SHOWN])


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that an answer without events is, as an error may be; empty where it is none."""
    try:
        content = json.loads(body) if len(body) <= _LONGEST_ERROR_BYTES else None
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}


def _read_stream(trace: Trace, payload: bytes, arrivals: _Arrivals, dialect: Dialect) -> Trace:
    messages: list[tuple[int, Message]] = []
    done = False
    fault = trace.fault
    for event in read_events(payload):
        if event.data.strip() == _DONE:
            done = True
            break
        try:
            messages.append((arrivals.at(event.end), read_message(event.data, is_error=event.is_error)))
        except MalformedMessage as error:
            fault = fault or _malformed(event, payload, error)
            break
    fault = _error(messages) or fault
    if fault is None and not messages:
        fault = _no_stream(payload)
    if fault is None and not done and all(message.finish_reason is None for _, message in messages):
        fault = Fault(cause="cut-off", detail=f"the stream ended after {len(messages)} messages without saying so")
    return _counted(trace, messages, fault, dialect)


def _malformed(event: Event, payload: bytes, error: MalformedMessage) -> Fault:
    if event.end == len(payload) and not payload.endswith((b"\n", b"\r")):
        return Fault(cause="cut-off", detail=f"the stream ended within a message: {str(error)[:_SHOWN]}")
    return Fault(cause="malformed-json", detail=str(error)[:_SHOWN])


def _error(messages: Sequence[tuple[int, Message]]) -> Fault | None:
    for _, message in messages:
        if message.error is not None:
            return Fault(cause="stream-error", detail=message.error[:_SHOWN])
        if message.finish_reason in _FAILED_FINISHES:
            return Fault(cause="stream-error", detail=f"finish_reason is {message.finish_reason!r}")
    return None


def _no_stream(payload: bytes) -> Fault:
    said = error_text(_object(payload))
    if said is not None:
        return Fault(cause="stream-error", detail=said[:_SHOWN])
    return Fault(cause="malformed-sse", detail=f"the response holds no events: it starts with {payload[:80]!r}")


def _counted(trace: Trace, messages: list[tuple[int, Message]], fault: Fault | None, dialect: Dialect) -> Trace:
    total = _last(message.tokens_so_far for _, message in messages)
    token_ns, counts = token_arrivals(messages, total, dialect)
    if fault is None and not token_ns:
        fault = Fault(cause="no-tokens", detail=f"the stream brought no token in {len(messages)} messages")
    if fault is not None and token_ns:
        fault = replace(fault, detail=f"{fault.detail} (after {len(token_ns)} messages with tokens)")
    return replace(
        trace,
        outcome="failed" if fault else outcome_of(total, trace.asked_output),
        fault=fault,
        token_ns=token_ns,
        token_counts=counts if total is None or total <= _MOST_BELIEVED * trace.asked_output else None,
        prompt_tokens=_last(message.prompt_tokens for _, message in messages),
        output_tokens=total,
        cached_tokens=_last(message.cached_tokens for _, message in messages),
    )


def _last(values: Iterable[int | None]) -> int | None:
    """Return the last value that is known: each message says more than the one before."""
    known = [value for value in values if value is not None]
    return known[-1] if known else None


def outcome_of(total: int | None, asked: int) -> Outcome:
    """Return what an answer of so many tokens (None: not known) is, for so many asked."""
    if total is None:
        return "uncounted"
    return "complete" if total == asked else "short" if total < asked else "long"
