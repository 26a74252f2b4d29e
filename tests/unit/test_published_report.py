"""Published results as a report."""

from __future__ import annotations

from pathlib import Path

from pytest_thor.believable import hold_published
from pytest_thor.published import reference
from pytest_thor.published_report import report_of
from pytest_thor.report.document import ReportDocument

PUBLISHED = Path(__file__).parents[2] / "baselines" / "published"


def report(name: str) -> ReportDocument:
    results = reference.load(PUBLISHED / f"{name}.json").results
    return report_of((result, hold_published(result, device="jetson-agx-thor")) for result in results)


def test_every_load_is_a_cell_and_the_impossible_ones_are_invalid() -> None:
    made = report("qwen3-vllm-on-jetson-thor")

    assert made.summary.verdicts == {"invalid": 15, "no-baseline": 17}
    assert len({cell.id for cell in made.cells}) == 32
    cell = next(cell for cell in made.cells if cell.location.endswith(":160"))
    assert cell.id == "Qwen3-8B-FP8-vllm bench serve-load-2048-128-x10-c1"
    tpot = cell.metrics["tpot_ms.median"]
    assert (tpot.value, tpot.unit, tpot.better, tpot.baseline) == (8.88, "ms", "lower", None)
    assert tpot.limit is not None
    assert tpot.limit > 8.88
    assert cell.launches == []
    assert "completed" not in cell.metrics


def test_files_on_offer_are_no_cells() -> None:
    made = report("qwen3-30b-a3b-gguf-quants")

    assert len(made.cells) == 18
    assert {cell.kind for cell in made.cells} == {"prefill", "decode"}


def test_the_report_is_valid_by_its_own_schema() -> None:
    made = report("llama-cpp-on-jetson-thor")

    assert ReportDocument.model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_cells_of_one_name_are_told_apart_by_their_lines() -> None:
    made = report("qwen3-0.6b-llama-cpp-platforms")

    assert len({cell.id for cell in made.cells}) == len(made.cells) == 8
    assert {cell.device for cell in made.cells} == {"Apple M4", "Intel Xeon Platinum 8358", "A800"}
