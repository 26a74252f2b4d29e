"""Published figures against what their device can reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.believable import architecture_named, hold_published, known_device
from pytest_thor.published import reference
from pytest_thor.published.records import Figure, PublishedResult

PUBLISHED = Path(__file__).parents[2] / "baselines" / "published"
THOR = "jetson-agx-thor"
LOW, HIGH = "低负载", "高负载"

IMPOSSIBLE = {
    *(("Qwen3-8B-FP8", load) for load in (LOW, HIGH)),
    *(
        (label, LOW)
        for label in (
            *("Qwen3-8B", "Qwen3-8B-GPTQ-Int4", "Qwen3-8B-GPTQ-Int8", "Qwen3-8B-AWQ", "Qwen3-8B-Int4-W4A16"),
            *("Qwen3-8B-Int8-W8A16", "Qwen3-32B-AWQ", "Qwen3-30B-A3B", "Qwen3-30B-A3B-FP8"),
            *("Qwen3-Coder-30B-A3B-Instruct-FP8", "Qwen3-Coder-30B-A3B-Instruct-AWQ-8bit"),
            *("Qwen3-Coder-30B-A3B-Instruct-AWQ-4bit", "Qwen3-Coder-30B-A3B-Instruct-Int4-W4A16"),
        )
    ),
}
"""Worked out by hand from bandwidth and arithmetic: 15 of 32 rows, 14 of them under the low load."""


def results(document: str) -> tuple[PublishedResult, ...]:
    return reference.load(PUBLISHED / f"{document}.json").results


def result(**metrics: float) -> PublishedResult:
    return PublishedResult(
        source="x",
        line=1,
        kind="decode",
        model="Qwen3-8B",
        quant="Q8_0",
        workload={"n_gen": 128},
        metrics={name: Figure(value=value, unit="tok/s") for name, value in metrics.items()},
    )


def test_exactly_the_rows_that_no_thor_can_reach_are_doubted() -> None:
    rows = results("qwen3-vllm-on-jetson-thor")

    doubted = {
        (row.label, row.headings[-1]): held.doubt for row in rows if (held := hold_published(row, device=THOR)).doubt
    }

    assert set(doubted) == IMPOSSIBLE
    assert len(doubted) == 15
    for (label, _), doubt in doubted.items():
        row = next(each for each in rows if each.label == label and (label, each.headings[-1]) in doubted)
        assert row.model
        assert " is below " in doubt
        assert "\n" not in doubt
    assert "median time to first token of 96.92 ms is below 511" in doubted["Qwen3-32B-AWQ", LOW]
    assert "median time per output token of 8.880 ms is below 3" in doubted["Qwen3-8B-FP8", LOW]


def test_no_row_of_llama_bench_is_doubted_and_all_are_held() -> None:
    held = [hold_published(row, device=THOR) for row in results("llama-cpp-on-jetson-thor")]

    assert [(each.doubt, each.skipped) for each in held] == [(None, None)] * 18
    assert all(0.02 < found.efficiency < 1 for each in held for found in each.held.values())


def test_what_was_assumed_or_could_not_be_held_is_said() -> None:
    rows = {(row.label, row.headings[-1]): row for row in results("qwen3-vllm-on-jetson-thor")}

    assert hold_published(rows["Qwen3-8B", LOW]).assumed == "taken as BF16, since no quant is named"
    assert hold_published(rows["Qwen3-8B-GGUF", HIGH]).skipped == "Qwen3-8B-GGUF does not say which quant"
    assert (
        hold_published(results("qwen3-30b-a3b-gguf-quants")[0], device=THOR).skipped
        == "a file has no speed that a device limits"
    )


def test_a_result_that_names_its_device_keeps_it() -> None:
    fast = result(tg_tps=168.67)

    assert hold_published(fast).skipped == "no device is named"
    assert hold_published(fast, device=THOR).doubt
    assert hold_published(replace(fast, device="Jetson Thor")).doubt
    assert hold_published(replace(fast, device="A800"), device=THOR).skipped == "no limits are known of A800"
    for other in ("H200", "RTX 4090"):
        held = hold_published(replace(fast, device=other), device=THOR)
        assert (held.doubt is None) is (other == "H200")
        assert held.device
        assert other in held.device


def test_a_faked_figure_is_doubted_and_an_honest_one_is_not() -> None:
    assert hold_published(result(tg_tps=28.29), device=THOR).doubt is None
    assert "decode speed of 56.58 tok/s is above" in (hold_published(result(tg_tps=56.58), device=THOR).doubt or "")


def test_a_model_whose_shape_is_not_known_is_not_held() -> None:
    assert (
        hold_published(replace(result(tg_tps=1e6), model="Aurora-7B"), device=THOR).skipped
        == "the shape of Aurora-7B is not known"
    )
    assert hold_published(replace(result(tg_tps=1e6), model=None), device=THOR).skipped
    assert (
        hold_published(replace(result(tg_tps=1e6), quant="odd"), device=THOR).skipped
        == "nothing is known of the quant odd"
    )


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ("Qwen3-Coder-30B-A3B-Instruct", "qwen3-30b-a3b"),
        ("qwen3moe 30B.A3B", "qwen3-30b-a3b"),
        ("Qwen/Qwen3-0.6B", "qwen3-0.6b"),
        ("gpt-oss-120b", "gpt-oss-120b"),
        ("Qwen3-VL-30B-A3B-Instruct", None),
        ("Qwen3-Embedding-4B", None),
        ("Qwen3.5-8B", None),
        ("DeepSeek-R1-0528-Qwen3-8B", None),
        ("Qwen3-9B", None),
        ("qwen2 3B", None),
    ],
)
def test_a_name_means_a_known_shape_or_none(model: str, shape: str | None) -> None:
    assert architecture_named(model) == shape


def test_devices_are_known_by_name() -> None:
    assert known_device(THOR)
    assert not known_device("toaster")
