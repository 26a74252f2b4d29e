"""What comes out of an engine: metrics, and the launches that hold their raw samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Better: TypeAlias = Literal["higher", "lower"]
Samples: TypeAlias = Mapping[str, tuple[float, ...]]
"""Raw samples by metric name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A measured quantity: its unit, which direction is good, and the smallest change that matters by default.

    One that has a ``resolution`` is exact: launches of the same give the same figure, and it shows no difference that
    is smaller, in its unit.
    """

    name: str
    unit: str
    better: Better
    threshold: float
    title: str
    resolution: float | None = None


_ALL = (
    Metric(name="pp_tps", unit="tok/s", better="higher", threshold=0.05, title="prefill speed"),
    Metric(name="tg_tps", unit="tok/s", better="higher", threshold=0.03, title="decode speed"),
    Metric(name="ttft_ms", unit="ms", better="lower", threshold=0.10, title="time to first token"),
    Metric(name="tpot_ms", unit="ms", better="lower", threshold=0.05, title="time per output token"),
    Metric(name="itl_ms", unit="ms", better="lower", threshold=0.10, title="inter-token latency"),
    Metric(name="e2el_ms", unit="ms", better="lower", threshold=0.10, title="end-to-end latency"),
    Metric(name="output_tps", unit="tok/s", better="higher", threshold=0.05, title="output throughput"),
    Metric(name="total_tps", unit="tok/s", better="higher", threshold=0.05, title="total throughput"),
    Metric(name="request_rps", unit="req/s", better="higher", threshold=0.05, title="request throughput"),
    Metric(name="goodput_rps", unit="req/s", better="higher", threshold=0.05, title="goodput"),
    Metric(name="load_s", unit="s", better="lower", threshold=0.25, title="load time"),
    Metric(name="peak_memory_bytes", unit="B", better="lower", threshold=0.05, title="peak memory"),
    Metric(name="energy_j_per_token", unit="J/tok", better="lower", threshold=0.05, title="energy per token"),
    Metric(name="perplexity", unit="ppl", better="lower", threshold=0.01, title="perplexity", resolution=1e-4),
    # Of the logits that it is held against, 16 bits of a range of 16 nats are kept.
    Metric(name="kl_divergence", unit="nat", better="lower", threshold=0.10, title="KL divergence", resolution=1e-5),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric there is, by name."""

SUMMARIES = ("mean", "median", "p90", "p95", "p99")
"""Summaries of a latency's samples that a threshold may name after a dot: ``ttft_ms.p99``."""

GATED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prefill": ("pp_tps",),
        "decode": ("tg_tps",),
        "serving": ("output_tps", "ttft_ms.median", "tpot_ms.median"),
        "quality": ("perplexity", "kl_divergence"),
    }
)
"""The metrics that are judged for each kind of workload, whatever the matrix says; its thresholds may add more."""

WHERE_MEASURED = frozenset({"kl_divergence"})
"""Those of them that a cell may be without: there is a divergence only from a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """Which program measured: its version or build, as it reports it itself."""

    name: str
    path: str
    version: str | None = None
    commit: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What one start of an engine gave for one cell.

    ``failure`` is None when the cell was measured; otherwise it says why not, and ``log_tail`` holds the end of
    what the engine printed. ``doubts`` are sentences that say why the figures cannot be what they claim (served from
    a prefix cache, outputs cut short): any makes the cell invalid. ``evidence`` keeps whatever else the engine
    reported, as JSON values. ``windows`` are the timed parts themselves (each repetition, or the load), as start and
    end in seconds of ``time.monotonic()``, without loading, warm-up and the filling of a depth; none where not known.
    """

    started_at: str
    duration_s: float
    engine: EngineBuild
    samples: Samples = field(default_factory=dict)
    failure: str | None = None
    log_tail: str | None = None
    doubts: tuple[str, ...] = ()
    windows: tuple[tuple[float, float], ...] = ()
    telemetry: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
