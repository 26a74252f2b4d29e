"""Arrivals: in order, at the rate that was asked for, in the shape that was asked for."""

import statistics
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.serving.arrivals import closed_loop, open_loop

MANY = 20_000


def arrivals(count: int, *, rate: float = 4.0, burstiness: float = 1.0, ramp_up_s: float = 0.0) -> list[float]:
    return list(islice(open_loop(Random(7), rate_rps=rate, burstiness=burstiness, ramp_up_s=ramp_up_s), count))


@given(
    seed=st.integers(0, 2**64 - 1),
    rate=st.floats(0.001, 100_000),
    burstiness=st.floats(0.01, 1000),
    ramp_up_s=st.floats(0, 1000),
)
@settings(deadline=None)
def test_arrivals_never_go_back(seed: int, rate: float, burstiness: float, ramp_up_s: float) -> None:
    times = list(islice(open_loop(Random(seed), rate_rps=rate, burstiness=burstiness, ramp_up_s=ramp_up_s), 50))
    assert times[0] >= 0
    assert times == sorted(times)


@pytest.mark.parametrize("burstiness", [0.5, 1.0, 20.0])
def test_gaps_have_the_mean_of_the_rate_and_the_spread_of_the_burstiness(burstiness: float) -> None:
    gaps = [later - earlier for earlier, later in pairwise([0.0, *arrivals(MANY, burstiness=burstiness)])]
    mean, deviation = statistics.fmean(gaps), statistics.stdev(gaps)
    assert mean == pytest.approx(1 / 4.0, rel=5 / (burstiness * MANY) ** 0.5)  # five standard errors
    assert deviation / mean == pytest.approx(burstiness**-0.5, rel=0.1)


def test_a_ramp_rises_linearly_to_the_rate() -> None:
    times = arrivals(MANY, rate=100.0, ramp_up_s=100.0)
    within = [sum(start <= time < start + 25 for time in times) for start in (0, 25, 50, 75, 100, 125)]
    expected = [312.5, 937.5, 1562.5, 2187.5, 2500, 2500]
    assert all(abs(found - hoped) < 5 * hoped**0.5 for found, hoped in zip(within, expected, strict=True))


def test_a_closed_loop_waits_for_nothing_but_a_slot() -> None:
    assert list(islice(closed_loop(max_concurrency=2, ramp_up_s=0), 4)) == [None] * 4


def test_a_ramp_opens_the_slots_one_after_another() -> None:
    times = list(islice(closed_loop(max_concurrency=4, ramp_up_s=8), 6))
    assert times == [0.0, 2.0, 4.0, 6.0, None, None]
