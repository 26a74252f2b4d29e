"""From samples to a launch's value, and from launches to a change with its uncertainty."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_thor.judge.statistics import (
    Prior,
    estimate_change,
    estimate_level,
    geometric_mean,
    moderated_spread,
    percentile,
    prior_for,
    summarize,
)
from pytest_thor.measurement import METRICS

PRIOR = Prior(sd=0.01)
NO_PRIOR_TO_SPEAK_OF = Prior(sd=1e-9, df=1e-9)

speeds = st.lists(st.floats(min_value=0.1, max_value=1e5), min_size=1, max_size=8)


@given(samples=st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=40), share=st.floats(0, 1))
def test_percentiles_interpolate_as_numpy_does(samples: list[float], share: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert percentile(samples, share) == pytest.approx(float(numpy.percentile(samples, share * 100)), rel=1e-9)


def test_the_median_of_a_launch_does_not_feel_one_bad_repetition() -> None:
    assert summarize((40.0, 40.1, 12.0, 40.2, 39.9)) == 40.0
    assert summarize((1.0, 2.0, 3.0, 6.0), "mean") == 3.0
    assert summarize(tuple(range(101)), "p99") == 99


def test_without_a_prior_the_interval_is_the_pooled_t_interval_of_the_logs() -> None:
    old, new = [40.1, 40.9, 39.2, 40.4], [38.0, 38.9, 37.5]
    change = estimate_change(old, new, NO_PRIOR_TO_SPEAK_OF)
    oracle = stats.ttest_ind([math.log(x) for x in new], [math.log(x) for x in old], equal_var=True)
    expected = oracle.confidence_interval(0.95)
    assert change.interval(0.95) == pytest.approx((math.expm1(expected.low), math.expm1(expected.high)), rel=1e-6)


def test_the_moderated_variance_lies_between_the_cells_own_and_the_priors() -> None:
    # d = 3 own degrees of freedom with variance 4e-4, d0 = 4 with 1e-4: (4·1e-4 + 3·4e-4) / 7 by hand
    logs = [[-0.02, 0.02], [0.0, 0.02, 0.04]]
    own = (0.0008 + 0.0008) / 3
    sd, df = moderated_spread(logs, PRIOR)
    assert df == 7
    assert sd**2 == pytest.approx((4 * 1e-4 + 3 * own) / 7)
    assert PRIOR.sd**2 < sd**2 < own


def test_one_launch_against_one_stands_on_the_prior_alone() -> None:
    change = estimate_change([40.0], [39.0], PRIOR)
    half = float(stats.t.ppf(0.975, 4)) * 0.01 * math.sqrt(2)
    middle = math.log(39 / 40)
    assert change.interval(0.95) == pytest.approx((math.expm1(middle - half), math.expm1(middle + half)))


def test_the_built_in_prior_is_a_third_of_the_default_threshold_and_a_run_may_know_better() -> None:
    metric = METRICS["tg_tps"]
    estimated = Prior(sd=0.002, df=12)
    assert prior_for("tg_tps", metric, {}).sd == pytest.approx(0.01)
    assert prior_for("tg_tps", metric, {"tg_tps": estimated}) == estimated
    assert prior_for("ttft_ms.p99", METRICS["ttft_ms"], {"ttft_ms": estimated}) == estimated


@pytest.mark.parametrize(("sd", "df"), [(0, 4), (math.nan, 4), (0.01, 0), (0.01, math.inf)])
def test_a_prior_without_spread_or_weight_is_refused(sd: float, df: float) -> None:
    with pytest.raises(ValueError, match="prior"):
        Prior(sd=sd, df=df)


@given(old=speeds, new=speeds, scale=st.floats(min_value=1e-3, max_value=1e3))
def test_the_unit_does_not_matter(old: list[float], new: list[float], scale: float) -> None:
    plain = estimate_change(old, new, PRIOR)
    scaled = estimate_change([x * scale for x in old], [x * scale for x in new], PRIOR)
    assert scaled.log_ratio == pytest.approx(plain.log_ratio, abs=1e-9)
    assert scaled.sd == pytest.approx(plain.sd, rel=1e-9)


@given(old=speeds, new=speeds, seed=st.integers())
def test_the_order_of_launches_does_not_matter(old: list[float], new: list[float], seed: int) -> None:
    shuffled_old, shuffled_new = list(old), list(new)
    random.Random(seed).shuffle(shuffled_old)
    random.Random(seed).shuffle(shuffled_new)
    assert estimate_change(shuffled_old, shuffled_new, PRIOR) == estimate_change(old, new, PRIOR)


@given(old=speeds, new=speeds)
def test_swapping_the_sides_turns_the_sign(old: list[float], new: list[float]) -> None:
    there, back = estimate_change(old, new, PRIOR), estimate_change(new, old, PRIOR)
    assert back.log_ratio == -there.log_ratio
    assert back.standard_error == pytest.approx(there.standard_error, rel=1e-12)


@given(old=speeds, new=speeds, more=st.integers(min_value=1, max_value=20))
def test_more_launches_of_the_same_spread_narrow_the_interval(old: list[float], new: list[float], more: int) -> None:
    now = estimate_change(old, new, PRIOR)
    later = now.with_launches(now.launches + more)
    assert later.standard_error < now.standard_error
    assert later.minimum_detectable(0.99, 0.9, -1) <= now.minimum_detectable(0.99, 0.9, -1)


def test_more_launches_never_widen_on_average() -> None:
    numbers = random.Random(7)

    def mean_width(launches: int) -> float:
        widths = []
        for _ in range(400):
            old = [math.exp(numbers.gauss(0, 0.01)) for _ in range(5)]
            new = [math.exp(numbers.gauss(0, 0.01)) for _ in range(launches)]
            low, high = estimate_change(old, new, PRIOR).interval(0.95)
            widths.append(high - low)
        return sum(widths) / len(widths)

    widths = [mean_width(launches) for launches in (1, 2, 3, 5, 8)]
    assert widths == sorted(widths, reverse=True)


def test_a_change_of_the_minimum_detectable_effect_is_found_with_the_stated_power() -> None:
    numbers = random.Random(11)
    found = effect = 0.0
    runs = 1500
    for _ in range(runs):
        old = [numbers.gauss(0, 0.01) for _ in range(5)]
        new = [numbers.gauss(0, 0.01) for _ in range(5)]
        change = estimate_change([math.exp(x) for x in old], [math.exp(x) for x in new], PRIOR)
        effect = -math.log1p(-change.minimum_detectable(0.99, 0.9, -1))
        shifted = estimate_change([math.exp(x) for x in old], [math.exp(x - effect) for x in new], PRIOR)
        found += shifted.interval(0.99)[1] < 0
    assert 0.85 < found / runs < 0.95


@given(value=st.floats(min_value=1e-9, max_value=1e9), count=st.integers(min_value=1, max_value=6))
def test_equal_launches_have_exactly_that_value(value: float, count: int) -> None:
    assert geometric_mean([value] * count) == value


def test_the_level_of_launches_lies_in_its_interval() -> None:
    value, low, high = estimate_level([40.0, 41.0, 39.5], PRIOR, 0.95)
    assert low < value < high
    assert value == pytest.approx((40.0 * 41.0 * 39.5) ** (1 / 3))
