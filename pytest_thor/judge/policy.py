"""What follows from a verdict: another launch or none, whose turn it is, and whether the test passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from pytest_thor.cell import Kind
from pytest_thor.judge.gates import gates
from pytest_thor.measurement import GATED, METRICS
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

Outcome: TypeAlias = Literal["passed", "warned", "failed"]

_UNDECIDED = {Verdict.NO_BASELINE, Verdict.INCOMPARABLE, Verdict.INCONCLUSIVE}


class LaunchesPlanned(NamedTuple):
    """How often a cell is launched: at least, at most, and where its launches may become the baseline."""

    least: int
    most: int
    for_baseline: int


def launches_planned(kind: Kind, least: int, most: int) -> LaunchesPlanned:
    """Return how often a cell of a kind is launched, where the user asked for so many launches.

    A figure that every launch repeats is known after one, and a second one confirms that it regressed.
    """
    if all(METRICS[key.partition(".")[0]].resolution is not None for key in GATED[kind]):
        return LaunchesPlanned(least=1, most=min(2, most), for_baseline=1)
    return LaunchesPlanned(least=least, most=most, for_baseline=most)


def needs_another_launch(verdicts: Sequence[Verdict], *, minimum: int, maximum: int, hopeless: bool = False) -> bool:
    """Tell whether a cell should be launched again; ``verdicts`` are those after each of its launches so far.

    Without a baseline to hold them against, the launches may become one themselves: they are worth the maximum. A
    regression is confirmed by one fresh launch, after the look that suspected it, before it is called. What is
    invalid stays so, and what is ``hopeless`` (the last judgement's) is not worth more.
    """
    if len(verdicts) >= maximum:
        return False
    if len(verdicts) < minimum:
        return True
    if verdicts[-1] is Verdict.REGRESSED:
        return Verdict.REGRESSED not in verdicts[:-1]
    return verdicts[-1] in _UNDECIDED and not (hopeless and verdicts[-1] is Verdict.INCONCLUSIVE)


def planned_comparisons(kind: Kind, thresholds: Mapping[str, float]) -> int:
    """Return how many metrics of a cell will be compared by chance's measure; those without noise take no part in it.

    Raises:
        ValueError: a threshold names no metric, or is not a positive fraction.
    """
    return sum(not gate.is_exact for gate in gates(kind, thresholds))


def doubt(judgement: Judgement) -> float:
    """Return how much another launch of a cell is worth, from 0 (nothing is open) to 3: larger goes first.

    A suspected regression before what merely is not known; of that, the larger loss first, and what more launches
    would not settle last.
    """
    if judgement.verdict is Verdict.REGRESSED:
        return 3.0
    if judgement.verdict is Verdict.INCONCLUSIVE:
        return 0.5 if judgement.hopeless else 1 + min(1.0, max(map(_harm, judgement.metrics), default=0.0))
    return 0.75 if judgement.verdict in _UNDECIDED else 0.0


def _harm(metric: MetricJudgement) -> float:
    """Return the loss of an inconclusive metric as a share of its threshold, 0 where it gained."""
    if metric.verdict is not Verdict.INCONCLUSIVE or metric.change is None or metric.threshold is None:
        return 0.0
    loss = -metric.change if metric.better == "higher" else metric.change
    return max(0.0, loss / metric.threshold)


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
