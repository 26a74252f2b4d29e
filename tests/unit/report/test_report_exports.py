"""What other tools read, held against what each of them asks for."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import jsonschema
import pytest

from pytest_thor.measurement import Better
from pytest_thor.plain_text import one_line
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.exports import CSV_COLUMNS, action_benchmark, bencher, long_csv
from pytest_thor.report.junit import properties
from pytest_thor.report.vllm_bench import vllm_blocks
from tests.unit.report.report_documents import (
    GOLDEN,
    HOSTILE,
    cell,
    document,
    failed,
    hostile,
    judged,
    launch,
    metric,
    published_load,
    regressed,
    skipped,
)

ACTION_ENTRIES = {  # what github-action-benchmark's BenchmarkResult is
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value", "unit"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {"type": "number"},
            "unit": {"type": "string"},
            "range": {"type": "string", "pattern": r"^± \d+(\.\d+)?(e[-+]?\d+)?$"},  # what JavaScript's Number takes
            "extra": {"type": "string"},
        },
    },
}
BENCHER = {  # the rules of Bencher's published schema (draft 7) for its metric format
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {key: {"type": "number"} for key in ("value", "lower_value", "upper_value")},
        },
    },
    "propertyNames": {"maxLength": 1024},
}


def serving(**fields: Any) -> ReportDocument:
    metrics = {
        "output_tps": judged(82.47),
        "ttft_ms": metric(unit="ms", better="lower", value=959.99, ci_low=959.0, ci_high=961.0),
    }
    return document(cell("load", metrics=metrics, **fields), regressed(), skipped("pp1"), failed("tg64"))


def rows_of(report: ReportDocument) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(long_csv(report).decode(), newline="")))


@pytest.mark.parametrize(
    ("better", "names"),
    [
        ("higher", ["qwen3/qwen3-8b-Q4_K_M-llama.cpp-load output_tps", "qwen3/qwen3-8b-Q4_K_M-llama.cpp-tg128 tg_tps"]),
        ("lower", ["qwen3/qwen3-8b-Q4_K_M-llama.cpp-load ttft_ms"]),
    ],
)
def test_github_action_benchmark_gets_each_direction_in_a_file_of_its_own(better: Better, names: list[str]) -> None:
    entries = json.loads(action_benchmark(serving(), better))

    jsonschema.validate(entries, ACTION_ENTRIES)
    assert [entry["name"] for entry in entries] == names
    first = entries[0]
    assert (first["value"], first["unit"], first["range"]) in [(82.47, "tok/s", "± 0.5"), (959.99, "ms", "± 1.0")]


def test_bencher_gets_value_and_interval_by_cell_and_metric() -> None:
    content = json.loads(bencher(serving()))

    jsonschema.validate(content, BENCHER)
    assert content["qwen3/qwen3-8b-Q4_K_M-llama.cpp-load"]["ttft_ms"] == {
        "value": 959.99,
        "lower_value": 959.0,
        "upper_value": 961.0,
    }


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_left_out_and_what_is_invalid_too(figure: float) -> None:
    metrics = {"tg_tps": judged(ci_low=figure, ci_high=figure), "pp_tps": judged(figure)}
    report = document(cell(metrics=metrics), regressed("tg8", verdict="invalid"))

    [entry] = json.loads(action_benchmark(report, "higher"))
    assert "range" not in entry
    assert json.loads(bencher(report)) == {"qwen3/qwen3-8b-Q4_K_M-llama.cpp-tg128": {"tg_tps": {"value": 40.0}}}


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_stays_text(text: str) -> None:
    report = hostile(text)

    jsonschema.validate(json.loads(action_benchmark(report, "higher")), ACTION_ENTRIES)
    jsonschema.validate(json.loads(bencher(report)), BENCHER)
    rows = rows_of(report)
    assert {row["cell"].removeprefix("'") for row in rows} == {one_line(text)}


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\x1b[0m=1"])
def test_a_spreadsheet_makes_no_formula_of_a_name(text: str) -> None:
    names = {name for row in rows_of(hostile(text)) for name in (row["cell"], row["engine_version"], row["unit"])}

    assert names
    assert not [name for name in names if name.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row["value"] for row in rows_of(document(cell(launches=[launch({"tg_tps": [-1.5]})])))} == {"-1.5"}


def test_csv_has_a_row_per_sample_with_the_launch_it_was_taken_in() -> None:
    reference = [launch({"tg_tps": [20.0]})]
    report = document(cell(reference_launches=reference, verdict="invalid"), skipped("pp1"))
    rows = rows_of(report)

    assert tuple(rows[0]) == CSV_COLUMNS
    told = [(row["launch_role"], row["launch"], row["sample"], row["value"]) for row in rows]
    assert told == [
        ("current", "1", "1", "39.0"),
        ("current", "1", "2", "41.0"),
        ("current", "2", "1", "40.0"),
        ("current", "2", "2", "40.0"),
        ("reference", "1", "1", "20.0"),
    ]
    assert {(row["metric"], row["unit"], row["better"], row["verdict"]) for row in rows} == {
        ("tg_tps", "tok/s", "higher", "invalid")
    }


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-300, 1e300, float("nan"), float("inf"), -0.0])
def test_csv_loses_no_digit(value: float) -> None:
    [row] = rows_of(document(cell(launches=[launch({"tg_tps": [value]})])))

    assert repr(float(row["value"])) == repr(value)


def test_the_block_of_a_load_is_the_one_that_vllm_prints() -> None:
    report = document(
        cell(), cell("load", launches=[launch(evidence=published_load()), launch(failure="it <died>\nnow")])
    )
    first, second = re.split(r"\n(?=# qwen3)", vllm_blocks(report))

    heading, _, block = first.partition("\n")
    assert heading == "# qwen3-8b-Q4_K_M-llama.cpp-load, launch 1 of 2, 2026-01-01T00:00:00.000+00:00"
    assert block.strip() == (GOLDEN / "vllm_bench_serve_high_load.txt").read_text(encoding="utf-8").strip()
    assert second.startswith("# qwen3-8b-Q4_K_M-llama.cpp-load, launch 2 of 2")
    assert "# failed: it <died> now" in second


@pytest.mark.parametrize("broken", [{}, {"requests": None}, {"requests": {"sent": "many"}}, {"latency": [1]}])
def test_a_load_without_its_evidence_says_so(broken: dict[str, Any]) -> None:
    told = {**published_load(), **broken} if broken else {}
    report = document(cell("load", launches=[launch(evidence=told, doubts=["cached"], failure="it\ndied")]))

    assert vllm_blocks(report).splitlines()[1:] == [
        "# invalid: cached",
        "# failed: it died",
        "# no figures were kept",
    ]


def test_a_load_that_was_never_sent_is_named() -> None:
    assert vllm_blocks(document(skipped("load"), skipped("tg8"))) == (
        "# qwen3-8b-Q4_K_M-llama.cpp-load: skipped: no GGUF file\n"
    )


def test_properties_are_flat_and_leave_out_what_is_not_known() -> None:
    told = dict(properties(regressed()))

    assert told["thor.verdict"] == "regressed"
    assert told["thor.tg_tps.value"] == 35.0
    assert told["thor.tg_tps.change"] == -0.124
    assert told["thor.engine.commit"] == "abcdef0"
    assert "thor.tg_tps.limit" not in told
    assert {type(value) for value in told.values()} <= {str, int, float}
    assert "thor.verdict" not in dict(properties(skipped()))


def test_a_property_that_is_no_number_is_its_name() -> None:
    told = dict(properties(cell(metrics={"tg_tps": judged(float("nan"))})))

    assert told["thor.tg_tps.value"] == "nan"
