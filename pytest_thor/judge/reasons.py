"""The sentences of the judge: one per metric, and the paragraph that a failing test shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pytest_thor.judge.gates import Gate
from pytest_thor.units import format_percent, format_quantity
from pytest_thor.verdict import MetricJudgement, Verdict


def moved(gate: Gate, *, change: float, low: float, high: float, old: float, new: float, least: float) -> str:
    """Say that a metric regressed or improved."""
    verb, ends = ("fell", (-high, -low)) if change < 0 else ("rose", (low, high))
    return (
        f"{gate.title} {verb} {format_percent(abs(change))} (95 % interval {_span(*ends)}),"
        f" {_from_to(old, new, gate.metric.unit)}; threshold {format_percent(gate.threshold)};"
        f" detectable with these launches: {_detectable(least, gate)}"
    )


def unchanged(gate: Gate, *, change: float, low: float, high: float, new: float, least: float) -> str:
    """Say that a metric was shown to lie within its threshold."""
    return (
        f"{gate.title} stayed at {format_quantity(new, gate.metric.unit)}"
        f" ({format_percent(change, signed=True)}, 95 % interval {_span(low, high, signed=True)}),"
        f" shown to lie within the threshold of {format_percent(gate.threshold)};"
        f" detectable with these launches: {_detectable(least, gate)}"
    )


def inconclusive(
    gate: Gate, *, change: float, low: float, high: float, old: float, new: float, least: float, advice: str
) -> str:
    """Say that the launches do not tell, and what would."""
    return (
        f"{gate.title} moved {format_percent(change, signed=True)}"
        f" (95 % interval {_span(low, high, signed=True)}), {_from_to(old, new, gate.metric.unit)},"
        f" which neither shows a change of {format_percent(gate.threshold)} nor rules one out;"
        f" detectable with these launches: {_detectable(least, gate)}; {advice}"
    )


def would_settle(more: int) -> str:
    """Say how many launches more would settle it."""
    return f"about {more} more like these would settle it"


def would_not_settle(more: int, *, baseline_launches: int | None) -> str:
    """Say that not even so many launches more would settle it: because of the baseline's few, or (None) at all."""
    cause = (
        "the change lies so close to the threshold"
        if baseline_launches is None
        else f"the baseline has only {_count(baseline_launches, 'launch')}"
    )
    return f"{more} more like these would not settle it, since {cause}"


def without_baseline(gate: Gate, *, value: float, low: float, high: float, launches: int, anything_stored: bool) -> str:
    """Say what was measured where nothing is stored to hold it against."""
    lack = "the baseline does not hold this metric" if anything_stored else "no baseline is stored to hold it against"
    return f"{_measured(gate, value, low, high, launches)}; {lack}"


def unusable_baseline(problem: str) -> str:
    """Say that the baseline's own figures cannot be."""
    return f"in the baseline, {problem}; accept a new one with --thor-update-baseline=accept"


def not_compared(gate: Gate, *, value: float, low: float, high: float, launches: int) -> str:
    """Say what was measured where the baseline was taken under other conditions."""
    return f"{_measured(gate, value, low, high, launches)}, not compared"


def paragraph(title: str, verdict: Verdict, metrics: Sequence[MetricJudgement], footing: str) -> str:
    """Return the cell's paragraph: the reasons of its verdict and of every invalid metric, then the rest."""
    told = [metric for metric in metrics if metric.verdict in {verdict, Verdict.INVALID}]
    rest = Counter(metric.verdict for metric in metrics if metric not in told)
    others = ", ".join(f"{count} {other}" for other, count in rest.items())
    reasons = ". ".join(_sentence(metric.reason) for metric in told)
    return f"{title} {_is(verdict)}. {reasons}. {f'Other metrics: {others}. ' if others else ''}{footing}"


def footing(*, launches: int, baseline_launches: int) -> str:
    """Say what a comparison stands on."""
    against = f" against the baseline's {baseline_launches}" if baseline_launches else ""
    return f"Judged on {_count(launches, 'launch')}{against}."


def _is(verdict: Verdict) -> str:
    spoken = {Verdict.REGRESSED: "regressed", Verdict.IMPROVED: "improved", Verdict.NO_BASELINE: "has no baseline"}
    return spoken.get(verdict, f"is {verdict}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _measured(gate: Gate, value: float, low: float, high: float, launches: int) -> str:
    unit = gate.metric.unit
    return (
        f"{gate.title} is {format_quantity(value, unit)} (95 % interval {_joined(low, high, unit, 'to')},"
        f" {_count(launches, 'launch')})"
    )


def _detectable(least: float, gate: Gate) -> str:
    return f"{format_percent(least)}{', above the threshold' if least > gate.threshold else ''}"


def _span(low: float, high: float, *, signed: bool = False) -> str:
    return f"{format_percent(low, signed=signed).removesuffix(' %')} to {format_percent(high, signed=signed)}"


def _from_to(old: float, new: float, unit: str) -> str:
    return f"from {_joined(old, new, unit, 'to')}"


def _joined(first: float, second: float, unit: str, word: str) -> str:
    """Write two quantities with their unit once, where it is the same."""
    one, two = format_quantity(first, unit), format_quantity(second, unit)
    number, _, one_unit = one.partition(" ")
    return f"{number if two.endswith(f' {one_unit}') else one} {word} {two}"


def _count(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else one + 'es'}"
