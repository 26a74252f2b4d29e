"""A change between two groups of launches: its estimate, its uncertainty and what follows from both.

Intervals and p-values hold at every look at once (``looks.py``): whichever look is the last, they were not chosen by
luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_thor.judge.looks import DECAY, Looks
from pytest_thor.judge.spread import Variances
from pytest_thor.judge.statistics import LARGEST_LOG, geometric_mean, mean, relative
from pytest_thor.judge.student_t import quantile, upper_tail
from pytest_thor.measurement import Better
from pytest_thor.verdict import Verdict

SHOWN_LEVEL = 0.90
"""The level of every interval that is shown: ``unchanged`` is two one-sided tests at 5 %, which is this interval."""
SIGNIFICANCE = 0.01
"""The probability, over all looks, with which no change at all is taken for one."""
POWER = 0.90
"""The chance with which a change of the minimum detectable effect is found."""

_STEPS = 16  # degrees of freedom are rounded down to a sixteenth of an octave: cautious, and quantiles are reused


@dataclass(frozen=True, kw_only=True)  # without slots, so that what is derived is derived once
class Change:
    """How far some launches lie from a reference: ``log_ratio`` and the parts of its variance.

    ``launch`` is the variance of one launch; ``reference`` the launches that the reference is worth (infinite in pairs,
    whose differences are the launches); ``run`` the variance between the runs, whole; ``known`` the variance of a shift
    that was taken out. Intervals and effects are relative changes: −0.05 is 5 % lower.
    """

    log_ratio: float
    launch: float
    launch_df: float
    reference: float
    launches: int
    run: float = 0.0
    run_df: float = 1.0
    known: float = 0.0
    look: int = 1
    looks: int = 1

    @cached_property
    def standard_error(self) -> float:
        """The standard error of ``log_ratio``."""
        return math.sqrt(self.run + self.known + self.launch * self._reciprocals)

    @cached_property
    def df(self) -> float:
        """The degrees of freedom of the standard error (Satterthwaite 1946), rounded down."""
        part = self.launch * self._reciprocals
        whole = (self.run + self.known + part) ** 2 / (self.run**2 / self.run_df + part**2 / self.launch_df)
        return float(2.0 ** (math.floor(math.log2(whole) * _STEPS) / _STEPS))

    @cached_property
    def relative(self) -> float:
        """The estimate."""
        return relative(self.log_ratio)

    @cached_property
    def p_value(self) -> float:
        """The two-sided probability of so large a change by chance at any look."""
        t = abs(self.log_ratio) / self.standard_error
        return min(1.0, 2 * self._looks.overall(upper_tail(t, self.df)))

    def interval(self) -> tuple[float, float]:
        """Return the two-sided interval that holds the true change at every look with :data:`SHOWN_LEVEL`."""
        half = self.half_width
        return relative(self.log_ratio - half), relative(self.log_ratio + half)

    @cached_property
    def half_width(self) -> float:
        """Half of the interval, on the log scale."""
        nominal = self._looks.level(0.5 - SHOWN_LEVEL / 2, DECAY)
        return -quantile(nominal, self.df) * self.standard_error

    @cached_property
    def least_significant(self) -> float:
        """The smallest difference of logarithms that is significant at this look."""
        return -quantile(self._looks.level(SIGNIFICANCE / 2), self.df) * self.standard_error

    def minimum_detectable(self, direction: int) -> float:
        """Return the size of the smallest true change, up (1) or down (−1), that is significant with :data:`POWER`."""
        needed = self.least_significant + quantile(POWER, self.df) * self.standard_error
        return abs(relative(direction * needed))

    def with_launches(self, launches: int) -> Change:
        """Return what this would be after so many launches of the same mean and spread; the last look is the last."""
        more = launches - self.launches
        look = min(self.look + more, self.looks)
        return replace(self, launches=launches, launch_df=self.launch_df + more, look=look)

    @cached_property
    def _reciprocals(self) -> float:
        return 1 / self.reference + 1 / self.launches

    @cached_property
    def _looks(self) -> Looks:
        shared = (self.run + self.known) / self.launch + 1 / self.reference
        return Looks(self.look, self.looks, self.launches, shared)


def change_between(
    reference: Sequence[Sequence[float]],
    launches: Sequence[float],
    spread: Variances,
    *,
    shift: tuple[float, float] | None,
    look: int,
    looks: int,
) -> Change:
    """Return how n launches differ from the mean of reference runs, all as logarithms of their values.

    The variance is σ_run² (1 + 1/runs) + σ_launch² (1/n + 1/m), where 1/m is the mean of the runs' 1/launches over the
    number of runs. ``shift`` is a change of the machine on the log scale with its standard error: what is left beside
    it is returned.
    """
    runs = len(reference)
    moved, error = shift or (0.0, 0.0)
    return Change(
        log_ratio=mean(launches) - mean([mean(run) for run in reference]) - moved,
        launch=spread.launch,
        launch_df=spread.launch_df,
        reference=runs * runs / math.fsum([1 / len(run) for run in reference]),
        launches=len(launches),
        run=spread.run * (1 + 1 / runs),
        run_df=spread.run_df,
        known=error * error,
        look=look,
        looks=looks,
    )


def level_of(values: Sequence[float], spread: Variances) -> tuple[float, float, float]:
    """Return the geometric mean of positive values with its interval: value, low, high."""
    value = geometric_mean(values)
    half = quantile(0.5 + SHOWN_LEVEL / 2, spread.launch_df) * math.sqrt(spread.launch / len(values))
    return value, value * math.exp(-half), value * math.exp(min(half, LARGEST_LOG))


def decide(change: Change, threshold: float, better: Better, significance: float = SIGNIFICANCE) -> Verdict:
    """Return the verdict on a change: regressed, improved, unchanged or inconclusive.

    ``significance`` is what the two-sided p-value may reach at most.
    """
    if abs(change.relative) >= threshold and change.p_value <= significance:
        return Verdict.IMPROVED if (change.relative > 0) == (better == "higher") else Verdict.REGRESSED
    low, high = change.interval()
    return Verdict.UNCHANGED if -threshold < low and high < threshold else Verdict.INCONCLUSIVE
