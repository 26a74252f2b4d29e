"""From samples to a launch's value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.statistics import geometric_mean, percentile, squares, summaries, summarize


@given(samples=st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=40), share=st.floats(0, 1))
def test_percentiles_interpolate_as_numpy_does(samples: list[float], share: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert percentile(samples, share) == pytest.approx(float(numpy.percentile(samples, share * 100)), rel=1e-9)


def test_the_median_of_a_launch_does_not_feel_one_bad_repetition() -> None:
    assert summarize((40.0, 40.1, 12.0, 40.2, 39.9)) == 40.0
    assert summarize((1.0, 2.0, 3.0, 6.0), "mean") == 3.0
    assert summarize(tuple(range(101)), "p99") == 99


@given(value=st.floats(min_value=1e-9, max_value=1e9), count=st.integers(min_value=1, max_value=6))
def test_equal_launches_have_exactly_that_value(value: float, count: int) -> None:
    assert geometric_mean([value] * count) == value


def test_several_summaries_are_those_of_one() -> None:
    samples = (3.0, 1.0, 10.0, 2.0)
    assert summaries(samples, ("mean", "p99")) == {"mean": 4.0, "p99": summarize(samples, "p99")}


def test_squares_are_deviations_from_the_mean() -> None:
    assert squares((1.0, 3.0)) == 2.0
    assert squares((5.0,)) == 0.0
