"""When the repetitions of a launch ran, from lines of progress and the row."""

from __future__ import annotations

import time

from pytest_thor.engines.bench_launch import _windows
from pytest_thor.engines.bench_rows import Row


def row(*durations_ns: int, n_depth: int = 0) -> Row:
    return Row(n_prompt=64, n_gen=0, n_depth=n_depth, samples_ns=durations_ns)


def test_each_repetition_begins_with_its_line_and_lasts_as_the_row_says() -> None:
    assert _windows(row(500_000_000, 250_000_000), [10.0, 11.0]) == ((10.0, 10.5), (11.0, 11.25))


def test_without_lines_the_repetitions_end_with_the_row() -> None:
    before = time.monotonic()
    [(start, end)] = _windows(row(500_000_000, 250_000_000), [])

    assert before <= end <= time.monotonic()
    assert abs(end - start - 0.75) < 1e-6


def test_without_lines_a_depth_is_not_told_apart() -> None:
    assert _windows(row(500_000_000, n_depth=128), []) == ()
    assert _windows(row(), []) == ()
