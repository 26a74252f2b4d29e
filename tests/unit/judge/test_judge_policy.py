"""What follows from a verdict."""

from __future__ import annotations

from typing import Literal

import pytest

from pytest_thor.cell import Kind
from pytest_thor.judge.policy import (
    Outcome,
    doubt,
    launches_planned,
    needs_another_launch,
    outcome,
    planned_comparisons,
)
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict


def again(verdict: Verdict, launches: int, minimum: int = 3, maximum: int = 5) -> bool:
    return needs_another_launch([verdict] * launches, minimum=minimum, maximum=maximum)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_below_the_minimum_always_and_at_the_maximum_never(verdict: Verdict) -> None:
    assert again(verdict, 2)
    assert not again(verdict, 5)
    assert not again(verdict, 1, minimum=1, maximum=1)


@pytest.mark.parametrize("verdict", [Verdict.UNCHANGED, Verdict.IMPROVED, Verdict.INVALID])
def test_what_is_decided_stops_at_the_first_look(verdict: Verdict) -> None:
    assert not again(verdict, 3)


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.NO_BASELINE, Verdict.INCOMPARABLE])
def test_what_is_not_known_and_what_may_become_a_baseline_go_on(verdict: Verdict) -> None:
    assert again(verdict, 3)
    assert again(verdict, 4)


def test_a_suspicion_is_confirmed_by_one_fresh_launch() -> None:
    def more(*verdicts: Verdict, hopeless: bool = False) -> bool:
        return needs_another_launch(verdicts, minimum=1, maximum=6, hopeless=hopeless)

    regressed, unknown = Verdict.REGRESSED, Verdict.INCONCLUSIVE
    assert more(regressed)
    assert not more(regressed, regressed)
    assert more(unknown, regressed)
    assert more(regressed, unknown)
    assert not more(regressed, unknown, regressed)
    assert not more(regressed, Verdict.UNCHANGED)
    assert not more(unknown, hopeless=True)
    assert more(regressed, hopeless=True)


def test_a_suspicion_below_the_minimum_counts_as_one() -> None:
    assert needs_another_launch([Verdict.REGRESSED] * 2, minimum=3, maximum=6)
    assert not needs_another_launch([Verdict.REGRESSED] * 3, minimum=3, maximum=6)


def in_doubt(change: float, unsettled: frozenset[str] = frozenset()) -> Judgement:
    metric = MetricJudgement(
        metric="tg_tps",
        unit="tok/s",
        better="higher",
        verdict=Verdict.INCONCLUSIVE,
        reason="",
        change=change,
        threshold=0.03,
    )
    return Judgement(verdict=Verdict.INCONCLUSIVE, reason="", metrics=(metric,), unsettled=unsettled)


def test_a_suspicion_goes_first_then_the_larger_loss_then_what_may_be_a_baseline_and_what_is_hopeless_last() -> None:
    order = [
        Judgement(verdict=Verdict.REGRESSED, reason=""),
        in_doubt(-0.02),
        in_doubt(0.02),
        Judgement(verdict=Verdict.NO_BASELINE, reason=""),
        in_doubt(-0.02, frozenset({"tg_tps"})),
        Judgement(verdict=Verdict.UNCHANGED, reason=""),
    ]
    worth = [doubt(judgement) for judgement in order]
    assert worth == sorted(worth, reverse=True)
    assert len(set(worth)) == len(worth)
    assert worth[-1] == 0


@pytest.mark.parametrize("kind", ["prefill", "decode", "serving"])
def test_speeds_are_launched_as_often_as_was_asked(kind: Kind) -> None:
    assert launches_planned(kind, 3, 8) == (3, 8, 8)


def test_what_every_launch_repeats_is_launched_once_and_a_second_time_to_confirm() -> None:
    assert launches_planned("quality", 3, 8) == (1, 2, 1)
    assert launches_planned("quality", 1, 1) == (1, 1, 1)
    planned = launches_planned("quality", 3, 8)
    assert not needs_another_launch([Verdict.UNCHANGED], minimum=planned.least, maximum=planned.most)
    assert needs_another_launch([Verdict.REGRESSED], minimum=planned.least, maximum=planned.most)


def test_planned_comparisons_are_the_gates() -> None:
    assert planned_comparisons("quality", {}) == 0  # no chance in them
    assert planned_comparisons("decode", {}) == 1
    assert planned_comparisons("serving", {"ttft_ms.p99": 0.1}) == 4


@pytest.mark.parametrize(
    ("verdict", "usual", "strict"),
    [
        (Verdict.REGRESSED, "failed", "failed"),
        (Verdict.INVALID, "failed", "failed"),
        (Verdict.INCOMPARABLE, "warned", "failed"),
        (Verdict.INCONCLUSIVE, "warned", "warned"),
        (Verdict.NO_BASELINE, "passed", "failed"),
        (Verdict.IMPROVED, "passed", "passed"),
        (Verdict.UNCHANGED, "passed", "passed"),
    ],
)
def test_each_verdict_has_its_outcome(verdict: Verdict, usual: Outcome, strict: Outcome) -> None:
    assert outcome(verdict, inconclusive="warn", invalid="fail", strict=False) == usual
    assert outcome(verdict, inconclusive="warn", invalid="fail", strict=True) == strict


@pytest.mark.parametrize(("policy", "expected"), [("pass", "passed"), ("warn", "warned"), ("fail", "failed")])
def test_the_user_decides_on_inconclusive(policy: Literal["pass", "warn", "fail"], expected: Outcome) -> None:
    assert outcome(Verdict.INCONCLUSIVE, inconclusive=policy, invalid="fail", strict=True) == expected


def test_the_user_may_be_content_with_a_warning_on_invalid() -> None:
    assert outcome(Verdict.INVALID, inconclusive="warn", invalid="warn", strict=True) == "warned"
