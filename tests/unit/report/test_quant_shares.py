"""Quants side by side: which one the others are told as percent of, and what is not told at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.report.document import ArtifactRecord, CellRecord, ReportDocument
from pytest_thor.report.quant_sheets import quant_sheets
from pytest_thor.report.quants import Share, shares_of, widest
from tests.unit.report.report_documents import HOSTILE, cell, document, hostile, metric, skipped

BITS = {"Q4_K_M": 4.9, "Q8_0": 8.5, "F16": 16.0}


def quant(name: str, speed: float | None = 40.0, workload: str = "tg128", **fields: Any) -> CellRecord:
    figure = "pp_tps" if workload.startswith("pp") else "tg_tps"
    bounds = {} if speed is None else {"ci_low": speed * 0.99, "ci_high": speed * 1.01}
    known = {
        "id": f"qwen3-8b-{name}-llama.cpp-{workload}",
        "quant": name,
        "bits_per_weight": BITS.get(name),
        "artifact": ArtifactRecord(path="x.gguf", format="gguf", tensor_bytes=int(BITS.get(name, 1) * 1e9)),
        "metrics": {figure: metric(value=speed, **bounds)},
    }
    return cell(workload, **{**known, **fields})


RUN = document(quant("Q4_K_M", 60.0), quant("F16", 20.0), quant("Q8_0", 36.0))


def shares(report: ReportDocument, name: str = "tg_tps") -> dict[str, tuple[str, Any]]:
    """Return reference and ratio by cell, without the words that all cells have."""
    return {
        place[1].removeprefix("qwen3-8b-").removesuffix("-llama.cpp-tg128"): (of[name].reference, of[name].ratio)
        for place, of in shares_of(report).items()
    }


def wanting(reference: str, *cells: CellRecord) -> ReportDocument:
    return document(*cells).model_copy(update={"reference_quant": reference})


def test_the_widest_quant_of_the_run_is_what_the_others_are_percent_of() -> None:
    assert shares(RUN) == {"Q4_K_M": ("F16", pytest.approx(3.0)), "Q8_0": ("F16", pytest.approx(1.8))}


def test_another_one_can_be_asked_for_in_any_spelling() -> None:
    assert shares(wanting("q8_0", *RUN.cells)) == {
        "Q4_K_M": ("Q8_0", pytest.approx(60 / 36)),
        "F16": ("Q8_0", pytest.approx(20 / 36)),
    }
    assert shares(wanting("Q5_0", *RUN.cells)) == {}


def test_each_workload_has_the_widest_that_was_measured_under_it() -> None:
    report = document(*RUN.cells, quant("Q4_K_M", 900.0, "pp512"), quant("Q8_0", 800.0, "pp512"))
    found = shares_of(report)["qwen3", "qwen3-8b-Q4_K_M-llama.cpp-pp512", "jetson-agx-thor"]

    assert found["pp_tps"].reference == "Q8_0"
    assert shares(RUN)["Q4_K_M"][0] == "F16"


@pytest.mark.parametrize(
    "other",
    [{"model": "qwen3-4b"}, {"matrix": "other"}, {"backend": "vllm"}, {"device": "cpu-2c"}, {"workload": "tg64"}],
    ids=str,
)
def test_what_differs_in_more_than_the_quant_is_no_reference(other: dict[str, Any]) -> None:
    assert shares_of(document(quant("Q4_K_M"), quant("F16").model_copy(update=other))) == {}


def test_an_invalid_figure_is_no_reference_and_has_no_share() -> None:
    report = document(*RUN.cells[:2], RUN.cells[2].model_copy(update={"verdict": "invalid"}))
    assert shares(report) == {"Q4_K_M": ("F16", pytest.approx(3.0))}

    doubted = document(quant("Q4_K_M", 60.0), quant("F16", 20.0, verdict="invalid"), quant("Q8_0", 36.0))
    assert shares(doubted) == {"Q4_K_M": ("Q8_0", pytest.approx(60 / 36))}
    [sheet] = quant_sheets(doubted)
    assert [row[0] for row in sheet.rows] == ["F16", "Q8_0", "Q4_K_M"]
    assert sheet.rows[0][-2:] == ("20.00 tok/s", "invalid")


def test_what_was_measured_under_other_conditions_has_no_share() -> None:
    def under(power_mode: str, name: str, speed: float) -> CellRecord:
        facts = {"must_match": {"power_mode": power_mode, "model.size_bytes": BITS[name]}, "under_test": {}}
        return quant(name, speed, fingerprint=facts)

    assert shares(document(under("MAXN", "F16", 20.0), under("MAXN", "Q8_0", 36.0))) != {}
    assert shares(document(under("MAXN", "F16", 20.0), under("30W", "Q8_0", 36.0))) == {}


def test_where_not_every_width_is_known_the_sizes_decide_and_else_nothing() -> None:
    unknown = quant("UD-Q4_K_XL", 50.0, bits_per_weight=None)
    assert shares(document(quant("F16", 20.0, bits_per_weight=None), unknown)) == {
        "UD-Q4_K_XL": ("F16", pytest.approx(2.5))
    }
    nothing = unknown.model_copy(update={"artifact": None})
    report = document(quant("F16", 20.0), nothing)
    assert shares(report) == {}
    [sheet] = quant_sheets(report)
    assert sheet.columns[-1].title == ""
    assert [row[-1] for row in sheet.rows] == ["", ""]
    assert shares(wanting("F16", *report.cells)) == {"UD-Q4_K_XL": ("F16", pytest.approx(2.5))}


def test_of_two_equally_wide_the_first_is_the_reference() -> None:
    report = document(quant("BF16", 21.0, bits_per_weight=16.0), quant("F16", 20.0))
    assert shares(report)["F16"][0] == "BF16"
    assert widest([]) is None


def test_a_table_has_a_row_per_quant_and_a_share_beside_each_figure() -> None:
    [sheet] = quant_sheets(document(*RUN.cells, *(quant(name, 800.0, "pp512") for name in ("Q8_0", "Q4_K_M"))))

    assert [column.title for column in sheet.columns] == [
        *("quant", "size", "bits", "tg128", "% of F16", "pp512", "% of Q8_0")
    ]
    assert sheet.title == "qwen3-8b · llama.cpp"
    assert sheet.rows == (
        ("F16", "14.90 GiB", "16.0", "20.00 tok/s", "100 %", "", ""),
        ("Q8_0", "7.92 GiB", "8.50", "36.00 tok/s", "180.0 % (177.5 to 182.6)", "800.0 tok/s", "100 %"),
        (
            "Q4_K_M",
            "4.56 GiB",
            "4.90",
            "60.00 tok/s",
            "300.0 % (295.8 to 304.3)",
            "800.0 tok/s",
            "100.0 % (98.6 to 101.4)",
        ),
    )


def test_one_quant_alone_has_no_table() -> None:
    assert quant_sheets(document(quant("F16"), skipped("tg128", quant="Q8_0", id="other"))) == []
    assert quant_sheets(document()) == []


def test_without_intervals_the_ratio_stands_alone() -> None:
    bare = (("F16", 20.0), ("Q8_0", 36.0))
    report = document(*(quant(name, metrics={"tg_tps": metric(value=speed)}) for name, speed in bare))
    [found] = shares_of(report).values()

    assert (found["tg_tps"].low, found["tg_tps"].high) == (None, None)
    assert found["tg_tps"].told == Share(reference="F16", ratio=1.8).told == "180.0 %"


@given(st.lists(st.none() | st.floats(), min_size=6, max_size=6))
def test_a_share_is_positive_and_inside_its_interval_whatever_stands_in_the_report(figures: list[float | None]) -> None:
    values, lows, highs = figures[:2], figures[2:4], figures[4:]
    report = document(
        *(
            quant(name, metrics={"tg_tps": metric(value=value, ci_low=low, ci_high=high)})
            for name, value, low, high in zip(("F16", "Q8_0"), values, lows, highs, strict=True)
        )
    )
    for of in shares_of(report).values():
        share = of["tg_tps"]
        assert 0 <= share.ratio < math.inf
        if share.low is not None:
            assert share.high is not None
            assert share.low <= share.ratio <= share.high
    assert len(quant_sheets(report)) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_is_taken_as_it_is(text: str) -> None:
    report = hostile(text)
    other = report.cells[0].model_copy(update={"quant": "F16", "metrics": dict(report.cells[0].metrics)})
    [sheet] = quant_sheets(report.model_copy(update={"cells": [report.cells[0], other]}))
    assert {row[0] for row in sheet.rows} == {text, "F16"}


def test_a_divergence_from_another_quant_is_no_share_of_anything() -> None:
    figures = {"perplexity": ("ppl", 8.0), "kl_divergence": ("nat", 0.002)}
    metrics = {
        name: metric(value=value, unit=unit, better="lower", verdict="unchanged")
        for name, (unit, value) in figures.items()
    }
    cells = [quant(name, metrics=metrics).model_copy(update={"kind": "quality"}) for name in ("F16", "Q8_0")]
    [sheet] = quant_sheets(document(*cells))

    assert [column.title for column in sheet.columns][3:] == ["tg128 perplexity", "% of F16", "tg128 kl_divergence"]
    assert sheet.rows[1][3:] == ("8.000 ppl", "100.0 %", "0.002000 nat")


def test_a_quant_that_is_there_twice_is_left_out_since_nothing_tells_which_is_meant() -> None:
    again = RUN.cells[1].model_copy(update={"id": "F16-on-another-processor"})

    assert shares(document(*RUN.cells, again)) == {"Q4_K_M": ("Q8_0", pytest.approx(60 / 36))}
