"""Launches held against a baseline's: the verdict on one metric.

The launch is the unit: its value is a robust summary of its samples, and only the spread between launches, and between
runs, counts.

- ``regressed`` and ``improved``: the change is significant, whatever the number of looks, and reaches the threshold.
- ``unchanged``: its interval lies within the threshold on both sides.
- ``inconclusive``: neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pytest_thor.judge import foresight, reasons
from pytest_thor.judge.change import SIGNIFICANCE, Change, change_between, decide
from pytest_thor.judge.drift import Shift
from pytest_thor.judge.gates import Gate
from pytest_thor.judge.history import Past, in_other_units
from pytest_thor.judge.spread import Variances
from pytest_thor.judge.statistics import geometric_mean, mean
from pytest_thor.judge.usable import apart
from pytest_thor.measurement import Metric
from pytest_thor.verdict import MetricJudgement, RecentComparison, Verdict

RECENT_RUNS = 5
"""How many of the runs stored last are compared with, beside the baseline."""
FEWEST_RECENT_RUNS = 3
"""With fewer runs since the baseline there is no recent level to speak of."""
_ALARMING = 0.5
"""A loss against the recent runs of this share of the threshold must be shown to lie within it."""

_WITH_THE_MACHINE = {"tok/s": 1, "req/s": 1, "ms": -1, "s": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a comparison is made: look ``look`` of ``looks``, under a common ``shift`` of the machine, if any."""

    look: int = 1
    looks: int = 1
    shift: Shift | None = None

    def moved(self, metric: Metric) -> tuple[float, float] | None:
        """Return by how much the machine moved a metric, on the log scale, with the standard error.

        A slower machine has lower speeds and longer times; what is neither, it does not move.
        """
        sign = _WITH_THE_MACHINE.get(metric.unit)
        if self.shift is None or sign is None:
            return None
        return sign * math.log1p(self.shift.shift), self.shift.log_sd


BY_ITSELF = Moment()

Judged: TypeAlias = tuple[MetricJudgement, bool]
"""A metric's judgement, and whether it is inconclusive and hardly to be settled by the launches that remain."""


def hold_against_past(
    gate: Gate,
    judged: MetricJudgement,
    *,
    stored: Sequence[float],
    values: Sequence[float],
    past: Past,
    variances: Variances,
    moment: Moment,
) -> Judged:
    """Hold the launches' values against the baseline's (``stored``) and against the recent runs of the past."""
    if in_other_units([geometric_mean(stored), geometric_mean(values)]):
        reason = reasons.other_units(apart(gate, [geometric_mean(stored), geometric_mean(values)]))
        return replace(judged, verdict=Verdict.INCOMPARABLE, reason=reason), False
    launches = [math.log(value) for value in values]

    def change_from(runs: Sequence[Sequence[float]], shift: tuple[float, float] | None) -> Change:
        return change_between(runs, launches, variances, shift=shift, look=moment.look, looks=moment.looks)

    anchor = change_from([past.baseline], moment.moved(gate.metric))
    runs = past.since[-RECENT_RUNS:]
    recent = change_from(runs, None) if len(runs) >= FEWEST_RECENT_RUNS and moment.shift is None else None
    return _judged(gate, judged, anchor, recent, runs, stored=stored, values=values)


def hold_in_pairs(
    gate: Gate, judged: MetricJudgement, change: Change, *, reference: Sequence[float], values: Sequence[float]
) -> Judged:
    """Hold the launches' values against those of the reference that they alternated with."""
    return _judged(gate, judged, change, None, (), stored=reference, values=values)


def _judged(
    gate: Gate,
    judged: MetricJudgement,
    anchor: Change,
    recent: Change | None,
    runs: Sequence[Sequence[float]],
    *,
    stored: Sequence[float],
    values: Sequence[float],
) -> Judged:
    better = gate.metric.better
    harm = -1 if better == "higher" else 1
    p_values = [change.p_value for change in (anchor, recent) if change is not None]
    levels = _hochberg(p_values)
    verdict = by_anchor = decide(anchor, gate.threshold, better, levels[0])
    compared = None
    if recent is not None:
        compared = _recent(recent, runs, decide(recent, gate.threshold, better, levels[1]))
        verdict = _worse(by_anchor, compared, harm=harm, threshold=gate.threshold)
    low, high = anchor.interval()
    figures = reasons.Figures(
        change=anchor.relative,
        low=low,
        high=high,
        old=geometric_mean(stored),
        new=geometric_mean(values),
        least=anchor.minimum_detectable(harm),
        p=_simes(p_values),
    )
    prospect, futile = None, False
    if verdict is Verdict.INCONCLUSIVE:
        in_doubt = anchor if recent is None or by_anchor is Verdict.INCONCLUSIVE else recent
        prospect = foresight.prospect(in_doubt, gate)
        futile = foresight.chance(in_doubt, gate) < foresight.FUTILE
    told = replace(
        judged,
        verdict=verdict,
        reason=reasons.compared(gate, verdict, by_anchor, figures, recent=compared, prospect=prospect),
        baseline=figures.old,
        change=figures.change,
        change_low=low,
        change_high=high,
        minimum_detectable_effect=figures.least,
        p_value=figures.p,
        recent=compared,
    )
    return told, futile


def _recent(change: Change, runs: Sequence[Sequence[float]], verdict: Verdict) -> RecentComparison:
    low, high = change.interval()
    return RecentComparison(
        runs=len(runs),
        launches=sum(len(run) for run in runs),
        baseline=math.exp(mean([mean(run) for run in runs])),
        change=change.relative,
        change_low=low,
        change_high=high,
        verdict=verdict,
    )


def _worse(anchor: Verdict, recent: RecentComparison, *, harm: int, threshold: float) -> Verdict:
    """Return the verdict of both: the recent runs can only make it worse, by a loss that is shown or looms."""
    if Verdict.REGRESSED in {anchor, recent.verdict}:
        return Verdict.REGRESSED
    looms = recent.verdict is Verdict.INCONCLUSIVE and recent.change * harm >= threshold * _ALARMING
    return Verdict.INCONCLUSIVE if looms else anchor


def _hochberg(p_values: Sequence[float]) -> list[float]:
    """Return the level that one or two p-values may reach (Hochberg 1988): α for both, or α/2 for the smaller."""
    if len(p_values) == 1 or max(p_values) <= SIGNIFICANCE:
        return [SIGNIFICANCE] * len(p_values)
    return [SIGNIFICANCE / 2] * len(p_values)


def _simes(p_values: Sequence[float]) -> float:
    """Return the p-value of no change in any of one or two comparisons (Simes 1986)."""
    return min(max(p_values), len(p_values) * min(p_values))
