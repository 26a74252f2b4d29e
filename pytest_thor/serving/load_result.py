"""What a load came to: requests, read one by one, become samples, doubts and evidence, whoever sent them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_thor.serving.asked import Asked
from pytest_thor.serving.delivery import delivery_of
from pytest_thor.serving.doubts import described, doubts_of
from pytest_thor.serving.evidence import ClientNotes, evidence_of
from pytest_thor.serving.exchange import Fault
from pytest_thor.serving.load import Load
from pytest_thor.serving.metrics import count, failures, latencies, throughputs
from pytest_thor.serving.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load came to.

    ``samples`` are by metric: one latency in ms per request (per gap between tokens for ``itl_ms``), one figure for
    each throughput. ``failure`` says why there are none. ``evidence`` is JSON: counts, summaries, single requests.
    ``window`` is when the measured requests ran, in seconds of ``time.monotonic()``. ``held_back`` is one doubt more,
    for servers that do not guess ahead: answers came too late and then at once.
    """

    samples: dict[str, tuple[float, ...]] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    held_back: str | None = None
    failure: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    window: tuple[float, float] | None = None


def result_of(
    load: Load,
    asked: Asked,
    *,
    traces: Sequence[Trace],
    warmup: Sequence[Trace],
    started_ns: int,
    duration_s: float,
    notes: ClientNotes,
    stopped: Fault | None,
) -> LoadResult:
    """Return what the measured requests (``traces``) of a load came to; ``stopped`` says why it was cut short."""
    counts = count(traces)
    causes = failures(traces)
    figures = throughputs(traces, counts, duration_s=duration_s, asked=asked)
    samples = latencies(traces)
    delivery = delivery_of(traces)
    evidence = evidence_of(
        load=load,
        asked=asked,
        traces=traces,
        warmup=warmup,
        started_ns=started_ns,
        duration_s=duration_s,
        latencies=samples,
        throughputs=figures,
        delivery=delivery,
        notes=notes,
    )
    failure = None
    if stopped is not None:
        planned = f" of {load.count}" if load.count is not None else ""
        sound = counts.sent - counts.failed
        failure = f"{stopped.cause}: {stopped.detail}; {sound}{planned} requests had been answered"
    elif not traces:
        failure = "no request was due before the load's time was over"
    elif counts.failed == counts.sent:
        failure = f"all {counts.sent} requests failed: {described(causes)}"
    if failure is not None:
        return LoadResult(failure=failure, evidence=evidence)
    return LoadResult(
        samples={**samples, **{name: (figure,) for name, figure in figures.items()}},
        doubts=doubts_of(traces, counts, causes, asked),
        held_back=delivery.doubt,
        evidence=evidence,
        window=(started_ns / 1e9, started_ns / 1e9 + duration_s),
    )
