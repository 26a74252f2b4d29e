"""The sentences of the judge: one per metric, and the paragraph that a failing test shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_thor.judge.change import SHOWN_LEVEL
from pytest_thor.judge.foresight import FORESEEN_LAUNCHES, Prospect
from pytest_thor.judge.gates import Gate
from pytest_thor.units import counted, format_percent, format_quantity, format_significant
from pytest_thor.verdict import MetricJudgement, RecentComparison, Verdict

_INTERVAL = f"{SHOWN_LEVEL:.0%} interval".replace("%", " %")
_ACCEPT = "--thor-update-baseline=accept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A change as it is told: relative, with its interval, from ``old`` to ``new``, with what was detectable."""

    change: float
    low: float
    high: float
    old: float
    new: float
    least: float
    p: float


def compared(
    gate: Gate,
    verdict: Verdict,
    by_anchor: Verdict,
    figures: Figures,
    *,
    recent: RecentComparison | None,
    prospect: Prospect | None,
) -> str:
    """Say what came of a comparison with the baseline and, where there are some, with the recent runs."""
    if by_anchor is Verdict.UNCHANGED:
        told = _unchanged(gate, figures)
    elif by_anchor is Verdict.INCONCLUSIVE:
        told = _inconclusive(gate, figures)
    else:
        told = _moved(gate, figures)
    told += f"; detectable with these launches: {_detectable(figures.least, gate)}"
    if recent is not None:
        told += f"; {_against_recent(gate, by_anchor, recent)}"
    if prospect is not None:
        told += f"; {_prospect(prospect)}"
    return told if verdict is Verdict.UNCHANGED else f"{told}; {_p(figures.p)}"


def exact(gate: Gate, verdict: Verdict, *, old: float, new: float, low: float, high: float) -> str:
    """Say what came of a comparison of figures that launches of the same repeat exactly."""
    change = new / old - 1
    threshold = format_percent(gate.threshold)
    from_to = _from_to(old, new, gate.metric.unit)
    if verdict is Verdict.UNCHANGED:
        if old == new:
            return f"{gate.title} is {format_quantity(new, gate.metric.unit)}, as in the baseline"
        moved = format_percent(change, signed=True)
        return f"{gate.title} moved {moved}, {from_to}, within the threshold of {threshold}"
    if verdict is Verdict.INCONCLUSIVE:
        return (
            f"{gate.title} moved {format_percent(change, signed=True)}, {from_to}, and launches of the same differ,"
            f" which they should not: they span {_span(low, high, signed=True)} around a threshold of {threshold}"
        )
    verb = "fell" if change < 0 else "rose"
    return f"{gate.title} {verb} {format_percent(abs(change))}, {from_to}; threshold {threshold}; it has no noise"


def among(q: float, planned: int) -> str:
    """Say at which false discovery rate it counts as changed."""
    return f"{_short('q', q)} among the {counted(planned, 'comparison')} of this run"


def above_chance(q: float, planned: int, rate: float) -> str:
    """Say that it does not count as changed among so many comparisons."""
    return f"{among(q, planned)}, too uncertain among so many to call it changed (up to {format_percent(rate)} is)"


def _moved(gate: Gate, figures: Figures) -> str:
    verb, ends = (
        ("fell", (-figures.high, -figures.low)) if figures.change < 0 else ("rose", (figures.low, figures.high))
    )
    return (
        f"{gate.title} {verb} {format_percent(abs(figures.change))} ({_INTERVAL} {_span(*ends)}),"
        f" {_from_to(figures.old, figures.new, gate.metric.unit)}; threshold {format_percent(gate.threshold)}"
    )


def _unchanged(gate: Gate, figures: Figures) -> str:
    return (
        f"{gate.title} stayed at {format_quantity(figures.new, gate.metric.unit)}"
        f" ({format_percent(figures.change, signed=True)},"
        f" {_INTERVAL} {_span(figures.low, figures.high, signed=True)}),"
        f" shown to lie within the threshold of {format_percent(gate.threshold)}"
    )


def _inconclusive(gate: Gate, figures: Figures) -> str:
    return (
        f"{gate.title} moved {format_percent(figures.change, signed=True)}"
        f" ({_INTERVAL} {_span(figures.low, figures.high, signed=True)}),"
        f" {_from_to(figures.old, figures.new, gate.metric.unit)},"
        f" which neither shows a change of {format_percent(gate.threshold)} nor rules one out"
    )


def _against_recent(gate: Gate, by_anchor: Verdict, recent: RecentComparison) -> str:
    span = _span(recent.change_low, recent.change_high, signed=True)
    told = (
        f"against the last {recent.runs} runs it moved {format_percent(recent.change, signed=True)}"
        f" ({_INTERVAL} {span}, from {format_quantity(recent.baseline, gate.metric.unit)})"
    )
    if recent.verdict is Verdict.REGRESSED and by_anchor is not Verdict.REGRESSED:
        return f"{told}: a fresh loss that the baseline does not show"
    if recent.verdict is Verdict.UNCHANGED and by_anchor is Verdict.REGRESSED:
        return f"{told}: the loss is no fresh one"
    return told


def _prospect(prospect: Prospect) -> str:
    if prospect.more is not None:
        return f"about {prospect.more} more like these would settle it"
    causes = {
        "closeness": "the change lies so close to the threshold",
        "baseline": "the baseline has so few launches",
        "runs": "runs of this machine lie so far apart by themselves; --thor-against compares without them",
        "unknown runs": "how far runs of this machine lie apart is not known before some are stored",
    }
    return f"{FORESEEN_LAUNCHES} more like these would not settle it, since {causes[prospect.cause]}"


def other_units(extremes: str) -> str:
    """Say that baseline and launches cannot be in one unit."""
    return f"baseline and launches lie between {extremes}, as if units were mixed up; accept a new one with {_ACCEPT}"


def without_baseline(gate: Gate, judged: MetricJudgement, *, launches: int, anything_stored: bool) -> str:
    """Say what was measured where nothing is stored to hold it against."""
    lack = "no baseline is stored to hold it against"
    if anything_stored:
        lack = f"the baseline does not hold this metric; accept a new one with {_ACCEPT}"
    return f"{_measured(gate, judged, launches)}; {lack}"


def unusable_baseline(problem: str) -> str:
    """Say that the baseline's own figures cannot be."""
    return f"in the baseline, {problem}; accept a new one with {_ACCEPT}"


def unusable_reference(problem: str) -> str:
    """Say that the figures of the engine compared with cannot be."""
    return f"in the reference, {problem}"


def not_compared(gate: Gate, judged: MetricJudgement, *, launches: int) -> str:
    """Say what was measured where the baseline was taken under other conditions."""
    return f"{_measured(gate, judged, launches)}, not compared"


def paragraph(title: str, verdict: Verdict, metrics: Sequence[MetricJudgement], footing: str) -> str:
    """Return the cell's paragraph: the reasons of its verdict and of what was not compared, then the rest."""
    told = [metric for metric in metrics if metric.verdict in {verdict, Verdict.INVALID, Verdict.NO_BASELINE}]
    rest = Counter(metric.verdict for metric in metrics if metric not in told)
    others = ", ".join(f"{count} {other}" for other, count in rest.items())
    reasons = ". ".join(_sentence(metric.reason) for metric in told)
    return f"{title} {_is(verdict)}. {reasons}. {f'Other metrics: {others}. ' if others else ''}{footing}"


def footing(*, launches: int, most: int, baseline_launches: int, shift: float | None) -> str:
    """Say what a comparison stands on; ``shift`` is the machine's own change, where it was taken out."""
    up_to = f" of at most {most}" if most > launches and baseline_launches else ""
    against = f" against the baseline's {baseline_launches}" if baseline_launches else ""
    beside = f", beside the {format_percent(shift, signed=True)} by which all cells moved" if shift is not None else ""
    return f"Judged on {_count(launches, 'launch')}{up_to}{against}{beside}."


def pairs_footing(*, pairs: int, most: int, against: str) -> str:
    """Say what a comparison in pairs stands on."""
    up_to = f" of at most {most}" if most > pairs else ""
    return f"Judged on {counted(pairs, 'pair')}{up_to} of alternating launches against {against}."


def _is(verdict: Verdict) -> str:
    spoken = {Verdict.REGRESSED: "regressed", Verdict.IMPROVED: "improved", Verdict.NO_BASELINE: "has no baseline"}
    return spoken.get(verdict, f"is {verdict}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _measured(gate: Gate, judged: MetricJudgement, launches: int) -> str:
    unit = gate.metric.unit
    if judged.value is None or judged.ci_low is None or judged.ci_high is None:
        raise ValueError(f"{gate.key} was not measured")
    return (
        f"{gate.title} is {format_quantity(judged.value, unit)}"
        f" ({_INTERVAL} {_joined(judged.ci_low, judged.ci_high, unit, 'to')}, {_count(launches, 'launch')})"
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


def _p(p: float) -> str:
    return _short("p", p)


def _short(name: str, probability: float) -> str:
    return f"{name} {format_significant(probability, 2)}" if probability >= 0.0001 else f"{name} < 0.0001"
