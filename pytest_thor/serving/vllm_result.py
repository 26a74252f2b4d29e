"""What vLLM's own client says of each request, under our definitions (docs/serving-metrics.md).

That client counts every message with a choice as one with a token: also the one that only names the role, and the
closing one, where a server sends them. And it reads ``usage`` only from a message without choices, which llama-server's
completions do not send; it then counts the tokens of the text anew, or takes them for one. So its own totals are kept
beside (``as_it_counts``), and what is judged rests on counts that are read or proven.
"""

from __future__ import annotations

import http
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.evidence import ClientNotes
from pytest_thor.serving.exchange import Fault
from pytest_thor.serving.load import PlannedRequest
from pytest_thor.serving.target import Target
from pytest_thor.serving.trace import Trace, outcome_of

_SHOWN = 300
_ROLE_MESSAGES = {("llama-server", "chat"): 1, ("vllm", "chat"): 1}
_CLOSING_MESSAGES = {("llama-server", "chat"): 1, ("llama-server", "completions"): 1}
"""Messages with a choice and without a token that a server sends before and after those with tokens."""

_STATUSES = {status.phrase: status.value for status in http.HTTPStatus}
_CAUSES = (
    ("Never received a valid chunk", "no-tokens"),
    ("ConnectionRefusedError", "connection-refused"),
    ("Connect call failed", "connection-refused"),
    ("ConnectionTimeoutError", "connection-timeout"),
    ("ClientConnector", "connection-failed"),
    ("ConnectionResetError", "reset"),
    ("ServerDisconnectedError", "closed"),
    ("ClientPayloadError", "closed"),
    ("TimeoutError", "timeout"),
    ("JSONDecodeError", "malformed-json"),
)
"""What stands in an error of its, and the cause that it is; the first that fits."""

_CENTURY_S = 3e9
_Seconds = Annotated[float, Field(ge=0, le=_CENTURY_S)]
_Tokens = Annotated[int, Field(ge=0, le=10_000_000)]
"""Of one request; no model takes or gives more."""
_Total = Annotated[int, Field(ge=0, le=10**15)]


class UnreadableResult(ValueError):  # noqa: N818 - named as the other faults of a response are
    """What vLLM's client wrote is not what it should be."""


class ClientResult(BaseModel):
    """What the client wrote, and its environment's script (``usage_tokens``, ``cpu_s``); a list has a value a request.

    ``itls`` are the gaps between messages in s, ``start_times`` are on ``perf_counter``'s clock, which processes share.
    ``output_lens`` is 0 for a failed request; ``usage_tokens`` is 0 where no usage was read.
    """

    duration: _Seconds
    completed: _Total
    failed: _Total
    total_input_tokens: _Total
    total_output_tokens: _Total
    output_throughput: float
    input_lens: list[_Tokens]
    output_lens: list[_Tokens]
    ttfts: list[_Seconds]
    itls: list[list[_Seconds]]
    start_times: list[_Seconds]
    queue_times: list[Annotated[float, Field(ge=-_CENTURY_S, le=_CENTURY_S)]] | None = None
    errors: list[str]
    usage_tokens: list[_Tokens]
    cpu_s: _Seconds

    def as_it_counts(self) -> dict[str, Any]:
        """Return its own totals."""
        names = {"duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "output_throughput"}
        return self.model_dump(include=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCount:
    """Tokens of all measured requests together, as a server's own counters have them."""

    prompt: int
    output: int


def read_result(text: str | bytes, requests: int) -> ClientResult:
    """Read what the client wrote of so many requests.

    Raises:
        UnreadableResult: it is something else.
    """
    try:
        result = ClientResult.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UnreadableResult(f"the result of vLLM's client cannot be read: {place}: {first['msg']}") from None
    lists = {name: value for name in ClientResult.model_fields if isinstance(value := getattr(result, name), list)}
    for name, values in lists.items():
        if len(values) != requests:
            raise UnreadableResult(f"the result of vLLM's client has {len(values)} {name} for {requests} requests")
    return result


def traces_of(
    result: ClientResult,
    planned: Sequence[PlannedRequest],
    asked: Asked,
    target: Target,
    counted: ServerCount | None = None,
) -> list[Trace]:
    """Return each request's timeline.

    Its output tokens are those of ``usage``; else those asked, where that is proven: there are as many messages with
    tokens as tokens asked, and no request is given more; or the server counted as many for all together. Else None.
    """
    reader = _Reader(result, asked, target, _proven(result, planned, counted))
    return [reader.trace(place, one) for place, one in enumerate(planned)]


def notes_of(result: ClientResult, traces: Sequence[Trace]) -> ClientNotes:
    """Return what is to be known of the client; how many connections it opened it does not say."""
    return ClientNotes(
        cpu_s=result.cpu_s,
        peak_concurrency=_most_at_a_time(traces),
        connections=None,
        retried=None,
        stamped_by_kernel=0,
        stamped_by_client=sum(
            len(gaps) + 1 for gaps, tokens in zip(result.itls, result.output_lens, strict=True) if tokens
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proven:
    """What a server's counters prove: outputs are as asked; each prompt has so many tokens beyond those sent."""

    output: bool = False
    beyond_prompt: int | None = None


def _proven(result: ClientResult, planned: Sequence[PlannedRequest], counted: ServerCount | None) -> _Proven:
    if counted is None or not all(result.output_lens):
        return _Proven()
    beyond = counted.prompt - sum(len(one.prompt) for one in planned)
    return _Proven(
        output=counted.output == sum(one.output_len for one in planned),
        beyond_prompt={0: 0, len(planned): 1}.get(beyond),  # 1 is a beginning-of-sequence token
    )


class _Reader:
    def __init__(self, result: ClientResult, asked: Asked, target: Target, proven: _Proven) -> None:
        self._result = result
        self._target = target
        self._proven = proven
        self._waits = result.queue_times if asked.request_rate is not None else None
        self._ids = asked.api == "completions"
        kind = (target.dialect, asked.api)
        self._before = _ROLE_MESSAGES.get(kind, 0)
        self._after = _CLOSING_MESSAGES.get(kind, 0)

    def trace(self, place: int, one: PlannedRequest) -> Trace:
        result = self._result
        sent_ns = round(result.start_times[place] * 1e9)
        common: dict[str, Any] = {
            "index": one.index,
            "asked_prompt": len(one.prompt),
            "asked_output": one.output_len,
            "due_ns": self._due_ns(place, sent_ns),
            "sent_ns": sent_ns,
        }
        if not result.output_lens[place]:
            status, fault = _fault(self._target.redacted(result.errors[place]))
            return Trace(outcome="failed", fault=fault, status=status, ended_ns=sent_ns, **common)
        gaps_s = (result.ttfts[place], *result.itls[place])
        messages = [sent_ns + round(after_s * 1e9) for after_s in accumulate(gaps_s)]
        bringing = messages[self._before : len(messages) - self._after]
        tokens = self._tokens(place, one, len(bringing))
        token_ns = tuple(bringing or messages[-1:])  # all tokens were held back, and are there at the end
        return Trace(
            outcome=outcome_of(tokens, one.output_len),
            fault=None,
            status=200,
            ended_ns=messages[-1],
            token_ns=token_ns,
            token_counts=(1,) * len(token_ns) if len(token_ns) == tokens else None,
            prompt_tokens=self._prompt_tokens(place, one),
            output_tokens=tokens,
            **common,
        )

    def _due_ns(self, place: int, sent_ns: int) -> int | None:
        """Return when it could have been sent, known at a rate only: else all wait from the start for their turns."""
        if self._waits is None:
            return None
        return sent_ns - round(max(self._waits[place], 0.0) * 1e9)

    def _tokens(self, place: int, one: PlannedRequest, messages: int) -> int | None:
        if usage := self._result.usage_tokens[place]:
            return usage
        as_many_messages = self._target.dialect == "llama-server" and messages == one.output_len
        return one.output_len if as_many_messages or self._proven.output else None

    def _prompt_tokens(self, place: int, one: PlannedRequest) -> int | None:
        if self._result.usage_tokens[place]:
            return self._result.input_lens[place]
        beyond = self._proven.beyond_prompt
        return len(one.prompt) + beyond if self._ids and beyond is not None else None


def _fault(error: str) -> tuple[int | None, Fault]:
    """Return the status, where its phrase is all that the client tells, and the cause with what it says."""
    said = error[:_SHOWN] or "without a word"
    status = _STATUSES.get(error)
    if status is not None:
        return status, Fault(cause=f"http-{status}", detail=said)
    cause = next((cause for words, cause in _CAUSES if words in error), "client-error")
    return None, Fault(cause=cause, detail=said)


def _most_at_a_time(traces: Sequence[Trace]) -> int:
    """Return how many requests were open at once at most; one that ends as another begins is not open with it."""
    answered = [trace for trace in traces if trace.outcome != "failed" and trace.sent_ns is not None]
    changes = [(trace.sent_ns or 0, 1) for trace in answered] + [(trace.ended_ns, -1) for trace in answered]
    return max(accumulate(change for _, change in sorted(changes)), default=0)
