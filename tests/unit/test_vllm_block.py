"""The block reads as that of ``vllm bench serve``; the golden one is from a published run on Jetson Thor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_thor.vllm_block import vllm_block

PUBLISHED = Path(__file__).parents[1] / "golden" / "vllm_bench_serve_high_load.txt"


def published_evidence() -> dict[str, Any]:
    return {
        "duration_s": 150.59,
        "max_concurrency": 8,
        "request_rate": None,
        "requests": {"sent": 100, "failed": 0},
        "tokens": {"prompt": 204169, "output": 12419},
        "throughput": {"request_rps": 0.66, "output_tps": 82.47, "total_tps": 1438.24},
        "latency": {
            "ttft_ms": {"mean": 974.57, "median": 959.99, "p99": 2200.61},
            "tpot_ms": {"mean": 85.33, "median": 86.05, "p99": 90.57},
            "itl_ms": {"mean": 85.33, "median": 72.52, "p99": 361.74},
        },
    }


def test_the_block_of_a_published_run_comes_out_as_it_was_published() -> None:
    assert vllm_block(published_evidence()).splitlines() == PUBLISHED.read_text().splitlines()


def test_what_is_not_known_says_so_and_failures_are_shown() -> None:
    evidence = published_evidence() | {
        "requests": {"sent": 10, "failed": 3},
        "tokens": {"prompt": None, "output": None},
        "throughput": {"request_rps": 1.5, "goodput_rps": 0.5},
        "latency": {},
        "max_concurrency": None,
        "request_rate": 2,
    }
    lines = [line.split(":") for line in vllm_block(evidence).splitlines() if ":" in line]
    rows = {title: value.strip() for title, value in lines}
    assert (rows["Successful requests"], rows["Failed requests"]) == ("7", "3")
    assert (rows["Total generated tokens"], rows["Output token throughput (tok/s)"]) == ("n/a", "n/a")
    assert rows["Request rate configured (RPS)"] == "2.00"
    assert rows["Request goodput (req/s)"] == "0.50"
    assert rows["P99 ITL (ms)"] == "n/a"
    assert "Maximum request concurrency" not in rows
