"""How many repetitions a launch is worth, from where the spread lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_thor.judge.statistics import mean, squares

FEWEST = 3
"""Fewer repetitions leave a launch's median to one bad one."""


def spreads_of(launches: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Return the variance of log samples within launches, and between launches beyond that; None where it is not known.

    ``launches`` hold positive samples. Two launches and two samples in some launch are the least that tell.
    """
    logs = [[math.log(sample) for sample in launch] for launch in launches if launch]
    freedom = sum(len(launch) - 1 for launch in logs)
    if len(logs) < 2 or freedom == 0:
        return None
    within = math.fsum(map(squares, logs)) / freedom
    explained = within * mean([1 / len(launch) for launch in logs])
    between = squares([mean(launch) for launch in logs]) / (len(logs) - 1) - explained
    return within, max(0.0, between)


def worthwhile(launches: Sequence[Sequence[float]], *, launch_s: float, repetition_s: float, most: int) -> int:
    """Return how many repetitions one launch should take, between ``FEWEST`` and ``most`` (which wins).

    With variances σ_w² within and σ_b² between launches, the cost of a mean's precision is least at
    r = √(σ_w² / σ_b² · cost of a launch / cost of a repetition) (Kalibera & Jones 2013, section 6). ``launch_s`` is
    what a launch costs without its repetitions, ``repetition_s`` what each costs. It is ``most`` while the past does
    not tell, and where launches do not differ beyond their samples.

    Raises:
        ValueError: a cost or a bound is not positive.
    """
    if not (launch_s > 0 and repetition_s > 0 and most > 0):
        raise ValueError("costs and bounds of repetitions are positive")
    spreads = spreads_of(launches)
    if spreads is None or spreads[1] == 0:
        return most
    within, between = spreads
    best = math.ceil(min(float(most), math.sqrt(within / between * launch_s / repetition_s)))
    return min(most, max(FEWEST, best))
