"""When requests arrive: one after another at a rate, or as slots open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat
from random import Random


def open_loop(random: Random, *, rate_rps: float, burstiness: float, ramp_up_s: float) -> Iterator[float]:
    """Yield arrival times in seconds from the start, rising, without end.

    The gaps are gamma distributed with the shape ``burstiness`` and the mean ``1 / rate_rps``: 1 is a Poisson process,
    less comes in bursts, more is steadier. The first request comes after a gap of its own. During ``ramp_up_s`` the
    rate rises linearly from 0, so that half as many requests as usual are expected in that time.
    """
    expected = 0.0  # requests that the rate has made due by now: time, at a rate of 1 per unit
    while True:
        expected += random.gammavariate(burstiness, 1 / burstiness)
        yield _time_s(expected, rate_rps, ramp_up_s)


def _time_s(expected: float, rate_rps: float, ramp_up_s: float) -> float:
    """Return when so many requests are expected to have come: the inverse of the integral of the rate."""
    of_ramp = rate_rps * ramp_up_s / 2
    if expected < of_ramp:
        return math.sqrt(2 * ramp_up_s * expected / rate_rps)
    return expected / rate_rps + ramp_up_s / 2


def closed_loop(*, max_concurrency: int, ramp_up_s: float) -> Iterator[float | None]:
    """Yield when each request may be sent at the earliest, without end; None is as soon as a slot is free.

    The slots open evenly over ``ramp_up_s``, the first at once: so many requests at a time rise linearly.
    """
    if ramp_up_s > 0:
        yield from (slot * ramp_up_s / max_concurrency for slot in range(max_concurrency))
    yield from repeat(None)
