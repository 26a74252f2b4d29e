"""Launches held against a baseline's: the verdict on one metric.

The launch is the unit: its value is a robust summary of its samples, and only the spread between launches counts.

- ``regressed`` and ``improved``: the 99 % interval of the change excludes 0, and the estimate reaches the
  threshold.
- ``unchanged``: the 95 % interval lies within the threshold on both sides.
- ``inconclusive``: neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pytest_thor.judge import reasons
from pytest_thor.judge.gates import Gate
from pytest_thor.judge.plausibility import implausible
from pytest_thor.judge.statistics import (
    Change,
    Prior,
    estimate_change,
    estimate_level,
    geometric_mean,
    prior_for,
    summarize,
)
from pytest_thor.measurement import METRICS, Better, Samples
from pytest_thor.verdict import MetricJudgement, Verdict

SHOWN_LEVEL = 0.95
"""The level of every interval that is shown, and of the equivalence that ``unchanged`` claims."""
SIGNIFICANCE_LEVEL = 0.99
"""The level at which the interval of a change must exclude 0."""
POWER = 0.90
"""The chance with which a change of the minimum detectable effect is found."""
FORESEEN_LAUNCHES = 50
"""How many launches more are thought through before an inconclusive comparison is called hopeless."""

NO_PRIORS: Mapping[str, Prior] = MappingProxyType({})


def judge_metric(
    gate: Gate, baseline: Sequence[Samples], launches: Sequence[Samples], priors: Mapping[str, Prior]
) -> MetricJudgement:
    """Hold one gated metric of some launches against the baseline's."""
    judged = MetricJudgement(
        metric=gate.key,
        unit=gate.metric.unit,
        better=gate.metric.better,
        verdict=Verdict.INVALID,
        reason="",
        threshold=gate.threshold,
    )
    problem = _problem(gate, launches)
    if problem is not None:
        optional = not gate.required and not any(launch.get(gate.metric.name) for launch in launches)
        return replace(judged, verdict=Verdict.INCONCLUSIVE if optional else Verdict.INVALID, reason=problem)
    prior = prior_for(gate.key, gate.metric, priors)
    values = _values(gate, launches)
    value, low, high = estimate_level(values, prior, SHOWN_LEVEL)
    judged = replace(judged, value=value, ci_low=low, ci_high=high)
    stored = [launch for launch in baseline if launch.get(gate.metric.name)]
    if not stored:
        reason = reasons.without_baseline(
            gate, value=value, low=low, high=high, launches=len(values), anything_stored=bool(baseline)
        )
        return replace(judged, verdict=Verdict.NO_BASELINE, reason=reason)
    problem = _problem(gate, stored)
    if problem is not None:
        return replace(judged, verdict=Verdict.INCOMPARABLE, reason=reasons.unusable_baseline(problem))
    return _hold_against(gate, judged, _values(gate, stored), values, prior)


def _hold_against(
    gate: Gate, judged: MetricJudgement, stored: list[float], values: list[float], prior: Prior
) -> MetricJudgement:
    change = estimate_change(stored, values, prior)
    verdict = decide(change, gate.threshold, gate.metric.better)
    low, high = change.interval(SHOWN_LEVEL)
    harm = -1 if gate.metric.better == "higher" else 1
    least = change.minimum_detectable(SIGNIFICANCE_LEVEL, POWER, harm)
    old, new = geometric_mean(stored), geometric_mean(values)
    moved = {"change": change.relative, "low": low, "high": high, "new": new, "least": least}
    if verdict is Verdict.UNCHANGED:
        reason = reasons.unchanged(gate, **moved)
    elif verdict is Verdict.INCONCLUSIVE:
        reason = reasons.inconclusive(gate, **moved, old=old, advice=_advice(change, gate))
    else:
        reason = reasons.moved(gate, **moved, old=old)
    return replace(
        judged,
        verdict=verdict,
        reason=reason,
        baseline=old,
        change=change.relative,
        change_low=low,
        change_high=high,
        minimum_detectable_effect=least,
    )


def decide(change: Change, threshold: float, better: Better) -> Verdict:
    """Return the verdict on a change: regressed, improved, unchanged or inconclusive."""
    low, high = change.interval(SIGNIFICANCE_LEVEL)
    if (low > 0 or high < 0) and abs(change.relative) >= threshold:
        return Verdict.IMPROVED if (change.relative > 0) == (better == "higher") else Verdict.REGRESSED
    low, high = change.interval(SHOWN_LEVEL)
    return Verdict.UNCHANGED if -threshold < low and high < threshold else Verdict.INCONCLUSIVE


def _advice(change: Change, gate: Gate) -> str:
    def settled(foreseen: Change) -> bool:
        return decide(foreseen, gate.threshold, gate.metric.better) is not Verdict.INCONCLUSIVE

    for more in range(1, FORESEEN_LAUNCHES + 1):
        if settled(change.with_launches(change.launches + more)):
            return reasons.would_settle(more)
    most = change.with_launches(change.launches + FORESEEN_LAUNCHES)
    few = change.baseline_launches < most.launches and settled(replace(most, baseline_launches=most.launches))
    return reasons.would_not_settle(FORESEEN_LAUNCHES, baseline_launches=change.baseline_launches if few else None)


def _values(gate: Gate, launches: Sequence[Samples]) -> list[float]:
    return [summarize(launch[gate.metric.name], gate.summary) for launch in launches]


def _problem(gate: Gate, launches: Sequence[Samples]) -> str | None:
    """Return what keeps a gated metric of these launches from being judged, as a sentence, or None."""
    if not launches:
        return f"{gate.title} was not measured: no launch was finished"
    missing = [number for number, launch in enumerate(launches, 1) if not launch.get(gate.metric.name)]
    if len(missing) == len(launches):
        return f"{gate.title} was not reported by any launch"
    if missing:
        return f"{gate.title} is missing from {_which(missing[0], launches)}"
    for number, launch in enumerate(launches, 1):
        samples = launch[gate.metric.name]
        problem = implausible(gate.metric.name, samples)
        if problem is None and summarize(samples, gate.summary) <= 0:
            problem = "is 0, against which no relative change can be told"
        if problem is not None:
            return f"{gate.title} {problem} ({_which(number, launches)})"
    return None


def spoiled(name: str, launches: Sequence[Samples]) -> MetricJudgement | None:
    """Return what is said of a metric that nobody gates and whose samples are impossible, or None."""
    for number, launch in enumerate(launches, 1):
        problem = implausible(name, launch.get(name, ()))
        if problem is not None:
            metric = METRICS.get(name)
            return MetricJudgement(
                metric=name,
                unit=metric.unit if metric else "",
                better=metric.better if metric else "higher",
                verdict=Verdict.INVALID,
                reason=f"{metric.title if metric else name} {problem} ({_which(number, launches)})",
            )
    return None


def _which(number: int, launches: Sequence[Samples]) -> str:
    return f"launch {number} of {len(launches)}"
