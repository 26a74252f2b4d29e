"""Are answers handed over as they are generated, or held back and then given nearly at once (docs/serving-metrics.md)?

A server that is short of CPU, or a proxy that buffers, gives the tokens of a whole answer within a millisecond. The
time per output token is then that of handing over. It shows, because no server decodes faster than it reads prompts
and answers all the same: had each token really taken so little, all that was asked of it meanwhile would have been done
long before, even one token at a time.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from pytest_thor.serving.trace import Trace
from pytest_thor.units import format_quantity

_LONGER = 4.0
"""How many times as long as all of its work, one token at a time, a request takes that is called held back."""
_BESIDE_MS = 50.0
"""What a request may take beside its tokens: connecting, waking, waiting for a turn."""
_LEAST_TOKENS = 16
"""Of fewer output tokens the pace is not told: a few may be decoded in one step."""
_AS_OTHERS = 0.5
"""From this share of the usual time per token on, an answer streams as those that were not held back."""
_MOST_HELD = 0.25
"""The share of held answers from which on the summaries of a run are those of a mixture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How many of the requests whose pace is known (``of``) were held back; ``doubt`` says so where too many were."""

    held: int
    of: int
    doubt: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paced:
    """One request: its time per output token, its whole time, and what its work takes one token at a time, in ms."""

    pace_ms: float
    whole_ms: float
    work_ms: float

    @property
    def held(self) -> bool:
        return self.whole_ms > _LONGER * self.work_ms + _BESIDE_MS


def delivery_of(traces: Sequence[Trace]) -> Delivery:
    """Find the requests whose answers were held back.

    A request's work is its own prompt and output and those of every request that was open at the same time. A server
    that guesses ahead (speculative decoding) may truly give many tokens in one step, and is not to be judged so.
    """
    beside = _Beside(traces)
    paced = [one for trace in traces if (one := _paced(trace, beside)) is not None]
    held = _without_stalls(paced)
    doubt = None
    if held and len(held) >= _MOST_HELD * len(paced):
        typical = sorted(held, key=lambda one: one.pace_ms)[len(held) // 2]
        pace, work, whole = (
            format_quantity(value, "ms") for value in (typical.pace_ms, typical.work_ms, typical.whole_ms)
        )
        doubt = (
            f"{len(held)} of {len(paced)} answers were held back and then came nearly at once: {pace} per output token "
            f"is the time of handing over, not of decoding (one token at a time, a request and all beside it would "
            f"have taken {work} at that pace, and it took {whole}): most likely the server is short of CPU, or "
            "something before it buffers"
        )
    return Delivery(held=len(held), of=len(paced), doubt=doubt)


def _paced(trace: Trace, beside: _Beside) -> _Paced | None:
    if trace.outcome == "failed" or trace.sent_ns is None or len(trace.token_ns) < 2:
        return None
    if (trace.output_tokens or 0) < _LEAST_TOKENS:
        return None
    pace_ms = trace.tpot_ms or 0.0  # all messages within one packet: no time per token is known, and none went by
    tokens = beside.tokens(trace.sent_ns, trace.token_ns[-1])
    return _Paced(pace_ms=pace_ms, whole_ms=trace.e2el_ms or 0.0, work_ms=pace_ms * tokens)


def _without_stalls(paced: Sequence[_Paced]) -> list[_Paced]:
    """Return those that were held back, without those that only began late and then streamed as the others did."""
    streamed = [one.pace_ms for one in paced if not one.held]
    usual_ms = median(streamed) if streamed else math.inf
    return [one for one in paced if one.held and one.pace_ms < _AS_OTHERS * usual_ms]


class _Beside:
    """Counts the tokens of all requests that are open at some time between two."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        sent = [(trace.sent_ns, _tokens(trace)) for trace in traces if trace.sent_ns is not None]
        over = [(_over_ns(trace), _tokens(trace)) for trace in traces if trace.sent_ns is not None]
        self._sent_ns, self._sent = _summed(sent)
        self._over_ns, self._over = _summed(over)

    def tokens(self, from_ns: int, to_ns: int) -> int:
        begun = self._sent[bisect_right(self._sent_ns, to_ns)]
        return begun - self._over[bisect_left(self._over_ns, from_ns)]


def _summed(tokens: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return times in order, and how many tokens there are before each and in all."""
    ordered = sorted(tokens)
    return [time_ns for time_ns, _ in ordered], list(accumulate((count for _, count in ordered), initial=0))


def _over_ns(trace: Trace) -> int:
    return trace.token_ns[-1] if trace.token_ns and trace.outcome != "failed" else trace.ended_ns


def _tokens(trace: Trace) -> int:
    """Return what a request asks a server to process, at the most."""
    prompt = max(trace.asked_prompt, trace.prompt_tokens or 0)
    return prompt + max(trace.asked_output, trace.output_tokens or 0)
