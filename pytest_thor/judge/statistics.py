"""The arithmetic below the judge: from samples to a launch's value, from launches to their level.

Everything between launches happens on the log scale, where noise is relative, a change is a difference, and the
unit cancels. docs/statistics.md gives each formula with its source and the reason for each constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

LARGEST_LOG = 700.0  # exp of more overflows
_SHARES = {"median": 0.5, "p90": 0.90, "p95": 0.95, "p99": 0.99}


def summarize(samples: Sequence[float], summary: str = "median") -> float:
    """Return one launch's value: ``mean``, ``median``, ``p90``, ``p95`` or ``p99`` of at least one sample."""
    return summaries(samples, (summary,))[summary]


def summaries(samples: Sequence[float], wanted: Iterable[str]) -> dict[str, float]:
    """Return several summaries of at least one sample, by name."""
    ordered = sorted(samples)
    return {
        summary: mean(samples) if summary == "mean" else _interpolated(ordered, _SHARES[summary]) for summary in wanted
    }


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the percentile, interpolated linearly between order statistics (Hyndman & Fan's type 7)."""
    return _interpolated(sorted(samples), share)


def mean(values: Sequence[float]) -> float:
    """Return the mean, exactly rounded, so that the order of the values does not matter."""
    return math.fsum(values) / len(values)


def squares(values: Sequence[float]) -> float:
    """Return the sum of squared deviations from the mean."""
    if len(values) == 1:
        return 0.0
    middle = mean(values)
    return math.fsum([(value - middle) ** 2 for value in values])


def geometric_mean(values: Sequence[float]) -> float:
    """Return exp of the mean log of positive values; exactly the value itself where all are equal."""
    logs = [math.log(value) for value in values]
    least = min(logs)
    return min(values) * math.exp(mean([value - least for value in logs]))


def relative(log_ratio: float) -> float:
    """Return the relative change that a difference of logarithms is: −0.05 is 5 % lower."""
    return math.expm1(min(log_ratio, LARGEST_LOG))


def _interpolated(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
