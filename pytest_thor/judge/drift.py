"""Did every cell move together? Then the machine changed, not what is under test.

Each cell gives one number, the log change of its main metric, turned so that negative is slower. Their common shift
is estimated robustly: Huber's M-estimator, weighted by 1 / (se² + τ²), where se is each cell's own standard error and
τ the spread between cells that no error explains (as in a random-effects meta-analysis, here by matching the median
of the squared standardized residuals, which a few strays do not move).

A shift is only told where all of this holds; docs/baselines.md says how often that is by chance.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from pytest_thor.judge.student_t import quantile
from pytest_thor.units import counted, format_percent
from pytest_thor.verdict import Judgement, MetricJudgement, Verdict

FEWEST_CELLS = 6
"""With fewer, all may lie on one side by chance once in 16 times."""
SMALLEST_SHIFT = 0.01
"""Less than any threshold that people set, and than what a machine moves by from day to day."""
SIGNIFICANCE_LEVEL = 0.995
"""The level at which the interval of the shift must exclude 0."""
SHOWN_LEVEL = 0.95
"""The level of the interval that is shown."""
SHARE_ON_ITS_SIDE = 0.8
"""The share of cells that must have moved in the direction of the shift."""
SHARE_OF_STRAYS = 0.2
"""The share of cells that may lie elsewhere: a cell strays where its interval excludes the shift."""
SPREAD_OF_SHIFT = 0.5
"""The spread between cells beyond their own errors, as a share of the shift, at most."""

_MAIN = ("pp_tps", "tg_tps", "tpot_ms.median", "output_tps", "ttft_ms.median")
"""What tells a cell's speed, first the best: a load that arrives at a given rate keeps its throughput on a slower
machine, and its time per token does not."""

_HUBER = 1.345  # 95 % efficient where there are no strays
_MEDIAN_CHI_SQUARE = 0.4549  # of one degree of freedom
_ROUNDS = 30
_HALVINGS = 20
_CONVERGED = 1e-9
_SMALLEST_ERROR = 1e-9
_NORMAL_95 = NormalDist().inv_cdf(0.975)
_WIDER = 1.7  # a 95 % interval becomes at least one of 99 % from 4 degrees of freedom on, and 99.9 % of many


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far the machine moved, relative (−0.05 is 5 % slower), with its 95 % interval.

    ``log_sd`` is the standard error on the log scale. ``cells`` are those that told it, one where the ``canary`` did.
    """

    shift: float
    low: float
    high: float
    log_sd: float
    cells: int
    canary: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """One cell's log change, negative where it is slower, with its standard error."""

    log_change: float
    error: float


def common_shift(
    judgements: Mapping[str, Judgement], *, canary: str | None = None, also_changed: Sequence[str] = ()
) -> Shift | None:
    """Return how far all cells moved together, or None where the machine did not change.

    ``judgements`` are those of cells that were held against an anchor, by any key; those that were not compared are
    passed over. ``canary`` is the key of the cell that is pinned to tell: where it moved clearly, it decides alone;
    where it was shown to stay, nothing moved; where it is silent or in doubt, the others decide, and it must not
    contradict. ``also_changed`` are phrases for what under test differs in every cell (``engine version: b7000 →
    b7100``): the numbers cannot tell that from the machine, and the reason says so, unless the canary spoke.
    """
    moves = {key: move for key, judgement in judgements.items() if (move := _move(judgement)) is not None}
    pinned = moves.get(canary) if canary is not None else None
    if canary is not None and pinned is not None:
        if _clearly(pinned):
            return _of_canary(canary, pinned)
        if judgements[canary].verdict is Verdict.UNCHANGED:
            return None
    shift = _of_all(list(moves.values()), also_changed)
    if shift is None or (pinned is not None and _strays(pinned, math.log1p(shift.shift))):
        return None
    return shift


def _move(judgement: Judgement) -> _Move | None:
    if judgement.verdict is Verdict.INVALID:
        return None
    metrics = {metric.metric: metric for metric in judgement.metrics}
    return next((move for name in _MAIN if name in metrics and (move := _log_change(metrics[name]))), None)


def _log_change(metric: MetricJudgement) -> _Move | None:
    change, low, high = metric.change, metric.change_low, metric.change_high
    if change is None or low is None or high is None or metric.verdict is Verdict.INVALID:
        return None
    if not (-1 < low <= change <= high < math.inf):
        return None
    sign = 1 if metric.better == "higher" else -1
    error = (math.log1p(high) - math.log1p(low)) / 2 / _NORMAL_95
    return _Move(log_change=sign * math.log1p(change), error=max(error, _SMALLEST_ERROR))


def _clearly(move: _Move) -> bool:
    return (
        abs(move.log_change) > _WIDER * _NORMAL_95 * move.error and abs(math.expm1(move.log_change)) >= SMALLEST_SHIFT
    )


def _strays(move: _Move, centre: float) -> bool:
    return abs(move.log_change - centre) > _NORMAL_95 * move.error


def _of_canary(canary: str, move: _Move) -> Shift:
    half = _NORMAL_95 * move.error
    shift, low, high = (math.expm1(move.log_change + step) for step in (0.0, -half, half))
    reason = (
        f"the canary {canary}, on which nothing is under test, became {_faster(shift)}"
        f" (95 % interval {_span(low, high)}): the machine changed"
    )
    return Shift(shift=shift, low=low, high=high, log_sd=move.error, cells=1, canary=canary, reason=reason)


def _of_all(moves: Sequence[_Move], also_changed: Sequence[str]) -> Shift | None:
    sides = [move.log_change > 0 for move in moves]
    if len(moves) < FEWEST_CELLS or max(sum(sides), sum(not side for side in sides)) < SHARE_ON_ITS_SIDE * len(moves):
        return None
    centre, error, between = _location(moves)
    shift = math.expm1(centre)
    t = quantile(0.5 + SIGNIFICANCE_LEVEL / 2, len(moves) - 1)
    together = sum(move.log_change * centre > 0 for move in moves)
    spread = math.hypot(error, between)
    strays = sum(abs(move.log_change - centre) > _NORMAL_95 * math.hypot(move.error, spread) for move in moves)
    if not (
        abs(shift) >= SMALLEST_SHIFT
        and abs(centre) > t * error
        and together >= SHARE_ON_ITS_SIDE * len(moves)
        and strays <= SHARE_OF_STRAYS * len(moves)
        and between <= SPREAD_OF_SHIFT * abs(centre)
    ):
        return None
    half = quantile(0.5 + SHOWN_LEVEL / 2, len(moves) - 1) * error
    low, high = math.expm1(centre - half), math.expm1(centre + half)
    return Shift(
        shift=shift,
        low=low,
        high=high,
        log_sd=error,
        cells=len(moves),
        canary=None,
        reason=_reason(shift, low, high, cells=len(moves), together=together, also_changed=also_changed),
    )


def _location(moves: Sequence[_Move]) -> tuple[float, float, float]:
    """Return the common log change, its standard error, and the spread between cells beyond their own errors.

    The error is the larger of the model's and of the sandwich (Huber 1981, section 6.3), with n / (n − 1).
    """
    centre = _weighted_median([(move.log_change, 1 / move.error) for move in moves])
    between = _between(moves, centre)
    scales = [math.hypot(move.error, between) for move in moves]
    for _ in range(_ROUNDS):
        pulls = [
            min(1.0, _HUBER * scale / max(abs(move.log_change - centre), _SMALLEST_ERROR))
            for move, scale in zip(moves, scales, strict=True)
        ]
        weights = [pull / scale**2 for pull, scale in zip(pulls, scales, strict=True)]
        before, centre = centre, _mean(zip((move.log_change for move in moves), weights, strict=True))
        if abs(centre - before) < _CONVERGED:
            break
    model = 1 / math.sqrt(math.fsum(weights))
    clipped = [weight * (move.log_change - centre) for weight, move in zip(weights, moves, strict=True)]
    inner = math.fsum(1 / scale**2 for pull, scale in zip(pulls, scales, strict=True) if pull == 1.0)
    freedom = len(moves) / (len(moves) - 1)
    sandwich = math.sqrt(freedom * math.fsum(value**2 for value in clipped)) / inner if inner else math.inf
    return centre, max(model, sandwich), between


def _between(moves: Sequence[_Move], centre: float) -> float:
    """Return τ: with it, the median of r² / (se² + τ²) is that of a chi-square variable; 0 where it is less without."""

    def excess(between: float) -> float:
        ratios = sorted((move.log_change - centre) ** 2 / (move.error**2 + between**2) for move in moves)
        middle = len(ratios) // 2
        return (ratios[middle] + ratios[~middle]) / 2 - _MEDIAN_CHI_SQUARE

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, max(abs(move.log_change - centre) for move in moves) / math.sqrt(_MEDIAN_CHI_SQUARE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _weighted_median(values: Iterable[tuple[float, float]]) -> float:
    ordered = sorted(values)
    weights = list(accumulate(weight for _, weight in ordered))
    return ordered[bisect_left(weights, weights[-1] / 2)][0]


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    pairs = list(weighted)
    return math.fsum(value * weight for value, weight in pairs) / math.fsum(weight for _, weight in pairs)


def _reason(shift: float, low: float, high: float, *, cells: int, together: int, also_changed: Sequence[str]) -> str:
    told = (
        f"{together} of {counted(cells, 'cell')} became {'slower' if shift < 0 else 'faster'} together, by"
        f" {format_percent(abs(shift))} (95 % interval {_span(low, high)})"
    )
    if also_changed:
        return (
            f"{told}: either the machine changed, or what differs in every cell does it ({'; '.join(also_changed)});"
            " a canary cell whose engine is never changed would tell"
        )
    return f"{told}: the machine changed rather than what is under test"


def _faster(shift: float) -> str:
    return f"{format_percent(abs(shift))} {'slower' if shift < 0 else 'faster'}"


def _span(low: float, high: float) -> str:
    return f"{format_percent(low, signed=True).removesuffix(' %')} to {format_percent(high, signed=True)}"
