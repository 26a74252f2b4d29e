"""The block reads as that of ``vllm bench serve``; the golden one is from a published run on Jetson Thor."""

from __future__ import annotations

from pathlib import Path

from pytest_thor.vllm_block import vllm_block
from tests.unit.report.report_documents import published_load

PUBLISHED = Path(__file__).parents[1] / "golden" / "vllm_bench_serve_high_load.txt"


def test_the_block_of_a_published_run_comes_out_as_it_was_published() -> None:
    assert vllm_block(published_load()).splitlines() == PUBLISHED.read_text().splitlines()


def test_what_is_not_known_says_so_and_failures_are_shown() -> None:
    evidence = published_load() | {
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
