"""The plain values of whatever was measured, judged or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_thor.judge.metric import NO_PRIORS, SHOWN_LEVEL
from pytest_thor.judge.plausibility import implausible
from pytest_thor.judge.statistics import Prior, estimate_level, prior_for, summarize
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


def describe(launches: Sequence[Samples], priors: Mapping[str, Prior] = NO_PRIORS) -> tuple[Description, ...]:
    """Return the plain values of every known metric that all launches report; latencies by their summaries.

    Metrics with impossible samples are left out.
    """
    found = []
    for metric in METRICS.values():
        columns = [launch.get(metric.name, ()) for launch in launches]
        if not columns or any(not column or implausible(metric.name, column) for column in columns):
            continue
        for summary in SUMMARIES if metric.unit == "ms" else (None,):
            key = metric.name if summary is None else f"{metric.name}.{summary}"
            values = [summarize(column, summary or "median") for column in columns]
            prior = prior_for(key, metric, priors)
            value, low, high = (
                estimate_level(values, prior, SHOWN_LEVEL)
                if min(values) > 0
                else (sum(values) / len(values), None, None)
            )
            found.append(
                Description(metric=key, unit=metric.unit, better=metric.better, value=value, ci_low=low, ci_high=high)
            )
    return tuple(found)
