"""Figures that every launch repeats: one launch tells, and there is no chance in the verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.judge.compare import incomparable, judge_cell, judge_pairs
from pytest_thor.judge.drift import Shift
from pytest_thor.judge.exact import hold_exactly
from pytest_thor.judge.gates import gates
from pytest_thor.judge.history import PastRun
from pytest_thor.judge.multiplicity import adjust
from pytest_thor.measurement import Samples
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict


def quality(*perplexities: float, divergence: float | None = None) -> list[Samples]:
    beside: Samples = {} if divergence is None else {"kl_divergence": (divergence,)}
    return [{"perplexity": (perplexity,), **beside} for perplexity in perplexities]


def judged(
    launches: list[Samples], baseline: list[Samples], *, thresholds: dict[str, float] | None = None, look: int = 1
) -> Judgement:
    return judge_cell(
        title="cell",
        kind="quality",
        thresholds=thresholds or {},
        baseline=baseline,
        launches=launches,
        look=look,
        looks=2,
    )


def test_the_same_figure_is_unchanged_after_one_launch() -> None:
    judgement = judged(quality(7.1234), quality(7.1234))
    [metric] = judgement.metrics
    assert judgement.verdict is Verdict.UNCHANGED
    assert (metric.change, metric.change_low, metric.change_high) == (0, 0, 0)
    assert (metric.value, metric.ci_low, metric.ci_high, metric.baseline) == (7.1234, 7.1234, 7.1234, 7.1234)
    assert metric.p_value is None
    assert "Perplexity is 7.123 ppl, as in the baseline" in judgement.reason
    assert "Judged on 1 launch of at most 2 against the baseline's 1" in judgement.reason


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (10.1, Verdict.REGRESSED),
        (10.09, Verdict.UNCHANGED),
        (9.91, Verdict.UNCHANGED),
        (9.9, Verdict.IMPROVED),
        (10.0001, Verdict.UNCHANGED),
        (500.0, Verdict.REGRESSED),
    ],
)
def test_the_threshold_alone_decides(new: float, verdict: Verdict) -> None:
    assert judged(quality(new), quality(10.0)).verdict is verdict


def test_a_regression_says_from_what_to_what() -> None:
    judgement = judged(quality(7.5), quality(7.0))
    assert "Perplexity rose 7.1 %, from 7.000 to 7.500 ppl; threshold 1.0 %; it has no noise" in judgement.reason


def test_a_divergence_is_judged_where_there_is_one() -> None:
    alone = judged(quality(7.0), quality(7.0))
    assert [metric.metric for metric in alone.metrics] == ["perplexity"]
    beside = judged(quality(7.0, divergence=0.02), quality(7.0, divergence=0.01))
    assert {metric.metric: metric.verdict for metric in beside.metrics} == {
        "perplexity": Verdict.UNCHANGED,
        "kl_divergence": Verdict.REGRESSED,
    }
    looser = judged(
        quality(7.0, divergence=0.02), quality(7.0, divergence=0.015), thresholds={"kl_divergence": 0.5, "tg_tps": 0.03}
    )
    assert looser.verdict is Verdict.UNCHANGED
    new = judged(quality(7.0, divergence=0.02), quality(7.0))
    assert new.verdict is Verdict.UNCHANGED
    assert "KL divergence is 0.02000 nat" in new.reason


def test_what_the_figure_cannot_show_is_no_change() -> None:
    tiny = judged(quality(7.0, divergence=2e-5), quality(7.0, divergence=1e-5))
    assert tiny.verdict is Verdict.UNCHANGED
    assert judged(quality(7.0, divergence=3e-5), quality(7.0, divergence=1e-5)).verdict is Verdict.REGRESSED


def test_launches_that_differ_are_told_and_only_all_of_them_move_a_verdict() -> None:
    assert judged(quality(10.2, 10.3), quality(10.0), look=2).verdict is Verdict.REGRESSED
    astray = judged(quality(10.2, 10.0), quality(10.0), look=2)
    assert astray.verdict is Verdict.INCONCLUSIVE
    assert "launches of the same differ, which they should not" in astray.reason
    assert judged(quality(10.01, 10.05), quality(10.0, 10.02), look=2).verdict is Verdict.UNCHANGED


def test_pairs_are_held_against_each_other_without_noise_too() -> None:
    judgement = judge_pairs(
        title="cell",
        kind="quality",
        thresholds={},
        reference=quality(7.0),
        launches=quality(7.2),
        against="llama-perplexity b6000",
    )
    assert judgement.verdict is Verdict.REGRESSED
    assert judgement.metrics[0].change == pytest.approx(7.2 / 7 - 1)


def test_the_machine_and_its_past_runs_play_no_part() -> None:
    shift = Shift(shift=-0.08, low=-0.09, high=-0.07, log_sd=0.003, cells=12, canary=None, reason="")
    wild = [PastRun(finished_at=f"{run}", values=({"perplexity": 7.0 + run},)) for run in range(10)]
    judgement = judge_cell(
        title="cell",
        kind="quality",
        thresholds={},
        baseline=quality(7.0),
        launches=quality(7.0),
        history=wild,
        shift=shift,
    )
    assert judgement.metrics[0].verdict is Verdict.UNCHANGED
    assert judgement.metrics[0].recent is None


def test_what_has_no_chance_in_it_is_not_among_the_comparisons_of_a_run() -> None:
    regressed, unchanged = judged(quality(7.5), quality(7.0)), judged(quality(7.0), quality(7.0))
    adjusted = adjust({"a": regressed, "b": unchanged}, planned=1000)
    assert adjusted["a"].verdict is Verdict.REGRESSED
    assert adjusted["a"].metrics[0].q_value is None
    assert adjusted["b"].verdict is Verdict.UNCHANGED


def test_without_a_baseline_or_under_other_conditions_the_value_is_told() -> None:
    first = judged(quality(7.0), [])
    assert first.verdict is Verdict.NO_BASELINE
    assert (first.metrics[0].ci_low, first.metrics[0].ci_high) == (7.0, 7.0)
    other = incomparable(["workload.text_sha256: a → b"], kind="quality", thresholds={}, launches=quality(7.0))
    assert other.verdict is Verdict.INCOMPARABLE
    assert other.metrics[0].value == 7.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_what_cannot_be_is_invalid(value: float) -> None:
    assert judged(quality(value), quality(7.0)).verdict is Verdict.INVALID


def test_a_speed_is_not_held_so() -> None:
    [gate] = gates("decode", {})
    judgement = MetricJudgement(metric="tg_tps", unit="tok/s", better="higher", verdict=Verdict.NO_BASELINE, reason="")
    with pytest.raises(ValueError, match="by its spread"):
        hold_exactly(gate, judgement, stored=[1.0], values=[1.0])


figures = st.lists(st.floats(5, 2000), min_size=1, max_size=3)


@given(stored=figures, values=figures)
def test_the_interval_holds_every_ratio_and_no_verdict_contradicts_it(stored: list[float], values: list[float]) -> None:
    [metric] = judged(quality(*values), quality(*stored)).metrics
    assert metric.change_low is not None
    assert metric.change_high is not None
    assert metric.threshold is not None
    ratios = [new / old - 1 for new in values for old in stored]
    assert metric.change_low == min(ratios)
    assert metric.change_high == max(ratios)
    if metric.verdict is Verdict.REGRESSED:
        assert min(ratios) >= metric.threshold
    elif metric.verdict is Verdict.IMPROVED:
        assert max(ratios) <= -metric.threshold
    elif metric.verdict is Verdict.UNCHANGED and max(*stored, *values) - min(*stored, *values) > 2e-4:
        assert max(map(abs, ratios)) < metric.threshold
