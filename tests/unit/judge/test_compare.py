"""Launches held against a baseline: each verdict, its sentence, and what must never change it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.cell import Kind
from pytest_thor.judge.compare import incomparable, judge_cell, judge_pairs
from pytest_thor.judge.spread import Spread
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

BASELINE = (40.1, 40.3, 39.8, 40.2, 39.9)

launch_speeds = st.lists(st.floats(min_value=30, max_value=50), min_size=1, max_size=6)
thresholds = st.floats(min_value=0.001, max_value=0.5)


def decode(*speeds: float) -> list[Samples]:
    return [{"tg_tps": (speed,)} for speed in speeds]


def latency(*values: float) -> list[Samples]:
    return [{"output_tps": (80.0,), "ttft_ms": (value,), "tpot_ms": (20.0,)} for value in values]


def judged(launches: list[Samples], baseline: list[Samples] | None = None, threshold: float = 0.03) -> Judgement:
    return judge_cell(
        title="qwen3-8b-Q4_K_M-llama.cpp-tg128",
        kind="decode",
        thresholds={"tg_tps": threshold},
        baseline=decode(*BASELINE) if baseline is None else baseline,
        launches=launches,
    )


def compare(
    *, baseline: list[Samples], launches: list[Samples], kind: Kind, thresholds: dict[str, float]
) -> tuple[MetricJudgement, ...]:
    return judge_cell(title="cell", kind=kind, thresholds=thresholds, baseline=baseline, launches=launches).metrics


def verdict(old: list[float], new: list[float], threshold: float) -> Verdict:
    return judged(decode(*new), decode(*old), threshold).verdict


def metric(judgements: tuple[MetricJudgement, ...], key: str) -> MetricJudgement:
    return next(judgement for judgement in judgements if judgement.metric == key)


def test_a_slower_cell_regressed_and_its_paragraph_says_all_there_is_to_know() -> None:
    judgement = judged(decode(35.1, 35.0, 35.3))
    assert judgement.verdict is Verdict.REGRESSED
    assert judgement.reason == (
        "qwen3-8b-Q4_K_M-llama.cpp-tg128 regressed. Decode speed fell 12.3 % (90 % interval 11.3 to 13.3 %), from 40.06"
        " to 35.13 tok/s; threshold 3.0 %; detectable with these launches: 2.9 %; p < 0.0001."
        " Judged on 3 launches against the baseline's 5."
    )


def test_the_record_holds_the_numbers_of_the_sentence() -> None:
    (found,) = judged(decode(35.1, 35.0, 35.3)).metrics
    assert found.value == pytest.approx(35.13, abs=0.01)
    assert found.baseline == pytest.approx(40.06, abs=0.01)
    assert (found.change_low, found.change, found.change_high) == pytest.approx((-0.1331, -0.1229, -0.1127), abs=1e-4)
    assert (found.ci_low, found.ci_high) == pytest.approx((34.86, 35.41), abs=0.01)
    assert found.threshold == 0.03
    assert found.minimum_detectable_effect == pytest.approx(0.029, abs=1e-3)


def test_a_faster_cell_improved() -> None:
    judgement = judged(decode(44.0, 44.1, 43.9))
    assert judgement.verdict is Verdict.IMPROVED
    assert "Decode speed rose 9.8 % (90 % interval" in judgement.reason


def test_a_cell_shown_to_lie_within_the_threshold_is_unchanged() -> None:
    judgement = judged(decode(40.0, 40.1, 40.2))
    assert judgement.verdict is Verdict.UNCHANGED
    assert "shown to lie within the threshold of 3.0 %" in judgement.reason


def test_a_noisy_cell_is_inconclusive_and_says_what_it_would_take() -> None:
    judgement = judged(decode(40.9, 38.0, 40.6))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "Decode speed moved -0.62 % (90 % interval -3.2 to +2.0 %), from 40.06 to 39.81 tok/s" in judgement.reason
    assert "above the threshold; about 1 more like these would settle it" in judgement.reason


def test_a_change_at_the_threshold_is_not_settled_by_more_launches() -> None:
    judgement = judged(decode(38.9, 38.8, 38.9))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "50 more like these would not settle it, since the change lies so close to the threshold" in judgement.reason


def test_a_baseline_of_one_launch_is_named_as_what_stands_in_the_way() -> None:
    judgement = judged(decode(39.2, 39.1, 39.3), decode(40.0))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "since the baseline has so few launches" in judgement.reason


def test_a_significant_change_below_the_threshold_is_no_regression() -> None:
    small = judged(decode(*[39.3] * 5), decode(*[40.0] * 5))
    nearly = judged(decode(*[38.95] * 5), decode(*[40.0] * 5))
    assert (small.metrics[0].change_high or 0) < 0
    assert small.verdict is Verdict.UNCHANGED
    assert (nearly.metrics[0].change_high or 0) < 0
    assert nearly.verdict is Verdict.INCONCLUSIVE


def test_a_large_change_that_two_noisy_launches_show_is_no_regression() -> None:
    assert judged(decode(36.0, 41.5), decode(40.0, 43.0)).verdict is Verdict.INCONCLUSIVE


def test_without_a_baseline_the_value_stands_alone() -> None:
    judgement = judged(decode(39.0, 39.1), [])
    (found,) = judgement.metrics
    assert judgement.verdict is Verdict.NO_BASELINE
    assert "39.05 tok/s (90 % interval 38.55 to 39.55 tok/s, 2 launches); no baseline is stored" in judgement.reason
    assert (found.baseline, found.change, found.minimum_detectable_effect) == (None, None, None)


def test_a_baseline_with_fewer_metrics_than_the_run_has_none_for_those() -> None:
    old: list[Samples] = [{"output_tps": (80.0,), "ttft_ms": (100.0,)}] * 3
    found = compare(baseline=old, launches=latency(100.0, 100.0, 100.0), kind="serving", thresholds={})
    assert metric(found, "tpot_ms.median").verdict is Verdict.NO_BASELINE
    assert "the baseline does not hold this metric" in metric(found, "tpot_ms.median").reason
    assert metric(found, "ttft_ms.median").verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("launches", "because"),
    [
        ([{"tg_tps": (40.0, math.nan)}], "no number: nan (launch 1 of 1)"),
        ([{"tg_tps": (40.0,)}, {"tg_tps": (math.inf,)}], "no number: inf (launch 2 of 2)"),
        ([{"tg_tps": (0.0,)}], "nothing was measured"),
        ([{"tg_tps": (-1.0,)}], "as if the clock ran backwards"),
        ([{"tg_tps": (4e9,)}], "which no machine reaches"),
        ([{"tg_tps": (40.0,)}, {}], "Decode speed is missing from launch 2 of 2"),
        ([{"tg_tps": ()}], "Decode speed was not reported by any launch"),
        ([{"pp_tps": (500.0,)}], "Decode speed was not reported by any launch"),
        ([], "no launch was finished"),
        ([{"tg_tps": (40.0,), "load_s": (math.nan,)}], "Load time holds a sample that is no number"),
        ([{"tg_tps": (40.0,), "mystery": (math.nan,)}], "Mystery holds a sample that is no number"),
    ],
)
def test_what_cannot_be_is_invalid(launches: list[Samples], because: str) -> None:
    judgement = judged(launches)
    assert judgement.verdict is Verdict.INVALID
    assert because in judgement.reason


def test_an_impossible_baseline_can_be_replaced() -> None:
    judgement = judged(decode(40.0), [{"tg_tps": (0.0,)}])
    assert judgement.verdict is Verdict.INCOMPARABLE
    assert "In the baseline, decode speed holds a sample of 0 tok/s" in judgement.reason
    assert "--thor-update-baseline=accept" in judgement.reason


@pytest.mark.parametrize("count", [1, 2, 5])
def test_constant_samples_do_not_claim_to_know_everything(count: int) -> None:
    (found,) = judged(decode(*[40.0] * count), decode(*[40.0] * 5)).metrics
    assert found.change == 0
    assert found.change_low is not None
    assert found.change_high is not None
    assert -0.03 < found.change_low < 0 < found.change_high < 0.03


def test_for_a_latency_more_is_worse() -> None:
    slower = compare(baseline=latency(100, 101, 99), launches=latency(130, 131, 129), kind="serving", thresholds={})
    faster = compare(baseline=latency(130, 131, 129), launches=latency(100, 101, 99), kind="serving", thresholds={})
    assert metric(slower, "ttft_ms.median").verdict is Verdict.REGRESSED
    assert "median time to first token rose 30.0 %" in metric(slower, "ttft_ms.median").reason
    assert metric(faster, "ttft_ms.median").verdict is Verdict.IMPROVED


def test_a_tail_is_judged_where_a_threshold_names_it() -> None:
    calm: list[Samples] = [{"output_tps": (80.0,), "ttft_ms": (100.0,) * 100, "tpot_ms": (20.0,)}] * 3
    spiky: list[Samples] = [{**calm[0], "ttft_ms": (100.0,) * 95 + (300.0,) * 5}] * 3
    found = compare(baseline=calm, launches=spiky, kind="serving", thresholds={"ttft_ms.p99": 0.1})
    assert metric(found, "ttft_ms.median").verdict is Verdict.UNCHANGED
    assert metric(found, "ttft_ms.p99").verdict is Verdict.REGRESSED
    assert metric(found, "ttft_ms.p99").reason.startswith("p99 time to first token rose 200.0 %")


def test_the_paragraph_of_several_metrics_tells_the_worst_and_counts_the_rest() -> None:
    judgement = judge_cell(
        title="cell", kind="serving", thresholds={}, baseline=latency(100, 101, 99), launches=latency(130, 131, 129)
    )
    assert judgement.verdict is Verdict.REGRESSED
    assert "Other metrics: 2 unchanged." in judgement.reason


def test_an_invalid_metric_is_told_even_beside_a_regression() -> None:
    launches: list[Samples] = [{"tg_tps": (30.0,), "load_s": (-1.0,)}] * 3
    judgement = judged(launches)
    assert judgement.verdict is Verdict.REGRESSED
    assert "Load time holds a sample of -1.000 s" in judgement.reason


def test_what_a_threshold_asks_for_and_nobody_reports_is_no_silent_pass() -> None:
    judgement = judge_cell(
        title="cell",
        kind="decode",
        thresholds={"energy_j_per_token": 0.05},
        baseline=decode(*[40.0] * 5),
        launches=decode(*[40.0] * 3),
    )
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "Energy per token was not reported by any launch" in judgement.reason


def test_under_other_conditions_values_are_told_and_nothing_is_compared() -> None:
    differences = ["power mode: MAXN → 120W", "gpu: Thor → Orin"]
    judgement = incomparable(differences, kind="decode", thresholds={}, launches=decode(40.0, 40.1), title="cell")
    (found,) = judgement.metrics
    assert judgement.verdict is Verdict.INCOMPARABLE
    assert judgement.reason == (
        "cell is incomparable. Decode speed is 40.05 tok/s (90 % interval 39.54 to 40.57 tok/s, 2 launches), not"
        " compared. The baseline was taken under other conditions (power mode: MAXN → 120W; gpu: Thor → Orin):"
        " run under the same ones, or accept this as the new baseline with --thor-update-baseline=accept."
    )
    assert found.value == pytest.approx(40.05, abs=0.01)
    assert (found.verdict, found.change) == (Verdict.INCOMPARABLE, None)


def test_what_cannot_be_is_invalid_under_any_conditions() -> None:
    judgement = incomparable(["gpu: a → b"], kind="decode", thresholds={}, launches=decode(math.nan))
    assert judgement.verdict is Verdict.INVALID


def test_what_all_cells_show_replaces_the_stated_prior() -> None:
    quiet = {"tg_tps": Spread(launch_sd=0.001, launch_df=100, run_sd=0.001, run_df=100)}

    def judged_with(spreads: dict[str, Spread]) -> Verdict:
        return judge_cell(
            title="cell", kind="decode", thresholds={}, baseline=decode(40.0), launches=decode(38.5), spreads=spreads
        ).verdict

    assert judged_with({}) is Verdict.INCONCLUSIVE
    assert judged_with(quiet) is Verdict.REGRESSED


@given(old=launch_speeds, new=launch_speeds, threshold=thresholds, seed=st.integers())
def test_the_verdict_does_not_depend_on_the_order(
    old: list[float], new: list[float], threshold: float, seed: int
) -> None:
    shuffled = list(new)
    random.Random(seed).shuffle(shuffled)
    assert judged(decode(*shuffled), decode(*old), threshold) == judged(decode(*new), decode(*old), threshold)


noise = st.lists(st.floats(min_value=0.99, max_value=1.01), min_size=1, max_size=6)
small_thresholds = st.floats(min_value=0.01, max_value=0.2)


@given(old=noise, new=noise, drop=st.floats(min_value=0, max_value=0.4), threshold=small_thresholds)
def test_a_regression_seen_from_the_other_side_is_an_improvement(
    old: list[float], new: list[float], drop: float, threshold: float
) -> None:
    slower = [speed * (1 - drop) for speed in new]
    regressed = verdict(old, slower, threshold) is Verdict.REGRESSED
    assert not regressed or verdict(slower, old, threshold) is Verdict.IMPROVED


@given(old=noise, new=noise, drop=st.floats(min_value=-0.1, max_value=0.4), threshold=small_thresholds)
def test_widening_the_threshold_only_ever_calms(
    old: list[float], new: list[float], drop: float, threshold: float
) -> None:
    slower = [speed * (1 - drop) for speed in new]
    narrow, wide = verdict(old, slower, threshold), verdict(old, slower, threshold * 2)
    assert wide is Verdict.UNCHANGED or narrow is not Verdict.UNCHANGED
    assert wide not in {Verdict.REGRESSED, Verdict.IMPROVED} or narrow is wide


@given(speeds=launch_speeds, threshold=thresholds)
def test_a_run_held_against_itself_neither_regressed_nor_improved(speeds: list[float], threshold: float) -> None:
    assert verdict(speeds, speeds, threshold) in {Verdict.UNCHANGED, Verdict.INCONCLUSIVE}


numbers = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 1e-300, 1e300, 5e-324]))


@given(
    old=st.lists(st.lists(numbers, max_size=3).map(tuple), max_size=3),
    new=st.lists(st.lists(numbers, max_size=3).map(tuple), max_size=3),
)
def test_whatever_the_numbers_there_is_a_verdict_and_a_reason(
    old: list[tuple[float, ...]], new: list[tuple[float, ...]]
) -> None:
    judgement = judged([{"tg_tps": samples} for samples in new], [{"tg_tps": samples} for samples in old])
    assert judgement.reason.endswith(".")
    for found in judgement.metrics:
        shown = (found.value, found.ci_low, found.ci_high, found.change, found.change_low, found.change_high)
        assert all(figure is None or math.isfinite(figure) for figure in shown)


def test_a_single_pair_of_restless_launches_shows_nothing() -> None:
    one = {"tg_tps": (3626.0, 26801.0, 9100.0, 15000.0, 5200.0)}
    other = {"tg_tps": (15803.0, 22523.0, 17000.0, 21000.0, 18000.0)}

    judged = judge_pairs(
        title="cell", kind="decode", thresholds={"tg_tps": 0.05}, reference=[one], launches=[other], against="old"
    )

    assert judged.verdict is Verdict.INCONCLUSIVE
