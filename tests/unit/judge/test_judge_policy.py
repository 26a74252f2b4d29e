"""What follows from a verdict."""

from __future__ import annotations

from typing import Literal

import pytest

from pytest_thor.judge.policy import Outcome, needs_another_launch, outcome
from pytest_thor.verdict import Judgement, Verdict


def again(verdict: Verdict, launches: int, minimum: int = 3, maximum: int = 5) -> bool:
    judgement = Judgement(verdict=verdict, reason="")
    return needs_another_launch(judgement, launches=launches, minimum=minimum, maximum=maximum)


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


def test_a_regression_is_confirmed_once() -> None:
    assert again(Verdict.REGRESSED, 3)
    assert not again(Verdict.REGRESSED, 4)


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
