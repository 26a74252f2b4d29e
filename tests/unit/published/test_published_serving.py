"""``vllm bench serve`` on the console, through the years, and its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.published.samples import lines, reasons, sample

GOLDEN = Path(__file__).parents[2] / "golden"


def test_todays_block_with_the_load_that_was_printed_before_it() -> None:
    reading = sample("vllm-bench-serve-2025.txt")

    (result,) = reading.results
    assert result.line == 3
    assert (result.label, result.model, result.quant) == ("acme/Aurora-7B-FP8", "Aurora-7B", "FP8")
    assert dict(result.workload) == {"request_rate": 5.0, "num_prompts": 30, "input_len": 256, "output_len": 32}
    assert {name: figure.value for name, figure in result.metrics.items()} == {
        "completed": 29,
        "failed": 1,
        "duration_s": 6,
        "input_tokens": 7424,
        "output_tokens": 928,
        "request_rps": 4.83,
        "goodput_rps": 4,
        "output_tps": 154.67,
        "peak_output_tps": 320,
        "peak_concurrency": 9,
        "total_tps": 1392,
        "ttft_ms.mean": 50,
        "ttft_ms.median": 48,
        "ttft_ms.p99.9": 99,
        "acceptance_rate": 61.5,
        "drafts": 400,
        "acceptance_at.0": 80,
    }
    assert result.metrics["ttft_ms.median"].written == "48.00"
    assert reasons(reading) == [(16, "'Frobnication (frob/s)' is no label of vllm bench serve that is known")]


def test_the_first_script_printed_no_rules_and_its_units_behind() -> None:
    reading = sample("benchmark_serving-2024.txt")

    (result,) = reading.results
    assert result.line == 2
    assert result.metrics["input_tps"].value == 2151.96
    assert result.metrics["ttft_ms.p99"].value == 250
    assert result.metrics["tpot_ms.mean"].value == 10.5
    assert len(result.metrics) == 11
    assert reading.unread == ()


def test_sglangs_block_shares_the_layout() -> None:
    reading = sample("sglang.txt")

    (result,) = reading.results
    assert result.backend == "sglang"
    assert dict(result.workload) == {"num_prompts": 20}
    assert result.metrics["e2el_ms.median"].value == 3700
    assert result.metrics["itl_ms.max"].value == 60
    assert result.metrics["output_tokens_retokenized"].value == 990
    assert len(result.metrics) == 20
    assert reading.unread == ()


BLOCK = (
    "============ Serving Benchmark Result ============",
    "Successful requests:                     10",
    "Benchmark duration (s):                  5.00",
    "Request throughput (req/s):              2.00",
    "Median TTFT (ms):                        80.00",
    "==================================================",
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Median TPOT (ms):                        nan", "nan is not a number"),
        ("Median TPOT (ms):                        -3.00", "-3.00 is negative"),
        ("Median TPOT (ms):                        1,234", "1,234 may be 1.234 or 1234"),
        ("Median TPOT (ms):                        fast", "'fast' is not a number"),
        ("Median TPOT (s):                         5.00 tok/s", "its unit is tok/s, expected ms"),
        ("Median TPOT:                             5.00", "it has no unit: expected ms or s"),
        ("Median TTFT (ms):                        5.00", "'Median TTFT (ms)' stands here for the second time"),
    ],
)
def test_a_line_that_cannot_be_read_leaves_the_others(line: str, reason: str) -> None:
    reading = lines(*BLOCK[:-1], line, BLOCK[-1])

    assert reading.results[0].metrics["ttft_ms.median"].value == 80
    assert len(reading.results[0].metrics) == 4
    assert reasons(reading) == [(6, reason)]


def test_seconds_become_milliseconds_and_commas_points() -> None:
    reading = lines(*BLOCK[:-1], "Median TPOT (s): 0,025", BLOCK[-1])

    assert reading.results[0].metrics["tpot_ms.median"].value == 25


def test_a_block_that_ends_in_the_middle_of_a_figure_gives_no_such_figure() -> None:
    from pytest_thor.published.read import read

    reading = read("\n".join(BLOCK[:-1])[:-1], name="cut")

    assert "ttft_ms.median" not in reading.results[0].metrics
    assert reading.results[0].notes == ("the block has no closing rule: it may be cut off",)
    assert reasons(reading) == [(5, "the text ends here: this figure may be cut off")]


def test_a_block_cut_off_by_the_next_one_keeps_to_itself() -> None:
    reading = lines(*BLOCK[:3], *BLOCK)

    assert [len(result.metrics) for result in reading.results] == [2, 4]
    assert reading.results[0].notes == ("the block has no closing rule: it may be cut off",)


def test_lines_whose_block_lost_its_beginning_are_listed() -> None:
    reading = lines(*BLOCK[4:])

    assert reading.results == ()
    assert reasons(reading) == [(1, "a line without the block that it belongs to")]


def test_figures_that_contradict_one_another_are_noted() -> None:
    reading = lines(*BLOCK[:3], "Request throughput (req/s): 3.00", BLOCK[-1])

    assert reading.results[0].notes == ("request_rps × duration_s is 15, completed says 10",)


@pytest.mark.parametrize("case", ["faults", "llama_completions", "vllm_chat", "vllm_rate"])
def test_the_json_of_a_real_vllm_bench_serve(case: str) -> None:
    written: dict[str, Any] = json.loads((GOLDEN / "vllm_client_0.32.0.json").read_text())[case]

    reading = lines(*json.dumps({"model_id": "acme/Aurora-7B", **written}, indent=1).split("\n"))

    (result,) = reading.results
    assert (result.model, result.kind, result.line) == ("Aurora-7B", "serving", 1)
    assert result.metrics["output_tps"].value == written["output_throughput"]
    assert result.metrics["completed"].value == written["completed"]
    assert "errors" not in result.settings
    assert "generated_texts" not in result.settings


DETAILED = {
    "date": "20251012-060708",
    "endpoint_type": "openai",
    "backend": "openai",
    "label": None,
    "model_id": "aurora",
    "tokenizer_id": "/models/acme/Aurora-7B-AWQ",
    "num_prompts": 3,
    "gpu": "one",
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 2,
    "duration": 2.0,
    "completed": 2,
    "total_input_tokens": 20,
    "total_output_tokens": 16,
    "request_throughput": 1.0,
    "request_goodput": None,
    "output_throughput": 8.0,
    "total_token_throughput": 18.0,
    "input_lens": [10, 10, 10],
    "output_lens": [8, 8, 0],
    "ttfts": [0.1, 0.3, 0.0],
    "itls": [[0.01], [0.02], []],
    "generated_texts": ["a", "b", ""],
    "errors": ["", "", "Connection reset"],
    "mean_ttft_ms": 200.0,
    "median_ttft_ms": 200.0,
    "std_ttft_ms": 100.0,
    "p99_ttft_ms": 298.0,
    "p99.9_ttft_ms": 299.8,
    "mean_tpot_ms": float("nan"),
    "median_tpot_ms": -1,
    "from_the_future": {"a": 1},
}


def test_detailed_json_gives_the_samples_of_requests_that_succeeded() -> None:
    reading = lines(json.dumps(DETAILED))

    (result,) = reading.results
    assert (result.model, result.quant, result.date) == ("Aurora-7B", "AWQ", "2025-10-12T06:07:08")
    assert dict(result.workload) == {"num_prompts": 3, "max_concurrency": 2, "input_len": 10}
    assert result.metrics["ttft_ms.median"].samples == (100, 300)
    assert result.metrics["ttft_ms.p99.9"].value == 299.8
    assert result.metrics["ttft_ms.std"].value == 100
    assert dict(result.settings) == {"gpu": "one", "burstiness": 1.0}
    assert reasons(reading) == [
        (1, "mean_tpot_ms is nan, which is not finite"),
        (1, "median_tpot_ms is negative: -1"),
        (1, "this key is not known; what it holds was left out"),
    ]


def test_results_appended_to_one_file_are_as_many() -> None:
    one = json.dumps({"date": "20240101-000000", "model_id": "a/B-1B", "completed": 1, "duration": 2.0})

    assert [result.model for result in lines(one, one).results] == ["B-1B"] * 2
    assert [result.model for result in lines(one + one).results] == ["B-1B"] * 2


def test_json_nested_without_end_is_listed_and_not_followed() -> None:
    reading = lines('{"completed": ' + "[" * 100_000)

    assert reading.results == ()
    assert len(reading.unread) == 1
