"""The published tables for Jetson Thor: which rows the hardware cannot reach, and that no other is doubted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.cost import cost_of_architecture
from pytest_thor.host.limits import known_roof
from pytest_thor.judge.physical import Load, check, doubt_of
from pytest_thor.roofline import Held, Roof

PUBLISHED = json.loads((Path(__file__).parents[2] / "golden/jetson_thor_published.json").read_text(encoding="utf-8"))
SERVING: list[dict[str, Any]] = PUBLISHED["serving"]
LLAMA_BENCH: list[dict[str, Any]] = PUBLISHED["llama_bench"]


@pytest.fixture
def thor() -> Roof:
    roof = known_roof(PUBLISHED["device"])
    assert roof is not None
    return roof


def held(row: dict[str, Any], roof: Roof) -> dict[str, Held]:
    cost = cost_of_architecture(ARCHITECTURES[row["architecture"]], row["quant"])
    if cost is None:
        return {}
    load = Load(
        kind="serving",
        input_tokens=row["input_tokens"] // row["requests"],
        output_tokens=row["output_tokens"] // row["requests"],
        concurrency=row["max_concurrency"],
    )
    return check(row["figures"], cost=cost, roof=roof, load=load)


def test_fifteen_of_thirty_two_rows_are_impossible_and_fourteen_of_them_at_low_load() -> None:
    impossible = [row for row in SERVING if row["impossible"]]

    assert (len(SERVING), len(impossible)) == (32, 15)
    assert sum(row["load"] == "low" for row in impossible) == 14


@pytest.mark.parametrize("row", SERVING, ids=lambda row: f"{row['model']}-{row['load']}")
def test_exactly_the_latencies_that_hand_work_names_are_doubted(row: dict[str, Any], thor: Roof) -> None:
    figures = held(row, thor)
    doubted = {key.partition(".")[0] for key, each in figures.items() if each.doubt is not None}

    assert {metric for metric in doubted if metric.endswith("_ms")} == set(row["impossible"])
    assert bool(doubted) == bool(row["impossible"])
    assert (doubt_of(figures) is None) == (not row["impossible"])


def test_the_file_whose_quant_is_not_named_has_no_limits(thor: Roof) -> None:
    unknown = [row["model"] for row in SERVING if not held(row, thor)]

    assert unknown == ["Qwen3-8B-GGUF"] * 2


@pytest.mark.parametrize(
    ("model", "load", "metric", "floor_ms"),
    [
        ("Qwen3-8B", "low", "ttft_ms", 115),
        ("Qwen3-8B-FP8", "low", "ttft_ms", 57),
        ("Qwen3-8B-FP8", "high", "tpot_ms", 31),
        ("Qwen3-32B-AWQ", "low", "ttft_ms", 511),
        ("Qwen3-30B-A3B", "low", "ttft_ms", 221),
        ("Qwen3-30B-A3B-FP8", "low", "tpot_ms", 12.9),
        ("Qwen3-Coder-30B-A3B-Instruct-AWQ-4bit", "low", "ttft_ms", 59),
    ],
)
def test_the_floors_that_are_told(model: str, load: str, metric: str, floor_ms: float, thor: Roof) -> None:
    [row] = [row for row in SERVING if (row["model"], row["load"]) == (model, load)]

    assert held(row, thor)[f"{metric}.median"].limit.value == pytest.approx(floor_ms, rel=0.01)


@pytest.mark.parametrize("row", LLAMA_BENCH, ids=lambda row: f"{row['model']}-{row['quant']}")
def test_no_row_of_llama_bench_is_doubted(row: dict[str, Any], thor: Roof) -> None:
    shape, size = ARCHITECTURES[row["architecture"]], round(row["size_gib"] * 2**30)
    cost = cost_of_architecture(shape, row["quant"], tensor_bytes=size)
    assert cost is not None

    prefill = check(
        {"pp_tps": row["pp512"]}, cost=cost, roof=thor, load=Load(kind="prefill", input_tokens=512, output_tokens=0)
    )
    decode = check(
        {"tg_tps": row["tg128"]}, cost=cost, roof=thor, load=Load(kind="decode", input_tokens=0, output_tokens=128)
    )

    assert doubt_of({**prefill, **decode}) is None
    assert 0.03 < prefill["pp_tps"].efficiency < 0.25
    assert 0.3 < decode["tg_tps"].efficiency < 0.85
