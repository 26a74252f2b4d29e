"""Our Student t against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_thor.judge.student_t import cdf, quantile, upper_tail

DEGREES = (0.3, 0.5, 1, 1.5, 2, 3, 4, 5.7, 8, 10, 29.9, 59, 61, 100, 1e3, 1e4, 1e5, 9.99e5, 1.01e6, 1e9)
degrees = st.floats(min_value=0.2, max_value=1e7)


@pytest.mark.parametrize("df", DEGREES)
def test_the_distribution_agrees_with_scipy(df: float) -> None:
    for t in (-30, -4.2, -1, -1e-3, 0, 1e-6, 0.1, 0.7, 1, 1.96, 3, 10, 100):
        assert cdf(t, df) == pytest.approx(float(stats.t.cdf(t, df)), abs=1e-10)


@pytest.mark.parametrize("df", DEGREES)
def test_a_small_tail_keeps_its_relative_precision(df: float) -> None:
    for t in (1, 2, 3, 4, 5, 6):
        assert upper_tail(t, df) == pytest.approx(float(stats.t.sf(t, df)), rel=1e-10)


@pytest.mark.parametrize("df", DEGREES)
def test_quantiles_agree_with_scipy(df: float) -> None:
    for p in (1e-6, 1e-3, 0.005, 0.025, 0.1, 0.4999, 0.5, 0.6, 0.9, 0.95, 0.975, 0.995, 0.9999):
        assert quantile(p, df) == pytest.approx(float(stats.t.ppf(p, df)), rel=1e-10, abs=1e-10)


@given(t=st.floats(min_value=-50, max_value=50), df=degrees)
def test_anywhere_else_too(t: float, df: float) -> None:
    assert cdf(t, df) == pytest.approx(float(stats.t.cdf(t, df)), abs=1e-10)


@given(p=st.floats(min_value=1e-6, max_value=1 - 1e-6), df=degrees)
def test_the_quantile_inverts_the_distribution(p: float, df: float) -> None:
    assert cdf(quantile(p, df), df) == pytest.approx(p, abs=1e-12)


def test_what_is_no_probability_and_no_degree_of_freedom_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(1.0, 3)
    with pytest.raises(ValueError, match="must be positive"):
        cdf(1.0, 0)
