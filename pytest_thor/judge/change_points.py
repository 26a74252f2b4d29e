"""Where a history of runs changed its level: advice for a reader, never a verdict.

Each window of the history (Kovács et al. 2023, seeded intervals: about n log n values in all) is searched for the
split whose two sides differ most in rank: the standardized difference of their mean normal scores (van der Waerden),
which one run that went astray hardly moves. The largest of all windows counts, and its p-value comes from the law of
that maximum where runs are exchangeable, tabulated by simulation (``benchmarks/change_points.py --null``); since only
ranks enter, one table holds for every distribution. What is found splits the history, and both parts are searched on
(binary segmentation); in the end every change is placed anew between its neighbours and must pass again, as in
Fleming et al. 2023 after Matteson & James 2014. That histories of benchmarks are best watched this way, and that most
alarms of fixed thresholds are noise, is the experience of Daly et al. 2020.
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
    8: (0.749, 1.498, 1.973, 2.199, _NEVER, _NEVER, _NEVER, _NEVER, _NEVER),
    9: (1.057, 1.547, 1.948, 2.331, _NEVER, _NEVER, _NEVER, _NEVER, _NEVER),
    10: (1.117, 1.730, 1.961, 2.272, 2.473, 2.473, _NEVER, _NEVER, _NEVER),
    11: (1.202, 1.781, 2.022, 2.303, 2.538, 2.593, _NEVER, _NEVER, _NEVER),
    12: (1.555, 2.028, 2.278, 2.434, 2.570, 2.696, 2.720, _NEVER, _NEVER),
    13: (1.611, 2.086, 2.312, 2.452, 2.593, 2.721, 2.788, 2.830, _NEVER),
    14: (1.684, 2.110, 2.339, 2.474, 2.644, 2.768, 2.849, 2.945, 2.945),
    15: (1.700, 2.164, 2.385, 2.539, 2.605, 2.744, 2.834, 2.960, 3.015),
    16: (1.828, 2.278, 2.442, 2.624, 2.720, 2.815, 2.916, 3.059, 3.140),
    18: (1.919, 2.312, 2.495, 2.667, 2.793, 2.889, 2.980, 3.087, 3.150),
    20: (1.946, 2.384, 2.571, 2.712, 2.884, 2.983, 3.071, 3.186, 3.285),
    24: (2.109, 2.469, 2.673, 2.819, 2.985, 3.087, 3.205, 3.294, 3.433),
    32: (2.241, 2.620, 2.780, 2.943, 3.134, 3.240, 3.376, 3.520, 3.609),
    48: (2.446, 2.758, 2.960, 3.133, 3.319, 3.451, 3.564, 3.705, 3.823),
    64: (2.575, 2.889, 3.076, 3.243, 3.452, 3.602, 3.741, 3.926, 4.028),
    96: (2.713, 3.040, 3.230, 3.388, 3.591, 3.733, 3.876, 4.012, 4.114),
    128: (2.829, 3.147, 3.340, 3.516, 3.734, 3.894, 4.009, 4.176, 4.332),
    200: (2.990, 3.302, 3.491, 3.669, 3.876, 4.005, 4.151, 4.295, 4.476),
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
