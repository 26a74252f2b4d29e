"""The arithmetic of the judge: from samples to a launch's value, from launches to a change with its uncertainty.

Everything between launches happens on the log scale, where noise is relative, a change is a difference, and the
unit cancels. docs/statistics.md gives each formula with its source and the reason for each constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_thor.judge.student_t import quantile
from pytest_thor.measurement import Metric

PRIOR_DF = 4.0
"""How many degrees of freedom the prior spread is worth: a cell's own launches outweigh it from the fifth on."""

PRIOR_SHARE = 1 / 3
"""The prior spread between launches, as a share of the metric's default threshold: 1 % for decode speed."""

_LARGEST_LOG = 700.0  # exp of more overflows
_TAILS = {"p90": 0.90, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed of the spread between launches before any is seen: ``sd`` is relative (0.01 is 1 %)."""

    sd: float
    df: float = PRIOR_DF

    def __post_init__(self) -> None:
        if not (0 < self.sd < math.inf and 0 < self.df < math.inf):
            raise ValueError(f"a prior needs a positive spread and weight, not {self.sd} and {self.df}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How far the launches lie from the baseline's: ``log_ratio`` with the moderated spread ``sd`` of one launch.

    Intervals and effects are returned as relative changes: −0.05 is 5 % lower.
    """

    log_ratio: float
    sd: float
    df: float
    baseline_launches: int
    launches: int

    @property
    def standard_error(self) -> float:
        """The standard error of ``log_ratio``."""
        return self.sd * math.sqrt(1 / self.baseline_launches + 1 / self.launches)

    @property
    def relative(self) -> float:
        """The estimate."""
        return _relative(self.log_ratio)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided confidence interval at ``level`` (0.95 is 95 %)."""
        half = quantile(0.5 + level / 2, self.df) * self.standard_error
        return _relative(self.log_ratio - half), _relative(self.log_ratio + half)

    def minimum_detectable(self, level: float, power: float, direction: int) -> float:
        """Return the size of the smallest true change, up (1) or down (−1), that is found with ``power``.

        Found means that the interval at ``level`` excludes 0.
        """
        steps = quantile(0.5 + level / 2, self.df) + quantile(power, self.df)
        return abs(_relative(direction * steps * self.standard_error))

    def with_launches(self, launches: int) -> Change:
        """Return what this would be after so many launches of the same mean and spread."""
        return replace(self, launches=launches, df=self.df + launches - self.launches)


def summarize(samples: Sequence[float], summary: str = "median") -> float:
    """Return one launch's value: ``mean``, ``median``, ``p90``, ``p95`` or ``p99`` of at least one sample."""
    if summary == "mean":
        return math.fsum(samples) / len(samples)
    return percentile(samples, 0.5 if summary == "median" else _TAILS[summary])


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the percentile, interpolated linearly between order statistics (Hyndman & Fan's type 7)."""
    ordered = sorted(samples)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def prior_for(key: str, metric: Metric, priors: Mapping[str, Prior]) -> Prior:
    """Return the prior that a run estimated for a judged metric (by its key, else its name), or the built-in one."""
    return priors.get(key) or priors.get(metric.name) or Prior(sd=metric.threshold * PRIOR_SHARE)


def geometric_mean(values: Sequence[float]) -> float:
    """Return exp of the mean log of positive values; exactly the value itself where all are equal."""
    logs = _logs(values)
    return min(values) * math.exp(_mean([value - min(logs) for value in logs]))


def estimate_change(baseline: Sequence[float], values: Sequence[float], prior: Prior) -> Change:
    """Return how the launches' positive ``values`` differ from the baseline's; both need at least one."""
    old, new = _logs(baseline), _logs(values)
    sd, df = moderated_spread([old, new], prior)
    return Change(log_ratio=_mean(new) - _mean(old), sd=sd, df=df, baseline_launches=len(old), launches=len(new))


def estimate_level(values: Sequence[float], prior: Prior, level: float) -> tuple[float, float, float]:
    """Return the geometric mean of positive values with its confidence interval: value, low, high."""
    sd, df = moderated_spread([_logs(values)], prior)
    half = quantile(0.5 + level / 2, df) * sd / math.sqrt(len(values))
    value = geometric_mean(values)
    return value, value * math.exp(-half), value * math.exp(min(half, _LARGEST_LOG))


def moderated_spread(groups: Sequence[Sequence[float]], prior: Prior) -> tuple[float, float]:
    """Return the standard deviation within groups, shrunk towards the prior, and its degrees of freedom.

    s̃² = (d₀ s₀² + d s²) / (d₀ + d) with d₀ + d degrees of freedom (Smyth 2004, section 3).
    """
    squares = math.fsum((value - mean) ** 2 for group in groups for mean in [_mean(group)] for value in group)
    df = prior.df + sum(len(group) - 1 for group in groups)
    return math.sqrt((prior.df * prior.sd**2 + squares) / df), df


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)  # exactly rounded, so that the order of launches does not matter


def _relative(log_ratio: float) -> float:
    return math.expm1(min(log_ratio, _LARGEST_LOG))
