"""Published figures find the cells that they are of, and only those."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_thor.published.records import Figure, PublishedResult, Reading, Source
from pytest_thor.published_beside import published_beside
from pytest_thor.report.html.published_figure import PublishedFigure
from tests.unit.report.report_documents import cell, document

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


def read(*results: PublishedResult) -> list[Reading]:
    return [Reading(source=Source(name="guide.md", date="2025-08-01"), results=results, unread=())]


def test_a_figure_stands_beside_the_cell_of_its_model_quant_and_workload_with_its_source_and_date() -> None:
    report = document(cell(), cell("tg64"), cell("pp512"))

    assert published_beside(report, read(RESULT)) == {
        ("qwen3", report.cells[0].id): (
            PublishedFigure(
                metric="tg_tps",
                value=41.5,
                unit="tok/s",
                source="guide.md:42",
                date="2025-08-01",
                device="Jetson Thor",
                engine="llama-bench b5000",
            ),
        )
    }


@pytest.mark.parametrize(
    "other",
    [{"model": "Qwen3-4B"}, {"quant": "Q8_0"}, {"workload": {"n_gen": 64}}, {"kind": "prefill"}, {"workload": {}}],
    ids=str,
)
def test_what_is_of_something_else_stands_beside_nothing(other: dict[str, Any]) -> None:
    assert published_beside(document(cell()), read(replace(RESULT, **other))) == {}


def test_a_figure_in_another_unit_is_not_converted() -> None:
    other = replace(RESULT, metrics={"tg_tps": Figure(value=41.5, unit="tok/min")})

    assert published_beside(document(cell()), read(other)) == {}


def test_without_references_there_is_nothing() -> None:
    assert published_beside(document(cell()), []) == {}
