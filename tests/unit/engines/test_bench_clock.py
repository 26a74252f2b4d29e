"""When the repetitions of a launch ran by a clock that is not the engine's, and what is said where the two disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.engines.bench_clock import RepetitionClock, contradiction
from pytest_thor.engines.bench_rows import BenchTest, Row

TEST = BenchTest(n_prompt=64, n_gen=0, n_depth=0, repetitions=3)
DEEP = BenchTest(n_prompt=64, n_gen=0, n_depth=4096, repetitions=3)


def row(*durations_ns: int, n_depth: int = 0) -> Row:
    return Row(n_prompt=64, n_gen=0, n_depth=n_depth, samples_ns=durations_ns)


def clock_of(*events: tuple[float, str]) -> RepetitionClock:
    """Return a clock that read lines ("begins", "other") and rows ("row") at these seconds; it stands at the last."""
    times = iter([now_s for now_s, _ in events])
    now_s = [0.0]
    clock = RepetitionClock(lambda: now_s[0])
    for _, event in events:
        now_s[0] = next(times)
        if event == "row":
            clock.row()
        else:
            clock.line(begins=event == "begins")
    return clock


def speeds(*taken_s: float) -> tuple[float, ...]:
    return tuple(TEST.tokens / each for each in taken_s)


def test_each_repetition_begins_with_its_line_and_lasts_as_the_row_says() -> None:
    clock = clock_of((10.0, "begins"), (11.0, "begins"), (12.0, "row"))
    assert clock.windows(row(500_000_000, 250_000_000)) == ((10.0, 10.5), (11.0, 11.25))


def test_without_lines_the_repetitions_end_with_the_row() -> None:
    assert clock_of((20.0, "row")).windows(row(500_000_000, 250_000_000)) == ((19.25, 20.0),)


def test_without_lines_a_depth_is_not_told_apart() -> None:
    clock = clock_of((20.0, "row"))
    assert clock.windows(row(500_000_000, n_depth=128)) == ()
    assert clock.windows(row()) == ()
    assert clock.windows(row(500_000_000, 0)) == ()


def test_a_repetition_ends_with_the_next_line_of_any_kind() -> None:
    clock = clock_of((1.0, "other"), (2.0, "begins"), (2.5, "other"), (4.0, "begins"), (4.25, "row"), (9.0, "row"))
    assert clock.observed_s() == (0.5, 0.25)


def test_half_of_the_time_that_went_by_is_doubted_with_both_figures() -> None:
    doubt = contradiction("llama-bench", TEST, speeds(0.15, 0.15, 0.15), (0.3, 0.31, 0.32))
    assert doubt is not None
    assert doubt.startswith("llama-bench claims 0.450 s for 3 repetitions of pp64, and they took 0.930 s")
    assert "tokens were miscounted" in doubt


def test_one_repetition_that_fits_its_claim_clears_them_all() -> None:
    assert contradiction("x", TEST, speeds(0.15, 0.15, 0.15), (0.3, 0.31, 0.16)) is None


@pytest.mark.parametrize(
    ("claimed_s", "observed_s"),
    [
        pytest.param((0.15,), (0.3,), id="one repetition alone"),
        pytest.param((0.15, 0.15), (0.3,), id="another number of lines"),
        pytest.param((0.15, 0.15), (), id="no lines"),
        pytest.param((0.01, 0.01), (0.05, 0.05), id="shorter than a late line"),
        pytest.param((0.30, 0.30), (0.40, 0.40), id="a third"),
        pytest.param((0.0, 0.0), (0.0, 0.0), id="nothing at all"),
    ],
)
def test_what_may_come_from_reading_late_is_not_doubted(
    claimed_s: Sequence[float], observed_s: Sequence[float]
) -> None:
    claimed = tuple(TEST.tokens / each if each else math.inf for each in claimed_s)
    assert contradiction("x", TEST, claimed, observed_s) is None


def test_at_a_depth_the_memory_is_put_back_between_repetitions() -> None:
    claimed, observed = speeds(0.3, 0.3), (0.7, 0.7)
    assert contradiction("x", TEST, claimed, observed) is not None
    assert contradiction("x", DEEP, claimed, observed) is None
    assert contradiction("x", DEEP, speeds(1.0, 1.0), (2.0, 2.0)) is not None


@given(
    st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9),
    st.lists(st.floats(0, 0.05), min_size=10, max_size=10),
)
def test_an_honest_engine_is_never_doubted_however_late_its_lines_are_read(
    taken_s: list[float], late_s: list[float]
) -> None:
    """Each line is read up to 50 ms after it was written, and the row after the last."""
    begun = [sum(taken_s[:number]) for number in range(len(taken_s) + 1)]
    read = [max(b + late for b, late in zip(begun[: n + 1], late_s, strict=False)) for n in range(len(begun))]
    observed = [later - earlier for earlier, later in pairwise(read)]
    assert contradiction("x", TEST, speeds(*taken_s), observed) is None


@given(st.floats(0.11, 100), st.integers(2, 9))
def test_doubled_figures_of_a_tenth_of_a_second_and_more_are_always_doubted(taken_s: float, repetitions: int) -> None:
    claimed, observed = speeds(*[taken_s / 2] * repetitions), [taken_s] * repetitions
    assert contradiction("x", TEST, claimed, observed) is not None


@given(st.lists(st.floats(allow_nan=True), max_size=4), st.lists(st.floats(0, 1e9), max_size=4))
def test_figures_that_are_no_speeds_raise_nothing(claimed_tps: list[float], observed_s: list[float]) -> None:
    said = contradiction("x", TEST, claimed_tps, observed_s)
    assert said is None or all(speed > 0 for speed in claimed_tps)
