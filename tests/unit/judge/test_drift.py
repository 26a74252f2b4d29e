"""When all cells move together, and when it only looks so."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.drift import SMALLEST_SHIFT, common_shift
from pytest_thor.judge.student_t import quantile
from pytest_thor.measurement import METRICS
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

HALF = quantile(0.975, 6)


def judged(
    log_change: float | None, error: float = 0.01, *, metric: str = "tg_tps", verdict: Verdict = Verdict.INCONCLUSIVE
) -> Judgement:
    """Return a cell whose main metric moved so far, with a 95 % interval of 6 degrees of freedom."""
    better = METRICS[metric.partition(".")[0]].better
    found = MetricJudgement(metric=metric, unit="", better=better, verdict=verdict, reason="")
    if log_change is not None:
        low, middle, high = (math.expm1(log_change + step * HALF * error) for step in (-1, 0, 1))
        found = MetricJudgement(
            metric=metric,
            unit="",
            better=better,
            verdict=verdict,
            reason="",
            change=middle,
            change_low=low,
            change_high=high,
        )
    return Judgement(verdict=verdict, reason="", metrics=(found,))


def cells(changes: Sequence[float], error: float = 0.01) -> dict[str, Judgement]:
    return {f"cell-{index}": judged(change, error) for index, change in enumerate(changes)}


def test_cells_that_slowed_together_are_a_shift_of_the_machine() -> None:
    shift = common_shift(cells([-0.05, -0.052, -0.048, -0.051, -0.049, -0.055, -0.045]))
    assert shift is not None
    assert shift.shift == pytest.approx(math.expm1(-0.05), rel=0.05)
    assert shift.low < shift.shift < shift.high < 0
    assert (shift.cells, shift.canary) == (7, None)
    assert shift.reason.startswith("7 of 7 cells became slower together, by 4.9 % (95 % interval -")
    assert shift.reason.endswith("the machine changed rather than what is under test")


def test_what_changed_in_every_cell_is_named_as_another_cause() -> None:
    shift = common_shift(cells([0.05] * 8), also_changed=["engine version: b7000 → b7100"])
    assert shift is not None
    assert "became faster together" in shift.reason
    assert "either the machine changed" in shift.reason
    assert "engine version: b7000 → b7100" in shift.reason


def test_lower_latency_is_faster_and_a_load_is_told_by_its_time_per_token() -> None:
    load = judged(0.05, metric="tpot_ms.median")
    rate = judged(0.0, metric="output_tps")
    both = Judgement(verdict=Verdict.INCONCLUSIVE, reason="", metrics=(*rate.metrics, *load.metrics))
    shift = common_shift({str(index): both for index in range(8)})
    assert shift is not None
    assert shift.shift == pytest.approx(math.expm1(-0.05))


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ([-0.05] * 5, "too few cells"),
        ([-0.008] * 20, "too small"),
        ([-0.08, -0.08, -0.08, -0.08, 0.0, 0.001, -0.08, 0.002], "too few on its side"),
        ([-0.10] * 14 + [-0.002] * 6, "too many strays"),
        ([-0.20, -0.19, -0.21, -0.2, -0.05, -0.06, -0.04, -0.05], "too far apart"),
        ([], "nothing"),
    ],
)
def test_what_did_not_move_together_is_no_shift(changes: list[float], because: str) -> None:
    assert common_shift(cells(changes, error=0.004)) is None, because


def test_a_stray_does_not_move_the_estimate_and_does_not_hide_it() -> None:
    shift = common_shift(cells([-0.04, -0.041, -0.039, -0.04, -0.042, -0.038, -0.04, -0.5], error=0.004))
    assert shift is not None
    assert shift.shift == pytest.approx(math.expm1(-0.04), abs=0.004)


def test_an_exact_cell_counts_more_than_a_noisy_one() -> None:
    noisy = {f"noisy-{index}": judged(-0.10, 0.05) for index in range(4)}
    shift = common_shift({**noisy, **cells([-0.04] * 8, error=0.002)})
    assert shift is not None
    assert shift.shift == pytest.approx(math.expm1(-0.04), abs=0.002)


def test_cells_that_were_not_compared_are_passed_over() -> None:
    silent = {
        "new": judged(None),
        "invalid": judged(0.5, verdict=Verdict.INVALID),
        "empty": Judgement(verdict=Verdict.INVALID, reason=""),
        "memory": judged(0.5, metric="peak_memory_bytes"),
    }
    shift = common_shift({**silent, **cells([-0.05] * 6)})
    assert shift is not None
    assert shift.cells == 6
    assert common_shift({**silent, **cells([-0.05] * 5)}) is None


def test_a_canary_that_moved_clearly_decides_alone() -> None:
    moved = {"canary": judged(-0.06, 0.005), **cells([0.0, 0.001, -0.001])}
    shift = common_shift(moved, canary="canary")
    assert shift is not None
    assert (shift.cells, shift.canary) == (1, "canary")
    assert shift.shift == pytest.approx(math.expm1(-0.06))
    assert shift.low < shift.shift < shift.high
    assert "the canary canary, on which nothing is under test, became 5.8 % slower" in shift.reason


def test_a_canary_that_stayed_rules_a_shift_out() -> None:
    slower = cells([-0.05] * 8)
    assert common_shift(slower) is not None
    stayed = {**slower, "canary": judged(0.0, 0.003, verdict=Verdict.UNCHANGED)}
    assert common_shift(stayed, canary="canary") is None
    contradicts = {**slower, "canary": judged(0.0, 0.005)}
    assert common_shift(contradicts, canary="canary") is None


def test_where_the_canary_is_silent_or_in_doubt_the_others_decide() -> None:
    slower = cells([-0.05] * 8)
    in_doubt = {**slower, "canary": judged(-0.04, 0.03)}
    for judgements in (slower, in_doubt, {**slower, "canary": judged(None)}):
        shift = common_shift(judgements, canary="canary")
        assert shift is not None
        assert shift.canary is None


@pytest.mark.parametrize(("count", "runs"), [(6, 1000), (8, 1000), (12, 500), (40, 100)])
@pytest.mark.parametrize(("stated", "heavy"), [(1.0, 0.0), (0.4, 0.0), (0.5, 0.15)])
def test_unchanged_machines_are_called_changed_in_at_most_one_run_of_a_hundred(
    count: int, runs: int, stated: float, heavy: float
) -> None:
    """Also where every cell's own error is stated too small, and where launches go astray."""
    numbers = random.Random(f"{count} {stated} {heavy}")

    def noise() -> float:
        return numbers.gauss(0, 0.015) * (5 if numbers.random() < heavy else 1)

    called = sum(common_shift(cells([noise() for _ in range(count)], 0.015 * stated)) is not None for _ in range(runs))
    assert called <= runs / 100


def test_a_shift_of_four_percent_is_seen_in_nine_runs_of_ten_and_its_interval_holds_it() -> None:
    numbers = random.Random(4)
    found = [common_shift(cells([numbers.gauss(-0.04, 0.012) for _ in range(12)], 0.012)) for _ in range(200)]
    shifts = [shift for shift in found if shift is not None]
    assert len(shifts) >= 180
    assert sum(shift.low <= math.expm1(-0.04) <= shift.high for shift in shifts) >= 0.93 * len(shifts)


changes = st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=15)


@given(changes, st.randoms())
def test_the_order_and_the_names_of_cells_do_not_matter(found: list[float], order: random.Random) -> None:
    shuffled = list(found)
    order.shuffle(shuffled)
    one, other = common_shift(cells(found)), common_shift(cells(shuffled))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.shift == pytest.approx(other.shift, abs=1e-6)


@given(changes)
def test_faster_is_the_mirror_of_slower_and_no_shift_is_smaller_than_told(found: list[float]) -> None:
    one, other = common_shift(cells(found)), common_shift(cells([-change for change in found]))
    if one is not None and other is not None:
        assert math.log1p(one.shift) == pytest.approx(-math.log1p(other.shift), abs=1e-6)
        assert min(abs(one.shift), abs(other.shift)) >= SMALLEST_SHIFT
        assert one.log_sd > 0
