"""A load's figures in the layout of ``vllm bench serve``, so that they can be laid beside published ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 50
_LATENCIES = (
    ("ttft_ms", "TTFT", "Time to First Token"),
    ("tpot_ms", "TPOT", "Time per Output Token (excl. 1st token)"),
    ("itl_ms", "ITL", "Inter-token Latency"),
)
_SUMMARIES = (("mean", "Mean"), ("median", "Median"), ("p99", "P99"))


def vllm_block(evidence: Mapping[str, Any]) -> str:
    """Return the familiar console block for a load's ``evidence``; what is not known reads ``n/a``."""
    return "\n".join(_lines(evidence))


def _lines(evidence: Mapping[str, Any]) -> Iterator[str]:
    requests, tokens, rates = evidence["requests"], evidence["tokens"], evidence["throughput"]
    yield " Serving Benchmark Result ".center(_WIDTH, "=")
    yield _row("Successful requests:", requests["sent"] - requests["failed"])
    if requests["failed"]:
        yield _row("Failed requests:", requests["failed"])
    if evidence["max_concurrency"] is not None:
        yield _row("Maximum request concurrency:", evidence["max_concurrency"])
    if evidence["request_rate"] is not None:
        yield _row("Request rate configured (RPS):", float(evidence["request_rate"]))
    yield _row("Benchmark duration (s):", evidence["duration_s"])
    yield _row("Total input tokens:", tokens["prompt"])
    yield _row("Total generated tokens:", tokens["output"])
    yield _row("Request throughput (req/s):", rates.get("request_rps"))
    if "goodput_rps" in rates:
        yield _row("Request goodput (req/s):", rates["goodput_rps"])
    yield _row("Output token throughput (tok/s):", rates.get("output_tps"))
    yield _row("Total Token throughput (tok/s):", rates.get("total_tps"))
    for metric, short, title in _LATENCIES:
        summary = evidence["latency"].get(metric) or {}
        yield title.center(_WIDTH, "-")
        for name, shown in _SUMMARIES:
            yield _row(f"{shown} {short} (ms):", summary.get(name))
    yield "=" * _WIDTH


def _row(title: str, value: float | None) -> str:
    shown = "n/a" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
    return f"{title:<40} {shown:<10}".rstrip()
