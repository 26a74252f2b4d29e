"""What a run of many requests comes to: samples by metric, and their summaries (docs/serving-metrics.md)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.trace import Trace

_US_DIGITS, _NS_DIGITS = 3, 6
"""Decimals of a figure in ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests by outcome and tokens by kind; tokens are None where a request does not say how many.

    ``*_asked`` is for the same requests whose tokens are counted: all but the failed.
    """

    complete: int
    short: int
    long: int
    uncounted: int
    failed: int
    prompt_asked: int
    prompt: int | None
    output_asked: int
    output: int | None
    cached: int | None

    @property
    def sent(self) -> int:
        """How many requests there were."""
        return self.complete + self.short + self.long + self.uncounted + self.failed


def count(traces: Sequence[Trace]) -> Counts:
    """Count outcomes and tokens."""
    outcomes = [trace.outcome for trace in traces]
    answered = [trace for trace in traces if trace.outcome != "failed"]
    return Counts(
        complete=outcomes.count("complete"),
        short=outcomes.count("short"),
        long=outcomes.count("long"),
        uncounted=outcomes.count("uncounted"),
        failed=outcomes.count("failed"),
        prompt_asked=sum(trace.asked_prompt for trace in answered),
        prompt=_sum(trace.prompt_tokens for trace in answered),
        output_asked=sum(trace.asked_output for trace in answered),
        output=_sum(trace.output_tokens for trace in answered),
        cached=_sum(trace.cached_tokens for trace in answered),
    )


def latencies(traces: Sequence[Trace]) -> dict[str, tuple[float, ...]]:
    """Return the samples of each latency in ms, in the order of the traces; a metric without any is left out.

    They are as fine as the clock is true (:func:`recorded_ms`), and all else is made of them. A failed request has
    none. One with another number of tokens than asked has no end-to-end latency, since that is another request's.
    """
    answered = [trace for trace in traces if trace.outcome != "failed"]
    right_length = [trace for trace in answered if trace.outcome in {"complete", "uncounted"}]
    samples = {
        "ttft_ms": _known(trace.ttft_ms for trace in answered),
        "tpot_ms": _known(trace.tpot_ms for trace in answered),
        "itl_ms": tuple(chain.from_iterable(trace.itl_ms or () for trace in answered)),
        "e2el_ms": _known(trace.e2el_ms for trace in right_length),
    }
    return {name: tuple(recorded_ms(name, value) for value in values) for name, values in samples.items() if values}


def recorded_ms(metric: str, value: float) -> float:
    """Return a latency in ms as it is kept: to 1 µs, and a mean over many gaps (``tpot_ms``) to 1 ns.

    An arrival is known no better than to 1 µs: the distance between the kernel's clock and ours is in it, and the
    kernel's own work on a packet takes longer. What is not 0 stays so.
    """
    return round(value, _NS_DIGITS if metric == "tpot_ms" else _US_DIGITS) or value


def throughputs(traces: Sequence[Trace], counts: Counts, *, duration_s: float, asked: Asked) -> dict[str, float]:
    """Return tokens and requests per second over the wall time of the run; what is not known is left out.

    Goodput is there only where the workload sets a limit.
    """
    figures: dict[str, float | None] = {
        "output_tps": counts.output,
        "total_tps": None if counts.prompt is None or counts.output is None else counts.prompt + counts.output,
        "request_rps": counts.complete + counts.uncounted,
        "goodput_rps": _good(traces, asked),
    }
    if counts.failed == counts.sent or duration_s <= 0:
        return {}
    return {name: figure / duration_s for name, figure in figures.items() if figure is not None}


def summary(values: Sequence[float]) -> dict[str, float | int] | None:
    """Return count, mean, median, p90, p95, p99, least and most, or None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "mean": statistics.fmean(ordered),
        "median": percentile(ordered, 0.5),
        "p90": percentile(ordered, 0.9),
        "p95": percentile(ordered, 0.95),
        "p99": percentile(ordered, 0.99),
        "min": ordered[0],
        "max": ordered[-1],
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of values in rising order, interpolated linearly between the two nearest.

    The definition of numpy's default, which ``vllm bench serve`` uses (Hyndman and Fan 1996, type 7).

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("nothing has no percentile")
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    weight = position - below
    return ordered[below] * (1 - weight) + ordered[above] * weight


def failures(traces: Iterable[Trace]) -> dict[str, dict[str, int | str]]:
    """Return how many requests failed for each cause, with the first one's detail, the most frequent cause first."""
    causes: dict[str, tuple[int, str]] = {}
    for trace in traces:
        if trace.fault is not None:
            number, example = causes.get(trace.fault.cause, (0, trace.fault.detail))
            causes[trace.fault.cause] = (number + 1, example)
    ranked = sorted(causes.items(), key=lambda item: -item[1][0])
    return {cause: {"count": number, "example": example} for cause, (number, example) in ranked}


def limits_of(asked: Asked) -> Mapping[str, float]:
    """Return the limits that make a request good, in ms by metric."""
    limits = {"ttft_ms": asked.slo_ttft_ms, "tpot_ms": asked.slo_tpot_ms, "e2el_ms": asked.slo_e2el_ms}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _good(traces: Sequence[Trace], asked: Asked) -> int | None:
    limits = limits_of(asked)
    if not limits:
        return None
    return sum(trace.outcome == "complete" and _keeps(trace, limits) for trace in traces)


def _keeps(trace: Trace, limits: Mapping[str, float]) -> bool:
    """Tell whether a request is known to keep every limit; one token has no time per token, and keeps that limit."""
    reached = {"ttft_ms": trace.ttft_ms, "tpot_ms": trace.tpot_ms, "e2el_ms": trace.e2el_ms}
    if trace.output_tokens == 1:
        reached["tpot_ms"] = 0.0
    return all((value := reached[name]) is not None and value <= limit for name, limit in limits.items())


def _known(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _sum(values: Iterable[int | None]) -> int | None:
    """Return a sum, None unless every part is known."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
