"""Published figures find the cells that they are of, and only those."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.published.records import Figure, PublishedResult, Reading, Source
from pytest_thor.published.reference import load_all
from pytest_thor.published_beside import published_beside
from pytest_thor.report.document import ArtifactRecord, CellRecord
from pytest_thor.report.published_figure import PublishedFigure
from tests.unit.report.report_documents import cell, document

REFERENCES = Path(__file__).parents[2] / "baselines" / "published"
OF_EIGHT = ArtifactRecord(path="x.gguf", format="gguf", parameters=8_190_735_360)
LOAD = {"input_len": 2048, "output_len": 128, "max_concurrency": 8, "num_prompts": 100}
RESULT = PublishedResult(
    source="guide.md",
    line=42,
    kind="decode",
    engine="llama-bench",
    build="b5000",
    model="Qwen3-8B",
    quant="q4_k_m",
    device="Jetson Thor",
    workload={"n_gen": 128},
    metrics={"tg_tps": Figure(value=41.5, unit="tok/s"), "model_bytes": Figure(value=5e9, unit="B")},
)


def ours(workload: str = "tg128", **fields: Any) -> CellRecord:
    return cell(workload, **{"architecture": "qwen3-8b", "weights": 8_190_735_360, **fields})


def served(**parameters: Any) -> CellRecord:
    return ours("load", kind="serving", quant="FP8", parameters={**LOAD, "request_rate": None, **parameters})


def read(*results: PublishedResult) -> list[Reading]:
    return [Reading(source=Source(name="guide.md", date="2025-08-01"), results=results, unread=())]


def test_a_figure_stands_beside_the_cell_of_its_model_quant_and_workload_with_its_source_and_date() -> None:
    report = document(ours(), ours("tg64"), ours("pp512"))

    assert published_beside(report, read(RESULT)) == {
        report.cells[0].place: (
            PublishedFigure(
                metric="tg_tps",
                value=41.5,
                unit="tok/s",
                source="guide.md:42",
                date="2025-08-01",
                device="Jetson Thor",
                engine="llama-bench b5000",
                same_device=True,
            ),
        )
    }


@pytest.mark.parametrize(
    "other",
    [
        {"model": "Qwen3-4B"},
        {"model": None},
        {"model": "a model of 8B"},
        {"quant": "Q8_0"},
        {"quant": None},
        {"workload": {"n_gen": 64}},
        {"workload": {"n_gen": 128, "n_depth": 4096}},
        {"kind": "prefill"},
        {"workload": {}},
        {"metrics": {**RESULT.metrics, "parameters": Figure(value=4.02e9, unit="")}},
    ],
    ids=str,
)
def test_what_is_of_something_else_stands_beside_nothing(other: dict[str, Any]) -> None:
    assert published_beside(document(ours()), read(replace(RESULT, **other))) == {}


def test_a_figure_in_another_unit_is_not_converted() -> None:
    other = replace(RESULT, metrics={"tg_tps": Figure(value=41.5, unit="tok/min")})

    assert published_beside(document(ours()), read(other)) == {}


def test_without_references_there_is_nothing() -> None:
    assert published_beside(document(ours()), []) == {}


@pytest.mark.parametrize(
    "known",
    [
        {"model": "the-eight"},
        {"architecture": None},
        {"weights": None},
        {"architecture": None, "weights": None, "artifact": OF_EIGHT},
        {"quant": "q4_k_m"},
        {"parameters": {"n_gen": 128, "n_depth": 0}},
    ],
    ids=str,
)
def test_a_model_is_known_by_its_shape_whatever_it_is_called(known: dict[str, Any]) -> None:
    assert len(published_beside(document(ours(**known)), read(RESULT))) == 1


@pytest.mark.parametrize(
    "unclear",
    [
        {"architecture": None, "weights": None},
        {"architecture": "qwen3-4b"},
        {"weights": 4_022_468_096},
        {"architecture": None, "weights": 4_022_468_096},
        {"architecture": None, "model": "eight"},
        {"parameters": {"n_gen": 128, "n_depth": 4096}},
    ],
    ids=str,
)
def test_what_may_be_another_model_has_nothing_beside_it(unclear: dict[str, Any]) -> None:
    assert published_beside(document(ours(**unclear)), read(RESULT)) == {}


def test_a_table_that_a_file_holds_twice_makes_it_no_other_model() -> None:
    shape = ARCHITECTURES["qwen3-0.6b"]
    theirs = replace(
        RESULT,
        model="Qwen3-0.6B",
        metrics={**RESULT.metrics, "parameters": Figure(value=751.63e6, unit="")},
    )
    small = ours(architecture=shape.name, weights=shape.parameters)

    assert shape.parameters < 600e6
    assert len(published_beside(document(small), read(theirs))) == 1


def test_a_model_of_unknown_shape_takes_the_same_name_and_the_same_size() -> None:
    theirs = replace(RESULT, model="qwen2 3B", metrics={**RESULT.metrics, "parameters": Figure(value=3.09e9, unit="")})
    other: dict[str, Any] = {"architecture": None, "model": "qwen2-3b"}

    assert len(published_beside(document(ours(**other, weights=3_085_938_688)), read(theirs))) == 1
    assert published_beside(document(ours(**other, weights=3_200_000_000)), read(theirs)) == {}
    assert published_beside(document(ours(**other, weights=None)), read(theirs)) == {}


def test_a_load_is_the_same_where_everything_that_makes_it_is() -> None:
    theirs = replace(
        RESULT, kind="serving", quant="FP8", workload=LOAD, metrics={"output_tps": Figure(value=296.0, unit="tok/s")}
    )

    assert len(published_beside(document(served()), read(theirs))) == 1
    for other in (
        {"max_concurrency": 1},
        {"num_prompts": 10},
        {"input_len": [1, 2048]},
        {"request_rate": 2.0},
        {"prefix_cache": True},
        {"trace": "conversations.jsonl"},
    ):
        assert published_beside(document(served(**other)), read(theirs)) == {}


@pytest.mark.parametrize("unstated", LOAD)
def test_a_load_that_does_not_say_how_heavy_it_was_stands_beside_none(unstated: str) -> None:
    stated = {name: value for name, value in LOAD.items() if name != unstated}
    theirs = replace(
        RESULT, kind="serving", quant="FP8", workload=stated, metrics={"output_tps": Figure(value=296.0, unit="tok/s")}
    )

    assert len(published_beside(document(served()), read(theirs))) == (unstated == "num_prompts")


def test_what_its_device_cannot_reach_says_so_and_that_of_this_device_comes_first() -> None:
    far = replace(RESULT, line=7, device="A800")
    impossible = replace(RESULT, line=8, metrics={"tg_tps": Figure(value=4000.0, unit="tok/s")})
    [figures] = published_beside(document(ours()), read(far, impossible, RESULT)).values()

    assert [(figure.source, figure.same_device, figure.doubt is None) for figure in figures] == [
        ("guide.md:42", True, True),
        ("guide.md:8", True, False),
        ("guide.md:7", False, True),
    ]
    assert "it cannot be true" in figures[1].told
    assert figures[0].told == "41.50 tok/s (Jetson Thor, llama-bench b5000, guide.md:42, 2025-08-01)"


def test_the_references_of_this_repository_stand_beside_the_cells_of_their_guide() -> None:
    readings = load_all(REFERENCES)
    found = published_beside(document(ours(), ours("pp512"), served()), readings)

    assert {(figure.metric, figure.value) for figures in found.values() for figure in figures} >= {
        ("tg_tps", 40.07),
        ("pp_tps", 1256.9),
        ("output_tps", 298.07),
    }
    assert published_beside(document(cell()), readings) == {}
