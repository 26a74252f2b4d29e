"""Where a history changed its level: found where it did, and hardly ever where it did not."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.judge.change_points import (
    FEWEST_RUNS,
    NULL,
    NULL_LEVELS,
    SMALLEST_CHANGE,
    change_points,
    largest_split,
    p_value_of,
)


def history(*levels: tuple[int, float], noise: float = 0.01, seed: int = 1) -> list[float]:
    """Return so many runs at each level, with relative noise."""
    numbers = random.Random(seed)
    return [level * math.exp(numbers.gauss(0, noise)) for runs, level in levels for _ in range(runs)]


def told(values: Sequence[float]) -> list[int]:
    return [point.index for point in change_points(values)]


def test_a_step_is_found_where_it_is_with_its_size() -> None:
    [point] = change_points(history((20, 40.0), (15, 38.0)))
    assert abs(point.index - 20) <= 1
    assert point.before == pytest.approx(40, rel=0.01)
    assert point.after == pytest.approx(38, rel=0.01)
    assert point.change == pytest.approx(point.after / point.before - 1)
    assert point.p_value <= 0.005


@pytest.mark.parametrize(
    ("values", "places"),
    [
        (history((20, 40.0), (20, 38.0), (20, 36.0)), [20, 40]),
        (history((25, 40.0), (10, 37.0), (25, 40.0)), [25, 35]),
        (history((30, 40.0), (8, 44.0)), [30]),
        (history((100, 40.0), (100, 39.0)), [100]),
    ],
    ids=["stairs", "a dip", "late", "long and small"],
)
def test_several_changes_are_found_in_order(values: list[float], places: list[int]) -> None:
    found = told(values)
    assert len(found) == len(places)
    assert all(abs(one - other) <= 2 for one, other in zip(found, places, strict=True))


def test_runs_that_went_astray_are_no_change_and_hide_none() -> None:
    steady = history((40, 40.0))
    for index in (7, 8, 20, 33):
        steady[index] = 20.0
    assert told(steady) == []
    changed = history((20, 40.0), (20, 37.0))
    changed[5], changed[30] = 400.0, 4.0
    [found] = told(changed)
    assert abs(found - 20) <= 2


@pytest.mark.parametrize(
    "values",
    [
        [],
        [40.0],
        [40.0] * 200,
        history((FEWEST_RUNS - 1, 40.0)),
        history((4, 40.0), (5, 20.0)),
        history((50, 40.0), (50, 40.2), noise=0.0001),
        [math.nan, 0.0, -1.0, math.inf] * 10,
    ],
    ids=["none", "one", "constant", "few", "few but clear", "too small to matter", "nothing measured"],
)
def test_where_nothing_can_or_need_be_told_nothing_is(values: list[float]) -> None:
    assert told(values) == []


def test_what_was_not_measured_is_passed_over_and_counted() -> None:
    values = history((20, 40.0), (15, 36.0))
    values[3:3] = [0.0, math.nan]
    [point] = change_points(values)
    assert abs(point.index - 22) <= 1


@pytest.mark.parametrize("length", [10, 20, 60])
@pytest.mark.parametrize("astray", [0.0, 0.05])
def test_at_most_two_of_a_hundred_unchanged_histories_are_said_to_have_changed(length: int, astray: float) -> None:
    """The level is one of a hundred; benchmarks/change_points.py measures it with more histories."""
    numbers = random.Random(f"{length} {astray}")

    def run() -> float:
        return 40 * math.exp(numbers.gauss(0, 0.02) + (0.2 if numbers.random() < astray else 0))

    histories = 300
    alarms = sum(bool(told([run() for _ in range(length)])) for _ in range(histories))
    assert alarms <= 0.02 * histories


def test_the_law_of_the_statistic_is_that_of_the_table() -> None:
    numbers = random.Random(5)
    drawn = [largest_split([numbers.random() for _ in range(30)])[0] for _ in range(2000)]
    for level in (0.5, 0.2, 0.1, 0.05):
        share = sum(p_value_of(statistic, 30) <= level for statistic in drawn) / len(drawn)
        assert share == pytest.approx(level, abs=4 * math.sqrt(level / len(drawn)))


@pytest.mark.parametrize("runs", sorted(NULL))
def test_the_table_rises_with_rarer_levels(runs: int) -> None:
    assert len(NULL[runs]) == len(NULL_LEVELS)
    assert list(NULL[runs]) == sorted(NULL[runs])
    assert p_value_of(0.0, runs) == 1.0
    finite = [value for value in NULL[runs] if value < math.inf]
    assert p_value_of(finite[-1] + 1, runs) == NULL_LEVELS[len(finite) - 1]


@given(st.integers(8, 300), st.floats(0, 6), st.floats(0, 6))
def test_a_larger_statistic_is_never_likelier(runs: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 < p_value_of(high, runs) <= p_value_of(low, runs) <= 1


levels = st.lists(st.tuples(st.integers(4, 20), st.sampled_from([30.0, 35.0, 40.0])), min_size=1, max_size=4)


@settings(max_examples=40)
@given(levels, st.integers(0, 1000), st.sampled_from([0.001, 1.0, 2.0**20]))
def test_the_unit_does_not_matter_and_every_change_told_matters(
    stairs: list[tuple[int, float]], seed: int, unit: float
) -> None:
    values = history(*stairs, seed=seed)
    found = change_points(values)
    assert told([value * unit for value in values]) == [point.index for point in found]
    assert all(abs(point.change) >= SMALLEST_CHANGE and 0 < point.index < len(values) for point in found)
    assert [point.index for point in found] == sorted({point.index for point in found})
    assert [point.after for point in found[:-1]] == [point.before for point in found[1:]]


@settings(max_examples=40)
@given(levels, st.integers(0, 1000))
def test_told_backwards_as_many_changes_are_found(stairs: list[tuple[int, float]], seed: int) -> None:
    values = history(*stairs, seed=seed, noise=0.001)
    assert len(told(values)) == len(told(values[::-1]))


@given(st.lists(st.floats() | st.integers(-3, 3), max_size=30))
def test_any_numbers_are_taken(values: list[float]) -> None:
    for point in change_points(values):
        assert values[point.index] > 0
        assert point.after > 0
