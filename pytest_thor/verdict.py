"""What is said of a measurement: one verdict per metric, and one per cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from pytest_thor.measurement import Better


class Verdict(str, Enum):
    """The seven verdicts; ``unchanged`` means *shown* to lie within the threshold."""

    REGRESSED = "regressed"
    INVALID = "invalid"
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"
    NO_BASELINE = "no-baseline"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"

    def __str__(self) -> str:
        return self.value

    @property
    def letter(self) -> str:
        """One letter for a progress line: the bad ones are capitals."""
        return _LETTERS[self]


_LETTERS = {
    Verdict.REGRESSED: "R",
    Verdict.INVALID: "X",
    Verdict.INCOMPARABLE: "c",
    Verdict.INCONCLUSIVE: "i",
    Verdict.NO_BASELINE: "n",
    Verdict.IMPROVED: "+",
    Verdict.UNCHANGED: ".",
}

_WORST_FIRST = tuple(Verdict)


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the verdict that a reader must see first, or None of none."""
    return min(verdicts, key=_WORST_FIRST.index, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentComparison:
    """The same metric held against the runs that were stored last, rather than against the accepted anchor.

    ``runs`` and ``launches`` count what stands behind ``baseline``, their level in the metric's unit. Changes are
    relative, as in :class:`MetricJudgement`.
    """

    runs: int
    launches: int
    baseline: float
    change: float
    change_low: float
    change_high: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricJudgement:
    """One metric of one cell, held against its baseline; None is "not known", never 0.

    ``value`` and ``baseline`` are in the metric's unit. ``change`` and its interval are relative and signed as
    the figure moved (−0.05 is 5 % lower), whichever direction is good. ``threshold`` and
    ``minimum_detectable_effect`` are positive fractions. ``p_value`` is that of no change at all, two-sided and
    adjusted for the looks; ``q_value`` the false discovery rate at which it counts as one among the comparisons of
    the run, None until they are considered. ``limit`` is the device's physical limit in the metric's unit and
    ``efficiency`` the share of it that was reached.
    """

    metric: str
    unit: str
    better: Better
    verdict: Verdict
    reason: str
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    baseline: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    threshold: float | None = None
    minimum_detectable_effect: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    recent: RecentComparison | None = None
    limit: float | None = None
    efficiency: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A cell's verdict: the worst of its gated metrics', with the paragraph that a failing test shows.

    ``title`` and ``footing`` are the paragraph's first words and its last sentences. ``unsettled`` names the
    inconclusive metrics that the launches that remain would hardly settle. ``by_itself`` is the judgement
    before the comparisons of other cells were considered, None where they were not.
    """

    verdict: Verdict
    reason: str
    metrics: tuple[MetricJudgement, ...] = field(default=())
    title: str = ""
    footing: str = ""
    unsettled: frozenset[str] = frozenset()
    by_itself: Judgement | None = None

    @property
    def hopeless(self) -> bool:
        """Whether an inconclusive cell is hardly to be settled by the launches that remain of its run."""
        doubtful = {metric.metric for metric in self.metrics if metric.verdict is Verdict.INCONCLUSIVE}
        return self.verdict is Verdict.INCONCLUSIVE and doubtful <= self.unsettled
