"""Figures without noise: launches of the same give the same, so that nothing is estimated.

A perplexity is computed, not timed. What its launches span is all that there is to know of it: a point where they
agree, as they should. One that moved by the threshold moved, after one launch as after ten; there is no p-value, and
what moves the speed of a machine plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_thor.judge import reasons
from pytest_thor.judge.gates import Gate
from pytest_thor.judge.metric import Judged
from pytest_thor.judge.statistics import geometric_mean
from pytest_thor.verdict import MetricJudgement, Verdict

_ROUNDING = 1e-6  # of the resolution: both figures were decimals once


def described_exactly(judged: MetricJudgement, values: Sequence[float]) -> MetricJudgement:
    """Return a judgement with the launches' value, and what they span as its interval."""
    return replace(judged, value=geometric_mean(values), ci_low=min(values), ci_high=max(values))


def hold_exactly(gate: Gate, judged: MetricJudgement, *, stored: Sequence[float], values: Sequence[float]) -> Judged:
    """Hold the launches' values against the baseline's, or against those of a reference.

    The interval of the change is from the one extreme of the launches to the other. What differs by no more than the
    metric's resolution does not differ.

    Raises:
        ValueError: the metric is not exact.
    """
    resolution = gate.metric.resolution
    if resolution is None:
        raise ValueError(f"launches of the same differ in {gate.key}: it is held against a baseline by its spread")
    old, new = geometric_mean(stored), geometric_mean(values)
    low, high = min(values) / max(stored) - 1, max(values) / min(stored) - 1
    apart = max(*stored, *values) - min(*stored, *values)
    verdict = Verdict.INCONCLUSIVE
    if apart <= resolution * (1 + _ROUNDING) or (-gate.threshold < low and high < gate.threshold):
        verdict = Verdict.UNCHANGED
    elif low >= gate.threshold or high <= -gate.threshold:
        verdict = Verdict.IMPROVED if (new > old) == (gate.metric.better == "higher") else Verdict.REGRESSED
    told = replace(
        judged,
        verdict=verdict,
        reason=reasons.exact(gate, verdict, old=old, new=new, low=low, high=high),
        baseline=old,
        change=new / old - 1,
        change_low=low,
        change_high=high,
        minimum_detectable_effect=resolution / old,
    )
    return told, False
