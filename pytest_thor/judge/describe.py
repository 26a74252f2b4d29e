"""The plain values of whatever was measured, judged or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_thor.judge.change import level_of
from pytest_thor.judge.history import Past
from pytest_thor.judge.plausibility import implausible
from pytest_thor.judge.spread import NO_SPREADS, Spread, stated, variances
from pytest_thor.judge.statistics import geometric_mean, mean, summaries
from pytest_thor.measurement import METRICS, SUMMARIES, Better, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A metric's plain value over all launches, in its unit; the interval is None where a sample is 0."""

    metric: str
    unit: str
    better: Better
    value: float
    ci_low: float | None
    ci_high: float | None


def describe(launches: Sequence[Samples], spreads: Mapping[str, Spread] = NO_SPREADS) -> tuple[Description, ...]:
    """Return the plain values of every known metric that all launches report; latencies by their summaries.

    Metrics with impossible samples are left out.
    """
    found = []
    for metric in METRICS.values():
        columns = [launch.get(metric.name, ()) for launch in launches]
        if not columns or any(not column or implausible(metric.name, column) for column in columns):
            continue
        by_summary = metric.unit == "ms"
        taken = [summaries(column, SUMMARIES if by_summary else ("median",)) for column in columns]
        for summary in taken[0]:
            key = f"{metric.name}.{summary}" if by_summary else metric.name
            value, low, high = _level(key, [launch[summary] for launch in taken], spreads)
            found.append(
                Description(metric=key, unit=metric.unit, better=metric.better, value=value, ci_low=low, ci_high=high)
            )
    return tuple(found)


def _level(
    key: str, values: Sequence[float], spreads: Mapping[str, Spread]
) -> tuple[float, float | None, float | None]:
    if min(values) <= 0:
        return mean(values), None, None
    if METRICS[key.partition(".")[0]].resolution is not None:
        return geometric_mean(values), min(values), max(values)
    logs = tuple([math.log(value) for value in values])
    own = variances(Past(baseline=logs, earlier=()), (), spreads.get(key) or stated(key))
    return level_of(values, own)
