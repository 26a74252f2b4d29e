"""How other tools would judge the same samples: what ``judge_simulation.py`` prints beside the judge.

Each takes the baseline's launches and one new launch, as such a tool would see them, and tells whether it would call
the cell slower. Ratios compare one launch with one launch; tests pool the baseline's repetitions, as if they were
independent.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pytest_thor.judge.student_t import quantile, upper_tail

Launches = Sequence[Sequence[float]]


def fixed_ratio(baseline: Launches, new: Sequence[float]) -> bool:
    """More than 5 % below the stored mean: github-action-benchmark and most scripts."""
    return statistics.fmean(new) < 0.95 * statistics.fmean(baseline[0])


def compare_fail(baseline: Launches, new: Sequence[float]) -> bool:
    """Mean time more than 5 % above the stored one: pytest-benchmark's ``--benchmark-compare-fail=mean:5%``."""
    stored, taken = ([1 / speed for speed in side] for side in (baseline[0], new))
    return statistics.fmean(taken) > 1.05 * statistics.fmean(stored)


def welch(baseline: Launches, new: Sequence[float]) -> bool:
    """Welch's t test on repetitions, slower at 5 % two-sided."""
    old = [sample for launch in baseline for sample in launch]
    a, b = (statistics.variance(side) / len(side) for side in (old, new))
    t = (statistics.fmean(old) - statistics.fmean(new)) / math.sqrt(a + b)
    df = (a + b) ** 2 / (a * a / (len(old) - 1) + b * b / (len(new) - 1))
    return t > 0 and upper_tail(t, df) < 0.025


def mann_whitney(baseline: Launches, new: Sequence[float]) -> bool:
    """Mann and Whitney's test on repetitions, slower at 5 % two-sided (normal approximation)."""
    old = [sample for launch in baseline for sample in launch]
    below = sum(sample < stored for sample in new for stored in old)
    pairs = len(old) * len(new)
    z = (below - pairs / 2 - 0.5) / math.sqrt(pairs * (len(old) + len(new) + 1) / 12)
    return 0.5 * math.erfc(z / math.sqrt(2)) < 0.025


def prediction_interval(baseline: Launches, new: Sequence[float]) -> bool:
    """The launch's mean below the 99 % t prediction interval of the baseline's launch means, and by at least 3 %."""
    means = [statistics.fmean(launch) for launch in baseline]
    middle, spread = statistics.fmean(means), statistics.stdev(means)
    low = middle - quantile(0.995, len(means) - 1) * spread * math.sqrt(1 + 1 / len(means))
    value = statistics.fmean(new)
    return value < low and value <= 0.97 * middle


PEERS: Mapping[str, Callable[[Launches, Sequence[float]], bool]] = MappingProxyType(
    {
        "5 % ratio": fixed_ratio,
        "compare-fail": compare_fail,
        "Welch": welch,
        "Mann-Whitney": mann_whitney,
        "t prediction": prediction_interval,
    }
)
"""Every method, by the name of its column."""
