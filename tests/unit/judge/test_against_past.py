"""A cell held against its baseline and its recent runs, over several looks, in pairs, and beside a shift."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.compare import judge_cell, judge_pairs
from pytest_thor.judge.drift import Shift
from pytest_thor.judge.history import PastRun
from pytest_thor.judge.spread import Spread
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, Verdict

QUIET = {"tg_tps": Spread(launch_sd=0.003, launch_df=60, run_sd=0.002, run_df=12)}
ANCHOR = (40.0, 40.1, 39.9, 40.05, 39.95, 40.0)


def decode(*speeds: float) -> list[Samples]:
    return [{"tg_tps": (speed,)} for speed in speeds]


def past(*runs: tuple[float, ...]) -> list[PastRun]:
    return [
        PastRun(finished_at=f"{place}", values=tuple({"tg_tps": speed} for speed in run))
        for place, run in enumerate(runs)
    ]


def judged(
    *speeds: float,
    history: list[PastRun] | None = None,
    baseline: tuple[float, ...] = ANCHOR,
    shift: Shift | None = None,
) -> Judgement:
    return judge_cell(
        title="cell",
        kind="decode",
        thresholds={},
        baseline=decode(*baseline),
        launches=decode(*speeds),
        history=history or [],
        spreads=QUIET,
        look=len(speeds),
        looks=8,
        shift=shift,
    )


def test_a_creeping_loss_shows_against_the_baseline_though_no_recent_run_does() -> None:
    creeping = past(ANCHOR, (39.6,), (39.2,), (38.8,), (38.5,), (38.3,), (38.2,), (38.2,))
    judgement = judged(38.1, 38.2, history=creeping)
    (found,) = judgement.metrics
    assert judgement.verdict is Verdict.REGRESSED
    assert found.recent is not None
    assert found.recent.verdict is Verdict.UNCHANGED
    assert (found.recent.runs, found.recent.launches) == (5, 5)
    assert "against the last 5 runs it moved -0.6" in judgement.reason
    assert "the loss is no fresh one" in judgement.reason


def test_a_fresh_loss_shows_against_recent_runs_though_the_old_baseline_was_as_slow() -> None:
    faster = past(ANCHOR, *[(42.2,)] * 6)
    judgement = judged(40.0, 40.05, history=faster)
    (found,) = judgement.metrics
    assert judgement.verdict is Verdict.REGRESSED
    assert found.change == pytest.approx(0.0006, abs=1e-3)
    assert found.recent is not None
    assert found.recent.change == pytest.approx(-0.0516, abs=1e-3)
    assert found.p_value is not None
    assert found.p_value <= 0.01
    assert "a fresh loss that the baseline does not show" in judgement.reason


def test_a_fresh_loss_that_looms_keeps_the_judge_looking() -> None:
    faster = past(ANCHOR, *[(41.0,)] * 6)
    judgement = judged(40.0, history=faster)
    assert judgement.metrics[0].recent is not None
    assert judgement.metrics[0].recent.verdict is Verdict.INCONCLUSIVE
    assert judgement.verdict is Verdict.INCONCLUSIVE


def test_runs_from_before_the_baseline_are_not_recent() -> None:
    accepted = past(*[(45.0,)] * 6, ANCHOR, (40.0,), (40.1,))
    assert judged(40.0, history=accepted).metrics[0].recent is None
    assert judged(40.0, history=accepted).verdict is Verdict.UNCHANGED


def test_a_machine_whose_runs_differ_is_not_called_slower_for_it() -> None:
    restless = past(ANCHOR, (42.0,), (38.0,), (41.5,), (37.8,), (41.0,), (38.6,), (42.3,), (39.0,))
    assert judged(37.9, 38.0, 38.1).verdict is Verdict.REGRESSED
    without = judge_cell(
        title="cell",
        kind="decode",
        thresholds={},
        baseline=decode(*ANCHOR),
        launches=decode(37.9, 38.0, 38.1),
        history=restless,
    )
    assert without.verdict is Verdict.INCONCLUSIVE
    assert "runs of this machine lie so far apart by themselves" in without.reason


def test_history_that_cannot_be_is_passed_over() -> None:
    broken = past(ANCHOR, (math.nan,), (0.0,), (-1.0,), (math.inf,), (40_000.0,), (40.0,), (40.1,), (39.9,))
    sound = past(ANCHOR, (40.0,), (40.1,), (39.9,))
    assert judged(40.0, history=broken) == judged(40.0, history=sound)


def test_launches_in_mixed_units_are_invalid_and_a_baseline_in_others_is_not_compared() -> None:
    mixed = judged(40.0, 40_000.0)
    other = judged(40_000.0, 40_010.0)
    assert mixed.verdict is Verdict.INVALID
    assert "as if units were mixed up" in mixed.reason
    assert other.verdict is Verdict.INCOMPARABLE
    assert "Baseline and launches lie between 40.00 tok/s and 40005 tok/s" in other.reason


def test_a_metric_that_the_baseline_lacks_does_not_speak_for_the_cell() -> None:
    old: list[Samples] = [{"tg_tps": (40.0,)}] * 6
    new: list[Samples] = [{"tg_tps": (40.0,), "load_s": (3.0,)}]
    judgement = judge_cell(
        title="cell", kind="decode", thresholds={"load_s": 0.2}, baseline=old, launches=new, spreads=QUIET
    )
    assert judgement.verdict is Verdict.UNCHANGED
    assert "the baseline does not hold this metric" in judgement.reason


def test_beside_a_shift_of_the_machine_an_unmoved_cell_is_the_one_that_changed() -> None:
    shift = Shift(shift=-0.08, low=-0.09, high=-0.07, log_sd=0.003, cells=12, canary=None, reason="")
    assert judged(36.8, shift=shift).verdict is Verdict.UNCHANGED
    assert judged(40.0, 40.0, shift=shift).verdict is Verdict.IMPROVED
    assert "beside the -8.0 % by which all cells moved" in judged(36.8, shift=shift).reason
    assert judged(36.8, history=past(ANCHOR, *[(40.0,)] * 5), shift=shift).metrics[0].recent is None


def test_a_slower_machine_has_longer_times_and_needs_no_more_memory() -> None:
    def load(slowdown: float, memory: float = 2.0**30) -> list[Samples]:
        launch = {"output_tps": (1000 / slowdown,), "ttft_ms": (100 * slowdown,), "tpot_ms": (10 * slowdown,)}
        return [{**launch, "peak_memory_bytes": (memory,)}] * 8

    shift = Shift(shift=-0.10, low=-0.11, high=-0.09, log_sd=0.003, cells=12, canary=None, reason="")

    def changes(launches: list[Samples]) -> list[float | None]:
        found = judge_cell(
            title="cell",
            kind="serving",
            thresholds={"peak_memory_bytes": 0.1},
            baseline=load(1),
            launches=launches,
            shift=shift,
        )
        return [metric.change for metric in found.metrics]

    assert changes(load(1 / 0.9)) == pytest.approx([0, 0, 0, 0], abs=1e-9)
    assert changes(load(1)) == pytest.approx([1 / 0.9 - 1, -0.1, -0.1, 0])
    assert changes(load(1, memory=1.5 * 2**30)) == pytest.approx([1 / 0.9 - 1, -0.1, -0.1, 0.5])


def test_hopeless_is_what_the_launches_that_remain_will_hardly_settle() -> None:
    assert judged(*[38.8, 38.82, 38.78, 38.8] * 2).hopeless
    assert not judged(39.3).hopeless
    assert not judged(40.0).hopeless


@given(speeds=st.lists(st.floats(39, 41), min_size=1, max_size=6))
def test_neither_launches_nor_their_order_within_runs_matter(speeds: list[float]) -> None:
    shuffled = sorted(speeds)
    assert judged(*shuffled, history=past(ANCHOR, (40.0, 40.1))) == judged(*speeds, history=past(ANCHOR, (40.1, 40.0)))


def pairs(reference: tuple[float, ...], launches: tuple[float, ...], look: int = 1, looks: int = 1) -> Judgement:
    return judge_pairs(
        title="cell",
        kind="decode",
        thresholds={},
        reference=decode(*reference),
        launches=decode(*launches),
        against="llama.cpp b6000",
        spreads=QUIET,
        look=look,
        looks=looks,
    )


def test_pairs_see_through_what_the_machine_does_to_both() -> None:
    drifting = (40.0, 36.0, 44.0, 38.0)
    same = pairs(
        drifting, tuple(speed * factor for speed, factor in zip(drifting, (1.001, 0.999, 1.0, 1.0), strict=True))
    )
    slower = pairs(drifting, tuple(speed * 0.95 for speed in drifting))
    assert same.verdict is Verdict.UNCHANGED
    assert slower.verdict is Verdict.REGRESSED
    assert slower.metrics[0].change == pytest.approx(-0.05)
    assert "4 pairs of alternating launches against llama.cpp b6000" in slower.reason


def test_of_unequal_sides_only_pairs_are_judged() -> None:
    assert pairs((40.0, 41.0, 10.0), (40.0, 41.0)).verdict is Verdict.UNCHANGED


def test_a_reference_that_cannot_be_is_named() -> None:
    judgement = pairs((0.0,), (40.0,))
    assert judgement.verdict is Verdict.INCOMPARABLE
    assert "in the reference, decode speed holds a sample of 0 tok/s" in judgement.reason.lower()


def test_no_pair_is_no_measurement() -> None:
    assert pairs((), (40.0,)).verdict is Verdict.INVALID
