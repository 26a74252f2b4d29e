"""A cell's samples as times per token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.benchmark_bridge import seconds_per_token
from tests.unit.report.report_documents import cell, launch, skipped


def test_speeds_become_times_and_a_loads_time_per_token_is_its_requests() -> None:
    bench = cell(launches=[launch({"tg_tps": [50.0, 40.0]}), launch(failure="it died"), launch({"tg_tps": [20.0]})])
    load = cell("load", launches=[launch({"tpot_ms": [85.0, 90.0], "ttft_ms": [900.0]})])

    assert seconds_per_token(bench) == pytest.approx((0.02, 0.025, 0.05))
    assert seconds_per_token(load) == pytest.approx((0.085, 0.09))
    assert seconds_per_token(skipped()) == ()


@pytest.mark.parametrize("sample", [0.0, -0.0, -1.0, float("nan"), float("inf"), float("-inf"), 5e-324])
def test_one_sample_that_is_no_time_leaves_the_cell_out(sample: float) -> None:
    assert seconds_per_token(cell(launches=[launch({"tg_tps": [40.0, sample]})])) == ()


@given(st.lists(st.floats(min_value=1e-6, max_value=1e9), min_size=1))
def test_their_rate_is_the_harmonic_mean_of_the_speeds(speeds: list[float]) -> None:
    times_s = seconds_per_token(cell(launches=[launch({"tg_tps": speeds})]))

    assert len(times_s) / sum(times_s) == pytest.approx(len(speeds) / sum(1 / speed for speed in speeds))
