"""Student's t distribution with the standard library only; the tests hold it against scipy.

Sources: the regularized incomplete beta function as a continued fraction (DLMF 8.17.22) by the modified Lentz
method (Press et al., Numerical Recipes, 3rd ed., §6.4); the ratio of gamma functions half a step apart by its
asymptotic series (DLMF 5.11.13), since the difference of two large ``lgamma`` loses digits; beyond 10⁶ degrees of
freedom, where the fraction loses digits, Fisher's expansion around the normal distribution (Abramowitz & Stegun
26.7.8).
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_PRECISION = 1e-16
_MAX_TERMS = 100_000
_SERIES_FROM = 30.0
_NORMAL_FROM = 1e6
_MAX_STEPS = 200
_CLOSE = 1e-14


def cdf(t: float, df: float) -> float:
    """Return the probability that a Student-t variable with ``df`` > 0 degrees of freedom is at most ``t``."""
    tail = upper_tail(abs(t), df)
    return 1 - tail if t > 0 else tail


def upper_tail(t: float, df: float) -> float:
    """Return the probability of exceeding ``t`` ≥ 0; small ones keep their full relative precision."""
    if not df > 0:
        raise ValueError(f"degrees of freedom must be positive, not {df}")
    if df > _NORMAL_FROM:
        return _tail_near_normal(t, df)
    return 0.5 * _incomplete_beta(t, df)


@lru_cache(maxsize=65536)
def quantile(p: float, df: float) -> float:
    """Return the value that a Student-t variable stays below with probability 0 < ``p`` < 1."""
    if not 0 < p < 1:
        raise ValueError(f"a probability lies between 0 and 1, not {p}")
    tail = min(p, 1 - p)
    if tail == 0.5:
        return 0.0
    found = _above(tail, df)
    return -found if p < 0.5 else found


def _above(tail: float, df: float) -> float:
    """Return t > 0 with this upper tail: Newton's steps on its logarithm, halving where one would leave the bracket."""
    low, high = 0.0, 1.0
    while upper_tail(high, df) > tail:
        low, high = high, high * 2
    t = (low + high) / 2
    for _ in range(_MAX_STEPS):
        seen = upper_tail(t, df)
        low, high = (t, high) if seen > tail else (low, t)
        step = math.log(seen / tail) * seen / _density(t, df) if seen > 0 else 0.0
        following = t + step if low < t + step < high else (low + high) / 2
        if abs(following - t) <= _CLOSE * t:
            return following
        t = following
    return t


def _density(t: float, df: float) -> float:
    front = math.exp(_log_gamma_step(df / 2)) / math.sqrt(df * math.pi)
    return front * math.exp(-(df + 1) / 2 * math.log1p(t / df * t)) or _TINY


def _tail_near_normal(t: float, df: float) -> float:
    density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    if density == 0:
        return 0.0
    square = t * t
    first = t * (square + 1) / 4
    second = t * (((3 * square - 7) * square - 5) * square - 3) / 96
    return 0.5 * math.erfc(t / math.sqrt(2)) + density * (first / df + second / df**2)


def _incomplete_beta(t: float, df: float) -> float:
    """Return I_x(df/2, 1/2) at x = df/(df + t²), which is the probability of both tails beyond ±t."""
    a, b = df / 2, 0.5
    square = t / df * t  # t² / df, that does not overflow before it must
    x, rest = 1 / (1 + square), square / (1 + square)
    if x == 0:
        return 0.0
    if rest == 0:
        return 1.0
    # x**a * rest**b / B(a, b), with B(a, 1/2) = Γ(a) √π / Γ(a + 1/2)
    front = math.exp(-a * math.log1p(square) + b * math.log(rest) + _log_gamma_step(a) - 0.5 * math.log(math.pi))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(x, a, b) / a
    return 1 - front * _continued_fraction(rest, b, a) / b


def _log_gamma_step(a: float) -> float:
    """Return log Γ(a + 1/2) − log Γ(a)."""
    if a < _SERIES_FROM:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _continued_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _away_from_zero(1 + even * d), _away_from_zero(1 + even / c)
        fraction *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _away_from_zero(1 + odd * d), _away_from_zero(1 + odd / c)
        fraction *= d * c
        if abs(d * c - 1) <= _PRECISION:
            break
    return fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
