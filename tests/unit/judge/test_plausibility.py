"""May a figure be believed, by the number alone."""

from __future__ import annotations

import math

import pytest

from pytest_thor.judge.plausibility import implausible


@pytest.mark.parametrize(
    ("metric", "sample", "because"),
    [
        ("tg_tps", math.nan, "no number: nan"),
        ("tg_tps", math.inf, "no number: inf"),
        ("ttft_ms", -3.0, "clock ran backwards"),
        ("tg_tps", 0.0, "nothing was measured"),
        ("tg_tps", 2e9, "no machine reaches"),
        ("load_s", 1e8, "no machine reaches"),
        ("not_a_metric_of_ours", math.nan, "no number"),
    ],
)
def test_what_cannot_be_is_said(metric: str, sample: float, because: str) -> None:
    assert because in str(implausible(metric, (40.0, sample)))


@pytest.mark.parametrize(
    ("metric", "samples"),
    [("tg_tps", (40.0, 41.0)), ("itl_ms", (0.0, 20.0)), ("goodput_rps", (0.0,)), ("pp_tps", ()), ("load_s", (1e-6,))],
)
def test_what_may_be_passes(metric: str, samples: tuple[float, ...]) -> None:
    assert implausible(metric, samples) is None
