"""May the launches be judged at all? What stands in the way, as a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_thor.judge.gates import Gate
from pytest_thor.judge.history import in_other_units
from pytest_thor.judge.plausibility import implausible
from pytest_thor.judge.statistics import summarize
from pytest_thor.measurement import METRICS, Samples
from pytest_thor.units import format_quantity
from pytest_thor.verdict import MetricJudgement, Verdict


def values_of(gate: Gate, launches: Sequence[Samples]) -> list[float]:
    """Return each launch's value of a gated metric."""
    return [summarize(launch[gate.metric.name], gate.summary) for launch in launches]


def problem_of(gate: Gate, launches: Sequence[Samples]) -> str | None:
    """Return what keeps a gated metric of these launches from being judged, as a sentence, or None."""
    if not launches:
        return f"{gate.title} was not measured: no launch was finished"
    missing = [number for number, launch in enumerate(launches, 1) if not launch.get(gate.metric.name)]
    if len(missing) == len(launches):
        return f"{gate.title} was not reported by any launch"
    if missing:
        return f"{gate.title} is missing from {_which(missing[0], launches)}"
    for number, launch in enumerate(launches, 1):
        samples = launch[gate.metric.name]
        problem = implausible(gate.metric.name, samples)
        if problem is None and summarize(samples, gate.summary) <= 0:
            problem = "is 0, against which no relative change can be told"
        if problem is not None:
            return f"{gate.title} {problem} ({_which(number, launches)})"
    values = values_of(gate, launches)
    if in_other_units(values):
        return f"{gate.title} lies between {apart(gate, values)} from launch to launch, as if units were mixed up"
    return None


def spoiled(name: str, launches: Sequence[Samples]) -> MetricJudgement | None:
    """Return what is said of a metric that nobody gates and whose samples are impossible, or None."""
    for number, launch in enumerate(launches, 1):
        problem = implausible(name, launch.get(name, ()))
        if problem is not None:
            metric = METRICS.get(name)
            return MetricJudgement(
                metric=name,
                unit=metric.unit if metric else "",
                better=metric.better if metric else "higher",
                verdict=Verdict.INVALID,
                reason=f"{metric.title if metric else name} {problem} ({_which(number, launches)})",
            )
    return None


def apart(gate: Gate, values: Sequence[float]) -> str:
    """Return the extremes of some values, with their unit."""
    return f"{format_quantity(min(values), gate.metric.unit)} and {format_quantity(max(values), gate.metric.unit)}"


def _which(number: int, launches: Sequence[Samples]) -> str:
    return f"launch {number} of {len(launches)}"
