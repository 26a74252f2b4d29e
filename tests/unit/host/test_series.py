"""What readings come to in a window of time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.host.series import Series
from pytest_thor.host.source import Channel

NAN = math.nan


def series(values: Sequence[float], *, step_s: float = 1.0) -> Series:
    made = Series([Channel(group="power_w", name="VIN")], interval_s=step_s)
    for number, value in enumerate(values):
        made.add(number * step_s, [value])
    return made


def test_a_level_is_a_trapezoid_between_readings() -> None:
    level = series([10, 20, 30, 20]).level(0, [(0.5, 2.5)])

    assert level is not None
    assert level.mean == pytest.approx((8.75 + 25 + 13.75) / 2)
    assert (level.minimum, level.maximum) == (20, 30)
    assert level.covered_s == pytest.approx(2)


def test_a_window_between_two_readings_is_read_from_the_line_between_them() -> None:
    level = series([10, 20]).level(0, [(0.2, 0.4)])

    assert level is not None
    assert (level.minimum, level.mean, level.maximum) == pytest.approx((12, 13, 14))


def test_several_windows_leave_out_what_lies_between_them() -> None:
    level = series([0, 0, 100, 100, 0, 0]).level(0, [(0, 1), (4, 5)])

    assert level is not None
    assert level.mean == pytest.approx(0)
    assert level.covered_s == pytest.approx(2)


def test_a_missing_reading_is_bridged_and_a_long_gap_is_not() -> None:
    bridged = series([10, NAN, 30]).level(0, [(0, 2)])
    torn = series([10, *[NAN] * 20, 30]).level(0, [(0, 21)])

    assert bridged is not None
    assert bridged.mean == pytest.approx(20)
    assert torn is None


@pytest.mark.parametrize("window", [(-5.0, -1.0), (10.0, 12.0)])
def test_outside_of_the_readings_nothing_is_known(window: tuple[float, float]) -> None:
    assert series([1, 2, 3]).level(0, [window]) is None
    assert series([1, 2, 3]).growth(0, [window]) is None
    assert series([1, 2, 3]).events(0, [window]) is None
    assert series([1, 2, 3]).active(0, [window]) is None


def test_a_counter_grows_in_proportion_and_a_reset_counts_nothing() -> None:
    assert series([0, 10, 30]).growth(0, [(0.5, 1.5)]) == pytest.approx(15)
    assert series([100, 110, 0, 10]).growth(0, [(0, 3)]) == pytest.approx(20)


def test_events_are_whole_and_those_at_the_edge_count_once() -> None:
    counted = series([0, 3, 3, 5])

    assert counted.events(0, [(0.4, 1.5)]) == 3
    assert counted.events(0, [(0.1, 0.2), (0.3, 0.4)]) == 3
    assert counted.events(0, [(1.2, 1.8)]) == 0


def test_a_state_holds_until_the_next_reading() -> None:
    assert series([0, 2, 0, 0]).active(0, [(0, 3)]) == pytest.approx((1 / 3, 2))
    assert series([0, 0]).active(0, [(0, 1)]) == (0, 0)


def test_what_was_forgotten_is_not_known() -> None:
    kept = series([1, 2, 3, 4])
    kept.drop_before(2)

    assert kept.level(0, [(0, 1)]) is None
    assert kept.count([(0, 3)]) == 2


@given(
    st.lists(st.floats(0, 1e4) | st.just(NAN), min_size=1, max_size=40),
    st.floats(-2, 40),
    st.floats(0.001, 20),
    st.floats(0, 1),
)
def test_a_window_is_the_sum_of_its_parts_and_its_mean_lies_within(
    values: list[float], start: float, length: float, cut: float
) -> None:
    made = series(values)
    end, middle = start + length, start + length * cut
    whole = made.level(0, [(start, end)])
    parts = made.level(0, [(start, middle), (middle, end)])

    if whole is None:
        assert parts is None or parts.covered_s < 1e-9
    else:
        assert 0 <= whole.covered_s <= length * (1 + 1e-9)
        assert whole.minimum - 1e-6 <= whole.maximum
        assert parts is not None
        integral = whole.mean * whole.covered_s
        assert parts.mean * parts.covered_s == pytest.approx(integral, rel=1e-6, abs=1e-6)
        real = [value for value in values if not math.isnan(value)]
        assert min(real) - 1e-6 <= whole.mean <= max(real) + 1e-6
