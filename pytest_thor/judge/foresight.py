"""What it would take to settle an inconclusive comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pytest_thor.judge.change import Change
from pytest_thor.judge.gates import Gate
from pytest_thor.judge.spread import RUN_DF

FUTILE = 0.05
"""A cell whose remaining launches settle it with a smaller chance is not launched again."""
FORESEEN_LAUNCHES = 50
"""How many launches more are thought through before an inconclusive comparison is called hopeless."""

Cause: TypeAlias = Literal["closeness", "baseline", "runs", "unknown runs"]


@dataclass(frozen=True, slots=True)
class Prospect:
    """How many launches more would settle it if they came out like those at hand, or (None) what stands in the way."""

    more: int | None
    cause: Cause = "closeness"


def prospect(change: Change, gate: Gate) -> Prospect:
    """Return what would settle a comparison that the launches at hand do not."""

    def settled(foreseen: Change) -> bool:
        low, high = foreseen.interval()
        called = abs(foreseen.relative) >= gate.threshold and abs(foreseen.log_ratio) >= foreseen.least_significant
        return called or (-gate.threshold < low and high < gate.threshold)

    def after(more: int) -> bool:
        return settled(change.with_launches(change.launches + more))

    few, enough = 0, 1
    while not after(enough):
        if enough == FORESEEN_LAUNCHES:
            return Prospect(None, _cause(change.with_launches(change.launches + FORESEEN_LAUNCHES), settled))
        few, enough = enough, min(enough * 2, FORESEEN_LAUNCHES)
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if after(middle) else (middle, enough)
    return Prospect(enough)


def chance(change: Change, gate: Gate) -> float:
    """Return the chance that an inconclusive comparison is settled at the last look, as its estimate stands now.

    Estimates of successive looks differ by independent steps: the last lies normally around the present one, with the
    variance by which the two differ (stochastic curtailment: Jennison & Turnbull 2000, chapter 10).
    """
    last = change.with_launches(change.launches + change.looks - change.look)
    spread = math.sqrt(max(0.0, change.standard_error**2 - last.standard_error**2))
    if spread == 0:
        return 0.0
    beyond = max(math.log1p(gate.threshold), last.least_significant)
    inside = math.log1p(gate.threshold) - last.half_width
    tails = [_above((beyond + sign * change.log_ratio) / spread) for sign in (1, -1)]
    middle = 0.0
    if inside > 0:
        middle = _above((-inside - change.log_ratio) / spread) - _above((inside - change.log_ratio) / spread)
    return math.fsum([*tails, middle])


def _above(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _cause(most: Change, settled: Callable[[Change], bool]) -> Cause:
    """Return what keeps even so many launches from settling it: the first thing whose absence would."""
    fewer_runs = replace(most, run=0.0, known=0.0)
    if settled(fewer_runs):
        return "runs" if most.run_df > RUN_DF else "unknown runs"
    if most.reference < most.launches and settled(replace(fewer_runs, reference=most.launches)):
        return "baseline"
    return "closeness"
