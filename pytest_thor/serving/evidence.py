"""What a report keeps of a load beside its samples, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.delivery import Delivery
from pytest_thor.serving.load import Load
from pytest_thor.serving.metrics import count, failures, limits_of, recorded_ms, summary
from pytest_thor.serving.trace import Trace

MANY_REQUESTS = 1000
"""Requests that are told one by one."""

_TOLD_MS = ("queue_ms", "ttft_ms", "tpot_ms", "e2el_ms")

DEFINITIONS = {
    "ttft_ms": "arrival of the first message with tokens − request sent",
    "e2el_ms": "arrival of the last message with tokens − request sent",
    "tpot_ms": "(e2el_ms − ttft_ms) / (output tokens − 1)",
    "itl_ms": "gaps between messages with tokens, shared where one brings several",
    "queue_ms": "request sent − request due: in no latency",
    "output_tps": "output tokens of all requests / wall time of the run",
    "total_tps": "prompt and output tokens of all requests / wall time of the run",
    "request_rps": "complete requests / wall time of the run",
    "goodput_rps": "complete requests within every limit of slo / wall time of the run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientNotes:
    """What the client says of itself; ``cpu_s`` is its own processor time while it measured.

    None is what it does not say.
    """

    cpu_s: float
    peak_concurrency: int
    connections: int | None
    retried: int | None
    stamped_by_kernel: int
    stamped_by_client: int


def evidence_of(
    *,
    load: Load,
    asked: Asked,
    traces: Sequence[Trace],
    warmup: Sequence[Trace],
    started_ns: int,
    duration_s: float,
    latencies: Mapping[str, Sequence[float]],
    throughputs: Mapping[str, float],
    delivery: Delivery,
    notes: ClientNotes,
) -> dict[str, Any]:
    """Return the evidence: None where something is not known."""
    counts = count(traces)
    answered = [trace for trace in traces if trace.outcome != "failed"]
    return {
        "seed": load.seed,
        "api": asked.api,
        "definitions": DEFINITIONS,
        "duration_s": duration_s,
        "max_concurrency": load.max_concurrency,
        "request_rate": asked.request_rate,
        "peak_concurrency": notes.peak_concurrency,
        "requests": {
            "planned": load.count,
            "sent": counts.sent,
            "complete": counts.complete,
            "short": counts.short,
            "long": counts.long,
            "uncounted": counts.uncounted,
            "failed": counts.failed,
        },
        "failures": failures(traces),
        "tokens": {
            "prompt_asked": counts.prompt_asked,
            "prompt": counts.prompt,
            "output_asked": counts.output_asked,
            "output": counts.output,
            "cached": counts.cached,
        },
        "throughput": dict(throughputs),
        "slo": dict(limits_of(asked)),
        "latency": {name: summary(values) for name, values in latencies.items()},
        "queue_ms": summary([wait for trace in traces if (wait := trace.queue_ms) is not None]),
        "held_back": {"held": delivery.held, "of": delivery.of},
        "ttft_unknown": sum(trace.ttft_ms is None for trace in answered),
        "itl_unknown": sum(trace.token_counts is None for trace in answered),
        "client": asdict(notes),
        "warmup": {"sent": len(warmup), "failures": failures(warmup)},
        "per_request": [_told(trace, started_ns) for trace in traces[:MANY_REQUESTS]],
    }


def _told(trace: Trace, started_ns: int) -> dict[str, Any]:
    return {
        "index": trace.index,
        "outcome": trace.outcome,
        "cause": trace.fault.cause if trace.fault else None,
        "sent_s": None if trace.sent_ns is None else round((trace.sent_ns - started_ns) / 1e9, 6),
        **{name: None if (value := getattr(trace, name)) is None else recorded_ms(name, value) for name in _TOLD_MS},
        "prompt_tokens": trace.prompt_tokens,
        "cached_tokens": trace.cached_tokens,
        "output_asked": trace.asked_output,
        "output_tokens": trace.output_tokens,
        "messages": len(trace.token_ns),
        "retried": trace.retried,
    }
