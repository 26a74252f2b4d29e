"""What ``vllm bench serve`` calls its figures: on the console through the years, and in its JSON.

Older ones are those of ``benchmark_serving.py``; SGLang's ``bench_serving`` grew out of the same script.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Where a figure goes: a metric with its unit, or a parameter of the workload."""

    name: str
    unit: str
    workload: bool = False


_LABELS = {
    "successful requests": ("completed", "requests"),
    "failed requests": ("failed", "requests"),
    "benchmark duration": ("duration_s", "s"),
    "total time": ("duration_s", "s"),
    "total input tokens": ("input_tokens", "tokens"),
    "total input text tokens": ("input_text_tokens", "tokens"),
    "total input vision tokens": ("input_vision_tokens", "tokens"),
    "total generated tokens": ("output_tokens", "tokens"),
    "total generated tokens (retokenized)": ("output_tokens_retokenized", "tokens"),
    "throughput": ("request_rps", "req/s"),
    "request throughput": ("request_rps", "req/s"),
    "request goodput": ("goodput_rps", "req/s"),
    "input token throughput": ("input_tps", "tok/s"),
    "output token throughput": ("output_tps", "tok/s"),
    "total token throughput": ("total_tps", "tok/s"),
    "peak output token throughput": ("peak_output_tps", "tok/s"),
    "peak concurrent requests": ("peak_concurrency", "requests"),
    "concurrency": ("concurrency", "requests"),
    "average latency": ("e2el_ms.mean", "ms"),
    "average latency per token": ("latency_per_token_ms.mean", "ms"),
    "average latency per output token": ("latency_per_output_token_ms.mean", "ms"),
    "rtfx": ("real_time_factor", ""),
    "rtfx (inverse real-time factor)": ("real_time_factor", ""),
    "acceptance rate": ("acceptance_rate", "%"),
    "acceptance length": ("acceptance_length", "tokens"),
    "accept length": ("acceptance_length", "tokens"),
    "drafts": ("drafts", ""),
    "draft tokens": ("draft_tokens", "tokens"),
    "accepted tokens": ("accepted_tokens", "tokens"),
}
_LOADS = {
    "maximum request concurrency": "max_concurrency",
    "max request concurrency": "max_concurrency",
    "max reqeuest concurrency": "max_concurrency",  # so spelled for a while
    "request rate configured": "request_rate",
    "traffic request rate": "request_rate",
}
_LATENCIES = {
    "ttft": "ttft_ms",
    "tpot": "tpot_ms",
    "itl": "itl_ms",
    "e2el": "e2el_ms",
    "e2e latency": "e2el_ms",
    "queue time": "queue_ms",
    "e2el incl. queue": "e2el_queued_ms",
}
_SUMMARIES = {"mean": "mean", "median": "median", "max": "max", "min": "min", "std": "std", "average": "mean"}
_UNIT = re.compile(r" \((ms|s|rps|req/s|tok/s|tokens/s|%)\)$")
_SUMMARY = re.compile(r"(?:(mean|median|max|min|std|average)|p(\d{1,2}(?:\.\d{1,3})?)) (\S.*)")
_POSITION = re.compile(r"position (\d{1,2})")

JSON_KEYS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "duration": ("duration_s", "s"),
        "completed": ("completed", "requests"),
        "failed": ("failed", "requests"),
        "total_input_tokens": ("input_tokens", "tokens"),
        "total_output_tokens": ("output_tokens", "tokens"),
        "request_throughput": ("request_rps", "req/s"),
        "request_goodput": ("goodput_rps", "req/s"),
        "request_goodput:": ("goodput_rps", "req/s"),  # so spelled for a while
        "request_inthroughput": ("input_tps", "tok/s"),
        "input_throughput": ("input_tps", "tok/s"),
        "output_throughput": ("output_tps", "tok/s"),
        "total_token_throughput": ("total_tps", "tok/s"),
        "total_throughput": ("total_tps", "tok/s"),
        "max_output_tokens_per_s": ("peak_output_tps", "tok/s"),
        "max_concurrent_requests": ("peak_concurrency", "requests"),
        "rtfx": ("real_time_factor", ""),
        "spec_decode_acceptance_rate": ("acceptance_rate", "%"),
        "spec_decode_acceptance_length": ("acceptance_length", "tokens"),
        "spec_decode_num_drafts": ("drafts", ""),
        "spec_decode_draft_tokens": ("draft_tokens", "tokens"),
        "spec_decode_accepted_tokens": ("accepted_tokens", "tokens"),
    }
)
_JSON_LATENCY = re.compile(
    r"(?:(mean|median|std|max|min)|p(\d{1,2}(?:\.\d{1,3})?))_(ttft|tpot|itl|e2el|e2e_latency)(?:_ms)?"
)


def of_label(label: str) -> tuple[Named, str] | None:
    """Return what a console label means, and the unit that it states (empty where none); None where not known."""
    name = " ".join(label.casefold().split())
    unit = _UNIT.search(name)
    stated = unit[1] if unit else ""
    if unit:
        name = name[: unit.start()]
    if name in _LOADS:
        return Named(name=_LOADS[name], unit="", workload=True), ""
    if name in _LABELS:
        metric, expected = _LABELS[name]
        return Named(name=metric, unit=expected), stated
    if position := _POSITION.fullmatch(name):
        return Named(name=f"acceptance_at.{position[1]}", unit="%"), stated or "%"
    summary = _SUMMARY.fullmatch(name)
    if summary and summary[3] in _LATENCIES:
        which = _SUMMARIES[summary[1]] if summary[1] else f"p{summary[2]}"
        return Named(name=f"{_LATENCIES[summary[3]]}.{which}", unit="ms"), stated
    return None


def of_key(key: str) -> Named | None:
    """Return what a key of the JSON means, None where it is no figure."""
    if key in JSON_KEYS:
        metric, unit = JSON_KEYS[key]
        return Named(name=metric, unit=unit)
    match = _JSON_LATENCY.fullmatch(key)
    if match is None:
        return None
    which = match[1] or f"p{match[2]}"
    return Named(name=f"{_LATENCIES[match[3].replace('_', ' ')]}.{which}", unit="ms")
