"""A change between groups of launches: estimate, interval, p-value, and what must never change them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_thor.judge.change import Change, change_between, decide, level_of
from pytest_thor.judge.history import Past
from pytest_thor.judge.spread import Spread, Variances, variances
from pytest_thor.verdict import Verdict

PRIOR = Spread(launch_sd=0.01, launch_df=4.0, run_sd=0.003, run_df=2.0)
NO_PRIOR_TO_SPEAK_OF = Spread(launch_sd=1e-9, launch_df=1e-9, run_sd=0.0, run_df=1e6)

logs = st.lists(st.floats(min_value=-1, max_value=1), min_size=1, max_size=8)


def change(
    old: list[float],
    new: list[float],
    prior: Spread = PRIOR,
    *,
    shift: tuple[float, float] | None = None,
    look: int = 1,
    looks: int = 1,
) -> Change:
    own = variances(Past(baseline=tuple(old), earlier=()), [new], prior)
    return change_between([old], new, own, shift=shift, look=look, looks=looks)


def test_without_a_prior_and_between_one_run_it_is_the_pooled_t_test_of_the_logs() -> None:
    old, new = [0.01, 0.03, -0.02, 0.005], [-0.05, -0.03, -0.066]
    found = change(old, new, NO_PRIOR_TO_SPEAK_OF)
    oracle = stats.ttest_ind(new, old, equal_var=True)
    expected = oracle.confidence_interval(0.90)
    assert found.df == pytest.approx(5, rel=0.05)  # rounded down to a sixteenth of an octave
    assert found.df <= 5
    assert found.interval() == pytest.approx((math.expm1(expected.low), math.expm1(expected.high)), abs=2e-3)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=0.1)
    assert found.p_value >= oracle.pvalue


def test_the_spread_between_runs_is_in_the_standard_error_of_a_stored_baseline() -> None:
    own = Variances(launch=1e-4, launch_df=20, run=4e-4, run_df=5)
    one = change_between([[0.0] * 6], [0.0] * 3, own, shift=None, look=1, looks=1)
    several = change_between([[0.0, 0.0], [0.0]], [0.0] * 3, own, shift=None, look=1, looks=1)
    assert one.standard_error**2 == pytest.approx(4e-4 * 2 + 1e-4 * (1 / 3 + 1 / 6))
    assert several.standard_error**2 == pytest.approx(4e-4 * 1.5 + 1e-4 * (1 / 3 + (1 / 2 + 1) / 4))


def test_satterthwaites_degrees_of_freedom_lie_between_the_parts() -> None:
    own = Variances(launch=1e-4, launch_df=20, run=4e-4, run_df=5)
    found = change_between([[0.0] * 6], [0.0] * 3, own, shift=None, look=1, looks=1)
    run, launch = 8e-4, 0.5e-4
    exact = (run + launch) ** 2 / (run**2 / 5 + launch**2 / 20)
    assert exact / 2 ** (1 / 16) <= found.df <= exact


def test_a_shift_of_the_machine_is_taken_out_and_its_uncertainty_put_in() -> None:
    plain = change([0.0, 0.01], [-0.10, -0.09])
    beside = change([0.0, 0.01], [-0.10, -0.09], shift=(-0.08, 0.01))
    assert beside.log_ratio == pytest.approx(plain.log_ratio + 0.08)
    assert beside.standard_error**2 == pytest.approx(plain.standard_error**2 + 1e-4)


@given(old=logs, new=logs, scale=st.floats(min_value=-5, max_value=5))
def test_the_unit_does_not_matter(old: list[float], new: list[float], scale: float) -> None:
    plain, scaled = change(old, new), change([x + scale for x in old], [x + scale for x in new])
    assert scaled.log_ratio == pytest.approx(plain.log_ratio, abs=1e-9)
    assert scaled.standard_error == pytest.approx(plain.standard_error, rel=1e-6)


@given(old=logs, new=logs, seed=st.integers())
def test_the_order_of_launches_does_not_matter(old: list[float], new: list[float], seed: int) -> None:
    shuffled_old, shuffled_new = list(old), list(new)
    random.Random(seed).shuffle(shuffled_old)
    random.Random(seed).shuffle(shuffled_new)
    assert change(shuffled_old, shuffled_new) == change(old, new)


@given(old=logs, new=logs)
def test_swapping_the_sides_turns_the_sign(old: list[float], new: list[float]) -> None:
    there, back = change(old, new), change(new, old)
    assert back.log_ratio == -there.log_ratio
    assert back.standard_error == pytest.approx(there.standard_error, rel=1e-12)
    assert back.p_value == pytest.approx(there.p_value, rel=1e-9)


@given(old=logs, new=logs, more=st.integers(min_value=1, max_value=20))
def test_more_launches_of_the_same_spread_narrow_the_interval(old: list[float], new: list[float], more: int) -> None:
    now = change(old, new)
    later = now.with_launches(now.launches + more)
    assert later.standard_error < now.standard_error


@given(old=logs, new=logs, looks=st.integers(min_value=2, max_value=8))
def test_further_looks_only_make_more_careful(old: list[float], new: list[float], looks: int) -> None:
    once, often = change(old, new), change(old, new, looks=looks)
    assert often.p_value >= once.p_value
    assert often.interval()[0] <= once.interval()[0]
    assert often.interval()[1] >= once.interval()[1]
    assert often.minimum_detectable(-1) >= once.minimum_detectable(-1)


def test_more_launches_never_widen_on_average() -> None:
    numbers = random.Random(7)

    def mean_width(launches: int) -> float:
        widths = []
        for _ in range(300):
            old, new = ([numbers.gauss(0, 0.01) for _ in range(count)] for count in (5, launches))
            low, high = change(old, new).interval()
            widths.append(high - low)
        return sum(widths) / len(widths)

    widths = [mean_width(launches) for launches in (1, 2, 3, 5, 8)]
    assert widths == sorted(widths, reverse=True)


def test_a_change_of_the_minimum_detectable_effect_is_found_with_the_stated_power() -> None:
    numbers = random.Random(11)
    prior = Spread(launch_sd=0.01, launch_df=4, run_sd=1e-6, run_df=1e6)
    found = 0
    for _ in range(600):
        old, new = ([numbers.gauss(0, 0.01) for _ in range(5)] for _ in range(2))
        effect = -math.log1p(-change(old, new, prior).minimum_detectable(-1))
        found += change(old, [x - effect for x in new], prior).p_value <= 0.01
    assert 0.85 < found / 600 < 0.96


@given(old=logs, new=logs, threshold=st.floats(min_value=0.001, max_value=0.5))
def test_unchanged_is_exactly_an_interval_within_the_threshold(
    old: list[float], new: list[float], threshold: float
) -> None:
    found = change(old, new)
    low, high = found.interval()
    unchanged = decide(found, threshold, "higher") is Verdict.UNCHANGED
    assert unchanged == (-threshold < low and high < threshold)


def test_the_level_of_launches_lies_in_its_interval() -> None:
    value, low, high = level_of([40.0, 41.0, 39.5], Variances(launch=1e-4, launch_df=6, run=0, run_df=2))
    assert low < value < high
    assert value == pytest.approx((40.0 * 41.0 * 39.5) ** (1 / 3))
