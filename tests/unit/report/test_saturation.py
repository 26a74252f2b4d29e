"""Where a sweep saturates: the definition, its uncertainty, and what is said where there is no such point."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.report.document import CellRecord
from pytest_thor.report.naming import Naming
from pytest_thor.report.saturation import SHARE, Sweep, sweep_lines, sweeps_of
from tests.unit.report.report_documents import cell, metric

# Throughput of a batch-decoding server that has the room of 16 requests, at 1, 2, 4, … concurrent ones.
LOADS = (1, 2, 4, 8, 16, 32, 64)
KNEE = (40.0, 78.0, 148.0, 265.0, 420.0, 450.0, 455.0)


def point(load: float, tps: float | None, spread: float = 0.01, **fields: Any) -> CellRecord:
    swept = fields.pop("swept", "max_concurrency")
    metrics = (
        {}
        if tps is None
        else {
            "output_tps": metric(value=tps, ci_low=tps * math.exp(-spread), ci_high=tps * math.exp(spread)),
            "ttft_ms.median": metric(value=100.0 * load, unit="ms", better="lower"),
            "ttft_ms.p99": metric(value=200.0 * load, unit="ms", better="lower"),
            "tpot_ms.median": metric(value=1000 * load / tps, unit="ms", better="lower"),
        }
    )
    known = {"verdict": "no-baseline", "parameters": {"sweep": swept, swept: load}, "metrics": metrics}
    return cell(f"load@c{load:g}", **{**known, **fields})


def sweep(values: Sequence[float | None], loads: Sequence[float] = LOADS, spread: float = 0.01) -> Sweep:
    [found] = sweeps_of([point(load, tps, spread) for load, tps in zip(loads, values, strict=False)])
    return found


def test_it_is_the_last_load_that_was_worth_it() -> None:
    found = sweep(KNEE)
    assert found.saturation == 16
    assert found.reason == "saturates at max_concurrency 16: +100.0 % of load bring +7.1 % of output throughput"
    assert (found.workload, found.swept) == ("load", "max_concurrency")
    assert [each.value for each in found.points] == list(LOADS)


def test_throughput_in_proportion_never_saturates() -> None:
    found = sweep([40.0 * load for load in LOADS])
    assert (found.saturation, found.reason) == (None, "does not saturate up to max_concurrency 64")


def test_a_server_that_is_full_from_the_start_saturates_at_the_first_point() -> None:
    assert sweep([100.0, 100.0, 99.0, 95.0]).saturation == 1


def test_a_plateau_with_growth_behind_it_is_none() -> None:
    assert sweep([100.0, 102.0, 250.0, 251.0]).saturation == 4


def test_launches_that_scatter_leave_it_open_and_the_range_is_named() -> None:
    found = sweep([40.0, 78.0, 148.0, 190.0, 194.0, 195.0, 196.0], spread=0.05)
    assert found.saturation is None
    assert found.reason == (
        "saturates at max_concurrency 4 at the earliest and perhaps at 8: too few or too different launches to tell"
    )
    assert sweep(KNEE, spread=1.5).reason.startswith("saturates at max_concurrency 1 at the earliest and perhaps not")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (point(64, None, verdict=None, outcome="error"), "1 of 7 points could not be used"),
        (point(64, 4550.0, verdict="invalid", outcome="failed"), "1 of 7 points could not be used"),
    ],
)
def test_a_point_that_was_not_measured_or_cannot_be_true_says_nothing(broken: CellRecord, said: str) -> None:
    cells = [point(load, tps) for load, tps in zip(LOADS[:-1], KNEE, strict=False)]
    [found] = sweeps_of([*cells, broken])
    assert found.saturation == 16
    assert found.reason.endswith(said)
    assert sweep_lines(found, Naming())[-2].endswith("not used")


def test_one_point_is_too_few() -> None:
    assert sweep([40.0]).reason == "no saturation point: it takes 2 measured points, and there are 1"


def test_a_figure_without_its_interval_is_not_used() -> None:
    bare = point(2, 80.0)
    bare.metrics["output_tps"].ci_low = None
    [found] = sweeps_of([point(1, 40.0), bare])
    assert found.reason.startswith("no saturation point")


def test_sweeps_are_told_apart_by_all_that_makes_a_cell_and_other_cells_are_none() -> None:
    cells = [
        *(point(load, 40.0 * load, model=model) for load in (1, 2) for model in ("a", "b")),
        *(point(rate, 40.0, swept="request_rate", model="a") for rate in (0.5, 1.0)),
        cell("high-load"),
        cell("tg128"),
    ]
    found = sweeps_of(cells)
    assert [(each.model, each.swept, len(each.points)) for each in found] == [
        ("a", "max_concurrency", 2),
        ("b", "max_concurrency", 2),
        ("a", "request_rate", 2),
    ]


def test_the_table_reads_as_a_table() -> None:
    assert sweep_lines(sweep([40.0, 78.0, 80.0]), Naming()) == (
        "qwen3-8b Q4_K_M llama.cpp load: sweep of max_concurrency",
        "  max_concurrency       output  TTFT median  TTFT p99  TPOT median",
        "                1  40.00 tok/s     100.0 ms  200.0 ms     25.00 ms",
        "                2  78.00 tok/s     200.0 ms  400.0 ms     25.64 ms  saturation",
        "                4  80.00 tok/s     400.0 ms  800.0 ms     50.00 ms",
        "  saturates at max_concurrency 2: +100.0 % of load bring +2.6 % of output throughput",
    )


THROUGHPUTS = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=7)


def by_the_definition(values: Sequence[float]) -> float | None:
    for index, (load, tps) in enumerate(zip(LOADS, values, strict=False)):
        ahead = zip(LOADS[index + 1 :], values[index + 1 :], strict=False)
        gains = [(other / tps - 1) / (more / load - 1) for more, other in ahead]
        if gains and max(gains) < SHARE:
            return load
    return None


@given(THROUGHPUTS)
def test_without_scatter_it_is_the_definition(values: list[float]) -> None:
    assert sweep(values, spread=0.0).saturation == by_the_definition(values)


@given(THROUGHPUTS, st.floats(0, 0.2), st.floats(0, 0.5))
def test_more_scatter_only_ever_takes_the_answer_away(values: list[float], little: float, more: float) -> None:
    sure, unsure = sweep(values, spread=little), sweep(values, spread=little + more)
    assert unsure.saturation in {sure.saturation, None}
    if "does not saturate" in unsure.reason:
        assert "does not saturate" in sure.reason


@given(THROUGHPUTS, st.randoms(use_true_random=False))
def test_the_order_of_the_cells_means_nothing(values: list[float], chance: random.Random) -> None:
    cells = [point(load, tps) for load, tps in zip(LOADS, values, strict=False)]
    before = sweeps_of(cells)
    chance.shuffle(cells)
    assert sweeps_of(cells) == before


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.floats())] * 3), min_size=1, max_size=6))
def test_any_figures_give_a_table(figures: list[tuple[float | None, float | None, float | None]]) -> None:
    cells = []
    for load, (value, low, high) in zip(LOADS, figures, strict=False):
        record = point(load, 1.0)
        record.metrics["output_tps"] = metric(value=value, ci_low=low, ci_high=high)
        cells.append(record)
    [found] = sweeps_of(cells)
    assert found.saturation is None or found.saturation in LOADS
    assert len(sweep_lines(found, Naming())) == len(figures) + 3
