"""Several looks must not be several chances."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_thor.judge.looks import DECAY, Looks

shared_parts = st.floats(min_value=0, max_value=50)


def share_that_ever_crosses(levels: list[float], shared: float, runs: int = 20_000) -> float:
    numbers = random.Random(3)
    bounds = [float(stats.norm.isf(level)) for level in levels]
    crossed = 0
    for _ in range(runs):
        reference, total = numbers.gauss(0, math.sqrt(shared)), 0.0
        for launches, bound in enumerate(bounds, 1):
            total += numbers.gauss(0, 1)
            if (total / launches - reference) / math.sqrt(shared + 1 / launches) > bound:
                crossed += 1
                break
    return crossed / runs


def test_one_look_needs_no_correction() -> None:
    once = Looks(1, 1, 3, 0.2)
    assert once.level(0.05) == 0.05
    assert once.overall(0.01) == 0.01


@pytest.mark.parametrize("decay", [1.0, DECAY])
@pytest.mark.parametrize("shared", [0.0, 0.25, 2.0])
def test_all_looks_together_err_as_seldom_as_one_may(shared: float, decay: float) -> None:
    levels = [Looks(look, 6, look, shared).level(0.05, decay) for look in range(1, 7)]
    found = share_that_ever_crosses(levels, shared)
    assert 0.040 < found < 0.053


def test_pococks_boundary_is_met_from_the_cautious_side() -> None:
    # Pocock 1977: five equally spaced looks at 5 % two-sided have the nominal level 0.0158.
    level = 2 * Looks(1, 5, 1, 0.0).level(0.025)
    assert 0.0140 < level <= 0.0158


def test_two_looks_are_exact() -> None:
    p = 0.01
    correlation = math.sqrt((1 / (0.2 + 1)) / (1 / (0.2 + 0.5)))
    bound = float(stats.norm.isf(p))
    neither = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]]).cdf([bound, bound])
    assert Looks(2, 2, 2, 0.2).overall(p) == pytest.approx(1 - float(neither), rel=0.01)


@given(p=st.floats(min_value=1e-300, max_value=0.5), looks=st.integers(1, 12), shared=shared_parts)
def test_the_correction_lies_between_none_and_bonferronis(p: float, looks: int, shared: float) -> None:
    found = Looks(1, looks, 1, shared).overall(p)
    assert p <= found * (1 + 1e-9)
    assert found <= min(1.0, p * looks) * (1 + 1e-9)


def test_where_further_launches_add_nothing_looking_costs_nothing() -> None:
    assert Looks(1, 6, 1, 100.0).overall(0.01) < 0.013
    assert Looks(1, 6, 1, 0.0).overall(0.01) > 0.03


@pytest.mark.parametrize(("look", "looks", "launches"), [(0, 3, 3), (4, 3, 9), (3, 3, 2)])
def test_a_look_that_cannot_be_is_refused(look: int, looks: int, launches: int) -> None:
    with pytest.raises(ValueError, match="look"):
        Looks(look, looks, launches, 0.1)
