"""How many repetitions a launch is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.repetitions import FEWEST, spreads_of, worthwhile

samples = st.lists(st.lists(st.floats(min_value=0.1, max_value=1e5), max_size=6), max_size=6)


def test_the_optimum_of_kalibera_and_jones() -> None:
    # within: ±0.01 around each launch; between: far apart
    launches = [(99.0, 101.0), (109.0, 111.1), (119.0, 121.4)]
    spreads = spreads_of(launches)
    assert spreads is not None
    ratio = spreads[0] / spreads[1]
    assert 0 < ratio < 0.1
    assert worthwhile(launches, launch_s=25 * 25 / ratio, repetition_s=25, most=100) == 5


def test_where_launches_differ_more_than_samples_few_repetitions_are_enough() -> None:
    launches = [(100.0, 100.1, 99.9), (110.0, 110.1, 109.9), (95.0, 95.1, 94.9)]
    assert worthwhile(launches, launch_s=10, repetition_s=1, most=10) == FEWEST


@pytest.mark.parametrize("launches", [[], [(1.0, 2.0)], [(1.0,), (2.0,)], [(1.0, 2.0), (2.0, 1.0)]])
def test_while_the_past_does_not_tell_it_is_what_the_matrix_asks(launches: list[tuple[float, ...]]) -> None:
    assert worthwhile(launches, launch_s=10, repetition_s=1, most=7) == 7


@given(launches=samples, launch_s=st.floats(0.01, 1e4), repetition_s=st.floats(0.01, 1e4), most=st.integers(1, 50))
def test_it_is_never_more_than_asked_nor_fewer_than_a_median_needs(
    launches: list[list[float]], launch_s: float, repetition_s: float, most: int
) -> None:
    found = worthwhile(launches, launch_s=launch_s, repetition_s=repetition_s, most=most)
    assert min(FEWEST, most) <= found <= most


def test_a_cost_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        worthwhile([], launch_s=0, repetition_s=1, most=3)
