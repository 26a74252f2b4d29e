"""Where a history of runs changed its level: advice for a reader, never a verdict.

Each window of the history (Kovács et al. 2023, seeded intervals: about n log n values in all) is searched for the
split whose two sides differ most in rank: the standardized difference of their mean normal scores (van der Waerden),
which one run that went astray hardly moves. Where runs resemble the one before, it counts less. The largest of all
windows is held against the law of that maximum where runs are exchangeable, tabulated by simulation
(``benchmarks/change_points.py --null``); since only ranks enter, one table holds for every distribution. What is found
splits the history, and both parts are searched on (binary segmentation); in the end every change is placed anew
between its neighbours and must pass again, as in Fleming et al. 2023 after Matteson & James 2014. That histories of
benchmarks are best watched this way, and that most alarms of fixed thresholds are noise, is the experience of Daly et
al. 2020.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import itemgetter
from statistics import NormalDist, median

FEWEST_RUNS = 10
"""Fewer runs cannot tell a change from chance at this level."""
SHORTEST_SIDE = 4
"""A level needs so many runs: a bad day is none."""
SIGNIFICANCE = 0.01
"""About one history in a hundred that never changed is said to have."""
SMALLEST_CHANGE = 0.01
"""A smaller change is not worth a reader's time."""

_ROUNDING = 1e-9
_SHRINK = math.sqrt(0.5)  # from one layer of windows to the next

NULL_LEVELS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
_NEVER = math.inf
NULL: dict[int, tuple[float, ...]] = {
    8: (0.749, 1.274, 1.740, 1.992, _NEVER, _NEVER, _NEVER, _NEVER, _NEVER),
    9: (0.891, 1.483, 1.741, 1.948, _NEVER, _NEVER, _NEVER, _NEVER, _NEVER),
    10: (1.088, 1.610, 1.922, 2.112, 2.320, 2.446, _NEVER, _NEVER, _NEVER),
    11: (1.168, 1.700, 1.995, 2.211, 2.411, 2.561, _NEVER, _NEVER, _NEVER),
    12: (1.530, 1.962, 2.220, 2.332, 2.480, 2.625, 2.720, 2.720, _NEVER),
    13: (1.581, 2.061, 2.273, 2.443, 2.564, 2.692, 2.715, 2.805, _NEVER),
    14: (1.635, 2.092, 2.312, 2.445, 2.559, 2.727, 2.771, 2.871, 2.936),
    15: (1.677, 2.130, 2.344, 2.538, 2.597, 2.714, 2.834, 2.905, 2.960),
    16: (1.782, 2.220, 2.381, 2.570, 2.699, 2.752, 2.896, 3.013, 3.076),
    18: (1.871, 2.280, 2.474, 2.622, 2.774, 2.870, 2.928, 3.069, 3.136),
    20: (1.919, 2.342, 2.538, 2.661, 2.844, 2.945, 3.032, 3.135, 3.241),
    24: (2.084, 2.442, 2.618, 2.786, 2.944, 3.069, 3.159, 3.282, 3.420),
    32: (2.214, 2.573, 2.739, 2.907, 3.093, 3.205, 3.331, 3.470, 3.570),
    48: (2.440, 2.720, 2.917, 3.086, 3.277, 3.390, 3.512, 3.662, 3.726),
    64: (2.543, 2.841, 3.034, 3.202, 3.403, 3.558, 3.685, 3.866, 3.968),
    96: (2.691, 2.994, 3.177, 3.347, 3.536, 3.679, 3.816, 3.977, 4.053),
    128: (2.791, 3.105, 3.294, 3.465, 3.681, 3.840, 3.953, 4.122, 4.244),
    200: (2.947, 3.257, 3.444, 3.614, 3.820, 3.956, 4.085, 4.236, 4.378),
}
"""By the number of runs, what the statistic reaches with at most the probabilities of :data:`NULL_LEVELS`; infinite
where so few runs have too few orders for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """A new level from the run at ``index`` on: medians of the runs ``before`` and ``after``, up to the next change.

    ``change`` is relative (−0.05 is 5 % lower). ``p_value`` is that of no change at all, if runs are exchangeable.
    """

    index: int
    before: float
    after: float
    change: float
    p_value: float


def change_points(values: Sequence[float]) -> tuple[ChangePoint, ...]:
    """Return where a history of positive values, oldest first, changed its level; oldest change first.

    Values that are not positive and finite were not measured, and are passed over; ``index`` counts them.
    """
    known = [(index, value) for index, value in enumerate(values) if 0 < value < math.inf]
    series = [value for _, value in known]
    cuts = _confirmed(series, sorted(_splits(series, 0, len(series))))
    while True:
        found = [
            ChangePoint(index=cut, before=before, after=after, change=after / before - 1, p_value=p_value)
            for (cut, p_value), (before, after) in zip(cuts, _levels(series, [cut for cut, _ in cuts]), strict=True)
        ]
        least = min(found, key=lambda point: abs(point.change), default=None)
        if least is None or abs(least.change) >= SMALLEST_CHANGE:
            return tuple(replace(point, index=known[point.index][0]) for point in found)
        del cuts[found.index(least)]


def largest_split(values: Sequence[float]) -> tuple[float, int]:
    """Return the statistic of a series, the largest over its windows, and the place that it splits the series at."""
    best = (0.0, 0)
    for start, end in _windows(len(values)):
        statistic, cut = _best_cut(values[start:end])
        best = max(best, (statistic, start + cut))
    return best


def p_value_of(statistic: float, runs: int) -> float:
    """Return how often a series of so many exchangeable runs reaches the statistic, at least 0.001."""
    thresholds = _null(runs)
    place = bisect_right(thresholds, statistic + _ROUNDING)
    if place == 0:
        return 1.0
    if place == len(thresholds) or math.isinf(thresholds[place]):
        return NULL_LEVELS[place - 1]
    low, high = thresholds[place - 1], thresholds[place]
    share = max(statistic - low, 0.0) / (high - low)
    return math.exp((1 - share) * math.log(NULL_LEVELS[place - 1]) + share * math.log(NULL_LEVELS[place]))


def _splits(series: Sequence[float], start: int, end: int) -> Iterator[int]:
    if end - start < FEWEST_RUNS:
        return
    statistic, cut = largest_split(series[start:end])
    if p_value_of(statistic, end - start) > SIGNIFICANCE:
        return
    yield from _splits(series, start, start + cut)
    yield start + cut
    yield from _splits(series, start + cut, end)


def _confirmed(series: Sequence[float], cuts: Sequence[int]) -> list[tuple[int, float]]:
    """Return the cuts that stand between their neighbours, each at its best place there, with its p-value."""
    kept = list(cuts)
    while True:
        ends = [0, *kept, len(series)]
        placed = [_placed(series, ends[number - 1], ends[number + 1]) for number in range(1, len(ends) - 1)]
        weakest = max(placed, key=itemgetter(1), default=(0, 0.0))
        if weakest[1] > SIGNIFICANCE:
            del kept[placed.index(weakest)]
        elif len(apart := sorted({cut for cut, _ in placed})) < len(kept):
            kept = apart
        else:
            return sorted(placed)


def _placed(series: Sequence[float], start: int, end: int) -> tuple[int, float]:
    statistic, cut = _best_cut(series[start:end])
    return start + cut, p_value_of(statistic, end - start)


def _levels(series: Sequence[float], cuts: Sequence[int]) -> list[tuple[float, float]]:
    """Return the median before and after each cut, up to the next one."""
    medians = [median(series[start:end]) for start, end in pairwise([0, *cuts, len(series)])] if cuts else []
    return list(pairwise(medians))


def _best_cut(values: Sequence[float]) -> tuple[float, int]:
    """Return the largest standardized difference of mean scores, and how many runs stand before it."""
    count = len(values)
    if count < 2 * SHORTEST_SIDE:
        return 0.0, 0
    scores = _scores(values)
    variance = math.fsum(score * score for score in scores) / (count - 1)
    if variance == 0:
        return 0.0, 0
    sums = list(accumulate(scores))
    factors = _factors(count)
    best, cut = max((abs(sums[k - 1]) * factors[k], k) for k in range(SHORTEST_SIDE, count - SHORTEST_SIDE + 1))
    return best / math.sqrt(variance) * _deflation(scores, cut), cut


def _deflation(scores: Sequence[float], cut: int) -> float:
    """Return what a statistic is multiplied with where a run resembles the one before it, on both sides of the cut.

    A sum of values whose lag-one autocorrelation is r varies (1 + r) / (1 − r) times as much as of independent ones.
    """
    low, high = (math.fsum(side) / len(side) for side in (scores[:cut], scores[cut:]))
    rest = [score - (low if place < cut else high) for place, score in enumerate(scores)]
    squares = math.fsum(value * value for value in rest)
    r = math.fsum(a * b for a, b in pairwise(rest)) / squares if squares else 0.0
    return math.sqrt((1 - r) / (1 + r)) if r > 0 else 1.0


@lru_cache(maxsize=1024)
def _factors(count: int) -> tuple[float, ...]:
    """Return what a sum of the first k of ``count`` centred scores is multiplied with to be standardized, by k.

    Drawn without replacement, its variance is s² k (n − k) / n.
    """
    return (0.0, *(math.sqrt(count / (k * (count - k))) for k in range(1, count)), 0.0)


def _scores(values: Sequence[float]) -> list[float]:
    """Return the normal scores of the values' ranks; equal values share the mean of theirs."""
    ranked = _normal_scores(len(values))
    order = sorted(range(len(values)), key=values.__getitem__)
    scores = [0.0] * len(values)
    place = 0
    while place < len(order):
        end = place + 1
        while end < len(order) and values[order[end]] == values[order[place]]:
            end += 1
        shared = math.fsum(ranked[place:end]) / (end - place)
        for position in order[place:end]:
            scores[position] = shared
        place = end
    return scores


@lru_cache(maxsize=1024)
def _normal_scores(count: int) -> tuple[float, ...]:
    return tuple(NormalDist().inv_cdf((rank + 0.5) / count) for rank in range(count))


@lru_cache(maxsize=1024)
def _windows(count: int) -> tuple[tuple[int, int], ...]:
    """Return the seeded intervals of a series: layers of windows, each layer's shorter by √½, half overlapping."""
    windows = {(0, count)}
    length = count * _SHRINK
    while length >= 2 * SHORTEST_SIDE:
        many = 2 * math.ceil(count / length) - 1
        step = (count - length) / (many - 1)
        windows |= {(math.floor(number * step), math.ceil(number * step + length)) for number in range(many)}
        length *= _SHRINK
    return tuple(sorted((start, min(end, count)) for start, end in windows))


@lru_cache(maxsize=1024)
def _null(runs: int) -> tuple[float, ...]:
    """Return the quantiles for any number of runs: between two that are tabulated, by their logarithm."""
    if runs in NULL:
        return NULL[runs]
    known = sorted(NULL)
    place = min(max(bisect_left(known, runs), 1), len(known) - 1)
    low, high = known[place - 1], known[place]
    share = min(max(math.log(runs / low) / math.log(high / low), 0.0), 1.0)
    return tuple(
        math.inf if math.isinf(a + b) else (1 - share) * a + share * b
        for a, b in zip(NULL[low], NULL[high], strict=True)
    )
