"""llama-bench's CSV, JSON, JSON lines and SQL: recorded from a real one, and cut, mixed and spoiled."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_thor.published.read import Format
from tests.unit.published.samples import FOLDER, lines, reasons, sample, values

FORMATS: tuple[tuple[str, Format], ...] = (
    ("llama-bench.csv", "csv"),
    ("llama-bench.json", "json"),
    ("llama-bench.jsonl", "json"),
    ("llama-bench.sql", "sql"),
)


@pytest.mark.parametrize(("name", "form"), FORMATS)
def test_every_format_of_this_llama_bench(name: str, form: Format) -> None:
    reading = sample(name)

    assert reading.unread == ()
    assert [result.kind for result in reading.results] == ["prefill", "decode", "mixed"] * 2
    assert {(result.model, result.quant, result.build) for result in reading.results} == {
        ("qwen3-tiny", "Q4_K_M", "0c1e570 (1)")
    }
    assert {(result.backend, result.device) for result in reading.results} == {("CPU", "AMD EPYC")}
    assert [dict(result.workload) for result in reading.results[3:]] == [
        {"n_prompt": 64, "n_depth": 32},
        {"n_gen": 16, "n_depth": 32},
        {"n_prompt": 32, "n_gen": 8, "n_depth": 32},
    ]
    assert all(result.date and result.date.startswith("2026-11-21T") for result in reading.results)
    assert {result.metrics["model_bytes"].value for result in reading.results} == {1_380_096}
    assert all(
        result.metrics[name].spread is not None for result in reading.results for name in list(result.metrics)[:1]
    )
    assert reading.results[0].settings["n_threads"] == 2
    assert sample(name, form=form).results == reading.results


def test_figures_agree_with_the_file_to_the_last_digit() -> None:
    written = json.loads((FOLDER / "llama-bench.json").read_text())
    reading = sample("llama-bench.json")

    for row, result in zip(written, reading.results, strict=True):
        speed = next(iter(result.metrics.values()))
        assert (speed.value, speed.spread, list(speed.samples)) == (row["avg_ts"], row["stddev_ts"], row["samples_ts"])
        assert result.notes == ()


def test_a_result_stands_on_the_line_that_its_object_begins() -> None:
    text = (FOLDER / "llama-bench.json").read_text().split("\n")

    assert [text[result.line - 1].strip() for result in sample("llama-bench.json").results] == ["{"] * 6


@pytest.mark.parametrize(("name", "form"), FORMATS)
@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
def test_a_file_cut_off_anywhere_gives_its_whole_rows_and_says_the_rest(name: str, form: Format, share: float) -> None:
    whole = (FOLDER / name).read_text()
    cut = whole[: int(len(whole) * share)].rstrip(", \n")

    reading = lines(cut)

    assert 0 < len(reading.results) < 6
    assert reading.results == tuple(
        replace(result, source="lines") for result in sample(name).results[: len(reading.results)]
    )
    assert reading.unread
    assert max(line for line, _ in reasons(reading)) <= cut.count("\n") + 1


def test_a_list_on_one_line() -> None:
    rows = json.loads((FOLDER / "llama-bench.json").read_text())

    reading = lines(json.dumps(rows))

    assert len(reading.results) == 6
    assert {result.line for result in reading.results} == {1}


def test_older_rows_name_their_backend_by_flags_and_have_no_depth() -> None:
    row = {
        "build_commit": "3469684",
        "build_number": 1275,
        "cuda": True,
        "blas": True,
        "metal": False,
        "gpu_info": "RTX 3090",
        "model_type": "LLaMA 7B mostly Q4_0",
        "model_filename": "models/7B/ggml-model-q4_0.gguf",
        "n_prompt": 512,
        "n_gen": 0,
        "test_time": "2023-09-23T12:09:01Z",
        "avg_ts": 2274.4,
        "stddev_ts": 20.0,
    }

    result = lines(json.dumps(row)).results[0]

    assert (result.backend, result.device, result.build) == ("CUDA,BLAS", "RTX 3090", "3469684 (1275)")
    assert (result.model, result.quant, result.date) == ("ggml-model", "Q4_0", "2023-09-23T12:09:01Z")
    assert dict(result.workload) == {"n_prompt": 512, "n_depth": 0}


def test_semicolons_and_decimal_commas_of_a_spreadsheet() -> None:
    reading = lines(
        "model_type;n_prompt;n_gen;avg_ts;stddev_ts", "aurora 7B Q8_0;0;128;40,07;0,02", "aurora 7B Q8_0;0;128"
    )

    assert (reading.results[0].metrics["tg_tps"].value, reading.results[0].metrics["tg_tps"].spread) == (40.07, 0.02)
    assert reasons(reading) == [(3, "3 fields under 5 columns: cut off, or not llama-bench's")]


BARE = {"n_prompt": 0, "n_gen": 128, "model_type": "aurora 7B Q8_0", "avg_ts": 40.0}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"avg_ts": float("nan")}, "avg_ts: nan is not finite"),
        ({"avg_ts": float("inf")}, "avg_ts: inf is not finite"),
        ({"avg_ts": -1.0}, "avg_ts: -1 is negative"),
        ({"avg_ts": True}, "avg_ts: 'True' is not a number"),
        ({"avg_ts": None, "samples_ts": []}, "neither avg_ts nor samples_ts holds a speed"),
        ({"samples_ts": [1.0, "x"]}, "'x' is not a number"),
        ({"n_gen": 0}, "n_prompt and n_gen are both 0: nothing was timed"),
        ({"n_gen": "many"}, "n_gen is 'many', not a whole number"),
        ({"n_gen": 10**12}, "n_gen is '1000000000000', not a whole number"),
        ({"model_size": "big"}, "model_size: 'big' is not a number"),
    ],
)
def test_a_row_that_cannot_be_says_so(change: dict[str, object], reason: str) -> None:
    reading = lines(json.dumps(BARE), json.dumps({**BARE, **change}), json.dumps(BARE))

    assert values(reading, "tg_tps") == [40.0, 40.0]
    assert reasons(reading) == [(2, reason)]


def test_an_average_that_its_samples_contradict_carries_a_note() -> None:
    reading = lines(json.dumps({**BARE, "samples_ts": [50.0, 52.0]}))

    assert reading.results[0].notes == ("avg_ts is 40, the mean of samples_ts 51",)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO test (model_type, n_prompt, n_gen, avg_ts) VALUES ('it''s 7B Q8_0', '0', '128', '40.5');",
        "insert into \"llama_bench\" (model_type, n_prompt, n_gen, avg_ts)\nvalues\n ('it''s 7B Q8_0', 0, 128, 40.5);",
    ],
)
def test_sql_of_other_ages_and_other_hands(statement: str) -> None:
    reading = lines(*statement.split("\n"))

    assert reading.results[0].label == "it's 7B Q8_0"
    assert values(reading, "tg_tps") == [40.5]
    assert reading.unread == ()


def test_sql_with_several_rows_and_one_that_is_too_short() -> None:
    reading = lines("INSERT INTO test (n_prompt, n_gen, avg_ts) VALUES ('0','1','2.5'), ('0','1'), ('0','1','3.5');")

    assert values(reading, "tg_tps") == [2.5, 3.5]
    assert reasons(reading) == [(1, "2 values for 3 columns")]


def test_a_format_that_was_asked_for_lists_every_line_of_another() -> None:
    text = "n_prompt,n_gen,avg_ts\n0,128,40.5\nand then some prose, with a comma\n"

    from pytest_thor.published.read import read

    assert [problem.line for problem in read(text, name="x", format="sql").unread] == [1, 2, 3]
    assert values(read(text, name="x", format="csv"), "tg_tps") == [40.5]


def test_an_object_of_another_tool_is_listed() -> None:
    reading = lines('{"model_filename": "x", "tokens": 3}', "", "and", '{"entirely": "different"}')

    assert reasons(reading) == [(1, "an object that is neither a row of llama-bench nor a result of vllm bench serve")]
