"""Several looks at growing data, without several chances to be wrong (group-sequential tests).

After each launch the judge looks again, so each look must claim less than a single one might. Estimates of
successive looks share their launches and all of the reference: with variance ``c`` + 1/n after n launches (in units
of the variance of one launch, ``c`` being what further launches do not reduce) their correlation is √(I_j/I_k) with
the information I = 1/(c + 1/n) (Jennison & Turnbull 2000, chapter 2). Each look gets a nominal level; the probability
that any of them errs is held by the bound of Hunter (1976) and Worsley (1982),

    P(∪ A_k) ≤ Σ P(A_k) − Σ P(A_k ∩ A_{k−1}),

which is never too small. Under estimated variances the same nominal levels are used with Student's quantiles (the
significance-level approach: Pocock 1977; Jennison & Turnbull 2000, section 4.4).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

DECAY = 0.6
"""How much of its nominal level each look at equivalence passes on to the next: what is unchanged is seen early."""

_NORMAL = NormalDist()
_NODES = 24
_TINY = 1e-13
_FARTHEST = 8  # standard errors, whose tail is below the tiny
_PER_UNIT = 8
_HALVINGS = 16  # what is returned is the lower end: never too large, and by less than a ten-thousandth too small
_SHARED = (
    *(0.0, 0.05, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25, 0.275, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.75),
    *(1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0),
)
"""Rounded down to one of these, ``shared`` errs towards caution: correlation helps."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Which look this is, of how many, and what they share.

    Look ``look`` of ``looks`` (from 1) is taken after ``launches`` launches, each other one a launch apart.
    ``shared`` is the part of the variance that further launches do not reduce, in units of one launch's.
    """

    look: int
    looks: int
    launches: int
    shared: float

    def __post_init__(self) -> None:
        if not (1 <= self.look <= self.looks and self.look <= self.launches):
            raise ValueError(f"look {self.look} of {self.looks} after {self.launches} launches")

    def level(self, overall: float, decay: float = 1.0) -> float:
        """Return the one-sided level of this look at which the whole of them errs with at most ``overall``.

        ``decay`` is the ratio of each look's level to the one before: 1 is Pocock's, the same for all.
        """
        if self.looks == 1:
            return overall
        first = self.launches - self.look + 1
        return _first_level(overall, decay, self.looks, first, _rounded(self.shared)) * decay ** (self.look - 1)

    def overall(self, p: float) -> float:
        """Return the probability that any look shows as little as the one-sided ``p`` of this one, by chance."""
        if self.looks == 1:
            return p
        if p < _TINY:
            return p * self.looks
        place = -_NORMAL.inv_cdf(p) * _PER_UNIT
        before = min(max(int(place), 0), _FARTHEST * _PER_UNIT - 1)
        of = self.looks, self.launches - self.look + 1, _rounded(self.shared)
        low, high = _inflation(before, *of), _inflation(before + 1, *of)
        return min(1.0, p * (low + (place - before) * (high - low)))


def _rounded(shared: float) -> float:
    return _SHARED[bisect_right(_SHARED, shared) - 1]


@lru_cache(maxsize=65536)
def _inflation(place: int, looks: int, first: int, shared: float) -> float:
    """Return by how much p grows over all looks, where one look's estimate is ``place`` eighths of a standard error."""
    level = _NORMAL.cdf(-place / _PER_UNIT)
    return _union([level] * looks, first, shared) / level


@lru_cache(maxsize=4096)
def _first_level(overall: float, decay: float, looks: int, first: int, shared: float) -> float:
    shape = [decay**number for number in range(looks)]
    low, high = overall / math.fsum(shape), overall
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _union([middle * part for part in shape], first, shared) > overall:
            high = middle
        else:
            low = middle
    return low


def _union(levels: list[float], first: int, shared: float) -> float:
    """Return the bound on the probability that any standard normal estimate exceeds its one-sided quantile."""
    bounds = [-_NORMAL.inv_cdf(max(level, _TINY)) for level in levels]
    total = levels[0]
    for number in range(1, len(levels)):
        before, now = (1 / (shared + 1 / (first + look)) for look in (number - 1, number))
        both = _both(levels[number - 1], bounds[number], math.sqrt(before / now))
        total += max(0.0, levels[number] - both)
    return total


def _both(level: float, bound: float, correlation: float) -> float:
    """Return P(X > x, Y > ``bound``) of correlated standard normals, P(X > x) being ``level``: by the midpoint rule."""
    rest = math.sqrt((1 - correlation) * (1 + correlation)) * math.sqrt(2)
    if rest == 0:
        return level
    total = math.fsum([math.erfc((bound - correlation * x) / rest) for x in _midpoints(level)])
    return level / _NODES * 0.5 * total


@lru_cache(maxsize=64)
def _midpoints(level: float) -> tuple[float, ...]:
    """Return the medians of equally likely parts of the normal tail with this probability."""
    part = level / _NODES
    return tuple([-_NORMAL.inv_cdf(max(part * (node + 0.5), 1e-300)) for node in range(_NODES)])
