"""What follows from a verdict: another launch or none, and whether the test passes."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_thor.verdict import Judgement, Verdict

Outcome: TypeAlias = Literal["passed", "warned", "failed"]


def needs_another_launch(judgement: Judgement, *, launches: int, minimum: int, maximum: int) -> bool:
    """Tell whether a cell with so many finished launches should be launched again.

    Without a baseline to hold them against, the launches may become one themselves: they are worth the maximum. A
    regression of the first look is confirmed by one launch more before it is called. What is invalid stays so.
    """
    if launches >= maximum:
        return False
    if launches < minimum:
        return True
    if judgement.verdict is Verdict.REGRESSED:
        return launches <= minimum
    return judgement.verdict in {Verdict.NO_BASELINE, Verdict.INCOMPARABLE, Verdict.INCONCLUSIVE}


def outcome(
    verdict: Verdict,
    *,
    inconclusive: Literal["pass", "warn", "fail"],
    invalid: Literal["warn", "fail"],
    strict: bool,
) -> Outcome:
    """Return what a verdict means for its test, under the user's policy."""
    outcomes: dict[Verdict, Outcome] = {
        Verdict.REGRESSED: "failed",
        Verdict.INVALID: "failed" if invalid == "fail" else "warned",
        Verdict.INCOMPARABLE: "failed" if strict else "warned",
        Verdict.INCONCLUSIVE: _POLICY[inconclusive],
        Verdict.NO_BASELINE: "failed" if strict else "passed",
        Verdict.IMPROVED: "passed",
        Verdict.UNCHANGED: "passed",
    }
    return outcomes[verdict]


_POLICY: dict[str, Outcome] = {"pass": "passed", "warn": "warned", "fail": "failed"}
